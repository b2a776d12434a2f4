//! Policies of all schedulers, run by the simulator as a gateway would run them, against exact predictions.

mod one_device;
#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

use domain::problem::{Burstiness, Chain, Device, Fragment, Hop, Model};
use domain::{Bytes, Epoch, FragmentRange, Learning, Measured, Plan, Policy, Problem, Seconds, Thresholds};
use one_device::{ROOM, problem};
use planner::single::modes::{self, Server, Worth};
use planner::single::tracking::{Tracker, Tracking, confidences};
use planner::single::{Station, Table, mixture, performance};
use planner::{ScheduleError, Scheduler, ThresholdSearch, epoch_of, retuned, schedule};
use simulator::{Effort, Fates};
use single_common::{model, published_model, saturation};
use std::sync::Arc;

const ARRIVALS: u64 = 400_000;

/// The published times without their variability, so that predictions are exact, and one table to choose and to judge
/// by.
fn exact_model() -> Arc<Model> {
    let model = Arc::unwrap_or_clone(published_model(1000));
    Arc::new(Model { varies: false, judge: model.choose.clone(), ..model })
}

fn simulated(problem: &Problem, policy: Policy) -> Fates {
    policy
        .check(problem.services[0].model.exits(), problem.services[0].model.segments())
        .expect("what the test sets up is sound");
    let network = simulator::problem::network(problem, &Plan { policies: vec![policy] });
    simulator::simulate(&network, &Effort::arrivals(7, ARRIVALS)).expect("what the test sets up is sound").sources[0]
        .fates
        .clone()
}

/// What the default mixture of a policy of one chain does at the forecast, exactly.
fn predicted(problem: &Problem, policy: &Policy) -> (f64, f64) {
    let model = &problem.services[0].model;
    let mut station = Station { capacity: ROOM, modes: vec![] };
    let mut mode = |thresholds: &Thresholds| {
        let known = station.modes.iter().position(|mode| mode.thresholds == *thresholds);
        known.unwrap_or_else(|| {
            let server = Server::whole(model, 1.0);
            station.modes.push(
                modes::mode(model, server, Worth::Accuracy, thresholds.clone())
                    .expect("what the test sets up is sound"),
            );
            station.modes.len() - 1
        })
    };
    let choices = policy.default.choices();
    let table = if choices[0].by_present.is_empty() {
        Table(vec![choices.iter().map(|choice| (choice.probability.get(), mode(&choice.thresholds))).collect()])
    } else {
        let lotteries = choices[0].by_present.iter();
        let mut draws = |lottery: &domain::Lottery| {
            lottery.draws().iter().map(|(share, thresholds)| (share.get(), mode(thresholds))).collect()
        };
        Table(lotteries.map(&mut draws).collect())
    };
    let rate = problem.services[0].sources[0].rate.get();
    let found = performance(&station.at(rate).expect("what the test sets up is sound"), &table);
    (found.loss, found.value)
}

fn schedulers() -> Vec<Scheduler> {
    vec![
        Scheduler::ExitFirst,
        Scheduler::ExitLast,
        Scheduler::Fixed(Thresholds::new(vec![0.8; 8]).expect("what the test sets up is sound")),
        Scheduler::Random,
        Scheduler::FixedDistribution(vec![0.5, 0.0, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0]),
        Scheduler::Knapsack { tracks_confidence: false },
        Scheduler::Knapsack { tracks_confidence: true },
        Scheduler::QueueingLP { approximate: false, tracks_confidence: false },
        Scheduler::QueueingLP { approximate: true, tracks_confidence: false },
        Scheduler::QueueingLP { approximate: false, tracks_confidence: true },
        Scheduler::DataDriven(ThresholdSearch::Direct),
        Scheduler::DataDriven(ThresholdSearch::Bayesian),
        Scheduler::SMDP,
    ]
}

#[test]
fn every_policy_does_at_the_forecast_what_the_embedded_chain_says() {
    let problem = problem(exact_model(), 3.0 * saturation(), Burstiness::Poisson);
    for scheduler in schedulers() {
        let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
        assert_eq!(policy.epoch, epoch_of(&scheduler));
        let (loss, accuracy) = predicted(&problem, &policy);
        let found = simulated(&problem, Policy { rates: None, ..policy });
        println!("{scheduler:?}: loss {loss} {:?}, accuracy {accuracy} {:?}", found.loss, found.accuracy);
        let near = |found: simulator::Estimate, want: f64| (found.value - want).abs() <= 1.3 * found.ci99 + 1e-4;
        assert!(near(found.loss, loss), "{scheduler:?}: loss {:?}, exact {loss}", found.loss);
        assert!(near(found.accuracy, accuracy), "{scheduler:?}: accuracy {:?}, exact {accuracy}", found.accuracy);
    }
}

