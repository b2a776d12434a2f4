//! What a reading of all telemetry costs the loop.

use control::{DriftLoop, GatewayReading, LoopOptions, Observation, SourceReading};
use criterion::{Criterion, criterion_group, criterion_main};
use domain::plan::Plan;
use domain::problem::{
    Burstiness, Chain, Device, Fragment, Gateway, Hop, Model, Problem, Samples, Service, Source, Targets,
};
use domain::{
    Bytes, Choice, Epoch, ExitTable, FragmentRange, Mixture, Overflow, PerSecond, Policy, Probability, Seconds,
    ServiceTime, ServiceTimes, Thresholds,
};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

const SOURCES: usize = 50;

fn problem() -> Problem {
    let table = ExitTable::new(2, vec![0.5; 2000], vec![0; 2000], vec![0; 1000]).expect("lengths fit");
    let samples = Arc::new(Samples::new(table));
    let time = ServiceTime { mean: Seconds::new(0.001).expect("not negative"), scv: 0.0 };
    let model = Model {
        name: "model".into(),
        exit_segments: vec![0, 1],
        tensor_bytes: vec![100, 100, 0],
        times: ServiceTimes { segments: vec![time; 2], heads: vec![time; 2] },
        varies: false,
        choose: Arc::clone(&samples),
        judge: samples,
    };
    let source = |index: usize| Source {
        name: format!("source-{index}"),
        gateway: 0,
        rate: PerSecond::new(20.0).expect("not negative"),
        burstiness: Burstiness::Poisson,
    };
    let fragment = Fragment {
        name: "whole".into(),
        service: 0,
        range: FragmentRange { first: 0, last: 1 },
        workers: 1,
        cpu_request: 1.0,
        cpu_limit: 1.0,
        memory_budget: Bytes(10_000),
    };
    let device = Device { name: "box".into(), cores: 4.0, speed: 1.0, memory_budget: None, fragments: vec![fragment] };
    let service = Service {
        name: "camera".into(),
        model: Arc::new(model),
        chains: vec![Chain { name: "only".into(), hops: vec![Hop { device: 0, fragment: 0, link: None }] }],
        gateways: vec![Gateway {
            device: "box".into(),
            memory_budget: Bytes(10_000),
            links: vec![None],
            turnaround: Seconds::ZERO,
        }],
        sources: (0..SOURCES).map(source).collect(),
        targets: Targets { max_loss: Probability::new(0.01).ok(), ..Targets::default() },
        overflow: Overflow::Drop,
        deadline: None,
        audit: Probability::new(0.01).expect("a share"),
    };
    Problem { devices: vec![device], links: vec![], services: vec![service] }
}

fn plan() -> Plan {
    let always = Probability::new(1.0).expect("a share");
    let choice = Choice::new(always, 0, Thresholds::exit_last(2));
    let policy = Policy {
        epoch: Epoch::Arrival,
        overflow: Overflow::Drop,
        chains: vec![],
        default: Mixture::new(vec![choice], "the default").expect("one choice"),
        sources: vec![],
        rates: None,
        learning: None,
        audit: always,
        deadline: None,
    };
    Plan { policies: vec![policy] }
}

fn observe(criterion: &mut Criterion) {
    let mut drift = DriftLoop::new(problem(), plan(), wire::document::PolicyVersion::default(), LoopOptions::default());
    let (mut now, mut arrived) = (0.0, 0);
    let mut gateway = GatewayReading {
        replica: "gateway".into(),
        service: "camera".into(),
        sources: (0..SOURCES)
            .map(|index| (format!("source-{index}"), SourceReading::default()))
            .collect::<BTreeMap<_, _>>(),
        ..GatewayReading::default()
    };
    criterion.bench_function("one reading of 50 sources", |bencher| {
        bencher.iter(|| {
            now += 0.5;
            arrived += 8 + arrived % 5;
            gateway.sources.values_mut().for_each(|source| source.arrived = arrived);
            let observation = Observation { gateways: vec![std::mem::take(&mut gateway)], devices: vec![] };
            drift.observe(now, black_box(&observation));
            gateway = observation.gateways.into_iter().next().expect("the one above");
        });
    });
    assert!(drift.take_events().is_empty(), "a steady load");
}

criterion_group!(benches, observe);
criterion_main!(benches);
