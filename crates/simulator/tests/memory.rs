//! Who fits: memory in bytes, handover, overflow, blocking. Times by hand.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::step_with_exit;
use common::{
    PLENTY, assert_close, assert_jobs, at, chain, core, device, link, lost, ok, over, overflowed, region, run, step,
};
use simulator::{Chain, Discipline, Handover, Network, Overflow, Region, Step};

const HANDOVERS: [Handover; 2] = [Handover::ReleaseFirst, Handover::ReserveFirst];

fn regions(budgets: &[u64]) -> Vec<Region> {
    budgets.iter().enumerate().map(|(number, &budget)| region(&format!("region {number}"), budget)).collect()
}

fn holds(memory: u64, after: u64, step: Step) -> Step {
    Step { memory, memory_after: after, ..step }
}

#[test]
fn chains_that_share_a_region_add_up_in_bytes() {
    let sized = |device: usize, bytes: u64, seconds: f64| chain(vec![holds(bytes, bytes, step(device, 0, seconds))]);
    let network = Network {
        devices: vec![core(), core(), core()],
        regions: regions(&[10]),
        chains: vec![sized(0, 6, 2.0), sized(1, 4, 1.0), sized(2, 1, 1.0)],
        sources: vec![at(0, &[0.0, 1.7, 2.0]), at(1, &[0.5, 2.1]), at(2, &[1.0, 1.6, 2.2])],
        ..Network::default()
    };
    let rows = [
        (0, 0.0, 2.0, ok(0)),
        (1, 0.5, 1.5, ok(0)),
        (2, 1.0, 1.0, lost(0)),
        (2, 1.6, 2.6, ok(0)),
        (0, 1.7, 1.7, lost(0)),
        (0, 2.0, 4.0, ok(0)),
        // 6 + 1 + 4 are too many, 6 + 1 + 1 are not.
        (1, 2.1, 2.1, lost(0)),
        (2, 2.2, 3.6, ok(0)),
    ];
    assert_jobs(&network, &rows);
}

#[test]
fn a_job_needs_room_in_its_own_region_and_in_that_of_the_device() {
    let both = |own: usize| chain(vec![Step { regions: vec![own, 2], ..step(0, 0, 10.0) }]);
    let network = Network {
        devices: vec![device(9.0, Discipline::Fcfs)],
        regions: regions(&[2, 2, 3]),
        chains: vec![both(0), both(1)],
        sources: vec![at(0, &[0.0, 0.1, 0.2]), at(1, &[0.3, 0.4, 10.0])],
        ..Network::default()
    };
    let rows = [
        (0, 0.0, 10.0, ok(0)),
        (0, 0.1, 10.1, ok(0)),
        (0, 0.2, 0.2, lost(0)),
        (1, 0.3, 10.3, ok(0)),
        (1, 0.4, 0.4, lost(0)),
        (1, 10.0, 20.0, ok(0)),
    ];
    assert_jobs(&network, &rows);
}

#[test]
fn a_job_that_holds_no_memory_is_never_lost() {
    let network = Network {
        devices: vec![core()],
        chains: vec![chain(vec![Step { regions: vec![], ..step(0, 0, 1.0) }])],
        sources: vec![at(0, &[0.0; 5])],
        ..Network::default()
    };
    assert_jobs(&network, &[1.0, 2.0, 3.0, 4.0, 5.0].map(|end| (0, 0.0, end, ok(0))));
}

#[test]
fn after_service_a_job_holds_only_what_it_takes_along() {
    // The link takes 5 s for each job.
    let network = |after: u64| Network {
        devices: vec![core(), core()],
        regions: regions(&[3, PLENTY]),
        links: vec![link(1.0, 0.0, 0.0)],
        chains: vec![chain(vec![holds(2, after, step(0, 0, 1.0)), over(0, 5, step(1, 1, 0.5))])],
        sources: vec![at(0, &[0.0, 1.5, 3.0, 6.0])],
        ..Network::default()
    };
    let rows = [(0, 0.0, 6.5, ok(1)), (0, 1.5, 11.5, ok(1)), (0, 3.0, 3.0, lost(0)), (0, 6.0, 16.5, ok(1))];
    assert_jobs(&network(1), &rows);
    let rows = [(0, 0.0, 6.5, ok(1)), (0, 1.5, 1.5, lost(0)), (0, 3.0, 3.0, lost(0)), (0, 6.0, 12.5, ok(1))];
    assert_jobs(&network(2), &rows);
    let rows = [(0, 0.0, 6.5, ok(1)), (0, 1.5, 11.5, ok(1)), (0, 3.0, 16.5, ok(1)), (0, 6.0, 21.5, ok(1))];
    assert_jobs(&network(0), &rows);
}