#[test]
fn schedulers_with_a_target_keep_to_it_and_the_optimum_is_the_most_accurate() {
    let model = published_model(6000);
    let last = Thresholds::exit_last(9);
    println!("{} {}", model.choose.exits.evaluate(&last).accuracy(), model.judge.exits.evaluate(&last).accuracy());
    for load in [1.0, 3.0, 6.0] {
        let problem = problem(Arc::clone(&model), load * saturation(), Burstiness::Poisson);
        let run = |scheduler: &Scheduler| {
            simulated(&problem, schedule(scheduler, &problem, 0).expect("what the test sets up is sound"))
        };
        let smdp = run(&Scheduler::SMDP);
        let mixed = run(&Scheduler::QueueingLP { approximate: false, tracks_confidence: false });
        let packed = run(&Scheduler::Knapsack { tracks_confidence: false });
        let direct = run(&Scheduler::DataDriven(ThresholdSearch::Direct));
        for (name, fates) in [("SMDP", &smdp), ("mixture", &mixed), ("knapsack", &packed), ("direct", &direct)] {
            println!("load {load}, {name}: loss {:.4}, accuracy {:.4}", fates.loss.value, fates.accuracy.value);
        }
        // With rates as measured in a window, rounded up to rows.
        assert!(smdp.loss.value < 0.012 && mixed.loss.value < 0.02 && direct.loss.value < 0.02, "load {load}");
        // Thresholds are judged by samples that did not choose them: at light load all go far, and only noise is left.
        let gain = if load > 2.0 { 0.03 } else { -0.005 };
        assert!(smdp.accuracy.value > mixed.accuracy.value + gain, "load {load}");
        assert!(smdp.accuracy.value > packed.accuracy.value + gain, "load {load}");
        assert!(smdp.accuracy.value > direct.accuracy.value - 0.002, "load {load}");
    }
}

#[test]
fn tables_for_phases_lose_less_in_bursts_than_one_for_the_mean() {
    // A fifth of the time at ten times the rate of the rest.
    let burstiness = Burstiness::Phases { rates: [10.0 / 2.8, 1.0 / 2.8], switch: [0.2, 0.05] };
    let problem = problem(published_model(1000), saturation(), burstiness);
    let policy = |scheduler| schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
    let packed = policy(Scheduler::Knapsack { tracks_confidence: false }).rates.expect("there are arrivals");
    let Measured::Phases { rates: phases, switch } = packed.measured else { panic!("{:?}", packed.measured) };
    assert!(phases[0] < phases[1] && switch == [0.05, 0.2], "the slower one first: {phases:?} {switch:?}");
    assert_eq!(packed.rows.len(), 2);
    let policy = policy(Scheduler::SMDP);
    let believed = policy.rates.as_ref().expect("there are arrivals");
    assert_eq!(believed.measured, Measured::Belief { rates: phases, switch });
    let with = simulated(&problem, policy.clone());
    let without = simulated(&problem, Policy { rates: None, ..policy });
    println!("phases {:?} {:?}, mean rate {:?} {:?}", with.loss, with.accuracy, without.loss, without.accuracy);
    assert!(with.loss.value < 0.5 * without.loss.value, "{:?} {:?}", with.loss, without.loss);
}

#[test]
fn tracked_confidence_finds_out_which_exit_has_gone_bad() {
    // The second exit is good in the exit table, and unsure and wrong in what arrives.
    let rows = |second: f32, right: bool| {
        let confidence = (0..500).flat_map(|_| [0.6, second, 0.95]).collect();
        let wrong = |sample: u16, of_ten: u16| u16::from(sample % 10 >= of_ten);
        let second_right = if right { 9 } else { 2 };
        let prediction = (0..500).flat_map(|sample| [wrong(sample, 6), wrong(sample, second_right), wrong(sample, 10)]);
        domain::ExitTable::new(3, confidence, prediction.collect(), vec![0; 500])
            .expect("what the test sets up is sound")
    };
    let shifted = model(&[(0.1, 0.1), (0.1, 0.1), (0.3, 0.1)], 0.0, rows(0.9, true), rows(0.25, false));
    let problem = Arc::new(problem(shifted, 3.0, Burstiness::Poisson));
    let scheduler = Scheduler::QueueingLP { approximate: false, tracks_confidence: true };
    let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
    let fixed = simulated(&problem, policy.clone());
    let mut network = simulator::problem::network(&problem, &Plan { policies: vec![policy.clone()] });
    let shared = Arc::clone(&problem);
    network.schedulers[0].make = Arc::new(move |_| {
        let (problem, scheduler) = (Arc::clone(&shared), scheduler.clone());
        let tracker = Tracker::new(confidences(&problem.services[0].model));
        let retune = move |confidences: &[f64]| retuned(&scheduler, &problem, 0, confidences).ok();
        Box::new(Tracking::new(policy.clone(), tracker, Box::new(retune)))
    });
    let tracked = simulator::simulate(&network, &Effort::arrivals(7, ARRIVALS))
        .expect("what the test sets up is sound")
        .sources[0]
        .fates
        .clone();
    println!("fixed {:?} {:?}, tracked {:?} {:?}", fixed.loss, fixed.accuracy, tracked.loss, tracked.accuracy);
    assert!(tracked.accuracy.value > fixed.accuracy.value + 0.2, "{:?} {:?}", tracked.accuracy, fixed.accuracy);
    assert!(tracked.loss.value < 0.03, "{:?}", tracked.loss);
}

