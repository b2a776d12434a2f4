//! Problems for tests, benches and examples, from a seed.

use domain::problem::{
    Burstiness, Chain, Device, Fragment, Gateway, Hop, Model, NamedLink, Samples, Service, Source, Targets,
};
use domain::{
    Bytes, ExitTable, FragmentRange, Link, Overflow, PerSecond, Probability, Problem, Seconds, ServiceTime,
    ServiceTimes,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Size and load of a generated problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) devices: usize,
    pub(crate) services: usize,
    pub(crate) chains: usize,
    pub(crate) exits: usize,
    pub(crate) samples: usize,
    /// Arrivals ÷ what all devices together could serve to the last exit.
    pub(crate) load: f64,
    pub(crate) seed: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { devices: 5, services: 2, chains: 3, exits: 6, samples: 5000, load: 0.9, seed: 1 }
    }
}

/// Bytes of a feature map.
const FEATURES: u64 = 18_816;

/// Every service enters at a device of its own. Its first chain stays there; the others run the first segments there or on
/// a random neighbour, and the rest on one of the others. One target per service: loss, for some of them latency.
pub(crate) fn problem(shape: &Shape) -> Problem {
    let mut rng = ChaCha8Rng::seed_from_u64(shape.seed);
    let model = Arc::new(model(shape.exits, shape.samples, &mut rng));
    let mut devices: Vec<Device> = (0..shape.devices).map(|index| device(index, shape.devices)).collect();
    let mut links = Links::default();
    let mut services = vec![];
    let speed: f64 = devices.iter().map(|device| device.speed).sum();
    let whole: f64 = model.times.segments.iter().chain(&model.times.heads).map(|time| time.mean.get()).sum();
    for index in 0..shape.services {
        let home = index % shape.devices;
        let chains: Vec<Chain> = (0..shape.chains)
            .map(|number| chain(index, number, home, &mut devices, &mut links, shape, &mut rng))
            .collect();
        let first_links = chains.iter().map(|chain| links.between(home, chain.hops[0].device)).collect();
        let rate = shape.load * speed / whole / shape.services as f64;
        let p95 = (index % 2 == 1).then(|| Seconds::new(0.4).expect("a time"));
        services.push(Service {
            name: format!("service-{index}"),
            model: model.clone(),
            chains,
            gateways: vec![Gateway {
                device: devices[home].name.clone(),
                memory_budget: Bytes(16 << 20),
                links: first_links,
                turnaround: Seconds::ZERO,
            }],
            sources: vec![Source {
                name: "camera".to_owned(),
                gateway: 0,
                rate: PerSecond::new(rate).expect("a rate"),
                burstiness: Burstiness::Poisson,
            }],
            targets: Targets {
                max_loss: Some(Probability::new(0.01).expect("a share")),
                max_p95_latency: p95,
                priority: 1.0 + (index % 3) as f64 / 2.0,
                ..Targets::default()
            },
            overflow: Overflow::Drop,
            deadline: None,
            audit: Probability::new(0.0).expect("a share"),
        });
    }
    let problem = Problem { devices, links: links.links, services };
    problem.check().expect("generated problems are sound");
    problem
}

fn device(index: usize, devices: usize) -> Device {
    // Every fifth device is a box, the others are small.
    let speed = if index % 5 == devices.min(5) - 1 { 0.1 } else { 0.03 + 0.004 * (index % 4) as f64 };
    Device { name: format!("device-{index}"), cores: 1.0, speed, memory_budget: None, fragments: vec![] }
}

