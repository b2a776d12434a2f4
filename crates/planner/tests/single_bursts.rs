//! SMDP where jobs arrive in bursts: model against simulation, limits, and the loss target with the filter of the gateway.

mod burst_models;
mod one_device;
#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

use burst_models::{ceed, fashion, problem};
use domain::{EvaluationEffort, Measured, Plan, Policy, Problem, Seconds, Thresholds};
use one_device::LOSS_TARGET;
use planner::single::bursts::{BELIEFS, Bursts, Course, Phased, on_target, optimum, predicted};
use planner::single::{Mode, Station, performance, smdp};
use planner::{Budget, Method, Request, Scheduler, plan, schedule, settle, with_rate_table};
use queueing::{Law, map};
use simulator::{Effort, Fates, Simulation};
use single_common::{published_station, saturation};
use std::num::NonZeroU32;
use std::time::Instant;

fn simulated(problem: &Problem, policy: Policy, seed: u64, arrivals: u64) -> Fates {
    let network = simulator::problem::network(problem, &Plan { policies: vec![policy] });
    let effort = Effort::arrivals(seed, arrivals);
    simulator::simulate(&network, &effort).expect("what the test sets up is sound").sources[0].fates.clone()
}

fn planned(scheduler: &Scheduler, problem: &Problem) -> Policy {
    let policy = schedule(scheduler, problem, 0).expect("what the test sets up is sound");
    let model = &problem.services[0].model;
    policy.check(model.exits(), model.segments()).expect("what the test sets up is sound");
    policy
}

/// A fifth of the time at ten times the rate of the rest, 40 arrivals per burst.
fn bursts(rate: f64) -> Bursts {
    let low = rate / 2.8;
    Bursts { rates: [low, 10.0 * low], switch: [low / 16.0, low / 4.0] }
}

fn phased(station: &Station, bursts: Bursts) -> Phased<'_> {
    Phased::new(station, bursts).expect("what the test sets up is sound")
}

#[test]
fn equal_phases_give_the_table_of_poisson_arrivals_whatever_is_believed() {
    let station = published_station(10);
    for load in [0.7, 1.0, 3.0, 5.0] {
        let rate = load * saturation();
        let rated = station.at(rate).expect("what the test sets up is sound");
        for penalty in [0.2, 1.0, 30.0] {
            let plain = smdp::optimal(&rated, penalty, None);
            let phased = phased(&station, Bursts { rates: [rate, rate], switch: [0.05, 0.2] });
            let found = optimum(&phased, penalty);
            for (belief, row) in found.chunks(10).enumerate() {
                assert_eq!(row, plain.modes, "load {load}, penalty {penalty}, belief {belief}");
            }
            let (with, without) =
                (predicted(&phased, &found), performance(&rated, &planner::single::Table::of(&plain.modes)));
            assert!((with.loss / without.loss - 1.0).abs() < 1e-9, "{with:?} {without:?}");
            assert!((with.value - without.value).abs() < 1e-9 && (with.utilization - without.utilization).abs() < 1e-9);
        }
    }
}

#[test]
fn phases_that_hardly_ever_end_have_the_tables_of_their_rates() {
    let station = published_station(8);
    let rates = [0.5, 3.0].map(|load| load * saturation());
    let found = optimum(&phased(&station, Bursts { rates, switch: [1e-6, 1e-6] }), 1.0);
    for (rate, row) in rates.into_iter().zip([&found[..8], &found[(BELIEFS - 1) * 8..]]) {
        let alone = smdp::optimal(&station.at(rate).expect("what the test sets up is sound"), 1.0, None);
        assert_eq!(row, alone.modes, "rate {rate}");
    }
}

