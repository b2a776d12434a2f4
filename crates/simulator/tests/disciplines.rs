//! Who is served when: times by hand.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{assert_close, chain, device, every, jobs, region, run_for, step};
use simulator::{Chain, Device, Discipline, Handover, Lane, Network, Step};

/// A job: arrival, work, and priority or lane.
type Row = (f64, f64, usize);

/// One device; every job has a chain and a source of its own.
fn station(device: Device, rows: &[Row]) -> Network {
    let is_pods = matches!(device.discipline, Discipline::Pods(_));
    let chains = rows.iter().map(|&(_, work, kind)| Chain {
        priority: if is_pods { 0 } else { kind as u32 },
        ..chain(vec![Step { lane: if is_pods { kind } else { 0 }, ..step(0, 0, work) }])
    });
    Network {
        devices: vec![device],
        regions: vec![region("memory", common::PLENTY)],
        chains: chains.collect(),
        sources: rows.iter().enumerate().map(|(chain, row)| common::at(chain, &[row.0])).collect(),
        ..Network::default()
    }
}

/// Rows of a job and when it ends.
#[track_caller]
fn assert_ends(device: Device, rows: &[(Row, f64)]) {
    let network = station(device, &rows.iter().map(|row| row.0).collect::<Vec<_>>());
    let mut found = jobs(&network);
    found.sort_by_key(|job| job.source);
    let ends: Vec<f64> = found.iter().map(|job| job.ended).collect();
    assert_eq!(ends.len(), rows.len(), "{ends:?}");
    for (job, ((row, wanted), end)) in rows.iter().zip(&ends).enumerate() {
        assert_close(&format!("end of job {job} {row:?} of {ends:?}"), *end, *wanted);
    }
}

fn lane(workers: u32, request: f64, limit: f64) -> Lane {
    Lane { name: "lane".to_owned(), workers, request, limit }
}

fn pods(cores: f64, lanes: &[Lane]) -> Device {
    device(cores, Discipline::Pods(lanes.to_vec()))
}

const NO_LIMIT: f64 = f64::INFINITY;

#[test]
fn fcfs_serves_in_the_order_of_arrival() {
    assert_ends(
        common::core(),
        &[((0.0, 3.0, 0), 3.0), ((1.0, 1.0, 0), 4.0), ((2.0, 1.0, 0), 5.0), ((9.0, 1.0, 0), 10.0)],
    );
}

#[test]
fn fcfs_with_two_cores_gives_the_next_job_the_core_that_is_free_first() {
    let rows = [((0.0, 3.0, 0), 3.0), ((0.0, 1.0, 0), 1.0), ((0.5, 1.0, 0), 2.0), ((0.6, 2.0, 0), 4.0)];
    assert_ends(device(2.0, Discipline::Fcfs), &rows);
}

#[test]
fn fcfs_and_hol_do_not_look_at_what_they_are_not_for() {
    assert_ends(common::core(), &[((0.0, 2.0, 5), 2.0), ((0.5, 1.0, 5), 3.0), ((1.0, 1.0, 0), 4.0)]);
}

#[test]
fn speed_shortens_service() {
    for discipline in [Discipline::Fcfs, Discipline::Hol, Discipline::Ps] {
        assert_ends(Device { speed: 2.0, ..device(1.0, discipline) }, &[((0.0, 3.0, 0), 1.5)]);
    }
    assert_ends(Device { speed: 0.5, ..pods(1.0, &[lane(1, 1.0, NO_LIMIT)]) }, &[((1.0, 3.0, 0), 7.0)]);
}

#[test]
fn ps_shares_one_core_evenly() {
    assert_ends(device(1.0, Discipline::Ps), &[((0.0, 3.0, 0), 4.0), ((1.0, 1.0, 0), 3.0)]);
    // Three at once, then two, then one.
    let rows = [((0.0, 1.0, 0), 3.0), ((0.0, 2.0, 0), 5.0), ((0.0, 3.0, 0), 6.0), ((10.0, 1.0, 0), 11.0)];
    assert_ends(device(1.0, Discipline::Ps), &rows);
}

