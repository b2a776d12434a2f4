//! How long a network takes to forget that it was empty.

use crate::network::{Network, Routing, Work};

/// Relaxation times that are waited for.
const TIMES: f64 = 4.0;

/// Load of a device, without losses.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Jobs per second.
    rate: f64,
    /// Core-seconds per second.
    work: f64,
    /// Most jobs of any chain that fit.
    jobs: f64,
}

/// Arrivals, of all sources together, after which a run should be measured.
///
/// A station that is not full forgets within S / (1 − √ρ)² (the relaxation time of M/M/1, with S its mean service time).
/// One of K places forgets within about K² · S / 5 at any load (the slowest mode of a reflected random walk with Poisson
/// arrivals and constant service; shorter when service varies). A station whose nominal load is above 1 may in truth be
/// near 1, because jobs are lost before it, so the latter counts for it. The slowest way through devices is taken, by sums
/// over its steps.
///
/// Source: J. W. Cohen, The Single Server Queue, II.2 (relaxation time); the reflected walk is elementary.
pub(crate) fn arrivals(network: &Network) -> f64 {
    let loads = loads(network);
    let time = |device: usize| {
        let load = loads[device];
        let cores = network.devices[device].cores;
        let utilization = load.work / cores;
        let service = load.work / load.rate / cores;
        let walk = load.jobs * load.jobs / 5.0;
        let forgets = if utilization < 1.0 { 1.0 / (1.0 - utilization.sqrt()).powi(2) } else { walk };
        service * forgets.min(walk).max(1.0)
    };
    let of_chain = |chain: &crate::Chain| chain.steps.iter().map(|step| time(step.device)).sum::<f64>();
    let slowest = network.chains.iter().map(of_chain).filter(|time| time.is_finite()).fold(0.0, f64::max);
    let rate: f64 = network.sources.iter().filter_map(|source| source.arrivals.rate()).sum();
    TIMES * slowest * rate
}

fn loads(network: &Network) -> Vec<Load> {
    let mut loads = vec![Load::default(); network.devices.len()];
    for source in &network.sources {
        let rate = source.arrivals.rate().unwrap_or(0.0);
        let shares = match &source.routing {
            Routing::Mixture(shares) => shares.clone(),
            Routing::Scheduled(scheduler) => {
                let chains = &network.schedulers[*scheduler].chains;
                chains.iter().map(|&chain| (chain, 1.0 / chains.len() as f64)).collect()
            }
        };
        for (chain, share) in shares {
            add_chain(network, chain, rate * share, &mut loads);
        }
    }
    loads
}

fn add_chain(network: &Network, chain: usize, mut rate: f64, loads: &mut [Load]) {
    let chain = &network.chains[chain];
    for step in &chain.steps {
        let seconds = match (&step.work, chain.model) {
            (Work::Segments(range), Some(model)) => {
                let times = &network.models[model].times.segments[range.first..=range.last];
                times.iter().map(|time| time.mean.get()).sum()
            }
            (Work::Law(law), _) => law.mean(),
            (Work::Segments(_), None) => 0.0,
        };
        let budgets = step.regions.iter().map(|&region| network.regions[region].budget);
        let jobs = budgets.min().map_or(f64::INFINITY, |budget| (budget / step.memory.max(1)) as f64);
        let load = &mut loads[step.device];
        load.rate += rate;
        load.work += rate * seconds / network.devices[step.device].speed;
        load.jobs = load.jobs.max(jobs);
        rate *= 1.0 - step.exit_probability;
    }
}
