//! Rates, shares and means over the streams of a source, a chain or a device.

use super::{LEVELS, Sum, Summary, of_head, pool};
use crate::engine::plan::{StepPlan, StreamPlan};
use crate::engine::record::{Group, UNROUTED, cell, head};
use crate::estimate::{Term, half_width_of_mean, share, sum_of_ratios};
use crate::report::{Estimate, Quantiles};
use crate::run::Seen;
use std::collections::BTreeMap;

impl<'a> Summary<'a> {
    pub(super) fn steps(&self, chain: usize) -> std::ops::Range<usize> {
        let plan = &self.plan.chains[chain];
        plan.first as usize..(plan.first + plan.len) as usize
    }

    pub(super) fn cell_at(&self, stream: &StreamPlan, step: usize) -> usize {
        stream.head as usize + head::LEN + self.plan.steps[step].index as usize * cell::LEN
    }

    pub(super) fn arrived(&self, source: usize) -> impl Fn(&Group) -> f64 {
        let heads: Vec<usize> = self.plan.streams_of_source(source).map(|stream| stream.head as usize).collect();
        move |group| {
            let attempts = heads.iter().map(|at| group.sums[at + head::ARRIVED] - group.sums[at + head::RETRIED]);
            attempts.sum::<f64>() + group.sums[UNROUTED + source]
        }
    }

