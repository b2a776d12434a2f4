//! The queue of a gateway for a first fragment, under policies that fix thresholds when a job is sent.

use super::Engine;
use super::job::{List, NONE as NO_JOB, State};
use super::plan::NONE;
use super::record::head;
use super::timers::Timer;
use crate::report::Failure;

/// Jobs that wait for, or are at, one first fragment.
#[derive(Debug)]
pub(crate) struct Gate {
    queue: List,
    outstanding: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self { queue: List::EMPTY, outstanding: 0 }
    }
}

impl Engine<'_> {
    /// A job with a chain but without thresholds waits for its turn; it is lost when the gateway has no memory for it.
    pub(super) fn join_gate(&mut self, id: u32, chain: u32) {
        let gate = self.plan.chains[chain as usize].gate;
        let plan = &self.plan.gates[gate as usize];
        if plan.region != NONE {
            let region = &mut self.regions[plan.region as usize];
            if region.budget - region.used < plan.memory {
                self.count(id, head::LOST, 1.0);
                self.count(id, head::LOST_AT_GATEWAY, 1.0);
                return self.lost(id, None);
            }
            region.used += plan.memory;
            self.jobs.get_mut(id).gated = true;
        }
        self.jobs.get_mut(id).state = State::AtGate;
        self.gates[gate as usize].queue.push(&mut self.jobs, id);
        self.dispatch(gate);
    }

    /// Sends jobs as long as the first fragment has workers for them.
    pub(super) fn dispatch(&mut self, gate: u32) {
        while self.gates[gate as usize].outstanding < self.plan.gates[gate as usize].workers {
            let id = self.gates[gate as usize].queue.pop(&self.jobs);
            if id == NO_JOB {
                return;
            }
            if self.is_late(id) {
                self.fail(id, Failure::Deadline);
                continue;
            }
            let state = &mut self.gates[gate as usize];
            let present = state.queue.len + state.outstanding + 1;
            state.outstanding += 1;
            self.jobs.get_mut(id).turn = true;
            if self.decide_thresholds(id, present as usize) {
                self.send(id);
            }
        }
    }

    /// The first fragment is done with a job, of which the gateway hears at `heard`: with its answer.
    #[inline(always)]
    pub(super) fn end_turn(&mut self, id: u32, heard: f64) {
        if self.jobs.get(id).turn {
            self.end_that_turn(id, heard);
        }
    }

    #[inline(never)]
    fn end_that_turn(&mut self, id: u32, heard: f64) {
        self.jobs.get_mut(id).turn = false;
        let step = &self.plan.steps[self.jobs.get(id).step as usize];
        let gate = self.plan.chains[step.chain as usize].gate;
        let again = heard + self.plan.gates[gate as usize].turnaround;
        if again > self.now {
            self.timers.push(again, Timer::Turn { gate });
            return self.calendar.set(self.slots.timers, self.timers.due());
        }
        self.free_turn(gate);
    }

    pub(super) fn free_turn(&mut self, gate: u32) {
        self.gates[gate as usize].outstanding -= 1;
        self.turns.push(gate);
    }

    /// The first fragment has taken a job over, or it has ended before.
    #[inline(always)]
    pub(super) fn leave_gate(&mut self, id: u32) {
        let job = self.jobs.get_mut(id);
        job.at_gateway = false;
        if job.gated {
            self.leave_its_memory(id);
        }
    }

    #[inline(never)]
    fn leave_its_memory(&mut self, id: u32) {
        let job = self.jobs.get_mut(id);
        job.gated = false;
        let step = &self.plan.steps[job.step as usize];
        let gate = &self.plan.gates[self.plan.chains[step.chain as usize].gate as usize];
        self.give_back_to(gate.region, gate.memory);
    }
}
