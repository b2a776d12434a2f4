//! From sums over jobs to metrics.

mod rates;

use crate::effort::Precision;
use crate::engine::plan::{Plan, StepPlan, StreamPlan};
use crate::engine::record::{Group, UNROUTED, cell, head};
use crate::estimate::{share, student};
use crate::histogram::Histogram;
use crate::network::Network;
use crate::report::{ChainReport, DeviceReport, Estimate, Fates, LinkReport, SourceReport, StepReport};
use crate::run::Seen;

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
                // Of the work of jobs that arrived, some is done later: noise can lead a little above 1.
                utilization: Estimate { value: busy.value / device.cores, ci99: busy.ci99 / device.cores },
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
            lost_at: self.lost_at(streams().collect(), (head::GONE_AT_GATEWAY, cell::GONE), &arrived),
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
            lost_at: self.lost_at(streams().collect(), (head::LOST_AT_GATEWAY, cell::LOST), &arrived),
        }
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
