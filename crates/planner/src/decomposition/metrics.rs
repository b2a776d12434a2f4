//! What a solved system says about services, devices and links.

use super::layout::Layout;
use super::solve::{Fate, Solver};
use domain::{Evaluation, Plan, ServiceMetrics};

/// 95 % quantile of the log-normal distribution with this mean and second moment.
pub(crate) fn latency_p95(mean: f64, second: f64) -> f64 {
    let (location, spread) = log_normal(mean, second);
    (location + 1.644_854 * spread).exp()
}

/// Mean and standard deviation of the logarithm.
fn log_normal(mean: f64, second: f64) -> (f64, f64) {
    let variance = (second / (mean * mean)).max(1.0).ln();
    (mean.ln() - variance / 2.0, variance.sqrt())
}

pub(crate) fn evaluation(layout: &Layout<'_>, solver: &Solver, loads: &[f64], plan: &Plan) -> Evaluation {
    let services = 0..layout.problem.services.len();
    let mut evaluation = Evaluation {
        replications: vec![services.map(|service| metrics(layout, solver, loads, plan, service)).collect()],
        devices: vec![0.0; layout.problem.devices.len()],
        links: solver.links.iter().map(|link| link.1.min(1.0)).collect(),
        p95_is_fitted: true,
        is_sampled: false,
    };
    for (state, lane) in solver.lanes.iter().zip(&layout.lanes) {
        evaluation.devices[lane.device] += state.busy_cores / layout.problem.devices[lane.device].cores;
    }
    evaluation
}

/// Sum over flows of what becomes of their jobs, each weighed by its rate.
pub(crate) fn sum(layout: &Layout<'_>, solver: &Solver, service: usize) -> (f64, Fate) {
    let (mut rate, mut sum) = (0.0, Fate::default());
    for source in layout.sources.iter().filter(|source| source.service == service) {
        rate += source.rate;
        for fate in &solver.fates[source.first_flow..][..layout.problem.services[service].chains.len()] {
            sum.answered += source.rate * fate.answered;
            sum.lost += source.rate * fate.lost;
            sum.correct += source.rate * fate.correct;
            sum.latency += source.rate * fate.latency;
            sum.latency2 += source.rate * fate.latency2;
        }
    }
    (rate, sum)
}

fn metrics(layout: &Layout<'_>, solver: &Solver, loads: &[f64], plan: &Plan, service: usize) -> ServiceMetrics {
    let of = &layout.problem.services[service];
    let (rate, sum) = sum(layout, solver, service);
    let mut metrics = ServiceMetrics {
        arrival_rate: rate,
        throughput: sum.answered,
        chains: vec![0.0; of.chains.len()],
        exits: vec![0.0; of.model.exits()],
        ..ServiceMetrics::default()
    };
    if rate <= 0.0 {
        // Without arrivals nothing is lost, late or wrong.
        metrics.accuracy = 1.0;
        return metrics;
    }
    let (mean, second) = (sum.latency / sum.answered, sum.latency2 / sum.answered);
    metrics.loss = (sum.lost / rate).clamp(0.0, 1.0);
    metrics.accuracy = sum.correct / sum.answered;
    metrics.mean_latency = mean;
    metrics.p95_latency = latency_p95(mean, second);
    if let Some(deadline) = plan.policies[service].deadline {
        let (location, spread) = log_normal(mean, second);
        let late = if spread > 0.0 { normal_above((deadline.get().ln() - location) / spread) } else { 0.0 };
        metrics.failure = late * sum.answered / rate;
        metrics.throughput -= late * sum.answered;
    }
    let sources = layout.sources.iter().enumerate().filter(|(_, source)| source.service == service);
    for (index, source) in sources {
        let mut lost = 0.0;
        for flow in layout.flows_of(index) {
            lost += solver.fates[flow].lost;
            metrics.chains[layout.flows[flow].chain] += source.rate / rate * loads[layout.flows[flow].at];
            add_exits(layout, solver, loads, flow, source.rate / sum.answered, &mut metrics.exits);
        }
        metrics.source_loss.push(lost.clamp(0.0, 1.0));
    }
    let known: f64 = metrics.exits.iter().sum();
    if known > 0.0 {
        metrics.exits.iter_mut().for_each(|share| *share /= known);
    }
    metrics
}

fn add_exits(layout: &Layout<'_>, solver: &Solver, loads: &[f64], flow: usize, weight: f64, exits: &mut [f64]) {
    let Some(survive) = solver.survivors(layout, loads, flow) else { return };
    let flow = &layout.flows[flow];
    let model = &layout.problem.services[flow.service].model;
    for (exit, share) in exits.iter_mut().enumerate() {
        let segment = model.exit_segments[exit];
        let hop = flow.hops.iter().position(|hop| segment <= hop.range.last);
        *share += weight * loads[flow.exits_at() + exit] * hop.map_or(0.0, |hop| survive[hop]);
    }
}

/// Standard normal tail, by the rational approximation 26.2.17 of Abramowitz and Stegun; error below 1e-7.
fn normal_above(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series =
        t * (0.319_381_53 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / (std::f64::consts::TAU).sqrt() * series;
    if z >= 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_and_tail_are_those_of_the_tables() {
        assert!((normal_above(1.644_854) - 0.05).abs() < 1e-6);
        assert!((normal_above(-1.0) - 0.841_344_7).abs() < 1e-6);
        // Of a log-normal with location 0 and spread 1 the mean is e^½, the second moment e².
        assert!((latency_p95(0.5_f64.exp(), 2.0_f64.exp()) - 1.644_854_f64.exp()).abs() < 1e-6);
        assert_eq!(latency_p95(2.0, 4.0), 2.0);
    }
}