#[test]
fn retuned_values_change_what_is_chosen() {
    let problem = problem(exact_model(), 3.0 * saturation(), Burstiness::Poisson);
    let scheduler = Scheduler::QueueingLP { approximate: false, tracks_confidence: true };
    let used = |policy: &Policy, exit: usize| {
        let at = Thresholds::exit_at(9, exit);
        policy.default.choices().iter().filter(|choice| choice.thresholds == at).count()
    };
    // Only the first three exits are worth anything, the second most.
    let policy = retuned(&scheduler, &problem, 0, &[0.1, 0.9, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        .expect("what the test sets up is sound");
    assert_eq!((policy.default.choices().len(), used(&policy, 1)), (1, 1));
    let error = retuned(&scheduler, &problem, 0, &[0.5; 3]).unwrap_err();
    assert_eq!(error, ScheduleError::Exits { what: "confidences", given: 3, exits: 9 });
}

#[test]
fn learners_are_handed_to_the_gateway() {
    let problem = problem(published_model(500), 3.0 * saturation(), Burstiness::Poisson);
    let reactive = schedule(&Scheduler::Reactive, &problem, 0).expect("what the test sets up is sound");
    assert_eq!((reactive.epoch, &reactive.learning), (Epoch::Dispatch, &Some(Learning::Reactive)));
    for buffer_aware in [false, true] {
        let policy = schedule(&Scheduler::AdaEE { buffer_aware }, &problem, 0).expect("what the test sets up is sound");
        let Some(Learning::AdaEE(bandit)) = policy.learning.clone() else { panic!("{policy:?}") };
        assert_eq!(bandit.room, buffer_aware.then_some(ROOM as u32));
        let fates = simulated(&problem, policy);
        let last =
            simulated(&problem, schedule(&Scheduler::ExitLast, &problem, 0).expect("what the test sets up is sound"));
        println!("AdaEE {buffer_aware}: {:?} {:?}; exit last {:?}", fates.loss, fates.accuracy, last.loss);
        assert!(fates.loss.value < 0.5 * last.loss.value, "{:?} {:?}", fates.loss, last.loss);
        assert!(fates.accuracy.value > 0.6, "not the first exit only: {:?}", fates.accuracy);
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused() {
    let problem = problem(exact_model(), 1.0, Burstiness::Poisson);
    let refused = |scheduler: Scheduler| schedule(&scheduler, &problem, 0).unwrap_err();
    assert_eq!(refused(Scheduler::Auto), ScheduleError::Joint);
    assert!(matches!(refused(Scheduler::FixedDistribution(vec![1.0])), ScheduleError::Exits { given: 1, .. }));
    assert!(matches!(refused(Scheduler::FixedDistribution(vec![0.2; 9])), ScheduleError::Probabilities { .. }));
    assert!(matches!(refused(Scheduler::FixedDistribution(vec![f64::NAN; 9])), ScheduleError::Probabilities { .. }));
    assert!(matches!(refused(Scheduler::Fixed(Thresholds::exit_last(4))), ScheduleError::Exits { given: 4, .. }));
}

#[test]
fn chains_get_jobs_in_proportion_to_the_speed_of_their_bottleneck() {
    let mut problem = problem(exact_model(), 2.0, Burstiness::Poisson);
    // A second device, three times as fast, with the last segment only, behind a fragment of the first.
    let mut fast = problem.devices[0].clone();
    (fast.name, fast.speed) = ("box".to_owned(), 3.0);
    problem.devices.push(fast);
    let service = &mut problem.services[0];
    service.chains.push(Chain { name: "box".to_owned(), hops: vec![Hop { device: 1, fragment: 0, link: None }] });
    service.gateways[0].links.push(None);
    problem.check().expect("what the test sets up is sound");
    for scheduler in [Scheduler::SMDP, Scheduler::ExitLast, Scheduler::Random] {
        let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
        policy.check(9, 9).expect("what the test sets up is sound");
        let share = |chain: usize| -> f64 {
            let of_chain = policy.default.choices().iter().filter(|choice| choice.chain == chain);
            of_chain.map(|choice| choice.probability.get()).sum()
        };
        assert!((share(0) - 0.25).abs() < 1e-9 && (share(1) - 0.75).abs() < 1e-9, "{scheduler:?}");
    }
}

/// A second device and a third chain over both, whose fragments share devices with those of the others.
fn overlapping(rate: f64) -> Problem {
    let mut problem = problem(exact_model(), rate, Burstiness::Poisson);
    let whole = problem.devices[0].fragments[0].clone();
    problem.devices.push(Device { name: "box".to_owned(), speed: 1.8, ..problem.devices[0].clone() });
    let part =
        |first, last| Fragment { name: "part".to_owned(), range: FragmentRange { first, last }, ..whole.clone() };
    problem.devices[0].fragments.push(part(0, 4));
    problem.devices[1].fragments.push(part(5, 8));
    let hop = |device, fragment| Hop { device, fragment, link: None };
    let service = &mut problem.services[0];
    service.chains.push(Chain { name: "split".to_owned(), hops: vec![hop(0, 1), hop(1, 1)] });
    service.chains.push(Chain { name: "box".to_owned(), hops: vec![hop(1, 0)] });
    service.gateways[0].links.extend([None, None]);
    problem.check().expect("what the test sets up is sound");
    problem
}

#[test]
fn chains_that_overlap_are_balanced_and_keep_the_loss_target() {
    // Twice what both devices can run to the last exit.
    let problem = overlapping(2.0 * 2.8 / 0.805);
    for scheduler in schedulers() {
        let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
        let of = |chain: usize| -> f64 {
            let all = policy.default.choices().iter().filter(|choice| choice.chain == chain);
            all.map(|choice| choice.probability.get()).sum()
        };
        let shares = [of(0), of(1), of(2)];
        assert!(shares[1] == 0.0 && (shares[0] - 1.0 / 2.8).abs() < 2e-3, "{scheduler:?}: {shares:?}");
        let has_target = !matches!(scheduler, Scheduler::ExitLast | Scheduler::Fixed(_) | Scheduler::Random)
            && !matches!(scheduler, Scheduler::FixedDistribution(_));
        let loss = simulated(&problem, policy).loss.value;
        // Knapsack has no target; at the gateway the queues of both chains share one memory, of which each is given a part.
        assert!(!has_target || loss < 0.02, "{scheduler:?} loses {loss}");
    }
}

#[test]
fn chains_that_meet_on_one_fragment_share_the_jobs() {
    // Two small devices in front of one: as in the example fashion-mnist.
    let mut problem = problem(exact_model(), 2.0, Burstiness::Poisson);
    let whole = problem.devices[0].fragments[0].clone();
    let part = |first, last| Fragment { range: FragmentRange { first, last }, ..whole.clone() };
    problem.devices[0].fragments = vec![part(0, 3)];
    problem.devices.push(Device { name: "pi-2".to_owned(), ..problem.devices[0].clone() });
    problem.devices.push(Device { name: "box".to_owned(), fragments: vec![part(4, 8)], ..problem.devices[0].clone() });
    let hop = |device| Hop { device, fragment: 0, link: None };
    let chain = |name: &str, first| Chain { name: name.to_owned(), hops: vec![hop(first), hop(2)] };
    problem.services[0].chains = vec![chain("left", 0), chain("right", 1)];
    problem.services[0].gateways[0].links = vec![None, None];
    problem.check().expect("what the test sets up is sound");
    let lp = Scheduler::QueueingLP { approximate: false, tracks_confidence: false };
    let policy = schedule(&lp, &problem, 0).expect("what the test sets up is sound");
    let left = policy.default.choices().iter().filter(|choice| choice.chain == 0);
    let share: f64 = left.map(|choice| choice.probability.get()).sum();
    assert!((share - 0.5).abs() < 1e-3, "{share}");
    let loss = simulated(&problem, policy).loss.value;
    assert!(loss < 0.012, "loses {loss}");
}

#[test]
fn chains_that_get_no_jobs_are_no_error_in_bursts() {
    let mut problem = overlapping(2.0);
    problem.services[0].sources[0].burstiness = Burstiness::Phases { rates: [0.5, 4.0], switch: [0.05, 0.3] };
    for scheduler in schedulers() {
        let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
        policy.check(9, 9).expect("what the test sets up is sound");
    }
}

#[test]
fn the_way_of_answers_counts_where_jobs_wait_in_the_gateway() {
    // A fifth of the time of the whole network for each round trip.
    let mut problem = problem(exact_model(), 2.0 / 0.805, Burstiness::Poisson);
    problem.services[0].gateways[0].turnaround = Seconds::new(0.16).expect("it is a time");
    for scheduler in [Scheduler::Knapsack { tracks_confidence: false }, Scheduler::SMDP] {
        let fates = simulated(&problem, schedule(&scheduler, &problem, 0).expect("what the test sets up is sound"));
        assert!(fates.loss.value < 0.011, "{scheduler:?} loses {}", fates.loss.value);
        let mut unaware = problem.clone();
        unaware.services[0].gateways[0].turnaround = Seconds::ZERO;
        let policy = schedule(&scheduler, &unaware, 0).expect("what the test sets up is sound");
        let worse = simulated(&problem, policy).loss.value;
        assert!(worse > 2.0 * fates.loss.value, "{scheduler:?}: {worse} without knowing it");
    }
}

#[test]
fn audits_take_their_part_of_the_device() {
    let mut problem = problem(exact_model(), 2.0 / 0.805, Burstiness::Poisson);
    problem.services[0].audit = domain::Probability::new(0.1).expect("it is one");
    let lp = Scheduler::QueueingLP { approximate: false, tracks_confidence: false };
    for scheduler in [lp, Scheduler::DataDriven(ThresholdSearch::Direct), Scheduler::SMDP] {
        let aware = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
        let mut without = problem.clone();
        without.services[0].audit = domain::Probability::new(0.0).expect("it is one");
        let unaware = schedule(&scheduler, &without, 0).expect("what the test sets up is sound");
        let unaware = domain::Policy { audit: aware.audit, ..unaware };
        let (loss, worse) = (simulated(&problem, aware).loss.value, simulated(&problem, unaware).loss.value);
        assert!(loss < 0.011, "{scheduler:?} loses {loss}");
        assert!(worse > 1.5 * loss, "{scheduler:?}: {worse} without knowing of them");
    }
}

#[test]
fn several_fragments_are_seen_as_their_slowest_one() {
    let mut problem = problem(exact_model(), 2.0, Burstiness::Poisson);
    let all = problem.devices[0].fragments[0].clone();
    // The second fragment has the last two segments, more than half of all time.
    problem.devices[0].fragments[0].range = FragmentRange { first: 0, last: 6 };
    let rest = Fragment { range: FragmentRange { first: 7, last: 8 }, ..all };
    problem.devices.push(Device { name: "box".to_owned(), fragments: vec![rest], ..problem.devices[0].clone() });
    problem.services[0].chains[0].hops.push(Hop { device: 1, fragment: 0, link: None });
    problem.check().expect("what the test sets up is sound");
    // Half of the load is too much for the last exit on one device, and no matter for early exits on the second one.
    let lp = Scheduler::QueueingLP { approximate: false, tracks_confidence: false };
    let policy = schedule(&lp, &problem, 0).expect("what the test sets up is sound");
    policy.check(9, 9).expect("what the test sets up is sound");
    let model = &problem.services[0].model;
    let server = Server { range: FragmentRange { first: 7, last: 8 }, speed: 1.0, turnaround: 0.0, audit: 0.0 };
    let station = Station {
        capacity: ROOM,
        modes: modes::exits(model, server, Worth::Accuracy).expect("what the test sets up is sound"),
    };
    let best = mixture::best(&station.at(2.0).expect("what the test sets up is sound"), 0.009);
    let shares: Vec<f64> = policy.default.choices().iter().map(|choice| choice.probability.get()).collect();
    assert_eq!(shares, best.shares.iter().map(|share| share.0).collect::<Vec<_>>());
}

#[test]
fn no_arrivals_and_tiny_memory_are_no_error() {
    let mut problem = problem(published_model(200), 0.0, Burstiness::Poisson);
    problem.services[0].gateways[0].memory_budget = Bytes(0);
    problem.devices[0].fragments[0].memory_budget = Bytes(1);
    for scheduler in schedulers().into_iter().chain([Scheduler::Reactive, Scheduler::AdaEE { buffer_aware: true }]) {
        let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
        policy.check(9, 9).expect("what the test sets up is sound");
        assert!(policy.rates.is_none(), "{scheduler:?}");
    }
}
