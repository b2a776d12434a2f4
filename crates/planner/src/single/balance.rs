//! How the chains of a service share its jobs, for schedulers that see one chain at a time.
//!
//! # Problem
//! Which shares let most jobs per second go to the last exit? Chains share devices, links and fragments, so what one gets
//! another lacks.
//!
//! # How
//! Jobs are handed out in [`QUANTA`] parts, each to the chain whose fullest resource stays emptiest. Where every chain has
//! machines of its own, shares are in proportion to speed, which is best; where chains of several fragments overlap it is
//! near that. Chains of more fragments take part only where they let [`WORTH`] times as many through as those of fewer:
//! jobs that leave early leave all of their work to the first device, of which a balance for the last exit knows nothing,
//! and what a scheduler sees of such a chain is its bottleneck only.
//!
//! The cores of a device that its fragments of this service are sure of when all of the other services are busy
//! (water-filling on CPU requests, capped by workers and CPU limits) are divided in proportion to what each chain has to do there.
//!
//! # Cost
//! `QUANTA` × chains × hops.

use super::modes::Server;
use domain::Epoch;
use domain::problem::{Chain, Device, Gateway, Hop, Problem, Service};

/// Parts in which jobs are handed out.
const QUANTA: usize = 1024;
/// Factor on jobs per second from which on more fragments per job are worth it.
const WORTH: f64 = 1.5;
/// Work of a model without any: all chains are alike then.
const LEAST_WORK: f64 = 1e-12;

/// Chains with their shares, and the servers that their fragments are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Balance {
    /// Per chain its share; 0 for chains that are not used.
    pub(super) shares: Vec<f64>,
    /// Per chain and hop.
    pub(super) servers: Vec<Vec<Server>>,
}

/// The balance of a service of a problem that has passed its check.
pub(super) fn balance(problem: &Problem, service: usize, epoch: Epoch) -> Balance {
    let chains = &problem.services[service].chains;
    let mut lengths: Vec<usize> = chains.iter().map(|chain| chain.hops.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let (mut best, mut most) = (vec![], 0.0);
    for longest in lengths {
        let use_of: Vec<bool> = chains.iter().map(|chain| chain.hops.len() <= longest).collect();
        let (shares, rate) = Resources::new(problem, service, epoch, &use_of).hand_out();
        if rate > WORTH * most {
            (best, most) = (shares, rate);
        }
    }
    let used: Vec<bool> = best.iter().map(|&share| share > 0.0).collect();
    let servers = Resources::new(problem, service, epoch, &used).servers(&best);
    Balance { shares: best, servers }
}

/// What a job to the last exit takes of what there is.
struct Resources<'a> {
    problem: &'a Problem,
    service: &'a Service,
    /// Per chain, where it is used.
    use_of: &'a [bool],
    /// Per device the cores that fragments of this service are sure of.
    cores: Vec<f64>,
    /// Per chain and hop the core seconds of a job.
    work: Vec<Vec<f64>>,
    /// Per chain what it takes: (resource, seconds of all of it). Devices, then their fragments, then links.
    takes: Vec<Vec<(usize, f64)>>,
    epoch: Epoch,
}

impl<'a> Resources<'a> {
    fn new(problem: &'a Problem, index: usize, epoch: Epoch, use_of: &'a [bool]) -> Self {
        let service = &problem.services[index];
        let is_used = |device: usize, fragment: usize| {
            let on = |chain: &Chain| chain.hops.iter().any(|hop| (hop.device, hop.fragment) == (device, fragment));
            service.chains.iter().zip(use_of).any(|(chain, used)| *used && on(chain))
        };
        let sure_of = |(at, device): (usize, &Device)| {
            let own = |fragment: usize| device.fragments[fragment].service == index;
            let busy: Vec<bool> =
                (0..device.fragments.len()).map(|fragment| !own(fragment) || is_used(at, fragment)).collect();
            let cores = assured_cores(device, &busy);
            cores.iter().enumerate().filter(|(fragment, _)| own(*fragment)).map(|(_, cores)| cores).sum()
        };
        let cores = problem.devices.iter().enumerate().map(sure_of).collect();
        let work = |chain: &Chain| -> Vec<f64> {
            let of = |hop: &Hop| {
                let server = server(problem, *hop, 1.0);
                server.longest(&service.model).max(LEAST_WORK)
            };
            chain.hops.iter().map(of).collect()
        };
        let work = service.chains.iter().map(work).collect();
        let mut resources = Self { problem, service, use_of, cores, work, takes: vec![], epoch };
        resources.takes = (0..service.chains.len()).map(|chain| resources.taken_by(chain)).collect();
        resources
    }

    fn taken_by(&self, index: usize) -> Vec<(usize, f64)> {
        let chain = &self.service.chains[index];
        let devices = self.problem.devices.len();
        let fragments = self.problem.devices.iter().map(|device| device.fragments.len()).max().unwrap_or(0);
        let mut taken = vec![];
        for (at, hop) in chain.hops.iter().enumerate() {
            let work = self.work[index][at];
            taken.push((hop.device, work / self.cores[hop.device].max(LEAST_WORK)));
            let pause = turnaround(self.problem, self.service, index, at, self.epoch);
            let alone = work / cap(&self.problem.devices[hop.device], hop.fragment);
            taken.push((devices + hop.device * fragments + hop.fragment, alone + pause));
            let first = self.service.gateways.first().and_then(|gateway| gateway.links[index]);
            if let Some(link) = if at == 0 { first } else { hop.link } {
                let bytes = self.service.model.input_bytes(self.problem.fragment(*hop).range) as f64;
                let seconds = bytes / self.problem.links[link].link.bytes_per_second;
                taken.push((devices * (1 + fragments) + link, seconds));
            }
        }
        taken
    }

