//! Grounds and demands for tests and benches, from a seed.

use crate::generated::{self, Shape};
use domain::problem::{Burstiness, Targets};
use domain::{Bytes, EvaluationEffort, Link, Overflow, PerSecond, Probability, Seconds};
use planner::placement::{Costs, Demand, Ground, Origin, Request, Site, Size, Treatment, Way};
use planner::{Budget, Decomposition};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::num::NonZeroU32;

pub(crate) const MIB: u64 = 1 << 20;

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) sites: usize,
    pub(crate) services: usize,
    pub(crate) segments: usize,
    pub(crate) chains: usize,
    /// Arrivals ÷ what all devices together could serve to the last exit.
    pub(crate) load: f64,
    /// Whether memory, readiness, architectures and links are there in part only.
    pub(crate) is_rough: bool,
    pub(crate) seed: u64,
}

impl Default for Case {
    fn default() -> Self {
        Self { sites: 3, services: 1, segments: 3, chains: 2, load: 0.7, is_rough: false, seed: 1 }
    }
}

pub(crate) fn world(case: &Case) -> (Ground, Vec<Demand>) {
    let mut rng = ChaCha8Rng::seed_from_u64(case.seed);
    let shape = Shape {
        devices: 2,
        services: 1,
        chains: 1,
        exits: case.segments,
        samples: 400,
        seed: case.seed,
        ..Shape::default()
    };
    let model = generated::problem(&shape).services[0].model.clone();
    let sites: Vec<Site> = (0..case.sites).map(|index| site(index, case, &mut rng)).collect();
    let link = Link { bytes_per_second: 2e6, latency: Seconds::new(0.001).expect("a time") };
    let mut ways = vec![vec![Way::Link(link); case.sites]; case.sites];
    for (from, row) in ways.iter_mut().enumerate() {
        for (to, way) in row.iter_mut().enumerate() {
            if from == to {
                *way = Way::Host;
            } else if case.is_rough && rng.random::<f64>() < 0.3 {
                *way = Way::None;
            }
        }
    }
    let speed: f64 = sites.iter().map(|site| site.speed).sum();
    let whole: f64 = model.times.segments.iter().chain(&model.times.heads).map(|time| time.mean.get()).sum();
    let rate = case.load * speed / whole / case.services as f64;
    let demands = (0..case.services).map(|index| Demand {
        name: format!("service-{index}"),
        model: model.clone(),
        weight_bytes: (0..case.segments).map(|segment| (20 + 20 * segment as u64) * MIB).collect(),
        sources: vec![Origin {
            name: "camera".to_owned(),
            site: index % case.sites,
            rate: PerSecond::new(rate).expect("a rate"),
            burstiness: Burstiness::Poisson,
        }],
        targets: Targets {
            max_loss: Some(Probability::new(0.01).expect("a share")),
            priority: 1.0 + (index % 3) as f64 / 2.0,
            ..Targets::default()
        },
        overflow: Overflow::Drop,
        deadline: None,
        audit: Probability::new(0.0).expect("a share"),
        gateway_memory_budget: Bytes(16 * MIB),
        size: Size {
            workers: 1,
            memory_budget: Bytes(256 << 10),
            process: Bytes(10 * MIB),
            cpu_request: None,
            cpu_limit: f64::INFINITY,
        },
        architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
        most_chains: case.chains,
        treatment: Treatment::Planned,
        pinned: None,
    });
    (Ground { sites, ways }, demands.collect())
}

fn site(index: usize, case: &Case, rng: &mut ChaCha8Rng) -> Site {
    let draw = |rng: &mut ChaCha8Rng, of: &[u64]| of[rng.random_range(0..of.len())];
    let memory = draw(rng, &[40, 60, 100, 200, 400]);
    let architecture = ["amd64", "arm64", "arm64", "riscv64"][rng.random_range(0..4)];
    let is_down = rng.random::<f64>() < 0.15;
    Site {
        name: format!("site-{index}"),
        cores: 1.0,
        speed: 0.02 + 0.04 * rng.random::<f64>(),
        memory_budget: case.is_rough.then_some(Bytes(1 << 20)),
        free_memory: case.is_rough.then_some(Bytes(memory * MIB)),
        architecture: Some(if case.is_rough { architecture } else { "amd64" }.to_owned()),
        trouble: (case.is_rough && is_down).then(|| "not ready".to_owned()),
    }
}

pub(crate) fn request<'a>(ground: &'a Ground, demands: &'a [Demand], evaluations: u64) -> Request<'a> {
    Request {
        ground,
        demands,
        incumbent: None,
        costs: Costs::default(),
        judge: &Decomposition { judges: false },
        effort: EvaluationEffort { seed: 1, replications: NonZeroU32::MIN, arrivals: 0, stop: None },
        budget: Budget { evaluations: Some(evaluations), stop: None, ..Budget::default() },
        seed: 1,
    }
}
