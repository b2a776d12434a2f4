//! The chains of a service as single stations.
//!
//! Schedulers of one device see one station per chain. A chain of one fragment is one: its server is the device, its
//! time that of the whole model. Of a chain of several fragments they see the **bottleneck** only, the fragment with
//! the largest time of a job that goes to the last exit; the other fragments, links, and their memory are left out.
//! (The scheduler `Auto` sees them all.)
//!
//! * *Speed*: the cores that the fragment is sure of when all fragments of its device are busy (water-filling on CPU
//!   requests, capped by workers and CPU limit), times the device's speed. Several workers count as one that is as fast
//!   as all.
//! * *Room*: jobs that fit into its memory. Under a policy that decides at dispatch the queue of a first fragment is
//!   in the gateway: its workers, and what fits into the smallest gateway of the service. At most [`MOST_ROOM`].
//!   Never more than can be answered within half of the deadline, and within the p95 target.
//! * *Share*: chains get jobs in proportion to the rate at which their bottleneck can send jobs to the last exit.

use super::modes::Server;
use domain::problem::{Chain, Device, Problem, Service};
use domain::{Bytes, Epoch};

/// Jobs that a table distinguishes, at most. More room than this is taken as this: on the safe side.
pub const MOST_ROOM: usize = 128;

/// What a gateway holds for a job beside its sample, in bytes.
const JOB_STATE: u64 = 4 * 1024;

/// A chain as a station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reduced {
    /// Its bottleneck.
    pub server: Server,
    /// Jobs it has room for, those in service included.
    pub capacity: usize,
    /// Share of the service's jobs.
    pub share: f64,
}

/// The chains of a service (of a problem that has passed its check), in order.
pub fn reduce(problem: &Problem, service: &Service, epoch: Epoch) -> Vec<Reduced> {
    let mut chains: Vec<Reduced> =
        service.chains.iter().map(|chain| bottleneck(problem, service, chain, epoch)).collect();
    let total: f64 = chains.iter().map(|chain| chain.share).sum();
    for chain in &mut chains {
        chain.share /= total;
    }
    chains
}

/// With the rate of its last exit for a share.
fn bottleneck(problem: &Problem, service: &Service, chain: &Chain, epoch: Epoch) -> Reduced {
    let model = &service.model;
    let server = |hop: usize| {
        let hop = chain.hops[hop];
        let device = &problem.devices[hop.device];
        let range = device.fragments[hop.fragment].range;
        Server { range, speed: device.speed * assured_cores(device)[hop.fragment] }
    };
    let time = |hop: usize| server(hop).steps(model).iter().map(|step| step.segments.0 + step.head.0).sum::<f64>();
    let hop = (0..chain.hops.len()).max_by(|&a, &b| time(a).total_cmp(&time(b)).then(b.cmp(&a)));
    let hop = hop.expect("a chain has fragments");
    let at_gateway = hop == 0 && epoch == Epoch::Dispatch;
    let capacity = if at_gateway { dispatch_room(problem, service, chain) } else { room(problem, service, chain, hop) };
    let capacity = capacity.min(patience(service, server(hop), model));
    // A model without any time is infinitely fast: all chains alike then.
    let rate = 1.0 / time(hop);
    Reduced { server: server(hop), capacity, share: if rate.is_finite() { rate } else { 1.0 } }
}

/// Jobs that can be answered in time, if all of them leave at the first exit here: more room only lets jobs wait for nothing.
/// Half of the deadline, because jobs that are served meanwhile take longer than that; latency targets are limits of p95.
fn patience(service: &Service, server: Server, model: &domain::problem::Model) -> usize {
    let limits =
        [service.deadline.map(|limit| limit.get() / 2.0), service.targets.max_p95_latency.map(|limit| limit.get())];
    let shortest = server.steps(model).into_iter().map(|step| step.segments.0 + step.head.0).find(|time| *time > 0.0);
    match (limits.into_iter().flatten().reduce(f64::min), shortest) {
        (Some(limit), Some(shortest)) => ((limit / shortest) as usize).clamp(1, MOST_ROOM),
        _ => MOST_ROOM,
    }
}