#[test]
fn ps_gives_no_job_more_than_a_core() {
    let two = || device(2.0, Discipline::Ps);
    assert_ends(two(), &[((0.0, 2.0, 0), 2.0)]);
    assert_ends(two(), &[((0.0, 2.0, 0), 3.0), ((0.0, 2.0, 0), 3.0), ((0.0, 4.0, 0), 5.0)]);
}

#[test]
fn hol_serves_the_most_urgent_and_interrupts_nobody() {
    let rows = [((0.0, 2.0, 7), 2.0), ((0.5, 1.0, 7), 4.0), ((0.6, 1.0, 7), 5.0), ((1.0, 1.0, 3), 3.0)];
    assert_ends(device(1.0, Discipline::Hol), &rows);
    let rows = [((0.0, 2.0, 1), 2.0), ((0.0, 3.0, 1), 3.0), ((0.5, 1.0, 1), 4.0), ((1.0, 1.0, 0), 3.0)];
    assert_ends(device(2.0, Discipline::Hol), &rows);
    let rows = [((0.0, 1.0, 0), 1.0), ((0.1, 1.0, 2), 4.0), ((0.2, 1.0, 1), 3.0), ((0.3, 1.0, 0), 2.0)];
    assert_ends(device(1.0, Discipline::Hol), &rows);
}

#[test]
fn pods_divide_a_core_by_requests() {
    let device = pods(1.0, &[lane(1, 1.0, NO_LIMIT), lane(1, 3.0, NO_LIMIT)]);
    // Three quarters for the second lane until 1, then all for the first.
    assert_ends(device, &[((0.0, 1.0, 0), 1.75), ((0.0, 0.75, 1), 1.0)]);
}

#[test]
fn pods_divide_anew_when_a_lane_becomes_busy() {
    let device = pods(1.0, &[lane(1, 1.0, NO_LIMIT), lane(1, 1.0, NO_LIMIT)]);
    assert_ends(device, &[((0.0, 2.0, 0), 2.5), ((1.0, 0.5, 1), 2.0), ((5.0, 1.0, 1), 6.0)]);
}

#[test]
fn a_lane_alone_gets_the_least_of_cores_workers_and_limit() {
    let two_at_once = |first: f64, second: f64| [((0.0, 2.0, 0), first), ((0.0, 2.0, 0), second)];
    let rows = [
        (2.0, lane(1, 1.0, NO_LIMIT), two_at_once(2.0, 4.0)),
        (2.0, lane(2, 1.0, NO_LIMIT), two_at_once(2.0, 2.0)),
        (4.0, lane(2, 1.0, NO_LIMIT), two_at_once(2.0, 2.0)),
        (2.0, lane(2, 1.0, 1.0), two_at_once(4.0, 4.0)),
        (2.0, lane(2, 1.0, 1.5), two_at_once(8.0 / 3.0, 8.0 / 3.0)),
        (2.0, lane(1, 1.0, 0.5), two_at_once(4.0, 8.0)),
        (0.5, lane(1, 1.0, NO_LIMIT), two_at_once(4.0, 8.0)),
        (0.5, lane(2, 0.1, NO_LIMIT), two_at_once(8.0, 8.0)),
    ];
    for (cores, lane, rows) in rows {
        // Another lane that has nothing to do takes nothing.
        assert_ends(pods(cores, &[lane, self::lane(9, 9.0, NO_LIMIT)]), &rows);
    }
}

#[test]
fn three_jobs_in_a_lane_share_two_cores() {
    let rows = [((0.0, 2.0, 0), 3.0), ((0.0, 2.0, 0), 3.0), ((0.0, 2.0, 0), 3.0)];
    assert_ends(pods(2.0, &[lane(3, 1.0, NO_LIMIT)]), &rows);
}

