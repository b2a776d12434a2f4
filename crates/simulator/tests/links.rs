//! Links: transmission, latency, what is held meanwhile. Times by hand.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{
    PLENTY, assert_close, assert_jobs, at, chain, device, link, lost, ok, over, overflowed, region, run, step,
};
use common::{step_with_exit, trace};
use simulator::{Chain, Device, Discipline, Network, Overflow, Region, Routing, Step};

fn plenty(devices: usize) -> Vec<Region> {
    (0..devices).map(|_| region("memory", PLENTY)).collect()
}

fn wide() -> Device {
    device(9.0, Discipline::Fcfs)
}

/// Two devices, and a link between them that sends 10 bytes per second.
fn pair(transfers: &[u64], budget: u64) -> Network {
    Network {
        devices: vec![wide(), wide()],
        regions: vec![region("sender", PLENTY), region("receiver", budget)],
        links: vec![link(10.0, 0.5, 0.25)],
        chains: transfers.iter().map(|&bytes| chain(vec![step(0, 0, 1.0), over(0, bytes, step(1, 1, 1.0))])).collect(),
        ..Network::default()
    }
}

#[test]
fn a_link_sends_one_job_at_a_time_and_then_delays_it() {
    let mut network = pair(&[20], PLENTY);
    network.sources = vec![at(0, &[0.0, 0.0, 6.0])];
    let rows = [(0, 0.0, 4.75, ok(1)), (0, 0.0, 6.75, ok(1)), (0, 6.0, 10.75, ok(1))];
    assert_jobs(&network, &rows);
    let report = run(&network);
    let steps = &report.chains[0].steps;
    assert_close("residence without the link", steps[0].residence_time.value, 1.0);
    assert_close("residence behind the link", steps[1].residence_time.value, 1.0);
    assert_close("transit", report.links[0].transit_time.value, (2.5 + 4.5 + 2.5) / 3.0);
    assert_close("response", report.chains[0].fates.response.value, (4.75 + 6.75 + 4.75) / 3.0);
    // The last service ends at 10.5.
    assert_close("length of the run", report.run.seconds, 10.5);
    assert_close("utilization", report.links[0].utilization.value, 6.0 / 10.5);
}

#[test]
fn the_latency_of_one_job_is_no_obstacle_to_the_next() {
    let mut network = pair(&[1], PLENTY);
    network.links = vec![link(10.0, 5.0, 0.0)];
    network.sources = vec![at(0, &[0.0, 0.0, 0.0])];
    assert_jobs(&network, &[7.1, 7.2, 7.3].map(|end| (0, 0.0, end, ok(1))));
}

#[test]
fn an_infinite_bandwidth_costs_no_time() {
    let mut network = pair(&[u64::MAX], PLENTY);
    network.links = vec![link(f64::INFINITY, 0.0, 0.0)];
    network.sources = vec![at(0, &[0.0, 0.0])];
    assert_jobs(&network, &[(0, 0.0, 2.0, ok(1)); 2]);
}

#[test]
fn two_chains_queue_for_one_link_in_the_order_in_which_they_come() {
    let mut network = pair(&[20, 10], PLENTY);
    network.sources = vec![at(0, &[0.0, 0.2]), at(1, &[0.1])];
    // Sent 1 to 3, 3 to 4, 4 to 6.
    let rows = [(0, 0.0, 4.75, ok(1)), (1, 0.1, 5.75, ok(1)), (0, 0.2, 7.75, ok(1))];
    assert_jobs(&network, &rows);
}

#[test]
fn an_answer_pays_the_way_back_over_the_links_it_came_by() {
    // Who leaves where is a matter of chance, but not when: 1, 3.1 or 5.3 after it has arrived.
    let leaves = |p: f64, step: Step| Step { exit_probability: p, ..step };
    let network = Network {
        devices: vec![wide(), wide(), wide()],
        regions: plenty(3),
        links: vec![link(f64::INFINITY, 1.0, 0.1), link(f64::INFINITY, 1.0, 0.2)],
        chains: vec![chain(vec![
            leaves(0.3, step(0, 0, 1.0)),
            over(0, 1, leaves(0.5, step(1, 1, 1.0))),
            over(1, 1, step(2, 2, 1.0)),
        ])],
        sources: vec![at(0, &(0..300).map(|job| f64::from(job) * 10.0).collect::<Vec<_>>())],
        ..Network::default()
    };
    let mut seen = [0; 3];
    for job in common::jobs(&network) {
        let exit = (0..3).find(|&exit| job.fate == ok(exit)).expect("nobody is lost");
        seen[exit] += 1;
        assert_close("latency", job.ended - job.arrived, [1.0, 3.1, 5.3][exit]);
    }
    assert!(seen.iter().all(|&jobs| jobs > 60), "{seen:?}");
}

#[test]
fn the_link_to_the_first_step_counts_too() {
    let mut network = pair(&[20], PLENTY);
    network.chains = vec![chain(vec![over(0, 20, step(1, 1, 1.0))])];
    network.sources = vec![at(0, &[0.0, 0.0, 10.0])];
    assert_jobs(&network, &[(0, 0.0, 3.75, ok(0)), (0, 0.0, 5.75, ok(0)), (0, 10.0, 13.75, ok(0))]);
    assert_close("transit", run(&network).links[0].transit_time.value, (2.5 + 4.5 + 2.5) / 3.0);
}

