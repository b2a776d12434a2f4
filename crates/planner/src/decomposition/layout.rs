//! A problem laid out for many evaluations: who visits what, and where in a vector of loads that stands.

use super::arm::{Arm, HopLoad};
use domain::FragmentRange;
use domain::problem::{Burstiness, Problem};

/// A problem laid out.
#[derive(Debug)]
pub(crate) struct Layout<'p> {
    pub(crate) problem: &'p Problem,
    /// All sources, those of the first service first.
    pub(crate) sources: Vec<SourcePlace>,
    /// Per source one flow per chain.
    pub(crate) flows: Vec<Flow>,
    /// All fragments, those of the first device first.
    pub(crate) lanes: Vec<Lane>,
    /// Per device its first lane; one more at the end.
    pub(crate) first_lane: Vec<usize>,
    /// Per link whether a job ever comes straight from a gateway, and the jobs that senders have room for.
    pub(crate) links: Vec<LinkPlace>,
    /// Length of a vector of loads.
    pub(crate) size: usize,
}

/// A source.
#[derive(Debug)]
pub(crate) struct SourcePlace {
    pub(crate) service: usize,
    pub(crate) rate: f64,
    /// Index of its first flow; it has as many as its service has chains.
    pub(crate) first_flow: usize,
    pub(crate) burst: Option<Burst>,
}

/// How the variance of counts of a two-phase process grows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    /// Index of dispersion of counts over long times, less 1.
    excess: f64,
    /// Changes per second out of both phases.
    changes: f64,
}

/// Jobs of a source on a chain.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) source: usize,
    pub(crate) service: usize,
    pub(crate) chain: usize,
    /// Where it stands in a vector of loads.
    pub(crate) at: usize,
    pub(crate) hops: Vec<Hop>,
    pub(crate) exits: usize,
}

/// A hop of a flow.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) lane: usize,
    pub(crate) range: FragmentRange,
    /// The link over which it is reached, if it takes time.
    pub(crate) link: Option<usize>,
    /// Seconds that this link is busy; 0 where it carries everything at once.
    pub(crate) transmission: f64,
    pub(crate) latency: f64,
    /// Bytes held here, and while the next hop has not taken over.
    pub(crate) held: f64,
    pub(crate) after: f64,
}

/// A fragment.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) device: usize,
    pub(crate) workers: f64,
    pub(crate) request: f64,
    /// Most cores it gets, by its limit, its workers and its device.
    pub(crate) most: f64,
    pub(crate) budget: f64,
    pub(crate) held: f64,
}

/// A link.
#[derive(Debug, Default)]
pub(crate) struct LinkPlace {
    pub(crate) from_gateway: bool,
    /// Jobs that fit into the memory of those who send over it.
    pub(crate) room: f64,
}

/// Numbers per hop in a vector of loads.
pub(crate) const PER_HOP: usize = 6;

impl Flow {
    /// Where the numbers of a hop stand.
    pub(crate) fn hop(&self, hop: usize) -> usize {
        self.at + 1 + hop * PER_HOP
    }

    /// How many numbers it has.
    pub(crate) fn len(&self) -> usize {
        self.exits_at() + self.exits - self.at
    }

    /// Where the shares of exits stand.
    pub(crate) fn exits_at(&self) -> usize {
        self.hop(self.hops.len())
    }

    /// What `loads` say of a hop.
    pub(crate) fn load(&self, hop: usize, loads: &[f64]) -> HopLoad {
        self.load_in(hop, &loads[self.at..])
    }

    /// What the numbers of this flow alone say of a hop.
    pub(crate) fn load_in(&self, hop: usize, block: &[f64]) -> HopLoad {
        let at = self.hop(hop) - self.at;
        let [leave, work, work2, correct, answerable, answerable_right] =
            std::array::from_fn(|index| block[at + index]);
        HopLoad { leave, work, work2, correct, answerable, answerable_right }
    }
}

impl Burst {
    /// c² that a station feels that remembers so many seconds: the index of dispersion of counts over that time.
    pub(crate) fn scv(self, seconds: f64) -> f64 {
        let time = self.changes * seconds;
        let grown = if time > 1e-9 { 1.0 - (1.0 - (-time).exp()) / time } else { 0.0 };
        1.0 + self.excess * grown
    }
}

impl<'p> Layout<'p> {
    pub(crate) fn new(problem: &'p Problem) -> Self {
        let mut layout = Self {
            problem,
            sources: vec![],
            flows: vec![],
            lanes: vec![],
            first_lane: vec![0],
            links: problem.links.iter().map(|_| LinkPlace::default()).collect(),
            size: 0,
        };
        layout.add_lanes();
        for service in 0..problem.services.len() {
            layout.add_service(service);
        }
        layout.find_room();
        layout
    }