#[test]
fn inside_one_region_only_the_difference_is_asked_for() {
    // The second step needs 3 of 3 bytes, 2 of which the job has.
    let network = |handover: Handover, other: f64| Network {
        devices: vec![core(), core(), core()],
        regions: regions(&[3]),
        chains: vec![
            chain(vec![holds(2, 2, step(0, 0, 1.0)), holds(3, 3, step(1, 0, 1.0))]),
            chain(vec![step(2, 0, 0.5)]),
        ],
        sources: vec![at(0, &[0.0]), at(1, &[other, 2.0])],
        handover,
        ..Network::default()
    };
    for handover in HANDOVERS {
        let rows = [(0, 0.0, 2.0, ok(1)), (1, 0.4, 0.9, ok(0)), (1, 2.0, 2.5, ok(0))];
        assert_jobs(&network(handover, 0.4), &rows);
        let rows = [(0, 0.0, 1.0, lost(1)), (1, 0.7, 1.2, ok(0)), (1, 2.0, 2.5, ok(0))];
        assert_jobs(&network(handover, 0.7), &rows);
    }
}

#[test]
fn a_job_that_is_lost_has_freed_what_it_held() {
    for handover in HANDOVERS {
        let network = Network {
            devices: vec![core(), core()],
            regions: regions(&[1, 1]),
            chains: vec![chain(vec![step(0, 0, 1.0), step(1, 1, 3.0)])],
            sources: vec![at(0, &[0.0, 1.0, 2.0, 3.5])],
            handover,
            ..Network::default()
        };
        let rows = [(0, 0.0, 4.0, ok(1)), (0, 1.0, 2.0, lost(1)), (0, 2.0, 3.0, lost(1)), (0, 3.5, 7.5, ok(1))];
        assert_jobs(&network, &rows);
    }
}

/// Upstream devices with their services, each with `room` places, then one device with one place.
fn blocking(upstream: &[(f64, u64)], last: f64, jobs: &[&[f64]]) -> Network {
    let end = upstream.len();
    let mut network = Network {
        devices: (0..=end).map(|_| core()).collect(),
        regions: upstream.iter().map(|&(_, room)| region("upstream", room)).chain([region("last", 1)]).collect(),
        sources: jobs.iter().enumerate().map(|(chain, times)| at(chain, times)).collect(),
        ..Network::default()
    };
    for (device, &(seconds, _)) in upstream.iter().enumerate() {
        network.chains.push(blocks(vec![step(device, device, seconds), step(end, end, last)]));
    }
    network
}

fn blocks(steps: Vec<Step>) -> Chain {
    Chain { overflow: Overflow::BlockAfterService, ..chain(steps) }
}

#[test]
fn a_blocked_job_keeps_its_core_until_there_is_room() {
    let rows = [(0, 0.0, 4.0, ok(1)), (0, 0.0, 7.0, ok(1)), (0, 0.0, 10.0, ok(1))];
    assert_jobs(&blocking(&[(1.0, 3)], 3.0, &[&[0.0, 0.0, 0.0]]), &rows);
    // It keeps its memory, too. At the first step nobody waits for memory.
    let rows = [(0, 0.0, 4.0, ok(1)), (0, 1.0, 7.0, ok(1)), (0, 3.0, 3.0, lost(0)), (0, 4.0, 10.0, ok(1))];
    assert_jobs(&blocking(&[(1.0, 1)], 3.0, &[&[0.0, 1.0, 3.0, 4.0]]), &rows);
}

#[test]
fn a_blocked_core_is_not_busy() {
    let mut network = blocking(&[(1.0, 3)], 3.0, &[&[0.0, 0.0, 0.0]]);
    // Somewhere else a job arrives and ends when the last one ends, so that the run is 10 s long.
    network.devices.push(core());
    network.regions.push(region("elsewhere", 1));
    network.chains.push(chain(vec![step(2, 2, 0.0)]));
    network.sources.push(at(1, &[10.0]));
    let report = run(&network);
    assert_close("utilization of the first", report.devices[0].utilization.value, 0.3);
    assert_close("utilization of the last", report.devices[1].utilization.value, 0.9);
    assert_close("jobs at the first", report.devices[0].mean_jobs.value, 1.2);
    assert_close("residence at the first", report.chains[0].steps[0].residence_time.value, 4.0);
    assert_close("residence at the last", report.chains[0].steps[1].residence_time.value, 3.0);
    assert_close("served by the first", report.chains[0].steps[0].served_rate.value, 0.3);
}

#[test]
fn unblocking_is_in_the_order_of_blocking() {
    // The last device is taken from 0 to 5; the second job to arrive is the first to be blocked.
    let mut network = blocking(&[(2.0, 1), (1.0, 1)], 3.0, &[&[0.0], &[0.5]]);
    network.chains.push(blocks(vec![step(2, 2, 5.0)]));
    network.sources.push(at(2, &[0.0, 5.0]));
    let rows = [
        (0, 0.0, 11.0, ok(1)),
        (2, 0.0, 5.0, ok(0)),
        (1, 0.5, 8.0, ok(1)),
        // Its memory goes to who waits for it, not to who arrives.
        (2, 5.0, 5.0, lost(0)),
    ];
    assert_jobs(&network, &rows);
}

#[test]
fn of_two_cores_one_may_be_blocked() {
    let mut network = blocking(&[(1.0, 4)], 2.0, &[&[0.0; 4]]);
    network.devices[0].cores = 2.0;
    assert_jobs(&network, &[3.0, 5.0, 7.0, 9.0].map(|end| (0, 0.0, end, ok(1))));
}

