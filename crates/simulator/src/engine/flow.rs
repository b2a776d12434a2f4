//! How jobs move: into memory, onto cores, on to the next step, out.

use super::Engine;
use super::job::{NONE as NO_JOB, State};
use super::plan::{NONE, WorkPlan, whole};
use super::record::{cell, head};
use super::station::Running;
use super::timers::Timer;
use crate::network::{Handover, Overflow};
use crate::random::Purpose;
use crate::report::{Failure, Fate};

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

    #[inline(always)]
    pub(super) fn is_late(&self, id: u32) -> bool {
        if !self.plan.has_deadlines {
            return false;
        }
        self.now - self.jobs.get(id).arrived > self.deadline_of(id)
    }

    fn deadline_of(&self, id: u32) -> f64 {
        let source = self.plan.streams[self.jobs.get(id).stream as usize].source;
        self.plan.sources[source as usize].deadline
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
            crate::Discipline::Pods(_) => first + lane as usize..first + lane as usize + 1,
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
            self.jobs.get_mut(id).entered = self.now;
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
    fn hand_over(&mut self, id: u32) {
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

    fn block(&mut self, id: u32) {
        let job = self.jobs.get_mut(id);
        job.state = State::Blocked;
        let next = &self.plan.steps[job.step as usize + 1];
        // Served is counted when it leaves, together with the time it was blocked.
        let cell = (job.cell - cell::LEN as u32) as usize;
        self.record.sums[cell + cell::SERVED] -= 1.0;
        self.record.sums[cell + cell::RESIDENCE] -= self.now - job.entered;
        self.regions[next.region as usize].blocked.push(&mut self.jobs, id);
    }

    /// Lets jobs go on that wait for memory in a region, in the order in which they were blocked.
    pub(super) fn unblock(&mut self, region: u32) {
        loop {
            let id = self.regions[region as usize].blocked.first();
            if id == NO_JOB || !self.fits(self.jobs.get(id).step + 1) {
                return;
            }
            self.regions[region as usize].blocked.pop(&self.jobs);
            let job = *self.jobs.get(id);
            let step = &self.plan.steps[job.step as usize];
            let cell = (job.cell - cell::LEN as u32) as usize;
            self.record.sums[cell + cell::SERVED] += 1.0;
            self.record.sums[cell + cell::RESIDENCE] += self.now - job.entered;
            self.stations[step.station as usize].unblock();
            self.hand_over(id);
            self.begin_next(step.station, step.lane);
        }
    }

    /// Whether all regions of a step have room for one more job.
    #[inline(always)]
    pub(super) fn fits(&self, step: u32) -> bool {
        let step = &self.plan.steps[step as usize];
        let room = |region: u32| {
            let region = &self.regions[region as usize];
            region.budget - region.used >= step.memory
        };
        (step.region == NONE || room(step.region)) && step.more_regions.iter().all(|&region| room(region))
    }

    /// Whether a step has room for a job that still holds what it has at another: in regions of both only the difference
    /// is asked for.
    pub(super) fn fits_beside(&self, step: u32, held: u32) -> bool {
        let (step, held) = (&self.plan.steps[step as usize], &self.plan.steps[held as usize]);
        step.regions().all(|region| {
            let there = if held.regions().any(|other| other == region) { held.memory_after } else { 0 };
            let state = &self.regions[region as usize];
            state.budget - state.used >= step.memory.saturating_sub(there)
        })
    }

    #[inline(always)]
    pub(super) fn reserve(&mut self, step: u32) {
        let step = &self.plan.steps[step as usize];
        if step.region != NONE {
            self.regions[step.region as usize].used += step.memory;
        }
        for &region in &step.more_regions {
            self.regions[region as usize].used += step.memory;
        }
    }

    /// Gives back what a job holds at a step, or a part of it.
    #[inline(always)]
    pub(super) fn release(&mut self, step: u32, amount: u64) {
        let step = &self.plan.steps[step as usize];
        if step.region != NONE {
            self.give_back_to(step.region, amount);
        }
        for &region in &step.more_regions {
            self.give_back_to(region, amount);
        }
    }

    #[inline(always)]
    pub(super) fn give_back_to(&mut self, region: u32, amount: u64) {
        let state = &mut self.regions[region as usize];
        state.used -= amount;
        if state.blocked.first() != NO_JOB {
            self.freed.push(region);
        }
    }

    /// A job is answered, unless its deadline has passed by the time the answer is there.
    #[inline]
    pub(super) fn answer(&mut self, id: u32, exit: u32, on_overflow: bool) {
        let ended = self.now + self.return_latency(id, on_overflow);
        let response = ended - self.jobs.get(id).arrived;
        if self.plan.has_deadlines && response > self.deadline_of(id) {
            return self.fail(id, Failure::Deadline);
        }
        let job = self.jobs.get(id);
        let (measured, stream) = (job.measured, job.stream as usize);
        let correct = self.correct(id, exit);
        let (head, at_exit) = (self.jobs.get(id).head as usize, self.answered_at(id, exit));
        let sums = &mut self.record.sums;
        sums[head + head::ANSWERED] += 1.0;
        sums[head + head::RESPONSE] += response;
        sums[at_exit] += 1.0;
        if correct == Some(true) {
            sums[head + head::CORRECT] += 1.0;
        }
        if on_overflow {
            sums[head + head::OVERFLOWED] += 1.0;
        }
        if measured {
            self.latencies[stream].record(response);
        }
        self.tell(id, ended, |engine| engine.end_answered(id, exit, response));
        self.forget(id, ended, || Fate::Answered { exit: exit as usize, on_overflow, correct });
    }

    /// Where answers at an exit are counted: by exit for models, in the cells of the steps otherwise.
    #[inline(always)]
    fn answered_at(&self, id: u32, exit: u32) -> usize {
        let job = self.jobs.get(id);
        let chain = self.plan.streams[job.stream as usize].chain;
        match self.plan.chains[chain as usize].model {
            Some(_) => job.head as usize + self.plan.exits_at(chain) + exit as usize,
            None => job.head as usize + head::LEN + exit as usize * cell::LEN + cell::ANSWERED,
        }
    }

    /// No memory at the step of the job, which holds nothing any more: overflow.
    #[inline(never)]
    pub(super) fn lose(&mut self, id: u32) {
        if self.jobs.get(id).ghost {
            return self.drop_ghost(id);
        }
        let step = &self.plan.steps[self.jobs.get(id).step as usize];
        if self.plan.chains[step.chain as usize].overflow == Overflow::AnswerWithLastExit
            && let Some(exit) = self.last_evaluated(id)
        {
            return self.answer(id, exit, true);
        }
        let place = step.index;
        self.count(id, head::LOST, 1.0);
        self.count_at_step(id, cell::LOST, 1.0);
        self.lost(id, Some(place as usize));
    }

    /// A lost job tries again, if its source does. `None` for one lost at its gateway.
    pub(super) fn lost(&mut self, id: u32, step: Option<usize>) {
        let job = *self.jobs.get(id);
        let source = &self.plan.sources[self.plan.streams[job.stream as usize].source as usize];
        if job.attempt < source.attempts {
            self.end_turn(id, self.now);
            self.leave_gate(id);
            let job = self.jobs.get_mut(id);
            job.state = State::Retrying;
            job.attempt += 1;
            self.timers.push(self.now + source.retry_delay, Timer::Retry { job: id });
            return self.calendar.set(self.slots.timers, self.timers.due());
        }
        self.tell(id, self.now, |_| policy::End::Lost);
        self.forget(id, self.now, || Fate::Lost { step });
    }

    /// The next device is down.
    pub(super) fn unreachable(&mut self, id: u32) {
        self.fail_or_answer(id, Failure::Unreachable);
    }

    /// A job that holds nothing and cannot go on: answered with its last exit where the policy says so.
    pub(super) fn fail_or_answer(&mut self, id: u32, why: Failure) {
        let step = &self.plan.steps[self.jobs.get(id).step as usize];
        let may_answer = self.plan.chains[step.chain as usize].overflow == Overflow::AnswerWithLastExit;
        match self.last_evaluated(id).filter(|_| may_answer && !self.jobs.get(id).ghost) {
            Some(exit) => self.answer(id, exit, true),
            None => self.fail(id, why),
        }
    }

    /// A job that waits or is served at a device gives up what it holds there.
    pub(super) fn leave_device(&mut self, id: u32) {
        let job = *self.jobs.get(id);
        self.count_at_step(id, cell::UNSERVED, self.now - job.entered);
        self.release(job.step, self.plan.steps[job.step as usize].memory);
    }

    /// A job that holds nothing fails.
    pub(super) fn fail(&mut self, id: u32, why: Failure) {
        if self.jobs.get(id).ghost {
            return self.drop_ghost(id);
        }
        let what = match why {
            Failure::Deadline => head::DEADLINE,
            Failure::Unreachable => head::UNREACHABLE,
            Failure::DeviceDown => head::DOWN,
        };
        self.count(id, what, 1.0);
        self.tell(id, self.now, |_| policy::End::Failed);
        self.forget(id, self.now, || Fate::Failed(why));
    }

    /// Ticks that the answer needs over the links that the job came by. A job that was refused at its step is answered from
    /// the one before.
    #[inline(always)]
    fn return_latency(&self, id: u32, refused: bool) -> f64 {
        if self.plan.links.is_empty() {
            return 0.0;
        }
        let step = self.jobs.get(id).step as usize;
        let first = self.plan.chains[self.plan.steps[step].chain as usize].first as usize;
        let links = self.plan.steps[first..step + usize::from(!refused)].iter().map(|step| step.link);
        links.filter(|&link| link != NONE).map(|link| self.plan.links[link as usize].return_latency).sum()
    }

    /// The deepest exit evaluated of a job that goes no further than before its present step.
    pub(super) fn last_evaluated(&self, id: u32) -> Option<u32> {
        let job = self.jobs.get(id);
        let step = &self.plan.steps[job.step as usize];
        let chain = &self.plan.chains[step.chain as usize];
        if chain.model.is_some() {
            return self.last_head(id);
        }
        let before = &self.plan.steps[chain.first as usize..job.step as usize];
        before.iter().rev().find(|step| step.exit > 0.0).map(|step| step.index)
    }

    /// Takes an attempt from its start.
    pub(super) fn retry(&mut self, id: u32) {
        let job = *self.jobs.get(id);
        let stream = &self.plan.streams[job.stream as usize];
        let sums = job.head - stream.head;
        if self.is_late(id) {
            // Not the loss ended it, but the time that it then had to wait.
            self.count(id, head::LOST, -1.0);
            return self.fail(id, Failure::Deadline);
        }
        self.count(id, head::RETRIED, 1.0);
        self.jobs.get_mut(id).at_gateway = true;
        self.route(id, stream.source, sums);
    }
}
