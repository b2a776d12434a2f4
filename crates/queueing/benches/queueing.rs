//! What the formulas cost: the exact stations at the capacities of devices and of byte budgets, and the decomposition
//! that a placement search calls ten thousands of times.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use queueing::decomposition::{Chain, Discipline, Network, Station, Step, Workspace};
use queueing::map::ArrivalProcess;
use queueing::{ArrivalCounts, Law, Service, map, mg1k};

fn single_stations(criterion: &mut Criterion) {
    let constant: Service = Law::deterministic(1.0).expect("positive").into();
    let log_normal: Service = Law::log_normal(1.0, 0.05).expect("positive").into();
    let exit = |time| (0.5, Law::deterministic(time).expect("positive"));
    let mixture = Service::new([exit(0.3), exit(1.7)]).expect("sums to one");
    for capacity in [11, 50, 2000] {
        for (name, service) in [("constant", &constant), ("two exits", &mixture), ("log-normal", &log_normal)] {
            criterion.bench_function(&format!("M/G/1/{capacity}, {name}"), |bencher| {
                bencher.iter(|| mg1k::solve(black_box(0.95), service, capacity));
            });
        }
    }
    let counts = ArrivalCounts::new(0.95, &mixture, 11).expect("in range");
    criterion.bench_function("M/G/1/11, loss from counts", |bencher| {
        bencher.iter(|| mg1k::loss(black_box(&counts)));
    });
    let arrivals = ArrivalProcess::mmpp([1.6, 0.1], [0.05, 0.075]).expect("in range");
    criterion.bench_function("MMPP/G/1/50, constant", |bencher| {
        bencher.iter(|| map::solve(black_box(&arrivals), &constant, 50));
    });
}

/// Three chains of six steps on `stations` stations, all busy; `turn` makes them lead in circles.
fn network(stations: usize, turn: bool, service_scv: f64) -> Network {
    let station =
        |index: usize| Station { capacity: 50 - 5 * (index % 10), cores: 1, discipline: Discipline::FirstCome };
    let step = |chain: usize, position: usize| {
        let position_on_way = if turn && chain == 1 { 5 - position } else { position };
        Step {
            station: (position_on_way + chain * 6) % stations,
            mean_service: 0.6 + 0.05 * (position + chain) as f64,
            service_scv,
            exit_probability: if position == 5 { 1.0 } else { 0.05 },
        }
    };
    let chain = |chain: usize| Chain {
        rate: 0.5 + 0.1 * chain as f64,
        arrival_scv: 1.0,
        steps: (0..6).map(|position| step(chain, position)).collect(),
    };
    let stations: Vec<Station> = (0..stations).map(station).collect();
    let chains: Vec<Chain> = (0..3).map(chain).collect();
    Network::new(&stations, &chains).expect("in range")
}

fn decomposition(criterion: &mut Criterion) {
    let rows = [
        ("18 stations", network(18, false, 0.0)),
        ("10 stations, circles", network(10, true, 0.0)),
        ("10 stations, circles, exponential", network(10, true, 1.0)),
        ("6 stations, circles", network(6, true, 0.0)),
    ];
    for (name, network) in rows {
        let mut workspace = Workspace::new();
        criterion.bench_function(&format!("decomposition of 3 chains of 6, {name}"), |bencher| {
            bencher.iter(|| workspace.evaluate(black_box(&network)));
        });
        println!("{} sweeps", workspace.sweeps());
    }
}

criterion_group!(benches, single_stations, decomposition);
criterion_main!(benches);