#[test]
fn blocking_cascades_over_three_devices() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let at_place = |place: usize, seconds: f64| step(order[place], order[place], seconds);
        let mut budgets = [0; 3];
        for (place, budget) in [4, 1, 1].into_iter().enumerate() {
            budgets[order[place]] = budget;
        }
        let network = Network {
            devices: vec![core(), core(), core()],
            regions: regions(&budgets),
            chains: vec![blocks(vec![at_place(0, 1.0), at_place(1, 1.5), at_place(2, 5.0)])],
            sources: vec![at(0, &[0.0; 4])],
            ..Network::default()
        };
        // The first is at the third device from 2.5 to 7.5. The second waits for it at the second device, the third for
        // the second at the first.
        assert_jobs(&network, &[7.5, 12.5, 17.5, 22.5].map(|end| (0, 0.0, end, ok(2))));
        assert_close(
            "residence at the first",
            run(&network).chains[0].steps[0].residence_time.value,
            (1.0 + 2.5 + 7.5 + 12.5) / 4.0,
        );
    }
}

#[test]
fn priority_goes_on_behind_a_blocked_core() {
    let mut network = blocking(&[(1.0, 4)], 3.0, &[&[0.0, 0.0, 0.1]]);
    network.devices[0].discipline = Discipline::Hol;
    network.chains[0].priority = 1;
    network.chains.push(Chain { priority: 0, ..network.chains[0].clone() });
    network.sources.push(at(1, &[0.2]));
    let rows = [(0, 0.0, 4.0, ok(1)), (0, 0.0, 10.0, ok(1)), (0, 0.1, 13.0, ok(1)), (1, 0.2, 7.0, ok(1))];
    assert_jobs(&network, &rows);
}

/// A chain whose last device is full from 0.2 to 5.2.
fn overflowing(first: Vec<Step>, overflow: Overflow) -> Network {
    let last = step(2, 1, 5.0);
    Network {
        devices: vec![core(), core(), core()],
        regions: regions(&[PLENTY, 1]),
        chains: vec![Chain { overflow, ..chain(first.into_iter().chain([last.clone()]).collect()) }, chain(vec![last])],
        sources: vec![at(1, &[0.2]), at(0, &[1.0])],
        ..Network::default()
    }
}

#[test]
fn a_job_without_room_is_answered_with_the_last_exit_evaluated() {
    use Overflow::{AnswerWithLastExit, Drop};
    let (with, without) = (step_with_exit, step);
    let rows = [
        (vec![with(0, 0, 0.5)], AnswerWithLastExit, overflowed(0)),
        (vec![without(0, 0, 0.5)], AnswerWithLastExit, lost(1)),
        (vec![with(0, 0, 0.5)], Drop, lost(1)),
        (vec![with(0, 0, 0.2), with(1, 0, 0.3)], AnswerWithLastExit, overflowed(1)),
        (vec![with(0, 0, 0.2), without(1, 0, 0.3)], AnswerWithLastExit, overflowed(0)),
        (vec![without(0, 0, 0.2), without(1, 0, 0.3)], AnswerWithLastExit, lost(2)),
        // At the first step nothing has been evaluated.
        (vec![], AnswerWithLastExit, lost(0)),
    ];
    for (first, overflow, fate) in rows {
        for handover in HANDOVERS {
            let ended = if first.is_empty() { 1.0 } else { 1.5 };
            let network = Network { handover, ..overflowing(first.clone(), overflow) };
            assert_jobs(&network, &[(0, 0.2, 5.2, ok(0)), (1, 1.0, ended, fate)]);
        }
    }
}

#[test]
fn answers_on_overflow_count_as_answers_of_their_exit() {
    let mut network = overflowing(vec![step_with_exit(0, 0, 0.5)], Overflow::AnswerWithLastExit);
    network.sources[1] = at(0, &[1.0, 2.0, 3.0, 6.0]);
    let report = run(&network);
    let fates = &report.sources[1].fates;
    let found = [fates.loss, fates.failure, fates.answered_on_overflow, fates.exits[0], fates.exits[1]];
    assert_eq!(found.map(|share| share.value), [0.0, 0.0, 0.75, 0.75, 0.25]);
    assert_close("response", fates.response.value, (3.0 * 0.5 + 5.5) / 4.0);
    assert!(report.sources[1].lost_at.is_empty());
}

#[test]
fn losses_are_reported_at_the_region_that_was_full() {
    let mut network = overflowing(vec![step(0, 0, 0.5)], Overflow::Drop);
    network.sources[1] = at(0, &[1.0, 2.0, 6.0, 6.1]);
    let report = run(&network);
    let places: Vec<(&str, f64)> =
        report.sources[1].lost_at.iter().map(|(at, share)| (at.as_str(), share.value)).collect();
    assert_eq!(places, [("region 1", 0.75)]);
    assert_eq!(report.chains[0].fates.loss.value, 0.75);
}
