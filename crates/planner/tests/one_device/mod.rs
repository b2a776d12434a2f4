//! One device with one core and room for ten jobs, wherever they wait.

use domain::problem::{Burstiness, Chain, Device, Fragment, Gateway, Hop, Model, Problem, Service, Source, Targets};
use domain::{Bytes, FragmentRange, Overflow, PerSecond, Probability, Seconds};
use std::sync::Arc;

/// Jobs that there is room for.
pub(crate) const ROOM: usize = 10;
pub(crate) const LOSS_TARGET: f64 = 0.01;

/// What a gateway holds of a job beside its input.
const JOB_STATE: u64 = 4 * 1024;

/// A service `camera` with one source `yard`, and a loss target of 1 %.
pub(crate) fn problem(model: Arc<Model>, rate: f64, burstiness: Burstiness) -> Problem {
    let range = FragmentRange { first: 0, last: model.segments() - 1 };
    let fragment = Fragment {
        name: "all".to_owned(),
        service: 0,
        range,
        workers: 1,
        cpu_request: 1.0,
        cpu_limit: 1.0,
        memory_budget: Bytes(ROOM as u64 * model.held_bytes(range)),
    };
    let device =
        Device { name: "pi".to_owned(), cores: 1.0, speed: 1.0, memory_budget: None, fragments: vec![fragment] };
    let service = Service {
        name: "camera".to_owned(),
        chains: vec![Chain { name: "pi".to_owned(), hops: vec![Hop { device: 0, fragment: 0, link: None }] }],
        gateways: vec![Gateway {
            device: "pi".to_owned(),
            // Nine wait in the gateway while one is served.
            memory_budget: Bytes((ROOM as u64 - 1) * (model.tensor_bytes[0] + JOB_STATE)),
            links: vec![None],
            turnaround: Seconds::ZERO,
        }],
        sources: vec![Source {
            name: "yard".to_owned(),
            gateway: 0,
            rate: PerSecond::new(rate).expect("what the test sets up is sound"),
            burstiness,
        }],
        targets: Targets { max_loss: Some(probability(LOSS_TARGET)), ..Targets::default() },
        overflow: Overflow::Drop,
        deadline: None,
        audit: probability(0.0),
        model,
    };
    let problem = Problem { devices: vec![device], links: vec![], services: vec![service] };
    problem.check().expect("what the test sets up is sound");
    problem
}

fn probability(value: f64) -> Probability {
    Probability::new(value).expect("what the test sets up is sound")
}
