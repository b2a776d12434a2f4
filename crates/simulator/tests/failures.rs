//! Deadlines, retries and outages. Times by hand.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{
    PLENTY, assert_close, assert_jobs, assert_within, at, chain, core, failed, link, lost, model, model_chain,
};
use common::{
    keeping, ok, over, overflowed, poisson, policy, region, run, scheduled, segments, step, step_with_exit, trace,
};
use domain::Epoch;
use simulator::{
    Chain, Device, Discipline, Effort, Failure, Fate, JobRecord, Lane, Network, Outages, Overflow, Region, Retry,
    Source, simulate,
};
use std::num::NonZeroU32;

const DOWN: Fate = Fate::Failed(Failure::DeviceDown);
const UNREACHABLE: Fate = Fate::Failed(Failure::Unreachable);
const LATE: Fate = Fate::Failed(Failure::Deadline);

fn regions(budgets: &[u64]) -> Vec<Region> {
    budgets.iter().map(|&budget| region("memory", budget)).collect()
}

fn single(seconds: f64, budget: u64, source: Source) -> Network {
    Network {
        devices: vec![core()],
        regions: regions(&[budget]),
        chains: vec![chain(vec![step(0, 0, seconds)])],
        sources: vec![source],
        ..Network::default()
    }
}

fn within(deadline: f64, source: Source) -> Source {
    Source { deadline: Some(deadline), ..source }
}

fn retrying(attempts: u32, delay: f64, source: Source) -> Source {
    Source { retry: Some(Retry { attempts, delay }), ..source }
}

#[test]
fn a_late_answer_fails_and_a_late_job_is_dropped_when_its_turn_comes() {
    let network = single(2.0, 4, within(3.0, at(0, &[0.0, 0.0, 0.0, 3.5])));
    let rows = [
        (0, 0.0, 2.0, ok(0)),
        // Served from 2 to 4; the next two begin at 4, one of them too late to be served.
        (0, 0.0, 4.0, LATE),
        (0, 0.0, 4.0, LATE),
        (0, 3.5, 6.0, ok(0)),
    ];
    assert_jobs(&network, &rows);
    let report = run(&network);
    assert_close("utilization", report.devices[0].utilization.value, 1.0);
    let fates = &report.sources[0].fates;
    assert_eq!((fates.failure.value, fates.loss.value, fates.exits[0].value), (0.5, 0.0, 1.0));
    assert_eq!(
        report.sources[0].failed_by.iter().map(|f| (f.0.as_str(), f.1.value)).collect::<Vec<_>>(),
        [("deadline", 0.5)]
    );
}

#[test]
fn a_deadline_that_is_met_exactly_is_met() {
    assert_jobs(&single(0.3, 2, within(0.6, at(0, &[0.0, 0.0]))), &[(0, 0.0, 0.3, ok(0)), (0, 0.0, 0.6, ok(0))]);
    assert_jobs(&single(0.3, 2, within(0.59, at(0, &[0.0, 0.0]))), &[(0, 0.0, 0.3, ok(0)), (0, 0.0, 0.6, LATE)]);
}

#[test]
fn the_way_back_counts_for_the_deadline() {
    let mut network = single(1.0, 9, within(1.5, at(0, &[0.0])));
    network.links = vec![link(f64::INFINITY, 0.2, 0.3)];
    network.chains[0].steps[0] = over(0, 1, step(0, 0, 1.0));
    assert_jobs(&network, &[(0, 0.0, 1.5, ok(0))]);
    network.links[0].return_latency = 0.4;
    assert_eq!(common::jobs(&network)[0].fate, LATE);
}

#[test]
fn every_discipline_drops_late_jobs_without_service() {
    let lane = Lane { name: "lane".to_owned(), workers: 1, request: 1.0, limit: 1.0 };
    for discipline in [Discipline::Fcfs, Discipline::Hol, Discipline::Pods(vec![lane])] {
        let mut network = single(2.0, 9, within(3.0, at(0, &[0.0; 5])));
        network.devices[0].discipline = discipline;
        let rows = [2.0, 4.0, 4.0, 4.0, 4.0].map(|end| (0, 0.0, end, if end < 3.0 { ok(0) } else { LATE }));
        assert_jobs(&network, &rows);
    }
}

#[test]
fn a_lost_job_tries_again_and_its_latency_counts_from_the_first_attempt() {
    let network = single(2.0, 1, retrying(2, 1.0, at(0, &[0.0, 0.5])));
    assert_jobs(&network, &[(0, 0.0, 2.0, ok(0)), (0, 0.5, 4.5, ok(0))]);
    let report = run(&network);
    assert_eq!(report.run.arrivals, 2);
    let source = &report.sources[0];
    assert_close("response", source.fates.response.value, 3.0);
    assert_close("retries", source.retries.value, 1.0);
    assert_eq!((source.fates.loss.value, source.fates.failure.value), (0.0, 0.0));
    // Every attempt is an arrival of the chain.
    assert_close("loss of the chain", report.chains[0].fates.loss.value, 0.5);
}