#[test]
fn one_mode_everywhere_loses_what_the_queue_of_its_arrivals_loses() {
    for (load, capacity, scv) in [(0.4, 10, 0.0), (0.8, 5, 0.3), (1.5, 20, 1.0), (6.0, 10, 0.2), (0.3, 1, 0.5)] {
        let service: queueing::Service = Law::gamma(1.0, scv).expect("what the test sets up is sound").into();
        let mode = Mode { thresholds: Thresholds::exit_last(1), value: 0.7, service: service.clone() };
        let station = Station { capacity, modes: vec![mode] };
        let bursts = bursts(load);
        let found = predicted(&phased(&station, bursts), &vec![0; capacity * BELIEFS]);
        let process = map::ArrivalProcess::mmpp(bursts.rates, bursts.switch).expect("what the test sets up is sound");
        let exact = map::solve(&process, &service, capacity).expect("what the test sets up is sound").metrics;
        // Beliefs that are shared among neighbours keep their mean, which is all that the next phase depends on.
        assert!((found.loss / exact.loss - 1.0).abs() < 1e-9, "load {load}: {found:?} {exact:?}");
        assert!((found.value - 0.7).abs() < 1e-12);
        assert!((found.utilization - exact.utilization).abs() < 1e-9, "load {load}: {found:?} {exact:?}");
    }
}

#[test]
fn the_model_says_of_a_table_what_the_filter_of_the_gateway_makes_of_it() {
    let station = published_station(10);
    for load in [1.0, 3.0, 6.0] {
        let bursts = bursts(load * saturation());
        let phased = phased(&station, bursts);
        let found = on_target(&phased, &Course::new(bursts, 3), 0.01);
        println!("load {load}: {:?} {:?}", found.predicted, found.measured);
        assert!(found.is_met && found.measured.loss > 0.005, "{:?}", found.measured);
        let again = Course::new(bursts, 4).measure(&phased, &found.table);
        // Two courses of six thousand bursts each.
        assert!((again.loss / found.measured.loss - 1.0).abs() < 0.2, "{again:?} {:?}", found.measured);
        assert!((found.predicted.loss / found.measured.loss - 1.0).abs() < 0.2, "{:?} {:?}", found.predicted, again);
        assert!((found.predicted.value - again.value).abs() < 0.01, "{:?} {again:?}", found.predicted);
    }
}

#[test]
fn the_same_course_gives_the_same_table() {
    let station = published_station(6);
    let bursts = bursts(2.0 * saturation());
    let find = || on_target(&phased(&station, bursts), &Course::new(bursts, 1), 0.01);
    assert_eq!(find(), find());
}

#[test]
fn losses_in_bursts_keep_to_the_target_where_that_is_possible() {
    for (model, loads) in [(ceed(), [0.5, 2.0, 5.0, 8.0]), (fashion(), [0.5, 0.75, 1.0, 1.5])] {
        for load in loads {
            let problem = problem(&model, load);
            let policy = planned(&Scheduler::SMDP, &problem);
            let found = simulated(&problem, policy, 7, 400_000);
            println!("{} load {load}: {:?} {:?}", model.name, found.loss, found.accuracy);
            assert!(found.loss.value <= LOSS_TARGET, "{} load {load}: {:?}", model.name, found.loss);
        }
    }
}

#[test]
fn what_cannot_be_served_loses_no_more_than_exit_first() {
    let model = fashion();
    for load in [2.0, 5.0] {
        let problem = problem(&model, load);
        let loss = |scheduler| simulated(&problem, planned(&scheduler, &problem), 7, 200_000).loss.value;
        let (ours, least) = (loss(Scheduler::SMDP), loss(Scheduler::ExitFirst));
        assert!(least > 2.0 * LOSS_TARGET && ours <= least * 1.001, "load {load}: {ours} {least}");
    }
}

