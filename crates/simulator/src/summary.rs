//! From sums over jobs to metrics.

use crate::effort::Precision;
use crate::engine::plan::{Plan, StepPlan, StreamPlan};
use crate::engine::record::{Group, UNROUTED, cell, head};
use crate::estimate::{Term, half_width_of_mean, share, student, sum_of_ratios};
use crate::histogram::Histogram;
use crate::network::Network;
use crate::report::{
    ChainReport, DeviceReport, Estimate, Fates, Interval, LinkReport, Quantiles, SourceReport, StepReport,
};
use crate::run::Seen;
use std::collections::BTreeMap;

/// Levels of the quantiles that are reported.
const LEVELS: [f64; 3] = [0.5, 0.95, 0.99];

/// Groups of measured jobs, and what is known about the network they come from.
pub(crate) struct Summary<'a> {
    network: &'a Network,
    plan: &'a Plan,
    groups: &'a [&'a Group],
    student: f64,
}

/// What to sum over the streams of a chain, a source or a device.
type Sum<'a> = Box<dyn Fn(&Group) -> f64 + 'a>;

impl<'a> Summary<'a> {
    pub(crate) fn new(network: &'a Network, plan: &'a Plan, groups: &'a [&'a Group]) -> Self {
        Self { network, plan, groups, student: student(groups.len()) }
    }

    /// Widest half width ÷ what was asked for, over throughput, loss and residence times of all chains.
    pub(crate) fn imprecision(&self, wanted: &Precision) -> f64 {
        let relative = |estimate: Estimate| match estimate.value {
            value if value.is_nan() || value == 0.0 => 0.0,
            value => estimate.ci99 / (wanted.relative * value),
        };
        let mut widest: f64 = 0.0;
        let mut see =
            |imprecision: f64| widest = widest.max(if imprecision.is_nan() { f64::INFINITY } else { imprecision });
        for chain in 0..self.plan.chains.len() {
            see(relative(self.rate(chain, &|stream| Box::new(of_head(stream, head::ANSWERED)))));
            let loss = self.chain_share(chain, head::LOST);
            if !loss.value.is_nan() {
                see(loss.ci99 / (wanted.loss_relative * loss.value).max(wanted.loss_absolute));
            }
            self.steps(chain).for_each(|step| see(relative(self.residence(step))));
        }
        widest
    }

    pub(crate) fn fates(&self, seen: &Seen) -> (Vec<SourceReport>, Vec<ChainReport>) {
        let sources = (0..self.plan.sources.len()).map(|source| self.source(source, seen)).collect();
        let chains = (0..self.plan.chains.len()).map(|chain| self.chain(chain, seen)).collect();
        (sources, chains)
    }

    pub(crate) fn devices(&self) -> Vec<DeviceReport> {
        let cells = self.cells_by(self.network.devices.len(), &|step| step.station);
        let devices = self.network.devices.iter().zip(&cells).map(|(device, here)| {
            let busy = self.over_time(here, &[cell::WORK]);
            DeviceReport {
                name: device.name.clone(),
                // The work of jobs that arrived counts, also of those served later: noise can lead a little above 1.
                utilization: Estimate { value: (busy.value / device.cores).min(1.0), ci99: busy.ci99 / device.cores },
                mean_jobs: self.over_time(here, &[cell::RESIDENCE, cell::UNSERVED]),
            }
        });
        devices.collect()
    }

    pub(crate) fn links(&self) -> Vec<LinkReport> {
        let cells = self.cells_by(self.network.links.len(), &|step| step.link);
        let links = self.network.links.iter().zip(&cells).map(|(link, here)| {
            let sum = |what: usize| move |group: &Group| here.iter().map(|(_, at)| group.sums[at + what]).sum::<f64>();
            LinkReport {
                name: link.name.clone(),
                utilization: self.over_time(here, &[cell::TRANSMISSION]),
                transit_time: self.mean(&sum(cell::TRANSIT), &sum(cell::CARRIED)),
            }
        });
        links.collect()
    }

    /// Source and place of the cells of all steps, by a number that the step has: that of its device, or of its link.
    fn cells_by(&self, numbers: usize, number: &dyn Fn(&StepPlan) -> u32) -> Vec<Vec<(usize, usize)>> {
        let mut cells = vec![vec![]; numbers];
        for stream in &self.plan.streams {
            for step in self.steps(stream.chain as usize) {
                if let Some(here) = cells.get_mut(number(&self.plan.steps[step]) as usize) {
                    here.push((stream.source as usize, self.cell_at(stream, step)));
                }
            }
        }
        cells
    }

    fn source(&self, source: usize, seen: &Seen) -> SourceReport {
        let plan = &self.plan.sources[source];
        let streams = || self.plan.streams_of_source(source);
        let sum = |what: usize| move |group: &Group| streams().map(|stream| of_head(stream, what)(group)).sum::<f64>();
        let arrived = self.arrived(source);
        let unrouted = move |group: &Group| group.sums[UNROUTED + source];
        let unreachable = |group: &Group| sum(head::UNREACHABLE)(group) + unrouted(group);
        let failed = |group: &Group| sum(head::DEADLINE)(group) + sum(head::DOWN)(group) + unreachable(group);
        let lost = |group: &Group| sum(head::LOST)(group) - sum(head::RETRIED)(group);
        let per_arrival = |what: &dyn Fn(&Group) -> f64| share(self.groups, self.student, what, &arrived);
        let reasons = [
            ("deadline", per_arrival(&sum(head::DEADLINE))),
            ("unreachable", per_arrival(&unreachable)),
            ("device-down", per_arrival(&sum(head::DOWN))),
        ];
        let answered = sum(head::ANSWERED);
        let chains = streams().map(|stream| stream.chain as usize);
        let fates = Fates {
            arrival_rate: self.arrival_rate(source),
            throughput: self.source_rate(source, &answered),
            loss: per_arrival(&lost),
            failure: per_arrival(&failed),
            answered_on_overflow: per_arrival(&sum(head::OVERFLOWED)),
            response: self.mean(&sum(head::RESPONSE), &answered),
            latency: self.quantiles(seen, source, &self.plan.of_source[source]),
            accuracy: self.accuracy(chains, &sum(head::CORRECT), &answered),
            exits: self.exits(streams().collect(), &answered),
        };
        SourceReport {
            name: plan.name.clone(),
            fates,
            retries: self.mean_count(&sum(head::RETRIED), &arrived),
            lost_at: self.lost_at(streams().collect(), &arrived),
            failed_by: reasons
                .into_iter()
                .filter(|(_, share)| share.value > 0.0)
                .map(|(reason, share)| (reason.to_owned(), share))
                .collect(),
        }
    }

    fn chain(&self, chain: usize, seen: &Seen) -> ChainReport {
        let streams = || self.plan.streams_of_chain(chain);
        let sum = |what: usize| move |group: &Group| streams().map(|stream| of_head(stream, what)(group)).sum::<f64>();
        let (arrived, answered) = (sum(head::ARRIVED), sum(head::ANSWERED));
        let failed =
            |group: &Group| sum(head::DEADLINE)(group) + sum(head::DOWN)(group) + sum(head::UNREACHABLE)(group);
        let fates = Fates {
            arrival_rate: self.rate(chain, &|stream| Box::new(of_head(stream, head::ARRIVED))),
            throughput: self.rate(chain, &|stream| Box::new(of_head(stream, head::ANSWERED))),
            loss: self.chain_share(chain, head::LOST),
            failure: share(self.groups, self.student, &failed, &arrived),
            answered_on_overflow: self.chain_share(chain, head::OVERFLOWED),
            response: self.mean(&sum(head::RESPONSE), &answered),
            latency: self.quantiles(seen, self.plan.sources.len() + chain, &self.plan.of_chain[chain]),
            accuracy: self.accuracy(std::iter::once(chain), &sum(head::CORRECT), &answered),
            exits: self.exits(streams().collect(), &answered),
        };
        let steps = self.steps(chain).map(|step| {
            let rate = |what: usize| {
                self.rate(chain, &move |stream| Box::new(move |group| group.sums[self.cell_at(stream, step) + what]))
            };
            StepReport {
                offered_rate: rate(cell::OFFERED),
                served_rate: rate(cell::SERVED),
                residence_time: self.residence(step),
            }
        });
        ChainReport {
            name: self.network.chains[chain].name.clone(),
            fates,
            steps: steps.collect(),
            lost_at: self.lost_at(streams().collect(), &arrived),
        }
    }

    fn steps(&self, chain: usize) -> std::ops::Range<usize> {
        let plan = &self.plan.chains[chain];
        plan.first as usize..(plan.first + plan.len) as usize
    }

    fn cell_at(&self, stream: &StreamPlan, step: usize) -> usize {
        stream.head as usize + head::LEN + self.plan.steps[step].index as usize * cell::LEN
    }

    fn arrived(&self, source: usize) -> impl Fn(&Group) -> f64 {
        let heads: Vec<usize> = self.plan.streams_of_source(source).map(|stream| stream.head as usize).collect();
        move |group| {
            let attempts = heads.iter().map(|at| group.sums[at + head::ARRIVED] - group.sums[at + head::RETRIED]);
            attempts.sum::<f64>() + group.sums[UNROUTED + source]
        }
    }

    fn arrival_rate(&self, source: usize) -> Estimate {
        match self.plan.sources[source].rate.filter(|_| !self.is_transient()) {
            Some(rate) => Estimate { value: rate / self.plan.tick, ci99: 0.0 },
            None => self.source_rate(source, &self.arrived(source)),
        }
    }

    fn is_transient(&self) -> bool {
        self.plan.horizon.is_finite()
    }

    /// Jobs per second of a source: share of its arrivals × its known rate; in a run with an end, jobs ÷ its length.
    fn source_rate(&self, source: usize, what: &dyn Fn(&Group) -> f64) -> Estimate {
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

    fn per_second(&self, what: &dyn Fn(&Group) -> f64) -> Estimate {
        let length = self.plan.horizon * self.plan.tick;
        sum_of_ratios(
            self.groups,
            self.student,
            &[Term { scale: 1.0 / length, numerator: what, denominator: &|_| 1.0 }],
        )
    }

    /// Jobs per second of a chain, summed over its sources.
    fn rate(&self, chain: usize, what: &dyn Fn(&'a StreamPlan) -> Sum<'a>) -> Estimate {
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
    fn sum_of_rates(&self, sums: &[(usize, Sum<'_>)]) -> Estimate {
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
    fn over_time(&self, cells: &[(usize, usize)], what: &[usize]) -> Estimate {
        if cells.is_empty() {
            return Estimate::default();
        }
        let of_cell = |group: &Group, at: usize| what.iter().map(|what| group.sums[at + what]).sum::<f64>();
        let tick = self.plan.tick;
        if self.is_transient() {
            // Until the last job has ended: devices are busy with what came before arrivals ended.
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

    fn chain_share(&self, chain: usize, what: usize) -> Estimate {
        let streams = || self.plan.streams_of_chain(chain);
        let sum = |what: usize| move |group: &Group| streams().map(|stream| of_head(stream, what)(group)).sum::<f64>();
        share(self.groups, self.student, &sum(what), &sum(head::ARRIVED))
    }

    fn residence(&self, step: usize) -> Estimate {
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
    fn mean(&self, sum: &dyn Fn(&Group) -> f64, count: &dyn Fn(&Group) -> f64) -> Estimate {
        let term = Term { scale: self.plan.tick, numerator: sum, denominator: count };
        sum_of_ratios(self.groups, self.student, &[term])
    }

    fn mean_count(&self, sum: &dyn Fn(&Group) -> f64, count: &dyn Fn(&Group) -> f64) -> Estimate {
        sum_of_ratios(self.groups, self.student, &[Term { scale: 1.0, numerator: sum, denominator: count }])
    }

    fn accuracy(
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
    fn exits(&self, streams: Vec<&StreamPlan>, answered: &dyn Fn(&Group) -> f64) -> Vec<Estimate> {
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

    fn lost_at(&self, streams: Vec<&StreamPlan>, arrived: &dyn Fn(&Group) -> f64) -> Vec<(String, Estimate)> {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for stream in streams {
            let gateway = stream.head as usize + head::LOST_AT_GATEWAY;
            places.entry("gateway".to_owned()).or_default().push(gateway);
            for step in self.steps(stream.chain as usize) {
                let name = self.place(&self.plan.steps[step]);
                places.entry(name).or_default().push(self.cell_at(stream, step) + cell::LOST);
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
    fn place(&self, step: &StepPlan) -> String {
        let region = step.regions().next().map(|region| &self.network.regions[region as usize].name);
        region.unwrap_or(&self.network.devices[step.station as usize].name).clone()
    }

    fn quantiles(&self, seen: &Seen, number: usize, streams: &[u32]) -> Quantiles {
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

fn of_head(stream: &StreamPlan, what: usize) -> impl Fn(&Group) -> f64 + use<> {
    let at = stream.head as usize + what;
    move |group| group.sums[at]
}

fn pool(latencies: &[Histogram], streams: &[u32]) -> Histogram {
    let mut pooled = Histogram::default();
    streams.iter().for_each(|&stream| pooled.add(&latencies[stream as usize]));
    pooled
}

/// Quantiles of one replication, of all sources and then of all chains.
pub(crate) fn quantiles_of(plan: &Plan, latencies: &[Histogram]) -> Vec<[f64; 3]> {
    let all = plan.of_source.iter().chain(&plan.of_chain).map(|streams| pool(latencies, streams));
    all.map(|pooled| LEVELS.map(|level| pooled.quantile(level))).collect()
}

impl Interval {
    pub(crate) fn add(&mut self, other: &Interval) {
        self.combine(other, |a, b| a + b);
    }

    pub(crate) fn scale(&mut self, by: f64) {
        self.combine(&Interval::default(), |a, _| a * by);
    }

    fn combine(&mut self, other: &Interval, with: impl Fn(f64, f64) -> f64) {
        let fields = [
            (&mut self.arrived, other.arrived),
            (&mut self.answered, other.answered),
            (&mut self.lost, other.lost),
            (&mut self.failed, other.failed),
            (&mut self.correct, other.correct),
            (&mut self.latency_sum, other.latency_sum),
            (&mut self.present, other.present),
        ];
        fields.into_iter().for_each(|(field, other)| *field = with(*field, other));
    }
}