#[test]
fn a_job_is_lost_when_its_attempts_are_used_up() {
    let network = single(9.0, 1, retrying(2, 1.0, at(0, &[0.0, 0.5])));
    assert_jobs(&network, &[(0, 0.0, 9.0, ok(0)), (0, 0.5, 2.5, lost(0))]);
    let report = run(&network);
    assert_close("retries", report.sources[0].retries.value, 1.0);
    assert_close("loss", report.sources[0].fates.loss.value, 0.5);
    let lost_at: f64 = report.sources[0].lost_at.iter().map(|place| place.1.value).sum();
    assert_close("sum over places of the source", lost_at, 0.5);
    let lost_at: f64 = report.chains[0].lost_at.iter().map(|place| place.1.value).sum();
    assert_close("sum over places of the chain", lost_at, 0.75);
}

#[test]
fn who_is_lost_at_a_later_step_begins_again() {
    let mut network = single(1.0, 9, retrying(1, 0.5, at(0, &[0.0, 1.0])));
    network.devices.push(core());
    network.regions.push(region("memory", 1));
    network.chains[0].steps.push(step(1, 1, 2.4));
    // The second one is lost at 2, begins again at 2.5 and is at the second device from 3.5.
    assert_jobs(&network, &[(0, 0.0, 3.4, ok(1)), (0, 1.0, 5.9, ok(1))]);
    // A hair earlier there is no room yet.
    network.chains[0].steps[1] = step(1, 1, 2.6);
    assert_jobs(&network, &[(0, 0.0, 3.6, ok(1)), (0, 1.0, 3.5, lost(1))]);
}

#[test]
fn a_job_that_would_try_again_too_late_has_failed() {
    let network = single(9.0, 1, within(9.0, retrying(20, 3.5, at(0, &[0.0, 0.5]))));
    // Attempts at 0.5, 4 and 7.5; at 11 it is too late.
    assert_jobs(&network, &[(0, 0.0, 9.0, ok(0)), (0, 0.5, 11.0, LATE)]);
    let report = run(&network);
    let fates = &report.sources[0].fates;
    assert_eq!((fates.loss.value, fates.failure.value), (0.0, 0.5));
}

#[test]
fn who_tries_again_is_the_same_sample() {
    let samples: Vec<Vec<(f32, bool)>> =
        (0..97u16).map(|sample| vec![(f32::from(sample) / 97.0, sample % 3 == 0), (1.0, sample % 5 > 0)]).collect();
    let times: Vec<f64> = (0..200).map(|job| f64::from(job) * 0.7).collect();
    let fates = |budget: u64, attempts: u32| -> Vec<Fate> {
        let network = Network {
            devices: vec![core()],
            regions: regions(&[budget]),
            models: vec![model(
                &[0, 1],
                &[0.5, 0.5],
                &[0.0, 0.0],
                &samples.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            )],
            chains: vec![model_chain(vec![segments(0, 0, 0, 1)])],
            schedulers: vec![keeping(&[0], policy(Epoch::Arrival, &[(1.0, 0, &[0.5])]))],
            sources: vec![retrying(attempts, 0.3, scheduled(trace(&times)))],
            ..Network::default()
        };
        let report = run(&network);
        assert_eq!(report.sources[0].retries.value > 0.5, attempts > 0);
        common::sorted(report.jobs).iter().map(|job| job.fate).collect()
    };
    assert_eq!(fates(PLENTY, 0), fates(1, 1000));
}

#[test]
fn retries_over_a_link_do_not_count_as_transit() {
    let mut network = single(2.0, 1, retrying(5, 1.0, at(0, &[0.0, 0.5])));
    network.links = vec![link(f64::INFINITY, 0.25, 0.0)];
    network.chains[0].steps[0] = over(0, 1, step(0, 0, 2.0));
    assert_jobs(&network, &[(0, 0.0, 2.25, ok(0)), (0, 0.5, 4.75, ok(0))]);
    assert_close("transit", run(&network).links[0].transit_time.value, 0.25);
}

/// Two devices, the second of which is down from 2 to 4.
fn outage(overflow: Overflow) -> Network {
    Network {
        devices: vec![
            Device { cores: 9.0, ..core() },
            Device { cores: 2.0, outages: Outages::At(vec![(2.0, 4.0)]), ..core() },
        ],
        regions: regions(&[PLENTY, 4]),
        chains: vec![Chain { overflow, ..chain(vec![step_with_exit(0, 0, 1.0), step(1, 1, 5.0)]) }],
        sources: vec![at(0, &[0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 2.5, 3.0, 3.1, 3.2])],
        ..Network::default()
    }
}

