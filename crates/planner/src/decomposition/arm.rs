//! A threshold vector with what it does to samples, and to the fragments of a chain.

use domain::problem::Model;
use domain::{ExitBehaviour, FragmentRange, Overflow, Thresholds};

/// A threshold vector and what it does.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    pub(crate) thresholds: Thresholds,
    pub(crate) behaviour: ExitBehaviour,
    /// Where jobs that find no memory are answered with their last exit: per exit the share of jobs that go past it
    /// with its head evaluated, and of those the ones it is right about (÷ all jobs). Empty otherwise.
    past: Vec<(f64, f64)>,
}

/// What a unit of arrivals brings to one hop of its chain. All of it adds up over mixtures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HopLoad {
    /// Share that leaves here.
    pub(crate) leave: f64,
    /// Work on the profiled machine, in seconds, audits included.
    pub(crate) work: f64,
    /// Mean of its square over all jobs.
    pub(crate) work2: f64,
    /// Share that leaves here with the right answer.
    pub(crate) correct: f64,
    /// Share that gets here and can be answered with an exit before when there is no room.
    pub(crate) answerable: f64,
    /// Share of those for which that exit is right.
    pub(crate) answerable_right: f64,
}

impl Arm {
    /// Of the samples that choose thresholds, or of those that judge them.
    pub(crate) fn new(model: &Model, thresholds: Thresholds, overflow: Overflow, judges: bool) -> Self {
        let samples = if judges { &model.judge } else { &model.choose };
        let behaviour = samples.exits.evaluate(&thresholds);
        let past = match overflow {
            Overflow::Drop => vec![],
            Overflow::AnswerWithLastExit => past(&samples.exits, &thresholds, &behaviour),
        };
        Self { thresholds, behaviour, past }
    }

    /// What it brings to the fragments `ranges` of a chain.
    pub(crate) fn loads(&self, model: &Model, audit: f64, ranges: impl Iterator<Item = FragmentRange>) -> Vec<HopLoad> {
        ranges.map(|range| self.load(model, audit, range)).collect()
    }

    fn load(&self, model: &Model, audit: f64, range: FragmentRange) -> HopLoad {
        let exits = || {
            let on = |exit: &usize| (range.first..=range.last).contains(&model.exit_segments[*exit]);
            (0..model.exits()).filter(on)
        };
        let first = model.exit_segments.partition_point(|&segment| segment < range.first);
        let mut staying = self.behaviour.reach(first);
        let mut load = HopLoad::default();
        let mut run = Run::new(range.first, model);
        for exit in exits().filter(|&exit| self.thresholds.is_open(exit)) {
            run.to(model.exit_segments[exit]);
            run.head(exit);
            let share = self.behaviour.share[exit];
            load.leave += share;
            load.correct += self.behaviour.correct[exit];
            load.add(share, &run);
            staying -= share;
        }
        run.to(range.last);
        load.add(staying.max(0.0), &run);
        if audit > 0.0 {
            load.work *= 1.0 - audit;
            load.work2 *= 1.0 - audit;
            let mut all = Run::new(range.first, model);
            all.to(range.last);
            exits().for_each(|exit| all.head(exit));
            load.add(audit, &all);
        }
        let before = self.past.iter().take(first).rposition(|&(share, _)| share > 0.0);
        if let Some(exit) = before {
            (load.answerable, load.answerable_right) = self.past[exit];
        }
        load
    }
}

/// With a threshold of 0 at one exit all jobs that come there leave; what leaves more than before would have gone on.
fn past(exits: &domain::ExitEvaluator, thresholds: &Thresholds, behaviour: &ExitBehaviour) -> Vec<(f64, f64)> {
    let last = exits.exits() - 1;
    let of = |exit: usize| {
        if exit == last || !thresholds.is_open(exit) {
            return (0.0, 0.0);
        }
        let mut all_leave = thresholds.as_slice().to_vec();
        all_leave[exit] = 0.0;
        let all_leave = exits.evaluate(&Thresholds::new(all_leave).expect("0 is a threshold"));
        (all_leave.share[exit] - behaviour.share[exit], all_leave.correct[exit] - behaviour.correct[exit])
    };
    (0..exits.exits()).map(of).collect()
}

impl HopLoad {
    fn add(&mut self, share: f64, run: &Run<'_>) {
        self.work += share * run.time;
        self.work2 += share * (run.time * run.time + run.variance);
    }
}

/// Time of the segments and heads run so far.
struct Run<'a> {
    model: &'a Model,
    next: usize,
    time: f64,
    variance: f64,
}

impl<'a> Run<'a> {
    fn new(first: usize, model: &'a Model) -> Self {
        Self { model, next: first, time: 0.0, variance: 0.0 }
    }

    fn to(&mut self, segment: usize) {
        for segment in self.next..=segment {
            self.add(self.model.times.segments[segment]);
        }
        self.next = segment + 1;
    }

    fn head(&mut self, exit: usize) {
        self.add(self.model.times.heads[exit]);
    }

    fn add(&mut self, part: domain::ServiceTime) {
        let mean = part.mean.get();
        self.time += mean;
        self.variance += if self.model.varies { part.scv * mean * mean } else { 0.0 };
    }
}
