//! How jobs move: onto cores, and on to the next step.

use super::Engine;
use super::heap::Running;
use super::job::{NONE as NO_JOB, State};
use super::plan::{NONE, WorkPlan};
use super::record::cell;
use super::ticks::whole;
use crate::network::{Discipline, Handover, Overflow};
use crate::random::Purpose;
use crate::report::Failure;

/// What became of a job that wanted to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Onward {
    /// It has left its core.
    Gone,
    /// It keeps it.
    Blocked,
}

impl Engine<'_> {
    /// A job without anything yet goes to the first step of the chain it has taken.
    #[inline(always)]
    pub(super) fn send(&mut self, id: u32) {
        let step = &self.plan.steps[self.jobs.get(id).step as usize];
        self.count_at_step(id, cell::OFFERED, 1.0);
        if step.link != NONE {
            return self.queue_on_link(id, step.link);
        }
        if !self.up[step.station as usize] {
            return self.unreachable(id);
        }
        if !self.fits(self.jobs.get(id).step) {
            return self.lose(id);
        }
        self.reserve(self.jobs.get(id).step);
        self.leave_gate(id);
        self.enter(id);
    }

    /// A job that holds its memory joins the station of its step.
    #[inline(always)]
    pub(super) fn enter(&mut self, id: u32) {
        let (now, step) = (self.now, self.jobs.get(id).step);
        let plan = &self.plan.steps[step as usize];
        self.jobs.get_mut(id).entered = now;
        if self.stations[plan.station as usize].has_room(plan.lane) {
            self.begin(id);
        } else {
            self.jobs.get_mut(id).state = State::Waiting;
            self.queues[plan.queue as usize].push(&mut self.jobs, id);
        }
    }

    /// Starts the service of a job whose turn has come. `false` when its deadline has passed: it is gone then.
    #[inline]
    fn begin(&mut self, id: u32) -> bool {
        let job = self.jobs.get(id);
        if self.is_late(id) {
            self.leave_device(id);
            self.fail(id, Failure::Deadline);
            return false;
        }
        let step = &self.plan.steps[job.step as usize];
        let work = match &step.work {
            WorkPlan::Constant(work) => *work,
            WorkPlan::Law(law) => whole(law.draw(&mut job.draws(step.index, Purpose::Service))),
            WorkPlan::Segments { .. } => self.segments_work(id),
        };
        self.jobs.get_mut(id).state = State::Served;
        let next = self.stations[step.station as usize].start(self.now, id, step.lane, work);
        self.calendar.set(step.station, next);
        true
    }

    /// The job that a station has served goes on, and the next one begins.
    #[inline(always)]
    pub(super) fn service_ends(&mut self, station: u32) {
        let Running { job: id, work, .. } = self.stations[station as usize].end(self.now);
        let (entered, cell) = (self.jobs.get(id).entered, self.jobs.get(id).cell as usize);
        let sums = &mut self.record.sums[cell..cell + cell::LEN];
        sums[cell::SERVED] += 1.0;
        sums[cell::RESIDENCE] += self.now - entered;
        sums[cell::WORK] += work;
        let step = &self.plan.steps[self.jobs.get(id).step as usize];
        let may_block = self.plan.chains[step.chain as usize].overflow == Overflow::BlockAfterService;
        if may_block && self.served(id) == Onward::Blocked {
            // A blocked core has no next event; the others of the station have.
            self.stations[station as usize].block(id);
            let next = self.stations[station as usize].next_end(self.now);
            return self.calendar.set(station, next);
        }
        // Whoever waits here comes before a job that returns at once.
        if !self.begin_next(station, step.lane) {
            let next = self.stations[station as usize].next_end(self.now);
            self.calendar.set(station, next);
        }
        if !may_block {
            self.served(id);
        }
    }

    /// Gives a free core to who waits for it. `false` when nobody does.
    #[inline(always)]
    pub(super) fn begin_next(&mut self, station: u32, lane: u32) -> bool {
        let mut begun = false;
        while self.stations[station as usize].has_room(lane) {
            let Some(id) = self.next_waiting(station, lane) else {
                break;
            };
            begun |= self.begin(id);
        }
        begun
    }

    #[inline(always)]
    fn next_waiting(&mut self, station: u32, lane: u32) -> Option<u32> {
        let plan = &self.plan.stations[station as usize];
        let first = plan.first_queue as usize;
        let queues = match plan.discipline {
            Discipline::Pods(_) => first + lane as usize..first + lane as usize + 1,
            _ => first..first + plan.queues as usize,
        };
        for queue in &mut self.queues[queues] {
            let id = queue.pop(&self.jobs);
            if id != NO_JOB {
                return Some(id);
            }
        }
        None
    }

    /// A job whose service has ended leaves, or goes on.
    #[inline(always)]
    fn served(&mut self, id: u32) -> Onward {
        let at = self.jobs.get(id).step;
        let step = &self.plan.steps[at as usize];
        let leaves = match &step.work {
            WorkPlan::Segments { range, .. } => return self.segments_served(id, *range),
            _ if step.last || step.exit >= 1.0 => true,
            _ if step.exit == 0.0 => false,
            _ => self.jobs.get(id).draws(step.index, Purpose::Exit).uniform() < step.exit,
        };
        if leaves {
            self.release(at, step.memory);
            self.answer(id, step.index, false);
            return Onward::Gone;
        }
        self.go_on(id)
    }

    fn segments_served(&mut self, id: u32, range: domain::FragmentRange) -> Onward {
        let job = *self.jobs.get(id);
        let step = &self.plan.steps[job.step as usize];
        let decision = self.jobs.decisions[id as usize];
        let leaves = step.last || self.exit_segment(id) <= range.last;
        if leaves && !job.ghost && decision.audit && !step.last {
            self.answer_audit(id);
            return self.go_on(id);
        }
        if leaves && (!decision.audit || step.last) {
            if decision.audit && self.watch.on {
                self.watch_audit(id);
            }
            self.release(job.step, step.memory);
            match job.ghost {
                true => self.drop_ghost(id),
                false => self.answer(id, decision.exit, false),
            }
            return Onward::Gone;
        }
        self.go_on(id)
    }

    /// Asks for memory at the next step, by the rules of handover and overflow.
    #[inline(always)]
    fn go_on(&mut self, id: u32) -> Onward {
        let from = self.jobs.get(id).step;
        let (step, next) = (&self.plan.steps[from as usize], &self.plan.steps[from as usize + 1]);
        let job = self.jobs.get_mut(id);
        job.cell += cell::LEN as u32;
        self.count_at_step(id, cell::OFFERED, 1.0);
        if next.link != NONE {
            self.release(from, step.memory - step.memory_after);
            self.queue_on_link(id, next.link);
            return Onward::Gone;
        }
        if !self.up[next.station as usize] {
            self.jobs.get_mut(id).step = from + 1;
            self.release(from, step.memory);
            self.unreachable(id);
            return Onward::Gone;
        }
        if self.plan.chains[step.chain as usize].overflow == Overflow::BlockAfterService && !self.fits(from + 1) {
            self.block(id);
            return Onward::Blocked;
        }
        self.hand_over(id);
        Onward::Gone
    }

    /// Moves a job to the next step without a link between, or loses it there.
    #[inline(always)]
    pub(super) fn hand_over(&mut self, id: u32) {
        let from = self.jobs.get(id).step;
        let memory = self.plan.steps[from as usize].memory;
        let has_room = match self.plan.handover {
            Handover::ReleaseFirst => {
                self.release(from, memory);
                self.fits(from + 1)
            }
            Handover::ReserveFirst => {
                // What it takes along is all that it still holds.
                let after = self.plan.steps[from as usize].memory_after;
                self.release(from, memory - after);
                let room = self.fits_beside(from + 1, from);
                self.release(from, after);
                room
            }
        };
        self.end_turn(id, self.now);
        self.jobs.get_mut(id).step = from + 1;
        if !has_room {
            return self.lose(id);
        }
        self.reserve(from + 1);
        self.enter(id);
    }
}