#[test]
fn what_a_device_holds_fails_when_it_goes_down_and_it_comes_back_empty() {
    let rows = [
        // Two in service, two waiting, one without room.
        (0, 0.0, 2.0, DOWN),
        (0, 0.1, 2.0, DOWN),
        (0, 0.2, 2.0, DOWN),
        (0, 0.3, 2.0, DOWN),
        (0, 0.9, 1.9, lost(1)),
        // Its service ends just before the outage begins, so that it still gets there: no room.
        (0, 1.0, 2.0, lost(1)),
        (0, 2.5, 3.5, UNREACHABLE),
        // It gets there before it is back.
        (0, 3.0, 4.0, UNREACHABLE),
        (0, 3.1, 9.1, ok(1)),
        (0, 3.2, 9.2, ok(1)),
    ];
    assert_jobs(&outage(Overflow::Drop), &rows);
    let report = run(&outage(Overflow::Drop));
    let reasons: Vec<_> = report.sources[0].failed_by.iter().map(|(why, share)| (why.as_str(), share.value)).collect();
    assert_eq!(reasons, [("unreachable", 0.2), ("device-down", 0.4)]);
}

#[test]
fn jobs_of_a_device_that_is_down_are_answered_with_their_last_exit() {
    let found = common::jobs(&outage(Overflow::AnswerWithLastExit));
    let wanted = [2.0, 2.0, 2.0, 2.0, 1.9, 2.0, 3.5, 4.0, 9.1, 9.2];
    for (job, end) in found.iter().zip(wanted) {
        assert_close("end", job.ended, end);
        assert_eq!(job.fate, if end > 9.0 { ok(1) } else { overflowed(0) }, "{job:?}");
    }
    assert_eq!(found.len(), 10);
}

#[test]
fn a_first_device_that_is_down_cannot_be_reached() {
    for (discipline, ends) in
        [(Discipline::Fcfs, [2.0, 6.0]), (Discipline::Ps, [2.0, 6.0]), (Discipline::Hol, [2.0, 6.0])]
    {
        let mut network = single(1.5, 9, at(0, &[1.0, 2.0, 3.9, 4.0, 4.5]));
        network.devices[0].discipline = discipline.clone();
        network.devices[0].outages = Outages::At(vec![(2.0, 4.0), (10.0, 11.0)]);
        let found = common::jobs(&network);
        let fates: Vec<Fate> = found.iter().map(|job| job.fate).collect();
        assert_eq!(fates, [DOWN, UNREACHABLE, UNREACHABLE, ok(0), ok(0)], "{discipline:?}");
        assert_close("the end of what was there", found[0].ended, ends[0]);
        let shared = discipline == Discipline::Ps;
        assert_close("the first after it", found[3].ended, if shared { 6.5 } else { 5.5 });
        assert_close("the second after it", found[4].ended, 7.0);
    }
}

#[test]
fn what_is_on_its_way_fails_with_either_end_and_the_link_goes_on() {
    let pair = |down: usize| {
        let mut network = Network {
            devices: vec![Device { cores: 9.0, ..core() }, Device { cores: 9.0, ..core() }, core()],
            regions: regions(&[PLENTY, PLENTY, PLENTY]),
            links: vec![link(1.0, 1.0, 0.0)],
            chains: vec![chain(vec![step(0, 0, 1.0), over(0, 2, step(1, 1, 1.0))])],
            sources: vec![at(0, &[0.0, 0.1, 0.2, 5.0])],
            ..Network::default()
        };
        network.devices[down].outages = Outages::At(vec![(3.5, 3.6)]);
        network
    };
    // Sent from 1 to 3, 3 to 5 and 5 to 7 (without an outage); the first is on its way until 4.
    let ends = |network: &Network| -> Vec<(f64, Fate)> {
        common::jobs(network).iter().map(|job| ((job.ended * 1e6).round() / 1e6, job.fate)).collect()
    };
    assert_eq!(ends(&pair(2)), [(5.0, ok(1)), (7.0, ok(1)), (9.0, ok(1)), (11.0, ok(1))]);
    // The receiver: two are on their way, and when the third's turn comes at once, it cannot be reached.
    assert_eq!(ends(&pair(1)), [(3.5, DOWN), (3.5, DOWN), (3.5, UNREACHABLE), (10.0, ok(1))]);
    // The sender: all are lost that have not arrived.
    assert_eq!(ends(&pair(0)), [(3.5, DOWN), (3.5, DOWN), (3.5, DOWN), (10.0, ok(1))]);
}