#[test]
fn a_lane_is_first_come_first_served() {
    let rows = [((0.0, 1.0, 0), 1.0), ((0.1, 5.0, 0), 6.0), ((0.2, 1.0, 0), 7.0)];
    assert_ends(pods(1.0, &[lane(1, 1.0, NO_LIMIT)]), &rows);
    // The third one takes the place of the first; the second goes on.
    let rows = [((0.0, 1.0, 0), 1.0), ((0.0, 5.0, 0), 5.0), ((0.2, 1.0, 0), 2.0)];
    assert_ends(pods(2.0, &[lane(2, 1.0, NO_LIMIT)]), &rows);
}

#[test]
fn what_a_capped_lane_leaves_goes_to_the_others() {
    // 2 cores at 3 : 1 : 1. The first lane has a limit of 0.5; of the other 1.5 each gets 0.75, in the second lane for two.
    let device = pods(2.0, &[lane(1, 3.0, 0.5), lane(2, 1.0, NO_LIMIT), lane(2, 1.0, NO_LIMIT)]);
    let rows = [((0.0, 1.0, 0), 2.0), ((0.0, 1.5, 1), 2.75), ((0.0, 1.5, 1), 2.75), ((0.0, 1.5, 2), 2.0)];
    assert_ends(device, &rows);
}

#[test]
fn a_lane_may_be_capped_only_by_what_another_leaves() {
    // 3 cores at 1 : 1 : 1. The limit of 0.2 leaves 1.4 for each of the others; one has only one job, so 1.8 for the last.
    let device = pods(3.0, &[lane(1, 1.0, 0.2), lane(1, 1.0, NO_LIMIT), lane(3, 1.0, NO_LIMIT)]);
    let rows =
        [((0.0, 1.0, 0), 5.0), ((0.0, 4.0, 1), 4.0), ((0.0, 1.2, 2), 2.0), ((0.0, 1.2, 2), 2.0), ((0.0, 1.2, 2), 2.0)];
    assert_ends(device, &rows);
}

/// One region of one place for the whole way: each job holds it until the next arrives.
fn tandem(gap: f64, services: &[f64]) -> Network {
    Network {
        devices: services.iter().map(|_| common::core()).collect(),
        regions: vec![region("memory", 1)],
        chains: vec![chain(services.iter().enumerate().map(|(device, &seconds)| step(device, 0, seconds)).collect())],
        sources: vec![every(0, gap)],
        ..Network::default()
    }
}

#[test]
fn a_departure_comes_before_an_arrival_at_the_same_time() {
    for discipline in
        [Discipline::Fcfs, Discipline::Hol, Discipline::Ps, Discipline::Pods(vec![lane(1, 1.0, NO_LIMIT)])]
    {
        let mut network = tandem(1.0, &[1.0]);
        network.devices[0].discipline = discipline;
        let report = run_for(&network, 10_000);
        assert_eq!(report.chains[0].fates.loss.value, 0.0, "{:?}", network.devices[0].discipline);
        network.chains[0].steps[0] = step(0, 0, 1.000_001);
        assert_close("loss", run_for(&network, 10_000).chains[0].fates.loss.value, 0.5);
    }
}

#[test]
fn decimals_coincide_as_on_paper() {
    let rows: [(f64, &[f64]); 6] = [
        (0.3, &[0.1, 0.2]),
        (0.7, &[0.3, 0.4]),
        (1.1, &[0.4, 0.5, 0.2]),
        (0.001, &[0.0007, 0.0003]),
        (12.3, &[12.1, 0.2]),
        (0.9, &[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
    ];
    for (gap, services) in rows {
        for handover in [Handover::ReleaseFirst, Handover::ReserveFirst] {
            let network = Network { handover, ..tandem(gap, services) };
            let fates = &run_for(&network, 20_000).chains[0].fates;
            assert_eq!(fates.loss.value, 0.0, "{gap} {services:?}");
            assert_close("response", fates.response.value, gap);
        }
    }
}

#[test]
fn a_recorded_lattice_coincides_too() {
    let times: Vec<f64> = (0..10_000).map(|job| f64::from(job) * 0.3).collect();
    let network = Network { sources: vec![common::at(0, &times)], ..tandem(0.3, &[0.1, 0.2]) };
    assert_eq!(common::run(&network).chains[0].fates.loss.value, 0.0);
}
