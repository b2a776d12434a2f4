//! How jobs end: answered, lost, failed; or lost and about to try again.

use super::Engine;
use super::job::State;
use super::plan::NONE;
use super::record::{cell, head};
use super::timers::Timer;
use crate::network::Overflow;
use crate::report::{Failure, Fate};

impl Engine<'_> {
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
        match step {
            Some(_) => self.count_at_step(id, cell::GONE, 1.0),
            None => self.count(id, head::GONE_AT_GATEWAY, 1.0),
        }
        self.tell(id, self.now, |_| policy::End::Lost);
        self.forget(id, self.now, || Fate::Lost { step });
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

    #[inline(always)]
    pub(super) fn is_late(&self, id: u32) -> bool {
        if !self.plan.has_deadlines {
            return false;
        }
        self.now - self.jobs.get(id).arrived > self.deadline_of(id)
    }

    pub(super) fn deadline_of(&self, id: u32) -> f64 {
        let source = self.plan.streams[self.jobs.get(id).stream as usize].source;
        self.plan.sources[source as usize].deadline
    }
}