#[test]
fn memory_of_failed_jobs_is_free_again() {
    // Every outage takes one job in service, one on the link and one waiting with it; all room is needed again.
    let mut network = Network {
        devices: vec![core(), core()],
        regions: regions(&[3, 2]),
        links: vec![link(1.0, 0.5, 0.0)],
        chains: vec![chain(vec![step(0, 0, 0.1), over(0, 1, step(1, 1, 3.0))])],
        sources: vec![],
        ..Network::default()
    };
    let mut times = vec![];
    for round in 0..50 {
        times.extend([0.0, 0.2, 0.4].map(|offset| f64::from(round) * 10.0 + offset));
    }
    network.sources = vec![at(0, &times)];
    let windows = |offset: f64| {
        Outages::At((0..50).map(|round| (f64::from(round) * 10.0 + offset, f64::from(round) * 10.0 + 9.0)).collect())
    };
    for (device, offset) in [(1, 2.0), (0, 1.7), (1, 0.3), (0, 0.3), (0, 0.15), (1, 4.0)] {
        let mut network = network.clone();
        network.devices[device].outages = windows(offset);
        let found: Vec<JobRecord> = common::jobs(&network);
        let of_round =
            |round: usize| -> Vec<Fate> { found[3 * round..3 * round + 3].iter().map(|job| job.fate).collect() };
        for round in 1..50 {
            assert_eq!(of_round(round), of_round(0), "round {round}, device {device} at {offset}");
        }
    }
}

/// Two chains on a device each; the policy gives both the same share.
fn two_ways(outages: [Vec<(f64, f64)>; 2]) -> Network {
    Network {
        devices: outages.map(|windows| Device { outages: Outages::At(windows), ..core() }).into(),
        regions: regions(&[PLENTY, PLENTY]),
        chains: vec![chain(vec![step(0, 0, 0.001)]), chain(vec![step(1, 1, 0.001)])],
        schedulers: vec![keeping(&[0, 1], policy(Epoch::Arrival, &[(0.5, 0, &[]), (0.5, 1, &[])]))],
        sources: vec![scheduled(trace(&(0..300).map(|job| f64::from(job) + 0.5).collect::<Vec<_>>()))],
        ..Network::default()
    }
}

#[test]
fn a_scheduled_job_takes_another_chain_when_one_is_down() {
    let jobs = common::jobs(&two_ways([vec![(100.0, 200.0)], vec![(150.0, 250.0)]]));
    for job in &jobs {
        let wanted: &[Option<usize>] = match job.arrived {
            at if !(100.0..=250.0).contains(&at) => &[Some(0), Some(1)],
            at if at < 150.0 => &[Some(1)],
            at if at < 200.0 => &[None],
            _ => &[Some(0)],
        };
        assert!(wanted.contains(&job.chain), "{job:?}");
        assert_eq!(job.fate, if job.chain.is_some() { ok(0) } else { UNREACHABLE });
    }
    let early = jobs.iter().filter(|job| job.arrived < 100.0 && job.chain == Some(0)).count();
    assert!((30..70).contains(&early), "{early} of 100 for the first of two");
}

#[test]
fn a_job_without_a_chain_counts_as_failed() {
    let report = run(&two_ways([vec![(100.0, 200.0)], vec![(150.0, 250.0)]]));
    let fates = &report.sources[0].fates;
    assert_close("failure", fates.failure.value, 50.0 / 300.0);
    assert_close("throughput", fates.throughput.value, 250.0 / 299.5);
    let reasons: Vec<_> = report.sources[0].failed_by.iter().map(|(why, _)| why.as_str()).collect();
    assert_eq!(reasons, ["unreachable"]);
}

#[test]
fn if_no_chain_is_whole_one_is_taken_that_can_be_begun() {
    let mut network = two_ways([vec![], vec![(100.0, 200.0)]]);
    network.chains = vec![
        Chain { overflow: Overflow::AnswerWithLastExit, ..chain(vec![step_with_exit(0, 0, 0.1), step(1, 1, 0.001)]) },
        chain(vec![step(1, 1, 0.001)]),
    ];
    for job in common::jobs(&network).iter().filter(|job| (100.0..200.0).contains(&job.arrived)) {
        assert_eq!((job.chain, job.fate), (Some(0), overflowed(0)));
    }
}

#[test]
fn random_outages_take_their_share_of_time() {
    let mut network = single(0.0001, PLENTY, poisson(0, 10.0));
    network.devices[0].outages = Outages::Random { mean_up: 9.0, mean_down: 1.0 };
    let effort = Effort { replications: NonZeroU32::new(2), ..Effort::arrivals(5, 600_000) };
    let report = simulate(&network, &effort).expect("it is a network");
    let fates = &report.sources[0].fates;
    assert_within("failure", fates.failure, 0.1);
    assert!(fates.failure.ci99 < 0.01, "{:?}", fates.failure);
    assert_eq!(fates.loss.value, 0.0);
    assert!(failed(Failure::Unreachable) == UNREACHABLE);
}