#[test]
fn in_bursts_nothing_within_the_target_is_more_accurate() {
    let model = ceed();
    for load in [1.5, 6.0] {
        let problem = problem(&model, load);
        let run = |scheduler| simulated(&problem, planned(&scheduler, &problem), 7, 200_000);
        let ours = run(Scheduler::SMDP);
        assert!(ours.loss.value <= 1.1 * LOSS_TARGET, "load {load}: {:?}", ours.loss);
        for other in [
            Scheduler::ExitFirst,
            Scheduler::Knapsack { tracks_confidence: false },
            Scheduler::QueueingLP { approximate: false, tracks_confidence: false },
            Scheduler::DataDriven(planner::ThresholdSearch::Direct),
            Scheduler::DataDriven(planner::ThresholdSearch::Bayesian),
            Scheduler::AdaEE { buffer_aware: false },
            Scheduler::AdaEE { buffer_aware: true },
        ] {
            let theirs = run(other.clone());
            println!("load {load}, {other:?}: {:.4} {:.4}", theirs.loss.value, theirs.accuracy.value);
            let is_within = theirs.loss.value <= 1.1 * LOSS_TARGET;
            assert!(!is_within || ours.accuracy.value > theirs.accuracy.value, "load {load}: {other:?} is better");
        }
    }
}

#[test]
fn rows_tell_what_is_believed() {
    let problem = problem(&ceed(), 3.0);
    let table = planned(&Scheduler::SMDP, &problem).rates.expect("there are arrivals");
    let Measured::Belief { rates, .. } = table.measured else { panic!("{:?}", table.measured) };
    assert!(table.rows.len() > 2, "{}", table.rows.len());
    assert!((table.rows.last().expect("there are rows").up_to - rates[1]).abs() < 1e-12);
    assert!(table.rows.is_sorted_by(|one, other| one.up_to < other.up_to));
}

/// As in the evaluation: SMDP is a rival, and a table over rates is settled with it.
fn auto(problem: &Problem) -> Policy {
    let rival = Plan { policies: vec![planned(&Scheduler::SMDP, problem)] };
    let rate = problem.services[0].sources[0].rate.get();
    let request = Request {
        problem,
        incumbent: None,
        rivals: std::slice::from_ref(&rival),
        fixed: &[],
        referee: &Simulation::default(),
        effort: EvaluationEffort {
            seed: 5,
            replications: NonZeroU32::new(8).expect("above 0"),
            arrivals: 40_000,
            stop: None,
        },
        budget: Budget { evaluations: Some(5_000), stop: None, ..Budget::default() },
        method: Method::default(),
    };
    let found = plan(&request).plan;
    if found == rival {
        return found.policies[0].clone();
    }
    let ratios: Vec<f64> = (-7..=7).map(|row| 2f64.powf(3.0 * f64::from(row) * f64::from(row).abs() / 49.0)).collect();
    let window = Seconds::new((50.0 / rate).max(1.0)).expect("a time");
    let tabled = with_rate_table(&request, &found, &ratios, window).plan;
    let settled = settle(&request, &tabled).plan;
    settled.policies[0].clone()
}

#[test]
#[ignore = "prints the table of docs/design/schedulers.md"]
fn table_of_auto() {
    for model in [ceed(), fashion()] {
        for load in [0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0] {
            let problem = problem(&model, load);
            let begin = Instant::now();
            let policy = auto(&problem);
            let took = begin.elapsed();
            let is_rival = policy == planned(&Scheduler::SMDP, &problem);
            let found = simulated(&problem, policy, 7, 400_000);
            println!(
                "{} load {load}: Auto {}, loss {:.2} %, accuracy {:.2} %, {took:.1?}",
                model.name,
                if is_rival { "takes SMDP" } else { "takes a mixture" },
                100.0 * found.loss.value,
                100.0 * found.accuracy.value,
            );
        }
    }
}

#[test]
#[ignore = "prints the table of docs/design/schedulers.md"]
fn table_over_loads() {
    for model in [ceed(), fashion()] {
        for load in [0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0] {
            let problem = problem(&model, load);
            let begin = Instant::now();
            let policy = planned(&Scheduler::SMDP, &problem);
            let took = begin.elapsed();
            let rows = policy.rates.as_ref().map_or(0, |table| table.rows.len());
            let found = simulated(&problem, policy, 7, 400_000);
            println!(
                "{} load {load}: loss {:.2} % ± {:.2}, accuracy {:.2} %, {rows} rows, {took:.1?}",
                model.name,
                100.0 * found.loss.value,
                100.0 * found.loss.ci99,
                100.0 * found.accuracy.value,
            );
        }
    }
}
