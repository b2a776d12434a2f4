//! How long a network takes to forget that it was empty.

use crate::network::{Arrivals, Network, Outages, Routing, Work};

/// Relaxation times that are waited for.
const TIMES: f64 = 4.0;

/// Services that a random walk through the places of a station is given to forget, at most.
const LONGEST_WALK: f64 = 20_000.0;

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
    TIMES * stations(network) * rate(network)
}

/// Arrivals, of all sources together, until what happens hardly depends on what happened before: the slowest of stations,
/// phases of arrivals, periods of rates, and outages.
pub(crate) fn memory(network: &Network) -> f64 {
    let of_source = |source: &crate::Source| match &source.arrivals {
        Arrivals::Mmpp2 { switch, .. } => 1.0 / (switch[0] + switch[1]),
        Arrivals::Piecewise { pieces, .. } => pieces.iter().map(|piece| piece.0).sum(),
        Arrivals::Renewal(_) | Arrivals::Trace(_) => 0.0,
    };
    let of_device = |device: &crate::Device| match device.outages {
        // The number of outages matters, which is as good as independent.
        Outages::Random { mean_up, mean_down } => mean_up + mean_down,
        Outages::Never | Outages::At(_) => 0.0,
    };
    let changes = network.sources.iter().map(of_source).chain(network.devices.iter().map(of_device));
    changes.fold(stations(network), f64::max) * rate(network)
}

fn rate(network: &Network) -> f64 {
    network.sources.iter().filter_map(|source| source.arrivals.rate()).sum()
}

/// Seconds until the stations along the slowest chain have forgotten.
fn stations(network: &Network) -> f64 {
    let loads = loads(network);
    let mut entrances = vec![false; network.devices.len()];
    network.chains.iter().for_each(|chain| entrances[chain.steps[0].device] = true);
    let time = |device: usize| {
        let load = loads[device];
        let cores = network.devices[device].cores;
        let utilization = load.work / cores;
        let service = load.work / load.rate / cores;
        let walk = (load.jobs * load.jobs / 5.0).min(LONGEST_WALK);
        let forgets = 1.0 / (1.0 - utilization.sqrt()).powi(2);
        let fills = load.jobs / (utilization - 1.0).abs();
        // What is lost before it may bring an overloaded station back to the brink; nothing is lost before an entrance.
        let services = match utilization > 1.0 {
            false => forgets.min(walk),
            true if entrances[device] => forgets.max(fills).min(walk),
            true => walk,
        };
        service * services.max(1.0)
    };
    let mut times: Vec<Option<f64>> = vec![None; network.devices.len()];
    let mut of_device = |device: usize| *times[device].get_or_insert_with(|| time(device));
    let of_chains =
        network.chains.iter().map(|chain| chain.steps.iter().map(|step| of_device(step.device)).sum::<f64>());
    of_chains.filter(|time| time.is_finite()).fold(0.0, f64::max)
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
