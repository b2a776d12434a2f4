//! The problems that experiments pose.

use domain::problem::{
    Burstiness, Chain, Device, Fragment, Gateway, Hop, Model, NamedLink, Problem, Service, Source, Targets,
};
use domain::{Bytes, FragmentRange, Link, Overflow, PerSecond, Probability, Seconds};
use std::sync::Arc;

/// Jobs that a fragment holds, the one in service included.
pub(crate) const ROOM: u64 = 10;
/// Share of jobs that may be lost.
pub(crate) const LOSS_TARGET: f64 = 0.01;
/// What a gateway holds for a job beside its sample.
const JOB_STATE: u64 = 4 * 1024;

/// How jobs arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Arrivals {
    Poisson,
    /// A fifth of the time at ten times the rate of the rest, 40 arrivals long on average.
    Bursts,
}

/// Jobs per second that one device of speed 1 serves to the last exit: load factor 1.
pub(crate) fn saturation(model: &Model) -> f64 {
    let mean: f64 = model.times.segments.iter().map(|segment| segment.mean.get()).sum();
    1.0 / mean
}

impl Arrivals {
    /// At a mean rate per second.
    pub(crate) fn at(self, rate: f64) -> Burstiness {
        match self {
            Self::Poisson => Burstiness::Poisson,
            Self::Bursts => {
                // 0.8 · low + 0.2 · 10 · low = 1.
                let low = 1.0 / 2.8;
                let leave = 10.0 * low * rate / 40.0;
                Burstiness::Phases { rates: [low, 10.0 * low], switch: [leave / 4.0, leave] }
            }
        }
    }
}

/// One device with the whole model and room for [`ROOM`] jobs, at `load` times its saturation rate.
pub(crate) fn one_device(model: &Arc<Model>, load: f64, arrivals: Arrivals) -> anyhow::Result<Problem> {
    tiers(model, 0, load, arrivals)
}

/// Speeds of gateway, near edge and far edge relative to the machine of the profile.
pub(crate) const SPEEDS: [f64; 3] = [1.0, 1.0, 2.0];
const NAMES: [&str; 3] = ["gateway", "near edge", "far edge"];
/// Bytes per second and latency to the near and the far edge: a wired network of 100 Mbit/s, and one further away.
pub(crate) const LINKS: [(f64, f64); 2] = [(12.5e6, 0.001), (12.5e6, 0.010)];

/// A gateway and the first `beyond` tiers behind it. Jobs arrive at the gateway. Chains: all on one device, or the first
/// third of the segments on the gateway and the rest on one of the others.
pub(crate) fn tiers(model: &Arc<Model>, beyond: usize, load: f64, arrivals: Arrivals) -> anyhow::Result<Problem> {
    let segments = model.segments();
    let mut builder = Builder::new(model);
    for (device, name) in NAMES.iter().enumerate().take(beyond + 1) {
        let whole = builder.fragment(device, 0, segments - 1);
        builder.chain((*name).to_owned(), &[whole]);
    }
    for (device, name) in NAMES.iter().enumerate().take(beyond + 1).skip(1) {
        let third = segments / 3;
        let (head, tail) = (builder.fragment(0, 0, third - 1), builder.fragment(device, third, segments - 1));
        builder.chain(format!("gateway + {name}"), &[head, tail]);
    }
    let rate = load * saturation(model);
    let problem = builder.build(rate, arrivals.at(rate))?;
    problem.check()?;
    Ok(problem)
}

struct Builder<'a> {
    model: &'a Arc<Model>,
    devices: Vec<Device>,
    chains: Vec<Chain>,
    first_links: Vec<Option<usize>>,
}

impl<'a> Builder<'a> {
    fn new(model: &'a Arc<Model>) -> Self {
        Self { model, devices: vec![], chains: vec![], first_links: vec![] }
    }

    /// The device and the index of a fragment there.
    fn fragment(&mut self, device: usize, first: usize, last: usize) -> (usize, usize) {
        while self.devices.len() <= device {
            self.devices.push(Device {
                name: NAMES[self.devices.len()].to_owned(),
                cores: 1.0,
                speed: SPEEDS[self.devices.len()],
                memory_budget: None,
                fragments: vec![],
            });
        }
        let range = FragmentRange { first, last };
        let fragments = &mut self.devices[device].fragments;
        let found = fragments.iter().position(|fragment| fragment.range == range);
        let index = found.unwrap_or(fragments.len());
        if found.is_none() {
            fragments.push(Fragment {
                name: format!("segments {}-{}", first + 1, last + 1),
                service: 0,
                range,
                workers: 1,
                cpu_request: 1.0,
                cpu_limit: f64::INFINITY,
                memory_budget: Bytes(ROOM * self.model.held_bytes(range)),
            });
        }
        (device, index)
    }

    fn chain(&mut self, name: String, stops: &[(usize, usize)]) {
        let hop = |(index, &(device, fragment)): (usize, &(usize, usize))| Hop {
            device,
            fragment,
            link: (index > 0).then(|| device - 1),
        };
        let first = stops[0].0;
        self.first_links.push(first.checked_sub(1));
        self.chains.push(Chain { name, hops: stops.iter().enumerate().map(hop).collect() });
    }

    fn build(self, rate: f64, burstiness: Burstiness) -> anyhow::Result<Problem> {
        let links = LINKS.iter().zip(&NAMES[1..]).take(self.devices.len() - 1);
        let link = |(&(bytes_per_second, latency), name): (&(f64, f64), &&str)| -> anyhow::Result<NamedLink> {
            let link = Link { bytes_per_second, latency: Seconds::new(latency)? };
            Ok(NamedLink { name: format!("gateway → {name}"), link })
        };
        let service = Service {
            name: self.model.name.clone(),
            model: self.model.clone(),
            chains: self.chains,
            // Schedulers that hold the queue in the gateway have the same room as those that do not.
            gateways: vec![Gateway {
                device: NAMES[0].to_owned(),
                memory_budget: Bytes((ROOM - 1) * (self.model.tensor_bytes[0] + JOB_STATE)),
                links: self.first_links,
                turnaround: Seconds::ZERO,
            }],
            sources: vec![Source { name: "source".to_owned(), gateway: 0, rate: PerSecond::new(rate)?, burstiness }],
            targets: Targets { max_loss: Some(Probability::new(LOSS_TARGET)?), ..Targets::default() },
            overflow: Overflow::Drop,
            deadline: None,
            audit: Probability::new(0.0)?,
        };
        Ok(Problem {
            devices: self.devices,
            links: links.map(link).collect::<anyhow::Result<_>>()?,
            services: vec![service],
        })
    }
}