#[test]
fn memory_at_the_receiver_is_held_from_the_start_of_transmission() {
    let mut network = pair(&[20], 1);
    // Sent from 1 to 3, there from 3.5 to 4.5; others come to the receiver directly.
    network.chains.push(chain(vec![step(1, 1, 0.1)]));
    network.sources = vec![at(0, &[0.0]), at(1, &[0.85, 1.1, 3.2, 4.4, 4.5])];
    let rows = [
        (0, 0.0, 4.75, ok(1)),
        (1, 0.85, 0.95, ok(0)),
        (1, 1.1, 1.1, lost(0)),
        (1, 3.2, 3.2, lost(0)),
        (1, 4.4, 4.4, lost(0)),
        (1, 4.5, 4.6, ok(0)),
    ];
    assert_jobs(&network, &rows);
}

#[test]
fn a_job_that_is_refused_does_not_occupy_the_link() {
    // The third chain leads to another region over the same link.
    let mut network = pair(&[20, 20, 20], 1);
    network.regions.push(region("other", PLENTY));
    network.chains[2].steps[1].regions = vec![2];
    network.sources = vec![at(0, &[0.0]), at(1, &[0.1, 0.2]), at(2, &[0.3])];
    // When the first has been sent, at 3, the receiver has no room for two jobs, and the last one's turn has come.
    let rows = [(0, 0.0, 4.75, ok(1)), (1, 0.1, 3.0, lost(1)), (1, 0.2, 3.0, lost(1)), (2, 0.3, 6.75, ok(1))];
    assert_jobs(&network, &rows);
    let report = run(&network);
    assert_close("utilization", report.links[0].utilization.value, 4.0 / report.run.seconds);
    // Transit is that of those who were sent.
    assert_close("transit", report.links[0].transit_time.value, (2.5 + 4.2) / 2.0);
}

#[test]
fn the_sender_holds_its_memory_until_the_last_byte_is_there() {
    let mut network = pair(&[20], PLENTY);
    network.regions[0].budget = 1;
    network.sources = vec![at(0, &[0.0, 3.0, 3.4, 3.5])];
    let rows = [(0, 0.0, 4.75, ok(1)), (0, 3.0, 3.0, lost(0)), (0, 3.4, 3.4, lost(0)), (0, 3.5, 8.25, ok(1))];
    assert_jobs(&network, &rows);
}

#[test]
fn a_refused_job_is_answered_over_the_links_it_has_passed_only() {
    let refused = |first: Vec<Step>| Network {
        devices: vec![wide(), wide(), wide()],
        regions: vec![region("memory", PLENTY), region("memory", PLENTY), region("full", 1)],
        links: vec![link(10.0, 0.0, 0.1), link(10.0, 0.0, 0.2)],
        chains: vec![
            Chain {
                overflow: Overflow::AnswerWithLastExit,
                ..chain(first.into_iter().chain([over(1, 10, step(2, 2, 1.0))]).collect())
            },
            chain(vec![step(2, 2, 99.0)]),
        ],
        sources: vec![at(1, &[0.0]), at(0, &[1.0])],
        ..Network::default()
    };
    let occupied = (0, 0.0, 99.0, ok(0));
    let one = refused(vec![step_with_exit(0, 0, 1.0)]);
    assert_jobs(&one, &[occupied, (1, 1.0, 2.0, overflowed(0))]);
    let two = refused(vec![step_with_exit(0, 0, 1.0), over(0, 10, step_with_exit(1, 1, 1.0))]);
    assert_jobs(&two, &[occupied, (1, 1.0, 4.1, overflowed(1))]);
    // The answer is that of the first exit, but the job is at the second device.
    let two = refused(vec![step_with_exit(0, 0, 1.0), over(0, 10, step(1, 1, 1.0))]);
    assert_jobs(&two, &[occupied, (1, 1.0, 4.1, overflowed(0))]);
}

/// A region of 3 that both ends of the link share. A job has 2 at the sender and needs 3 at the receiver.
#[test]
fn a_link_inside_one_region_asks_for_the_difference_only() {
    let with = |memory: u64, step: Step| Step { memory, memory_after: memory, ..step };
    let network = Network {
        devices: vec![wide(), wide(), wide()],
        regions: vec![region("memory", 3)],
        links: vec![link(1.0, 0.0, 0.0)],
        chains: vec![
            chain(vec![with(2, step(0, 0, 1.0)), over(0, 2, with(3, step(1, 0, 1.0)))]),
            chain(vec![step(2, 0, 0.1)]),
        ],
        // The first fills the region from 1 to 4.
        sources: vec![at(0, &[0.0]), at(1, &[0.5, 1.5, 3.5, 4.0])],
        ..Network::default()
    };
    let rows = [
        (0, 0.0, 4.0, ok(1)),
        (1, 0.5, 0.6, ok(0)),
        (1, 1.5, 1.5, lost(0)),
        (1, 3.5, 3.5, lost(0)),
        (1, 4.0, 4.1, ok(0)),
    ];
    assert_jobs(&network, &rows);
}

#[test]
fn a_deadline_that_passes_on_the_way_to_the_link_ends_the_job_there() {
    let mut network = pair(&[20], PLENTY);
    network.sources = vec![simulator::Source {
        deadline: Some(4.9),
        ..common::source(trace(&[0.0, 0.0, 0.0, 0.0]), Routing::Mixture(vec![(0, 1.0)]))
    }];
    // The first is sent from 1 to 3, the second from 3 to 5. It arrives at 5.5, too late to be served; at 5 it is too late
    // for the others to be sent.
    let late = common::failed(simulator::Failure::Deadline);
    let rows = [(0, 0.0, 4.75, ok(1)), (0, 0.0, 5.0, late), (0, 0.0, 5.0, late), (0, 0.0, 5.5, late)];
    assert_jobs(&network, &rows);
    let report = run(&network);
    // Only one was served there, for 1 s until 4.75.
    assert_close("utilization of the receiver", report.devices[1].utilization.value, 1.0 / 9.0 / report.run.seconds);
    assert_close("utilization of the link", report.links[0].utilization.value, 4.0 / report.run.seconds);
}
