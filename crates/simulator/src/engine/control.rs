//! What is watched while a run goes on: time series, and a controller that may change it.

use super::Engine;
use super::plan::Plan;
use super::timers::{Timer, Timers};
use crate::network::Network;
use crate::report::{Fate, Interval};
use crate::{Agreement, Controller, Counts, View};

/// Intervals of a series; later ones are not kept.
const MOST_INTERVALS: usize = 1_000_000;

/// Watches a run.
pub(crate) struct Watch {
    /// Whether there is anything to watch for.
    pub(crate) on: bool,
    /// Length of an interval in ticks.
    interval: Option<f64>,
    tick: f64,
    /// Per source, then per interval.
    pub(crate) series: Vec<Vec<Interval>>,
    /// Per source, since the start.
    counts: Vec<Counts>,
    /// Per source, then per exit; empty before its first audit.
    audits: Vec<Vec<Agreement>>,
    controller: Option<Box<dyn Controller>>,
    /// Ticks between two looks of the controller.
    every: f64,
}

impl Watch {
    pub(crate) fn new(network: &Network, plan: &Plan, series: Option<f64>, replication: u32) -> Self {
        let sources = plan.sources.len();
        Self {
            on: series.is_some() || network.control.is_some(),
            interval: series.map(|seconds| seconds / plan.tick),
            tick: plan.tick,
            series: if series.is_some() { vec![vec![]; sources] } else { vec![] },
            counts: vec![Counts::default(); sources],
            audits: vec![vec![]; sources],
            controller: network.control.as_ref().map(|control| (control.make)(replication)),
            every: network.control.as_ref().map_or(0.0, |control| super::ticks::whole(control.every / plan.tick)),
        }
    }

    pub(crate) fn schedule(&self, timers: &mut Timers) {
        if self.controller.is_some() {
            timers.push(self.every, Timer::Control);
        }
    }

    pub(crate) fn arrived(&mut self, source: u32, now: f64) {
        self.counts[source as usize].arrived += 1;
        if let Some(interval) = self.interval_at(source, now) {
            interval.arrived += 1.0;
        }
    }

    pub(crate) fn ended(&mut self, source: u32, arrived: f64, ended: f64, fate: Fate) {
        let counts = &mut self.counts[source as usize];
        match fate {
            Fate::Answered { .. } => counts.answered += 1,
            Fate::Lost { .. } => counts.lost += 1,
            Fate::Failed(_) => counts.failed += 1,
        }
        let tick = self.tick;
        if let Some(interval) = self.interval_at(source, arrived) {
            match fate {
                Fate::Answered { correct, .. } => {
                    interval.answered += 1.0;
                    interval.latency_sum += (ended - arrived) * tick;
                    interval.correct += f64::from(u8::from(correct == Some(true)));
                }
                Fate::Lost { .. } => interval.lost += 1.0,
                Fate::Failed(_) => interval.failed += 1.0,
            }
            self.was_present(source, arrived, ended);
        }
    }

    /// Adds a job to the mean number present of each interval that it lived through.
    fn was_present(&mut self, source: u32, arrived: f64, ended: f64) {
        let Some(length) = self.interval else {
            return;
        };
        let mut from = arrived;
        while from < ended {
            let end = ((from / length).floor() + 1.0) * length;
            let until = end.min(ended);
            match self.interval_at(source, from) {
                Some(interval) if until > from => interval.present += (until - from) / length,
                _ => return,
            }
            from = until;
        }
    }

    fn interval_at(&mut self, source: u32, at: f64) -> Option<&mut Interval> {
        let index = (at / self.interval?) as usize;
        let series = self.series.get_mut(source as usize)?;
        if index >= series.len() {
            if index >= MOST_INTERVALS {
                return None;
            }
            series.resize(index + 1, Interval::default());
        }
        series.get_mut(index)
    }
}

impl Engine<'_> {
    /// An audit has reached the last exit: whether the others say the same.
    pub(super) fn watch_audit(&mut self, id: u32) {
        let source = self.plan.streams[self.jobs.get(id).stream as usize].source as usize;
        let sample = self.jobs.decisions[id as usize].sample as usize;
        let Some(table) = self.model_of(id).map(|model| model.table.clone()) else { return };
        let agreements = &mut self.watch.audits[source];
        agreements.resize(table.exits(), Agreement::default());
        let last = table.prediction(sample, table.exits() - 1);
        for (exit, agreement) in agreements.iter_mut().enumerate() {
            agreement.compared += 1;
            agreement.agreed += u64::from(table.prediction(sample, exit) == last);
        }
    }

    /// Lets the controller look at the run.
    pub(super) fn control(&mut self) {
        let Some(mut controller) = self.watch.controller.take() else {
            return;
        };
        let mut view = View {
            now: self.now * self.plan.tick,
            counts: &self.watch.counts,
            audits: &self.watch.audits,
            schedulers: &mut self.schedulers,
        };
        controller.look(&mut view);
        self.watch.controller = Some(controller);
        self.timers.push(self.now + self.watch.every, Timer::Control);
    }
}
