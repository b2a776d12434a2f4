//! What schedulers decide about jobs, and what a job that serves a model needs and says.

use super::Engine;
use super::job::Decision;
use super::plan::WorkPlan;
use super::record::UNROUTED;
use super::ticks::whole;
use crate::law::Law;
use crate::network::Model;
use crate::random::{Draws, Purpose};
use crate::report::{Failure, Fate, JobRecord};
use domain::{FragmentRange, ServiceTime, Thresholds};
use policy::{Arriving, Dispatching, End, Outcome, Scheduler, Selected};
use rand::Rng;

/// Exits a model may have: one bit each.
pub(crate) const MOST_EXITS: usize = 64;

impl Engine<'_> {
    /// Lets a scheduler decide about a job that arrives.
    pub(super) fn schedule(&mut self, id: u32, source: u32, number: u32, sums: u32) {
        let (plan, network) = (self.plan, self.network);
        let source_plan = &plan.sources[source as usize];
        let job = *self.jobs.get(id);
        let chains = &network.schedulers[number as usize].chains;
        let devices = |chain: usize| {
            let steps = chains.get(chain).map_or(&[][..], |&chain| &network.chains[chain].steps);
            steps.iter().map(|step| step.device)
        };
        let now = self.now * plan.tick;
        let mut scheduler = self.lend_scheduler(number);
        let up = &self.up;
        let is_whole = |chain: usize| devices(chain).all(|device| up[device]);
        let can_begin = |chain: usize| devices(chain).next().is_some_and(|device| up[device]);
        let mut rng = job.draws(0, Purpose::Scheduler);
        let arriving = Arriving { source: &source_plan.name, now, usable: &is_whole, again: false };
        // Among whole chains if there are any, else among those that a job can at least begin.
        let selected = match scheduler.arrive(&arriving, &mut rng) {
            None => scheduler.arrive(&Arriving { usable: &can_begin, again: true, ..arriving }, &mut rng),
            selected => selected,
        };
        let taken = selected.filter(|selected| selected.chain < chains.len()).map(|selected| {
            let (chain, stream) = source_plan.streams[selected.chain];
            self.take(id, stream, chain, sums);
            let decision = self.jobs.decisions_mut(id);
            (decision.audit, decision.tag) = (selected.audit, selected.tag);
            if let Some(thresholds) = selected.thresholds {
                self.decide(id, thresholds, selected.tag);
            }
            (chain, selected.thresholds.is_some())
        });
        self.schedulers[number as usize] = scheduler;
        match taken {
            None => self.unrouted(id, source, sums),
            Some((_, true)) => self.send(id),
            Some((chain, false)) => self.join_gate(id, chain),
        }
    }

    /// Lets the scheduler of a job that is sent now fix its thresholds. `false` when that ended the job.
    pub(super) fn decide_thresholds(&mut self, id: u32, present: usize) -> bool {
        let job = *self.jobs.get(id);
        let stream = &self.plan.streams[job.stream as usize];
        let gate = &self.plan.gates[self.plan.chains[stream.chain as usize].gate as usize];
        let chains = &self.network.schedulers[gate.scheduler as usize].chains;
        let dispatching = Dispatching {
            source: &self.plan.sources[stream.source as usize].name,
            now: self.now * self.plan.tick,
            chain: chains.iter().position(|&chain| chain as u32 == stream.chain).unwrap_or(0),
            present,
        };
        let mut scheduler = self.lend_scheduler(gate.scheduler);
        let decided = scheduler.dispatch(&dispatching, &mut job.draws(0, Purpose::Dispatch));
        let known = decided.map(|(thresholds, tag)| self.decide(id, thresholds, tag)).is_some();
        self.schedulers[gate.scheduler as usize] = scheduler;
        if !known {
            // The policy has changed and no longer knows the chain.
            self.fail(id, Failure::Unreachable);
        }
        known
    }

    /// Takes a scheduler out for the time of a call, so that what it lends can be used on the engine.
    fn lend_scheduler(&mut self, number: u32) -> Box<dyn Scheduler> {
        // A box of nothing does not allocate.
        std::mem::replace(&mut self.schedulers[number as usize], Box::new(Away))
    }

    /// No chain can be reached.
    fn unrouted(&mut self, id: u32, source: u32, sums: u32) {
        let job = *self.jobs.get(id);
        self.record.sums[sums as usize + UNROUTED + source as usize] += 1.0;
        let fate = Fate::Failed(Failure::Unreachable);
        if self.watch.on {
            self.watch.ended(source, job.arrived, self.now, fate);
        }
        if self.trace.len() < self.trace_len {
            let (arrived, ended) = (job.arrived * self.plan.tick, self.now * self.plan.tick);
            self.trace.push(JobRecord { source: source as usize, chain: None, arrived, ended, fate });
        }
        self.record.leave(job.batch);
        self.jobs.remove(id);
    }

    /// Draws the sample of a job and finds the exit it takes.
    fn decide(&mut self, id: u32, thresholds: &Thresholds, tag: u32) {
        let job = self.jobs.get(id);
        let chain = &self.plan.chains[self.plan.streams[job.stream as usize].chain as usize];
        let Some(model) = chain.model else {
            self.jobs.decisions_mut(id).tag = tag;
            return;
        };
        let table = &self.plan.models[model as usize].model.table;
        // The same at each attempt: a job that tries again is the same sample.
        let sample = job.key.draws(0, Purpose::Sample).below(table.samples());
        let (mut open, mut taken) = (0u64, table.exits() - 1);
        for exit in (0..table.exits()).filter(|&exit| thresholds.is_open(exit)) {
            open |= 1 << exit;
            if thresholds.leaves(exit, table.confidence(sample, exit)) {
                taken = exit;
                break;
            }
        }
        let decision = self.jobs.decisions_mut(id);
        *decision = Decision { exit: taken as u32, sample: sample as u32, open, tag, audit: decision.audit };
        if decision.audit {
            // The heads behind the exit taken are evaluated too, as far as they are open: the last of them may answer.
            let later = (taken + 1..table.exits()).filter(|&exit| thresholds.is_open(exit));
            later.for_each(|exit| decision.open |= 1 << exit);
        }
    }

    pub(super) fn model_of(&self, id: u32) -> Option<&Model> {
        let stream = &self.plan.streams[self.jobs.get(id).stream as usize];
        self.plan.chains[stream.chain as usize].model.map(|model| &self.plan.models[model as usize].model)
    }

    /// The segment behind which the exit of a job hangs.
    pub(super) fn exit_segment(&self, id: u32) -> usize {
        let exit = self.jobs.decisions[id as usize].exit as usize;
        self.model_of(id).map_or(0, |model| model.exit_segments[exit])
    }

    /// Ticks of the segments that a job runs at its step, and of the heads on them.
    #[inline(never)]
    pub(super) fn segments_work(&self, id: u32) -> f64 {
        let job = self.jobs.get(id);
        let step = &self.plan.steps[job.step as usize];
        let (WorkPlan::Segments { range, ticks }, Some(model)) = (&step.work, self.model_of(id)) else {
            return 0.0;
        };
        let decision = &self.jobs.decisions[id as usize];
        // An audit runs all segments and all heads.
        let last = if decision.audit { range.last } else { range.last.min(self.exit_segment(id)) };
        let run = FragmentRange { first: range.first, last };
        let evaluated = |exit: &usize| decision.audit || decision.open & (1 << exit) != 0;
        let heads = (0..model.exit_segments.len()).filter(evaluated).filter(|&exit| {
            let segment = model.exit_segments[exit];
            run.first <= segment && segment <= run.last
        });
        let segments = model.times.segments[run.first..=run.last].iter();
        let parts = segments.chain(heads.map(|exit| &model.times.heads[exit]));
        let seconds: f64 = match model.varies {
            false => parts.map(|time| time.mean.get()).sum(),
            true => {
                let mut draws = job.draws(step.index, Purpose::Service);
                parts.map(|time| vary(time, &mut draws)).sum()
            }
        };
        whole(seconds * ticks)
    }

    /// Whether an exit is right about the sample of a job.
    #[inline]
    pub(super) fn correct(&self, id: u32, exit: u32) -> Option<bool> {
        let sample = self.jobs.decisions.get(id as usize)?.sample;
        Some(self.model_of(id)?.table.correct(sample as usize, exit as usize))
    }

    /// The deepest open head on the segments before the present step of a job.
    pub(super) fn last_head(&self, id: u32) -> Option<u32> {
        let step = &self.plan.steps[self.jobs.get(id).step as usize];
        let WorkPlan::Segments { range, .. } = &step.work else {
            return None;
        };
        let (model, decision) = (self.model_of(id)?, &self.jobs.decisions[id as usize]);
        let before = |exit: &usize| model.exit_segments[*exit] < range.first && decision.open & (1 << exit) != 0;
        (0..model.exit_segments.len()).rev().find(before).map(|exit| exit as u32)
    }

    /// An audit is answered at its exit, and its way on is that of a ghost.
    pub(super) fn answer_audit(&mut self, id: u32) {
        let ghost = *self.jobs.get(id);
        let decision = *self.jobs.decisions_mut(id);
        // The one that is answered has no memory and no turn: the ghost keeps them.
        let answered = self.jobs.insert(super::Job { turn: false, gated: false, ..ghost });
        *self.jobs.decisions_mut(answered) = decision;
        self.record.hold(ghost.batch);
        self.jobs.get_mut(id).ghost = true;
        self.answer(answered, decision.exit, false);
    }

    /// An audit goes no further. It has been answered before: nobody hears of it.
    pub(super) fn drop_ghost(&mut self, id: u32) {
        self.end_turn(id, self.now);
        self.leave_gate(id);
        self.record.leave(self.jobs.get(id).batch);
        self.jobs.remove(id);
    }

    /// Tells the scheduler of a job how it ended.
    #[inline]
    pub(super) fn tell(&mut self, id: u32, ended: f64, end: impl FnOnce(&Self) -> End) {
        if !self.schedulers.is_empty() {
            let end = end(self);
            self.tell_scheduler(id, ended, end);
        }
    }

    fn tell_scheduler(&mut self, id: u32, ended: f64, end: End) {
        let source = self.plan.streams[self.jobs.get(id).stream as usize].source;
        let plan = &self.plan.sources[source as usize];
        let crate::Routing::Scheduled(scheduler) = plan.routing else {
            return;
        };
        let tag = self.jobs.decisions.get(id as usize).map_or(0, |decision| decision.tag);
        let mut evaluated = std::mem::take(&mut self.evaluated);
        self.look_at_exits(id, end, &mut evaluated);
        let outcome = Outcome { source: &plan.name, now: ended * self.plan.tick, tag, end, evaluated: &evaluated };
        self.schedulers[scheduler].ended(&outcome);
        self.evaluated = evaluated;
    }

    /// Exits evaluated for an answer, with their confidences. (An audit evaluates more; those were not for its answer.)
    fn look_at_exits(&self, id: u32, end: End, evaluated: &mut Vec<(usize, f32)>) {
        evaluated.clear();
        let (End::Answered { exit: last, .. }, Some(model)) = (end, self.model_of(id)) else {
            return;
        };
        let decision = &self.jobs.decisions[id as usize];
        let open = (0..=last).filter(|exit| decision.open & (1 << exit) != 0);
        evaluated.extend(open.map(|exit| (exit, model.table.confidence(decision.sample as usize, exit))));
    }

    pub(super) fn end_answered(&self, id: u32, exit: u32, response: f64) -> End {
        let sample = self.jobs.decisions.get(id as usize).map_or(0, |decision| decision.sample);
        let confidence = self.model_of(id).map_or(1.0, |model| model.table.confidence(sample as usize, exit as usize));
        End::Answered { exit: exit as usize, confidence, latency: response * self.plan.tick }
    }
}

/// Stands in for a scheduler that has been lent.
struct Away;

impl Scheduler for Away {
    fn arrive(&mut self, _: &Arriving<'_>, _: &mut dyn Rng) -> Option<Selected<'_>> {
        None
    }

    fn dispatch(&mut self, _: &Dispatching<'_>, _: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        None
    }
}

/// A log-normal time with the mean and variability of a profile.
fn vary(time: &ServiceTime, draws: &mut Draws) -> f64 {
    Law::LogNormal { mean: time.mean.get(), scv: time.scv }.draw(draws)
}