/// Jobs that fit into the memory of a fragment.
fn room(problem: &Problem, service: &Service, chain: &Chain, hop: usize) -> usize {
    let fragment = problem.fragment(chain.hops[hop]);
    let device = &problem.devices[chain.hops[hop].device];
    let budget = device.memory_budget.unwrap_or(Bytes(u64::MAX)).min(fragment.memory_budget);
    jobs_in(budget, service.model.held_bytes(fragment.range))
}

/// Jobs that are with the workers of a first fragment or fit into the gateway in front of it.
fn dispatch_room(problem: &Problem, service: &Service, chain: &Chain) -> usize {
    let workers = problem.fragment(chain.hops[0]).workers as usize;
    let queue = service.gateways.iter().map(|gateway| gateway.memory_budget).min().unwrap_or(Bytes(0));
    let waiting = queue.0 / (service.model.tensor_bytes[0] + JOB_STATE);
    let serving = room(problem, service, chain, 0).min(workers);
    (usize::try_from(waiting).unwrap_or(MOST_ROOM).min(MOST_ROOM) + serving).min(MOST_ROOM)
}

fn jobs_in(budget: Bytes, job: u64) -> usize {
    usize::try_from(budget.0 / job.max(1)).unwrap_or(MOST_ROOM).clamp(1, MOST_ROOM)
}

/// Per fragment of a device the cores it gets when all are busy: in proportion to requests, none more than its cap,
/// what is left over to the others.
fn assured_cores(device: &Device) -> Vec<f64> {
    let cap = |index: usize| f64::from(device.fragments[index].workers).min(device.fragments[index].cpu_limit);
    let mut cores = vec![0.0; device.fragments.len()];
    let mut open: Vec<usize> = (0..cores.len()).collect();
    let mut left = device.cores;
    while !open.is_empty() {
        let requests: f64 = open.iter().map(|&index| device.fragments[index].cpu_request).sum();
        let share = |index: usize| left * device.fragments[index].cpu_request / requests;
        let (full, rest): (Vec<usize>, Vec<usize>) = open.iter().partition(|&&index| share(index) >= cap(index));
        if full.is_empty() {
            rest.iter().for_each(|&index| cores[index] = share(index));
            break;
        }
        full.iter().for_each(|&index| cores[index] = cap(index));
        left -= full.iter().map(|&index| cap(index)).sum::<f64>();
        open = rest;
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::FragmentRange;
    use domain::problem::Fragment;

    #[test]
    fn cores_follow_requests_and_stay_below_caps() {
        let fragment = |cpu_request: f64, workers: u32, cpu_limit: f64| Fragment {
            name: String::new(),
            service: 0,
            range: FragmentRange { first: 0, last: 0 },
            workers,
            cpu_request,
            cpu_limit,
            memory_budget: Bytes(1),
        };
        let device = |cores: f64, fragments: Vec<Fragment>| Device {
            name: String::new(),
            cores,
            speed: 1.0,
            memory_budget: None,
            fragments,
        };
        let rows = [
            (device(4.0, vec![fragment(1.0, 1, f64::INFINITY)]), vec![1.0]),
            (device(1.0, vec![fragment(1.0, 1, 9.0), fragment(3.0, 1, 9.0)]), vec![0.25, 0.75]),
            (device(2.0, vec![fragment(1.0, 4, 9.0), fragment(1.0, 4, 0.5)]), vec![1.5, 0.5]),
            (device(8.0, vec![fragment(1.0, 1, 9.0), fragment(1.0, 2, 9.0)]), vec![1.0, 2.0]),
        ];
        for (device, want) in rows {
            assert_eq!(assured_cores(&device), want);
        }
    }
}