    pub(super) fn arrival_rate(&self, source: usize) -> Estimate {
        match self.plan.sources[source].rate.filter(|_| !self.is_transient()) {
            Some(rate) => Estimate { value: rate / self.plan.tick, ci99: 0.0 },
            None => self.source_rate(source, &self.arrived(source)),
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        self.plan.horizon.is_finite()
    }

    /// Jobs per second of a source: share of its arrivals × its known rate; in a run with an end, jobs ÷ its length.
    pub(super) fn source_rate(&self, source: usize, what: &dyn Fn(&Group) -> f64) -> Estimate {
        let arrived = self.arrived(source);
        match self.plan.sources[source].rate.filter(|_| !self.is_transient()) {
            Some(rate) => {
                let share = share(self.groups, self.student, what, &arrived);
                let rate = rate / self.plan.tick;
                Estimate { value: share.value * rate, ci99: share.ci99 * rate }
            }
            None => self.per_second(what),
        }
    }

    pub(super) fn per_second(&self, what: &dyn Fn(&Group) -> f64) -> Estimate {
        if self.plan.horizon == 0.0 {
            // All arrive at once: until the last job has ended.
            let per_tick = Term { scale: 1.0 / self.plan.tick, numerator: what, denominator: &|group| group.ticks };
            return sum_of_ratios(self.groups, self.student, &[per_tick]);
        }
        let length = self.plan.horizon * self.plan.tick;
        sum_of_ratios(
            self.groups,
            self.student,
            &[Term { scale: 1.0 / length, numerator: what, denominator: &|group| group.runs }],
        )
    }

    /// Jobs per second of a chain, summed over its sources.
    pub(super) fn rate(&self, chain: usize, what: &dyn Fn(&'a StreamPlan) -> Sum<'a>) -> Estimate {
        let streams: Vec<&StreamPlan> = self.plan.streams_of_chain(chain).collect();
        let sums: Vec<Sum<'_>> = streams.iter().map(|stream| what(stream)).collect();
        if self.is_transient() {
            return self.per_second(&|group| sums.iter().map(|sum| sum(group)).sum());
        }
        if let ([stream], [sum]) = (&streams[..], &sums[..]) {
            return self.source_rate(stream.source as usize, sum);
        }
        self.sum_of_rates(&streams.iter().map(|stream| stream.source as usize).zip(sums).collect::<Vec<_>>())
    }

    /// Σ over sources of known rate × sum ÷ arrivals.
    pub(super) fn sum_of_rates(&self, sums: &[(usize, Sum<'_>)]) -> Estimate {
        let arrived: Vec<_> = sums.iter().map(|(source, _)| self.arrived(*source)).collect();
        let terms: Vec<Term<'_>> = sums
            .iter()
            .zip(&arrived)
            .map(|((source, sum), arrived)| Term {
                scale: self.plan.sources[*source].rate.unwrap_or(f64::NAN) / self.plan.tick,
                numerator: sum,
                denominator: arrived,
            })
            .collect();
        sum_of_ratios(self.groups, self.student, &terms)
    }

    /// Time that jobs spend per second somewhere: mean number of jobs, or busy cores (Little's law).
    pub(super) fn over_time(&self, cells: &[(usize, usize)], what: &[usize]) -> Estimate {
        if cells.is_empty() {
            return Estimate::default();
        }
        let of_cell = |group: &Group, at: usize| what.iter().map(|what| group.sums[at + what]).sum::<f64>();
        let tick = self.plan.tick;
        if self.is_transient() {
            // Until the last job has ended: devices are busy with what came before arrivals ended.
            if self.groups.iter().all(|group| group.ticks == 0.0) {
                return Estimate::default();
            }
            let sum = |group: &Group| cells.iter().map(|&(_, at)| of_cell(group, at)).sum::<f64>();
            let per_tick = Term { scale: 1.0, numerator: &sum, denominator: &|group| group.ticks };
            return sum_of_ratios(self.groups, self.student, &[per_tick]);
        }
        let mut by_source: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        cells.iter().for_each(|&(source, at)| by_source.entry(source).or_default().push(at));
        let sum = |at: Vec<usize>| -> Sum<'_> {
            Box::new(move |group: &Group| at.iter().map(|&at| of_cell(group, at)).sum())
        };
        let sums: Vec<(usize, Sum<'_>)> = by_source.into_iter().map(|(source, at)| (source, sum(at))).collect();
        let rate = self.sum_of_rates(&sums);
        Estimate { value: rate.value * tick, ci99: rate.ci99 * tick }
    }

    pub(super) fn chain_share(&self, chain: usize, what: usize) -> Estimate {
        let streams = || self.plan.streams_of_chain(chain);
        let sum = |what: usize| move |group: &Group| streams().map(|stream| of_head(stream, what)(group)).sum::<f64>();
        share(self.groups, self.student, &sum(what), &sum(head::ARRIVED))
    }

    pub(super) fn residence(&self, step: usize) -> Estimate {
        let chain = self.plan.steps[step].chain;
        let streams = self.plan.streams_of_chain(chain as usize);
        let cells: Vec<usize> = streams.map(|stream| self.cell_at(stream, step)).collect();
        let sum = |what: usize| {
            let cells = &cells;
            move |group: &Group| cells.iter().map(|at| group.sums[at + what]).sum::<f64>()
        };
        self.mean(&sum(cell::RESIDENCE), &sum(cell::SERVED))
    }

    /// Mean of ticks, in seconds.
    pub(super) fn mean(&self, sum: &dyn Fn(&Group) -> f64, count: &dyn Fn(&Group) -> f64) -> Estimate {
        let term = Term { scale: self.plan.tick, numerator: sum, denominator: count };
        sum_of_ratios(self.groups, self.student, &[term])
    }

    pub(super) fn mean_count(&self, sum: &dyn Fn(&Group) -> f64, count: &dyn Fn(&Group) -> f64) -> Estimate {
        sum_of_ratios(self.groups, self.student, &[Term { scale: 1.0, numerator: sum, denominator: count }])
    }

    pub(super) fn accuracy(
        &self,
        mut chains: impl Iterator<Item = usize>,
        correct: &dyn Fn(&Group) -> f64,
        answered: &dyn Fn(&Group) -> f64,
    ) -> Estimate {
        match chains.all(|chain| self.plan.chains[chain].model.is_some()) {
            true => share(self.groups, self.student, correct, answered),
            false => Estimate { value: f64::NAN, ci99: f64::NAN },
        }
    }

    /// Shares of answers by exit. Streams of different lengths share the exits they have in common by number.
    pub(super) fn exits(&self, streams: Vec<&StreamPlan>, answered: &dyn Fn(&Group) -> f64) -> Vec<Estimate> {
        let places = |stream: &StreamPlan| -> Vec<usize> {
            let chain = &self.plan.chains[stream.chain as usize];
            let first = stream.head as usize;
            match chain.model {
                Some(model) => (0..self.plan.models[model as usize].exits)
                    .map(|exit| first + self.plan.exits_at(stream.chain) + exit)
                    .collect(),
                None => {
                    self.steps(stream.chain as usize).map(|step| self.cell_at(stream, step) + cell::ANSWERED).collect()
                }
            }
        };
        let places: Vec<Vec<usize>> = streams.into_iter().map(places).collect();
        let exits = places.iter().map(Vec::len).max().unwrap_or(0);
        let share_of = |exit: usize| {
            let at = |group: &Group| places.iter().filter_map(|of| Some(group.sums[*of.get(exit)?])).sum::<f64>();
            share(self.groups, self.student, &at, answered)
        };
        (0..exits).map(share_of).collect()
    }

    pub(super) fn lost_at(
        &self,
        streams: Vec<&StreamPlan>,
        (at_gateway, at_step): (usize, usize),
        arrived: &dyn Fn(&Group) -> f64,
    ) -> Vec<(String, Estimate)> {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for stream in streams {
            let gateway = stream.head as usize + at_gateway;
            places.entry("gateway".to_owned()).or_default().push(gateway);
            for step in self.steps(stream.chain as usize) {
                let name = self.place(&self.plan.steps[step]);
                places.entry(name).or_default().push(self.cell_at(stream, step) + at_step);
            }
        }
        let share_of = |at: Vec<usize>| {
            let lost = |group: &Group| at.iter().map(|&at| group.sums[at]).sum::<f64>();
            share(self.groups, self.student, &lost, arrived)
        };
        let shares = places.into_iter().map(|(name, at)| (name, share_of(at)));
        shares.filter(|(_, share)| share.value > 0.0).collect()
    }

    /// Where a job is lost that does not fit at a step: the name of its region.
    pub(super) fn place(&self, step: &StepPlan) -> String {
        let region = step.regions().next().map(|region| &self.network.regions[region as usize].name);
        region.unwrap_or(&self.network.devices[step.station as usize].name).clone()
    }

    pub(super) fn quantiles(&self, seen: &Seen, number: usize, streams: &[u32]) -> Quantiles {
        let pooled = pool(&seen.latencies, streams);
        let [p50, p95, p99] = [0, 1, 2].map(|level| {
            let of_replications: Vec<f64> =
                seen.quantiles.iter().map(|of| of[number][level]).filter(|q| !q.is_nan()).collect();
            Estimate {
                value: pooled.quantile(LEVELS[level]) * self.plan.tick,
                ci99: half_width_of_mean(&of_replications) * self.plan.tick,
            }
        });
        Quantiles { p50, p95, p99 }
    }
}