    /// Shares of the chains that are used, and the jobs per second at which the first resource is full.
    fn hand_out(&self) -> (Vec<f64>, f64) {
        let resources = self.takes.iter().flatten().map(|taken| taken.0 + 1).max().unwrap_or(0);
        let (mut full, mut parts) = (vec![0.0; resources], vec![0usize; self.takes.len()]);
        for _ in 0..QUANTA {
            let after = |chain: usize| self.takes[chain].iter().map(|&(resource, seconds)| full[resource] + seconds);
            let fullest = |chain: usize| after(chain).fold(0.0, f64::max);
            // Where chains have the fullest in common, what else they take decides.
            let by = |one: &usize, other: &usize| {
                let all = |chain: usize| after(chain).sum::<f64>();
                fullest(*one).total_cmp(&fullest(*other)).then_with(|| all(*one).total_cmp(&all(*other)))
            };
            let next = (0..self.takes.len()).filter(|&chain| self.use_of[chain]).min_by(by);
            let next = next.expect("chains of the shortest length are used");
            self.takes[next].iter().for_each(|&(resource, seconds)| full[resource] += seconds);
            parts[next] += 1;
        }
        let shares = parts.into_iter().map(|part| part as f64 / QUANTA as f64).collect();
        (shares, QUANTA as f64 / full.into_iter().fold(0.0, f64::max))
    }

    /// The servers that fragments are when chains have these shares.
    fn servers(&self, shares: &[f64]) -> Vec<Vec<Server>> {
        let load = |device: usize| -> f64 {
            let of_chain = |(index, chain): (usize, &Chain)| {
                let hops = chain.hops.iter().zip(&self.work[index]).filter(|(hop, _)| hop.device == device);
                shares[index] * hops.map(|(_, work)| work).sum::<f64>()
            };
            self.service.chains.iter().enumerate().map(of_chain).sum()
        };
        let of = |(index, chain): (usize, &Chain)| -> Vec<Server> {
            let at = |(place, hop): (usize, &Hop)| {
                // A chain that shares its fragment with others has its part of it: half the arrivals at half the speed fill
                // as much memory.
                let (own, all) = (shares[index] * self.work[index][place], load(hop.device));
                let share = if own > 0.0 { own / all } else { 1.0 };
                let device = &self.problem.devices[hop.device];
                let cores = (share * self.cores[hop.device]).min(cap(device, hop.fragment));
                let turnaround = turnaround(self.problem, self.service, index, place, self.epoch);
                let audit = self.service.audit.get();
                Server { turnaround, audit, ..server(self.problem, *hop, cores.max(LEAST_WORK)) }
            };
            chain.hops.iter().enumerate().map(at).collect()
        };
        self.service.chains.iter().enumerate().map(of).collect()
    }
}

fn server(problem: &Problem, hop: Hop, cores: f64) -> Server {
    let (range, speed) = (problem.fragment(hop).range, problem.devices[hop.device].speed * cores);
    Server { range, speed, turnaround: 0.0, audit: 0.0 }
}

/// Seconds from the end of a service at a first fragment to the start of the next, where the gateway sends a job only when
/// it has heard of the one before: the way of the answer, and that of the next job. With several workers there is a job at
/// hand meanwhile.
fn turnaround(problem: &Problem, service: &Service, chain: usize, hop: usize, epoch: Epoch) -> f64 {
    let first = service.chains[chain].hops[0];
    if hop > 0 || epoch == Epoch::Arrival || problem.fragment(first).workers > 1 {
        return 0.0;
    }
    let bytes = service.model.tensor_bytes[0] as f64;
    let way = |gateway: &Gateway| {
        let link = gateway.links[chain].map(|link| problem.links[link].link);
        let over = link.map_or(0.0, |link| 2.0 * link.latency.get() + bytes / link.bytes_per_second);
        gateway.turnaround.get() + over
    };
    service.gateways.iter().map(way).fold(0.0, f64::max)
}

/// Most cores that a fragment gets.
fn cap(device: &Device, fragment: usize) -> f64 {
    let fragment = &device.fragments[fragment];
    f64::from(fragment.workers).min(fragment.cpu_limit)
}

/// Per fragment of a device the cores it gets when those marked are busy: in proportion to requests, none more than its
/// cap, what is left over to the others.
fn assured_cores(device: &Device, busy: &[bool]) -> Vec<f64> {
    let mut cores = vec![0.0; device.fragments.len()];
    let mut open: Vec<usize> = (0..cores.len()).filter(|&index| busy[index]).collect();
    let mut left = device.cores;
    while !open.is_empty() {
        let requests: f64 = open.iter().map(|&index| device.fragments[index].cpu_request).sum();
        let share = |index: usize| left * device.fragments[index].cpu_request / requests;
        let (full, rest): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&index| share(index) >= cap(device, index));
        if full.is_empty() {
            rest.iter().for_each(|&index| cores[index] = share(index));
            break;
        }
        full.iter().for_each(|&index| cores[index] = cap(device, index));
        left -= full.iter().map(|&index| cap(device, index)).sum::<f64>();
        open = rest;
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::problem::Fragment;
    use domain::{Bytes, FragmentRange};

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
            assert_eq!(assured_cores(&device, &vec![true; want.len()]), want);
        }
    }
}
