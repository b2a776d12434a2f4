//! Links: one job at a time is transmitted, and then is on its way for the latency.

use super::Engine;
use super::job::{List, NONE as NO_JOB, State};
use super::record::cell;
use crate::report::Failure;
use std::collections::VecDeque;

/// A link.
#[derive(Debug)]
pub(crate) struct LinkState {
    /// Jobs whose transmission has not begun.
    queue: List,
    /// The job that is transmitted.
    sending: u32,
    /// Jobs whose last byte has been sent. The latency is the same for all, so they arrive in order.
    transit: List,
    /// When they arrive.
    arrivals: VecDeque<f64>,
}

impl Default for LinkState {
    fn default() -> Self {
        Self { queue: List::EMPTY, sending: NO_JOB, transit: List::EMPTY, arrivals: VecDeque::new() }
    }
}

impl Engine<'_> {
    /// A job waits for the link to its next step. Behind the first step it still holds what it takes along.
    pub(super) fn queue_on_link(&mut self, id: u32, link: u32) {
        let job = self.jobs.get_mut(id);
        (job.state, job.entered) = (State::Queued, self.now);
        self.links[link as usize].queue.push(&mut self.jobs, id);
        if self.links[link as usize].sending == NO_JOB {
            self.transmit(link);
        }
    }

    /// Begins the next transmission of a free link. A job that is refused does not occupy it.
    fn transmit(&mut self, link: u32) {
        while self.links[link as usize].sending == NO_JOB {
            let id = self.links[link as usize].queue.pop(&self.jobs);
            if id == NO_JOB {
                return;
            }
            let (to, first) = self.next_over_link(id);
            let step = &self.plan.steps[to as usize];
            let (late, up) = (self.is_late(id), self.up[step.station as usize]);
            let room = if first { self.fits(to) } else { self.fits_beside(to, to - 1) };
            if late || !up || !room {
                self.leave_sender(id);
                match (late, up) {
                    (true, _) => self.fail(id, Failure::Deadline),
                    (false, false) => self.unreachable(id),
                    (false, true) => self.lose(id),
                }
                continue;
            }
            if first {
                self.reserve(to);
            } else {
                self.reserve_beside(to, to - 1);
            }
            let job = self.jobs.get_mut(id);
            job.state = State::Transit;
            job.step = to;
            self.count_at_step(id, cell::TRANSMISSION, step.transmission);
            self.links[link as usize].sending = id;
            self.calendar.set(self.slots.links + link, self.now + step.transmission);
        }
    }

    /// The last byte of a job has been sent.
    pub(super) fn transmission_ends(&mut self, link: u32) {
        let arrival = self.now + self.plan.links[link as usize].latency;
        let state = &mut self.links[link as usize];
        let id = std::mem::replace(&mut state.sending, NO_JOB);
        state.transit.push(&mut self.jobs, id);
        state.arrivals.push_back(arrival);
        self.calendar.set(self.slots.links + link, f64::INFINITY);
        self.expect_arrival(link);
        self.transmit(link);
    }

    /// The last byte of a job has arrived: the sender is rid of it.
    pub(super) fn transit_ends(&mut self, link: u32) {
        let state = &mut self.links[link as usize];
        let id = state.transit.pop(&self.jobs);
        state.arrivals.pop_front();
        self.expect_arrival(link);
        let job = *self.jobs.get(id);
        self.count_at_step(id, cell::TRANSIT, self.now - job.entered);
        self.count_at_step(id, cell::CARRIED, 1.0);
        self.release_sender(id);
        self.enter(id);
    }

    fn expect_arrival(&mut self, link: u32) {
        let due = self.links[link as usize].arrivals.front().copied().unwrap_or(f64::INFINITY);
        self.calendar.set(self.slots.arrivals + link, due);
    }

    /// The step that a job in the queue of a link goes to, and whether it comes from its gateway.
    fn next_over_link(&self, id: u32) -> (u32, bool) {
        let job = self.jobs.get(id);
        match job.at_gateway {
            true => (job.step, true),
            false => (job.step + 1, false),
        }
    }

    /// A job that waits for a link gives up what it holds where it is, and counts as one of the next step.
    pub(super) fn leave_sender(&mut self, id: u32) {
        let (to, first) = self.next_over_link(id);
        if !first {
            self.release(to - 1, self.plan.steps[to as usize - 1].memory_after);
        }
        self.jobs.get_mut(id).step = to;
    }

    /// A job that is on its way gives up what it holds at the sender.
    fn release_sender(&mut self, id: u32) {
        let job = *self.jobs.get(id);
        if job.at_gateway {
            self.leave_gate(id);
        } else {
            self.release_beside(job.step - 1, job.step);
            self.end_turn(id, self.now);
        }
    }

    /// Takes all jobs off the links that leave or enter a device which went down; they then hold nothing.
    pub(super) fn clear_links(&mut self, device: u32) {
        let plan = self.plan;
        let at = |step: u32| plan.steps[step as usize].station == device;
        for link in 0..self.links.len() as u32 {
            let state = &mut self.links[link as usize];
            state.queue.retain(&mut self.jobs, |job| job.at_gateway || !at(job.step));
            let hit = |job: &super::Job| at(job.step) || (!job.at_gateway && at(job.step - 1));
            if state.sending != NO_JOB && hit(self.jobs.get(state.sending)) {
                state.sending = NO_JOB;
                self.calendar.set(self.slots.links + link, f64::INFINITY);
            }
            // All jobs of a link are between the same devices, in a sound network; otherwise order is kept all the same.
            let mut kept = List::EMPTY;
            for _ in 0..state.transit.len {
                let (id, time) = (state.transit.pop(&self.jobs), state.arrivals.pop_front());
                if !hit(self.jobs.get(id)) {
                    kept.push(&mut self.jobs, id);
                    state.arrivals.extend(time);
                }
            }
            state.transit = kept;
            self.expect_arrival(link);
        }
    }

    /// A link whose job went away takes the next.
    pub(super) fn restart_links(&mut self) {
        (0..self.links.len() as u32).for_each(|link| self.transmit(link));
    }

    /// A job on its way gives up what it holds on both sides.
    pub(super) fn leave_link(&mut self, id: u32) {
        self.release_sender(id);
        let step = self.jobs.get(id).step;
        self.release(step, self.plan.steps[step as usize].memory);
    }
}