    /// Flows of a source.
    pub(crate) fn flows_of(&self, source: usize) -> std::ops::Range<usize> {
        let first = self.sources[source].first_flow;
        first..first + self.problem.services[self.sources[source].service].chains.len()
    }

    /// The numbers of a flow that all jobs of its source take with the thresholds of `arm`, in the order in which they
    /// stand in a vector of loads from [`Flow::at`] on.
    pub(crate) fn block(&self, flow: &Flow, arm: &Arm) -> Vec<f64> {
        let service = &self.problem.services[flow.service];
        let of_hops = arm.loads(&service.model, service.audit.get(), flow.hops.iter().map(|hop| hop.range));
        let hops = of_hops.into_iter().flat_map(|load| {
            let HopLoad { leave, work, work2, correct, answerable, answerable_right } = load;
            [leave, work, work2, correct, answerable, answerable_right]
        });
        std::iter::once(1.0).chain(hops).chain(arm.behaviour.share.iter().copied()).collect()
    }

    /// Adds the numbers of `weight` of the jobs of a flow's source, which take this flow with the thresholds of `arm`.
    pub(crate) fn add(&self, flow: &Flow, arm: &Arm, weight: f64, loads: &mut [f64]) {
        let block = self.block(flow, arm);
        loads[flow.at..].iter_mut().zip(block).for_each(|(place, number)| *place += weight * number);
    }

    fn add_lanes(&mut self) {
        for (device, place) in self.problem.devices.iter().enumerate() {
            for of in &place.fragments {
                let model = &self.problem.services[of.service].model;
                let workers = f64::from(of.workers);
                self.lanes.push(Lane {
                    device,
                    workers,
                    request: of.cpu_request,
                    most: workers.min(of.cpu_limit).min(place.cores),
                    budget: of.memory_budget.0 as f64,
                    held: (model.held_bytes(of.range) as f64).max(1.0),
                });
            }
            self.first_lane.push(self.lanes.len());
        }
    }

    fn add_service(&mut self, index: usize) {
        let service = &self.problem.services[index];
        for source in &service.sources {
            let number = self.sources.len();
            self.sources.push(SourcePlace {
                service: index,
                rate: source.rate.get(),
                first_flow: self.flows.len(),
                burst: burst(source.rate.get(), source.burstiness),
            });
            for (chain, way) in service.chains.iter().enumerate() {
                let first = service.gateways[source.gateway].links[chain];
                let links = std::iter::once(first).chain(way.hops.iter().skip(1).map(|hop| hop.link));
                let hops: Vec<Hop> = way.hops.iter().zip(links).map(|(&hop, link)| self.hop(hop, link)).collect();
                let exits = service.model.exits();
                let flow = Flow { source: number, service: index, chain, at: self.size, hops, exits };
                self.size = flow.exits_at() + exits;
                self.flows.push(flow);
            }
        }
    }

    fn hop(&self, hop: domain::problem::Hop, link: Option<usize>) -> Hop {
        let fragment = self.problem.fragment(hop);
        let model = &self.problem.services[fragment.service].model;
        let over = link.map(|link| &self.problem.links[link].link);
        let transmission = over.map_or(0.0, |link| model.input_bytes(fragment.range) as f64 / link.bytes_per_second);
        Hop {
            lane: self.first_lane[hop.device] + hop.fragment,
            range: fragment.range,
            link: link.filter(|_| transmission > 0.0),
            transmission,
            latency: over.map_or(0.0, |link| link.latency.get()),
            held: model.held_bytes(fragment.range) as f64,
            after: model.output_bytes(fragment.range) as f64,
        }
    }

    fn find_room(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        for flow in &self.flows {
            for (position, hop) in flow.hops.iter().enumerate() {
                let Some(link) = hop.link else { continue };
                match position.checked_sub(1).map(|before| &flow.hops[before]) {
                    None => self.links[link].from_gateway = true,
                    Some(sender) if seen.insert((link, sender.lane)) => {
                        self.links[link].room += (self.lanes[sender.lane].budget / sender.after.max(1.0)).floor();
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

fn burst(rate: f64, burstiness: Burstiness) -> Option<Burst> {
    let Burstiness::Phases { rates, switch } = burstiness else { return None };
    let changes = switch[0] + switch[1];
    let difference = rate * (rates[0] - rates[1]);
    let weighed = rate * (rates[0] * switch[1] + rates[1] * switch[0]);
    (weighed > 0.0).then(|| Burst {
        excess: 2.0 * switch[0] * switch[1] * difference * difference / (changes * changes * weighed),
        changes,
    })
}