fn chain(
    service: usize,
    number: usize,
    home: usize,
    devices: &mut [Device],
    links: &mut Links,
    shape: &Shape,
    rng: &mut impl Rng,
) -> Chain {
    let segments = shape.exits;
    let count = devices.len();
    let mut other = |not: usize| loop {
        let other = rng.random_range(0..count);
        if other != not || count == 1 {
            return other;
        }
    };
    let stops: Vec<(usize, usize, usize)> = match number {
        0 => vec![(home, 0, segments - 1)],
        number => {
            let cut = 1 + (service + number) % (segments - 1);
            let first = if number == 1 { home } else { other(home) };
            // Boxes are what most chains end at.
            let last = if number % 2 == 1 && (home / 5 * 5 + 4) < count && home % 5 != 4 {
                home / 5 * 5 + 4
            } else {
                other(first)
            };
            vec![(first, 0, cut - 1), (last, cut, segments - 1)]
        }
    };
    let mut hops: Vec<Hop> = vec![];
    for (device, first, last) in stops {
        let range = FragmentRange { first, last };
        let fragment = fragment(&mut devices[device], service, range);
        let link = hops.last().and_then(|before| links.between(before.device, device));
        hops.push(Hop { device, fragment, link });
    }
    Chain { name: format!("chain-{number}"), hops }
}

fn fragment(device: &mut Device, service: usize, range: FragmentRange) -> usize {
    let known = device.fragments.iter().position(|fragment| fragment.service == service && fragment.range == range);
    known.unwrap_or_else(|| {
        device.fragments.push(Fragment {
            name: format!("service-{service}-{}-{}", range.first, range.last),
            service,
            range,
            workers: 1,
            cpu_request: 1.0,
            cpu_limit: f64::INFINITY,
            memory_budget: Bytes(256 << 10),
        });
        device.fragments.len() - 1
    })
}

#[derive(Default)]
struct Links {
    links: Vec<NamedLink>,
}

impl Links {
    fn between(&mut self, from: usize, to: usize) -> Option<usize> {
        if from == to {
            return None;
        }
        let name = format!("device-{from}→device-{to}");
        let known = self.links.iter().position(|link| link.name == name);
        Some(known.unwrap_or_else(|| {
            let latency = Seconds::new(0.0005).expect("a time");
            self.links.push(NamedLink { name, link: Link { bytes_per_second: 12.5e6, latency } });
            self.links.len() - 1
        }))
    }
}

fn model(exits: usize, samples: usize, rng: &mut impl Rng) -> Model {
    let time = |micros: f64| ServiceTime { mean: Seconds::new(micros * 1e-6).expect("a time"), scv: 0.0 };
    let (choose, judge) = table(exits, samples, rng).halves().expect("more than one row");
    Model {
        name: "model".to_owned(),
        exit_segments: (0..exits).collect(),
        tensor_bytes: (0..=exits)
            .map(|at| {
                if at == 0 {
                    3136
                } else if at == exits {
                    0
                } else {
                    FEATURES
                }
            })
            .collect(),
        times: ServiceTimes {
            segments: (0..exits)
                .map(|segment| time(800.0 / exits as f64 * (0.8 + 0.4 * segment as f64 / exits as f64)))
                .collect(),
            heads: (0..exits).map(|exit| time(if exit + 1 == exits { 0.0 } else { 6.0 })).collect(),
        },
        varies: false,
        choose: Arc::new(Samples::new(choose)),
        judge: Arc::new(Samples::new(judge)),
    }
}

/// Samples of different difficulty, and exits that get better: the confidence of an exit is a noisy guess of whether it is
/// right.
pub(crate) fn table(exits: usize, samples: usize, rng: &mut impl Rng) -> ExitTable {
    let (mut confidence, mut prediction, label) = (vec![], vec![], vec![0u16; samples]);
    for _ in 0..samples {
        let difficulty: f64 = rng.random::<f64>();
        for exit in 0..exits {
            let ability = 0.35 + 0.75 * ((exit + 1) as f64 / exits as f64).sqrt();
            let margin = 6.0 * (ability - difficulty) + rng.random_range(-1.0..1.0);
            let right = 1.0 / (1.0 + (-margin).exp());
            prediction.push(u16::from(rng.random::<f64>() > 0.1 + 0.9 * right));
            let seen = margin + rng.random_range(-1.5..1.5);
            confidence.push((0.1 + 0.9 / (1.0 + (-seen).exp())).min(1.0) as f32);
        }
    }
    ExitTable::new(exits, confidence, prediction, label).expect("a sound table")
}
