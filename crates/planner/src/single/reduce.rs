//! The chains of a service as single stations.
//!
//! Schedulers of one device see one station per chain. A chain of one fragment is one: its server is the device, its
//! time that of the whole model. Of a chain of several fragments they see the **bottleneck** only, the fragment with
//! the largest time of a job that goes to the last exit; the other fragments, links, and their memory are left out.
//! (The scheduler `Auto` sees them all.)
//!
//! * *Share* and *speed*: chains get jobs so that most can go to the last exit, and the cores of a device are divided by
//!   what each of its fragments then has to do (`balance`). Several workers count as one that is as fast as all.
//! * *Room*: jobs that fit into its memory. Under a policy that decides at dispatch the queue of a first fragment is
//!   in the gateway: its workers, and its share of what fits into the smallest gateway of the service. At most
//!   [`MOST_ROOM`].
//!   Never more than can be answered within half of the deadline, and within the p95 target.
//! * *Pause*: a first fragment with one worker idles under such a policy while its answer and the next job travel; every
//!   service there is longer by that.

use super::balance::balance;
use super::modes::Server;
use domain::problem::{Chain, Problem, Service};
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
    /// Share of the service's jobs; 0 where others let through nearly as many.
    pub share: f64,
}

/// The chains of a service (by index, of a problem that has passed its check), in order.
pub fn reduce(problem: &Problem, service: usize, epoch: Epoch) -> Vec<Reduced> {
    let balance = balance(problem, service, epoch);
    let service = &problem.services[service];
    let first = |chain: &Chain| (chain.hops[0].device, chain.hops[0].fragment);
    let station = |(index, chain): (usize, &Chain)| {
        // Chains with one first fragment wait together.
        let same = service.chains.iter().zip(&balance.shares).filter(|(other, _)| first(other) == first(chain));
        let there = same.map(|(_, share)| share).sum();
        let (server, capacity) = bottleneck(problem, service, chain, &balance.servers[index], (epoch, there));
        Reduced { server, capacity, share: balance.shares[index] }
    };
    service.chains.iter().enumerate().map(station).collect()
}

/// The slowest fragment of a chain, and its room; `there` is the share of the service's jobs that wait for the same first
/// fragment.
fn bottleneck(
    problem: &Problem,
    service: &Service,
    chain: &Chain,
    servers: &[Server],
    (epoch, there): (Epoch, f64),
) -> (Server, usize) {
    let model = &service.model;
    // With all heads, as jobs see them that may leave anywhere.
    let all = |server: &Server| server.steps(model).iter().map(|step| step.segments.0 + step.head.0).sum::<f64>();
    let time = |hop: usize| all(&servers[hop]) + servers[hop].turnaround;
    let hop = (0..chain.hops.len()).max_by(|&a, &b| time(a).total_cmp(&time(b)).then(b.cmp(&a)));
    let hop = hop.expect("a chain has fragments");
    let at_gateway = hop == 0 && epoch == Epoch::Dispatch;
    let room =
        if at_gateway { dispatch_room(problem, service, chain, there) } else { room(problem, service, chain, hop) };
    (servers[hop], room.min(patience(service, servers[hop], model)))
}

/// Jobs that can be answered in time, if all of them leave at the first exit here: more room only lets jobs wait for nothing.
/// Half of the deadline, because jobs that are served meanwhile take longer than that; latency targets are limits of p95.
fn patience(service: &Service, server: Server, model: &domain::problem::Model) -> usize {
    let limits =
        [service.deadline.map(|limit| limit.get() / 2.0), service.targets.max_p95_latency.map(|limit| limit.get())];
    let shortest = server.steps(model).into_iter().map(|step| step.segments.0 + step.head.0).find(|time| *time > 0.0);
    let shortest = shortest.map(|time| time + server.turnaround);
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

/// Jobs that are with the workers of a first fragment or fit into its part of the gateway in front of it: the gateway has one
/// memory for the queues of all first fragments.
fn dispatch_room(problem: &Problem, service: &Service, chain: &Chain, share: f64) -> usize {
    let workers = problem.fragment(chain.hops[0]).workers as usize;
    let queue = service.gateways.iter().map(|gateway| gateway.memory_budget).min().unwrap_or(Bytes(0));
    let places = (queue.0 / (service.model.tensor_bytes[0] + JOB_STATE)) as f64;
    let waiting = (share * places).round() as u64;
    let serving = room(problem, service, chain, 0).min(workers);
    (usize::try_from(waiting).unwrap_or(MOST_ROOM).min(MOST_ROOM) + serving).min(MOST_ROOM)
}

fn jobs_in(budget: Bytes, job: u64) -> usize {
    usize::try_from(budget.0 / job.max(1)).unwrap_or(MOST_ROOM).clamp(1, MOST_ROOM)
}
