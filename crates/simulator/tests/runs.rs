//! How runs begin and end, what is random in them, and what is watched meanwhile.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{
    PLENTY, assert_close, assert_within, at, chain, core, device, every, law_step, model, model_chain, ok, once,
};
use common::{keeping, poisson, policy, region, run, run_for, scheduled, segments, source, step, trace};
use domain::Epoch;
use simulator::{
    Arrivals, Control, Controller, Counts, Discipline, Effort, Ended, Fate, JobRecord, Law, Network, Precision,
    Progress, Report, Routing, Source, View, simulate,
};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// One core that all jobs visit.
fn single(law: Law, budget: u64, sources: Vec<Source>) -> Network {
    Network {
        devices: vec![core()],
        regions: vec![region("memory", budget)],
        chains: vec![chain(vec![law_step(0, 0, law)])],
        sources,
        ..Network::default()
    }
}

fn of(arrivals: Arrivals) -> Source {
    source(arrivals, Routing::Mixture(vec![(0, 1.0)]))
}

fn laws() -> Vec<(Law, f64, f64)> {
    let empirical: Arc<[f64]> = [1.0, 1.0, 4.0].into();
    vec![
        // law, mean, squared coefficient of variation
        (Law::Deterministic(0.7), 0.7, 0.0),
        (Law::Exponential { mean: 0.5 }, 0.5, 1.0),
        (Law::Erlang { mean: 2.0, phases: 4 }, 2.0, 0.25),
        // 0.3 · 3 + 0.7 · 0.2 = 1.04; second moment 2 · (0.3 · 9 + 0.7 · 0.04) = 5.456.
        (Law::Hyperexponential { probs: vec![0.3, 0.7], means: vec![3.0, 0.2] }, 1.04, 5.456 / (1.04 * 1.04) - 1.0),
        (Law::LogNormal { mean: 1.5, scv: 0.3 }, 1.5, 0.3),
        // Variance 4 / 12.
        (Law::Uniform { low: 1.0, high: 3.0 }, 2.0, 1.0 / 12.0),
        // Mean 2, variance (1 + 1 + 4) / 3.
        (Law::Empirical(empirical), 2.0, 0.5),
    ]
}

fn mean_and_scv(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n / (mean * mean))
}

/// Records of the first jobs of a run without an end, in the order of arrival.
fn recorded(network: &Network, jobs: usize) -> Vec<JobRecord> {
    let effort =
        Effort { replications: NonZeroU32::new(1), trace: jobs, threads: 1, ..Effort::arrivals(9, jobs as u64) };
    common::sorted(simulate(network, &effort).expect("it is a network").jobs)
}

#[test]
fn services_have_the_mean_and_variability_of_their_law() {
    for (law, mean, scv) in laws() {
        assert_close("mean by the formula", law.mean(), mean);
        // Nobody waits: as many cores as there are jobs.
        let mut network = single(law.clone(), PLENTY, vec![every(0, 1.0)]);
        network.devices = vec![device(1000.0, Discipline::Fcfs)];
        network.devices[0].speed = 2.0;
        let times: Vec<f64> = recorded(&network, 200_000).iter().map(|job| (job.ended - job.arrived) * 2.0).collect();
        assert_moments(&law, &times, mean, scv);
    }
}

#[track_caller]
fn assert_moments(law: &Law, times: &[f64], mean: f64, scv: f64) {
    let (found, variability) = mean_and_scv(times);
    // Five standard errors of the mean, and 5 % of the scv.
    let error = 5.0 * mean * (scv / times.len() as f64).sqrt() + 1e-6;
    assert!((found - mean).abs() < error, "{law:?}: mean {found}, by the law {mean}");
    assert!((variability - scv).abs() < 0.05 * scv + 1e-9, "{law:?}: scv {variability}, by the law {scv}");
}

#[test]
fn gaps_have_the_mean_and_variability_of_their_law_and_are_independent() {
    for (law, mean, scv) in laws() {
        let network = single(Law::Deterministic(0.0), PLENTY, vec![of(Arrivals::Renewal(law.clone()))]);
        let jobs = recorded(&network, 200_000);
        let gaps: Vec<f64> = jobs.windows(2).map(|pair| pair[1].arrived - pair[0].arrived).collect();
        assert_moments(&law, &gaps, mean, scv);
        let product: f64 = gaps.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        let correlation = product / gaps.len() as f64 / (mean * mean * scv.max(1e-12));
        assert!(correlation.abs() < 0.02, "{law:?}: {correlation}");
    }
}

#[test]
fn services_do_not_depend_on_gaps() {
    let exponential = Law::Exponential { mean: 1.0 };
    let mut network = single(exponential.clone(), PLENTY, vec![of(Arrivals::Renewal(exponential))]);
    network.devices = vec![device(1000.0, Discipline::Fcfs)];
    let jobs = recorded(&network, 200_000);
    let product: f64 = jobs
        .windows(2)
        .map(|pair| (pair[1].arrived - pair[0].arrived - 1.0) * (pair[1].ended - pair[1].arrived - 1.0))
        .sum();
    assert!((product / jobs.len() as f64).abs() < 0.02, "{product}");
}

/// Arrivals in windows of so many seconds.
fn counts(jobs: &[JobRecord], window: f64) -> Vec<f64> {
    let last = jobs.last().map_or(0.0, |job| job.arrived);
    let mut counts = vec![0.0; (last / window) as usize];
    for job in jobs {
        if let Some(count) = counts.get_mut((job.arrived / window) as usize) {
            *count += 1.0;
        }
    }
    counts
}

#[test]
fn an_mmpp_has_its_rate_and_its_index_of_dispersion() {
    let (rates, switch) = ([1.0, 9.0], [0.25, 0.75]);
    let network = single(Law::Deterministic(0.0), PLENTY, vec![of(Arrivals::Mmpp2 { rates, switch })]);
    // Three quarters of the time at 1, the rest at 9.
    let (rate, both) = (3.0, switch[0] + switch[1]);
    let limit = 1.0 + 2.0 * switch[0] * switch[1] * (rates[0] - rates[1]).powi(2) / (both * both * both * rate);
    let dispersion = |window: f64| 1.0 + (limit - 1.0) * (1.0 - (1.0 - (-both * window).exp()) / (both * window));
    let jobs = recorded(&network, 600_000);
    for window in [0.5, 4.0, 40.0] {
        let counts = counts(&jobs, window);
        let (mean, scv) = mean_and_scv(&counts);
        assert!((mean / window - rate).abs() < 0.04, "{}", mean / window);
        let (found, wanted) = (scv * mean, dispersion(window));
        assert!((found / wanted - 1.0).abs() < 0.07, "{window} s: {found}, by the formula {wanted}");
    }
    let report = run_for(&network, 10_000);
    assert_close("known rate", report.sources[0].fates.arrival_rate.value, rate);
}

#[test]
fn an_mmpp_begins_in_equilibrium() {
    // Phases last for ever: a quarter of the replications is in phase 1.
    let arrivals = Arrivals::Mmpp2 { rates: [1.0, 100.0], switch: [1e-9, 3e-9] };
    let fast = AtomicU32::new(0);
    for seed in 0..400 {
        let network = single(Law::Deterministic(0.0), PLENTY, vec![of(arrivals.clone())]);
        let effort = Effort { replications: NonZeroU32::new(1), trace: 20, threads: 1, ..Effort::arrivals(seed, 40) };
        let jobs = simulate(&network, &effort).expect("it is a network").jobs;
        fast.fetch_add(u32::from(jobs[19].arrived < 2.0), Ordering::Relaxed);
    }
    let fast = fast.into_inner();
    assert!((60..140).contains(&fast), "{fast} of 400, a quarter expected");
}

#[test]
fn pieces_bring_jobs_at_their_rates() {
    let pieces = vec![(10.0, 2.0), (5.0, 0.0), (10.0, 0.5), (3.0, 1.0)];
    let arrivals = |gaps: Law, repeat: bool| Arrivals::Piecewise { gaps, pieces: pieces.clone(), repeat };
    let network = |arrivals: Arrivals| single(Law::Deterministic(0.0), PLENTY, vec![of(arrivals)]);
    let regular = network(arrivals(Law::Deterministic(1.0), false));
    let times: Vec<f64> = common::jobs(&regular).iter().map(|job| job.arrived).collect();
    // Every 0.5 s until 10; nothing until 15; every 2 s until 25; every second until 28.
    let wanted: Vec<f64> =
        (1..=20).map(|job| f64::from(job) * 0.5).chain([17.0, 19.0, 21.0, 23.0, 25.0, 26.0, 27.0, 28.0]).collect();
    assert_eq!(times.len(), wanted.len(), "{times:?}");
    times.iter().zip(&wanted).for_each(|(found, wanted)| assert_close("arrival", *found, *wanted));
    assert!(run(&regular).run.transient);

    // As many jobs in every round, at the same times of it.
    let repeating = network(arrivals(Law::Deterministic(1.0), true));
    let jobs = recorded(&repeating, 28 * 50);
    for (index, job) in jobs.iter().enumerate().skip(28) {
        assert_close("a round later", job.arrived, jobs[index - 28].arrived + 28.0);
    }
    assert_close("mean rate", run_for(&repeating, 1000).sources[0].fates.arrival_rate.value, 1.0);

    let rounds = pieces.repeat(10_000);
    let gaps = Law::Exponential { mean: 1.0 };
    let mut of_piece = [0.0f64; 4];
    for job in common::jobs(&network(Arrivals::Piecewise { gaps, pieces: rounds, repeat: false })) {
        let at = job.arrived % 28.0;
        of_piece[[10.0, 15.0, 25.0].iter().filter(|&&end| at > end).count()] += 1.0;
    }
    for (found, wanted) in of_piece.into_iter().zip([20.0, 0.0, 5.0, 3.0]) {
        assert!((found / 10_000.0 - wanted).abs() < 0.2, "{of_piece:?}");
    }
}

#[test]
fn pieces_that_repeat_are_seen_from_any_moment() {
    let gaps = Law::Deterministic(1.0);
    let arrivals = Arrivals::Piecewise { gaps, pieces: vec![(10.0, 1.0), (10.0, 0.0)], repeat: true };
    let network = single(Law::Deterministic(0.0), PLENTY, vec![of(arrivals)]);
    let first = |seed: u64| traced(&network, seed)[0].arrived;
    // Where 1 s or more is left of the first piece, the first job arrives after 1 s.
    let at_once = (0..200).filter(|&seed| (first(seed) - 1.0).abs() < 1e-9).count();
    assert!((60..120).contains(&at_once), "{at_once} of 200, 90 expected");
}

#[test]
fn a_recorded_trace_is_played_as_it_is() {
    let times = [0.0, 0.0, 0.25, 7.0, 7.0, 7.5];
    let network = single(Law::Deterministic(0.0), PLENTY, vec![at(0, &times)]);
    let found: Vec<f64> = common::jobs(&network).iter().map(|job| job.arrived).collect();
    assert_eq!(found, times);
}

fn exponential(budget: u64) -> Network {
    single(Law::Exponential { mean: 1.0 }, budget, vec![poisson(0, 1.0), poisson(0, 0.2)])
}

fn traced(network: &Network, seed: u64) -> Vec<JobRecord> {
    let effort =
        Effort { replications: NonZeroU32::new(1), trace: 20_000, threads: 1, ..Effort::arrivals(seed, 20_000) };
    common::sorted(simulate(network, &effort).expect("it is a network").jobs)
}

#[test]
fn candidates_see_the_same_jobs_also_after_a_loss() {
    // As many cores as jobs, so that a job's time there is its service; memory decides who is lost.
    let network = |budget: u64| {
        let mut network = exponential(budget);
        network.devices = vec![device(100.0, Discipline::Fcfs), device(100.0, Discipline::Fcfs)];
        network.chains[0].steps.push(law_step(1, 1, Law::LogNormal { mean: 1.0, scv: 2.0 }));
        network.regions.push(region("second", 1));
        network
    };
    let (few, many) = (traced(&network(2), 7), traced(&network(50), 7));
    let (mut both, mut lost) = (0, 0);
    // Which jobs are recorded depends on when they end; those of the first half are all there.
    for (a, b) in few.iter().zip(&many).take(10_000) {
        assert_eq!((a.source, a.arrived), (b.source, b.arrived));
        if matches!(a.fate, Fate::Answered { .. }) && matches!(b.fate, Fate::Answered { .. }) {
            assert_close("time of the same services", a.ended, b.ended);
            both += 1;
        }
        lost += u32::from(a.fate == common::lost(0));
    }
    assert!(both > 1000 && lost > 1000, "{both} answered in both, {lost} lost in one");
}

#[test]
fn arrivals_do_not_depend_on_other_sources() {
    let (two, mut one) = (exponential(3), exponential(3));
    one.sources.pop();
    let of_first = |jobs: Vec<JobRecord>| -> Vec<f64> {
        jobs.iter().filter(|job| job.source == 0).map(|job| job.arrived).take(1000).collect()
    };
    assert_eq!(of_first(traced(&one, 3)), of_first(traced(&two, 3)));
}

#[test]
fn other_seeds_and_other_replications_bring_other_jobs() {
    let first = |seed: u64| traced(&exponential(3), seed)[0].arrived;
    assert_eq!(first(1), first(1));
    let mut firsts: Vec<f64> = (0..100).map(first).collect();
    firsts.sort_by(f64::total_cmp);
    firsts.dedup();
    assert_eq!(firsts.len(), 100);
    let text = |seed: u64, replications: u32| {
        let effort = Effort { replications: NonZeroU32::new(replications), ..Effort::arrivals(seed, 10_000) };
        simulate(&exponential(3), &effort).expect("it is a network")
    };
    assert_ne!(text(1, 4).chains[0].fates.loss, text(2, 4).chains[0].fates.loss);
    // If replications were the same, their means would be, too.
    let quantiles = text(1, 4).chains[0].fates.latency;
    assert!(quantiles.p50.ci99 > 0.0 && quantiles.p95.ci99 > 0.0, "{quantiles:?}");
}

#[test]
fn a_run_with_an_end_is_simulated_whole_from_empty() {
    // D/D/1 with too many jobs: the n-th waits n − 1 times 0.5 s.
    let times: Vec<f64> = (0..10).map(f64::from).collect();
    let network = single(Law::Deterministic(1.5), PLENTY, vec![at(0, &times)]);
    let report = run(&network);
    assert!(report.run.transient);
    assert_eq!((report.run.arrivals, report.run.replications, report.run.ended), (10, 1, Ended::Complete));
    assert_close("response", report.sources[0].fates.response.value, 1.5 + 0.5 * 4.5);
    assert_close("utilization until the last has ended", report.devices[0].utilization.value, 1.0);
    assert_eq!(report.jobs.len(), 10);
}

#[test]
fn jobs_that_all_arrive_at_once_have_finite_rates() {
    let report = run(&single(Law::Deterministic(1.0), PLENTY, vec![at(0, &[0.0, 0.0])]));
    let fates = &report.sources[0].fates;
    for found in [fates.throughput, fates.arrival_rate, report.chains[0].steps[0].served_rate] {
        assert!(found.value.is_finite(), "{found:?}");
    }
    assert_close("utilization", report.devices[0].utilization.value, 1.0);
}

#[test]
fn replications_of_a_run_with_an_end_are_independent() {
    let arrivals =
        Arrivals::Piecewise { gaps: Law::Exponential { mean: 1.0 }, pieces: vec![(100.0, 1.0)], repeat: false };
    let network = single(Law::Exponential { mean: 0.5 }, PLENTY, vec![of(arrivals)]);
    let effort = Effort { replications: NonZeroU32::new(200), ..Effort::arrivals(4, 10_000_000) };
    let report = simulate(&network, &effort).expect("it is a network");
    assert_eq!((report.run.batches, report.run.replications), (200, 200));
    let arrived = report.sources[0].fates.arrival_rate;
    assert_within("arrivals per second", arrived, 1.0);
    // Poisson: the mean of 200 counts with variance 100 each.
    let wanted = 2.6 * (100.0f64 / 200.0).sqrt() / 100.0;
    assert!((arrived.ci99 / wanted - 1.0).abs() < 0.25, "{arrived:?}, {wanted}");
}

#[test]
fn a_run_with_an_end_repeats_until_it_is_precise() {
    let arrivals =
        Arrivals::Piecewise { gaps: Law::Exponential { mean: 1.0 }, pieces: vec![(50.0, 1.0)], repeat: false };
    let network = single(Law::Exponential { mean: 0.5 }, 4, vec![of(arrivals)]);
    let precision = Precision { relative: 0.02, loss_relative: 0.1, loss_absolute: 0.003 };
    let report =
        simulate(&network, &Effort { precision: Some(precision), ..Effort::default() }).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Precise);
    assert_precise(&report, precision);
    let effort = Effort { precision: Some(precision), arrivals: 5_000, ..Effort::default() };
    let report = simulate(&network, &effort).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Arrivals);
    assert!(report.run.arrivals <= 5_500, "{}", report.run.arrivals);
}

#[track_caller]
fn assert_precise(report: &Report, precision: Precision) {
    for chain in &report.chains {
        let rates = [chain.fates.throughput].into_iter().chain(chain.steps.iter().map(|step| step.residence_time));
        for found in rates {
            assert!(found.ci99 <= precision.relative * found.value, "{found:?}");
        }
        let loss = chain.fates.loss;
        assert!(loss.ci99 <= (precision.loss_relative * loss.value).max(precision.loss_absolute), "{loss:?}");
    }
}

#[test]
fn a_run_ends_when_it_is_precise() {
    for (relative, seed) in [(0.02, 1), (0.005, 2)] {
        let precision = Precision { relative, loss_relative: 4.0 * relative, loss_absolute: 1e-4 };
        let effort = Effort { seed, precision: Some(precision), ..Effort::default() };
        let report = simulate(&exponential(4), &effort).expect("it is a network");
        assert_eq!(report.run.ended, Ended::Precise);
        assert!(report.run.batches >= 30, "{}", report.run.batches);
        assert_precise(&report, precision);
    }
    let effort = Effort {
        arrivals: 50_000,
        precision: Some(Precision { relative: 1e-6, ..Precision::default() }),
        ..Effort::default()
    };
    let report = simulate(&exponential(4), &effort).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Arrivals);
    assert!(report.run.arrivals <= 50_000 + 64 && report.run.arrivals > 25_000, "{}", report.run.arrivals);
}

#[test]
fn the_number_of_arrivals_is_what_was_asked_for() {
    for (replications, arrivals) in [(1, 1_000), (1, 100_000), (4, 1), (4, 12_345), (7, 99_999), (64, 1_000)] {
        let effort = Effort { replications: NonZeroU32::new(replications), ..Effort::arrivals(1, arrivals) };
        let report = simulate(&exponential(4), &effort).expect("it is a network");
        assert_eq!(report.run.ended, Ended::Complete);
        assert_eq!(report.run.replications, replications);
        let found = report.run.arrivals;
        let batch = found.div_ceil(u64::from(report.run.batches));
        assert!(
            found >= arrivals && found < arrivals + batch * u64::from(report.run.batches.max(32)),
            "{found} of {arrivals}"
        );
        if arrivals > 10_000 {
            assert!(found <= arrivals + u64::from(replications) * batch, "{found} of {arrivals}");
        }
    }
}

/// More than can be reached.
const NEVER: Precision = Precision { relative: 1e-9, loss_relative: 1e-9, loss_absolute: 1e-12 };

#[test]
fn a_run_of_a_fixed_length_that_is_stopped_reports_what_was_measured() {
    let looks = AtomicU32::new(0);
    let stop = || looks.fetch_add(1, Ordering::Relaxed) >= 40;
    let effort = Effort { stop: Some(&stop), precision: None, threads: 1, ..Effort::default() };
    let report = simulate(&exponential(4), &effort).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Stopped);
    assert!(report.run.events > 1_000_000, "{}", report.run.events);
    assert_within("loss", report.chains[0].fates.loss, mm1k_loss(1.2, 4));
}

#[test]
fn a_limit_of_events_ends_a_run() {
    for threads in [1, 3] {
        let effort = Effort { events: 1_000_000, precision: Some(NEVER), threads, ..Effort::default() };
        let report = simulate(&exponential(4), &effort).expect("it is a network");
        assert_eq!(report.run.ended, Ended::Events);
        assert!(report.run.events >= 900_000 && report.run.events <= 1_500_000, "{}", report.run.events);
        assert_within("loss", report.chains[0].fates.loss, mm1k_loss(1.2, 4));
    }
}

fn mm1k_loss(load: f64, places: i32) -> f64 {
    (1.0 - load) * load.powi(places) / (1.0 - load.powi(places + 1))
}

#[test]
fn a_stop_ends_a_run_and_what_was_measured_is_reported() {
    for threads in [1, 3] {
        let looks = AtomicU32::new(0);
        let stop = || looks.fetch_add(1, Ordering::Relaxed) >= 40;
        let effort = Effort { stop: Some(&stop), precision: Some(NEVER), threads, ..Effort::default() };
        let report = simulate(&exponential(4), &effort).expect("it is a network");
        assert_eq!(report.run.ended, Ended::Stopped);
        assert_within("loss", report.chains[0].fates.loss, mm1k_loss(1.2, 4));
    }
    // Also before anything was measured.
    let effort = Effort { stop: Some(&|| true), precision: None, threads: 1, ..Effort::default() };
    let report = simulate(&exponential(4), &effort).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Stopped);
}

#[test]
fn limits_hold_for_short_runs_with_an_end_too() {
    let arrivals =
        Arrivals::Piecewise { gaps: Law::Exponential { mean: 1.0 }, pieces: vec![(50.0, 1.0)], repeat: false };
    let network = single(Law::Exponential { mean: 0.5 }, 4, vec![of(arrivals)]);
    let until = Effort { precision: Some(NEVER), arrivals: 2_000_000, ..Effort::default() };
    let report = simulate(&network, &Effort { events: 100_000, ..until }).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Events);
    let looks = AtomicU32::new(0);
    let stop = || looks.fetch_add(1, Ordering::Relaxed) >= 3;
    let report = simulate(&network, &Effort { stop: Some(&stop), ..until }).expect("it is a network");
    assert_eq!(report.run.ended, Ended::Stopped);
}

/// Urgent jobs come twice as fast as they are served; one that is not urgent waits for ever, and others find no room.
#[test]
fn a_run_in_which_a_job_starves_ends() {
    let mut network = single(Law::Deterministic(1.0), 3, vec![every(0, 0.5), every(1, 7.0)]);
    network.devices[0].discipline = Discipline::Hol;
    network.chains.push(simulator::Chain { priority: 1, ..chain(vec![step(0, 1, 1.0)]) });
    network.regions.push(region("of the others", 1));
    let report = simulate(&network, &Effort::arrivals(1, 50_000)).expect("it is a network");
    assert_ne!(report.run.ended, Ended::Complete, "{:?}", report.run);
}

#[test]
fn progress_is_told() {
    let heard: Mutex<Vec<Progress>> = Mutex::default();
    let progress = |progress: Progress| heard.lock().expect("nobody panics").push(progress);
    let effort = Effort { progress: Some(&progress), ..Effort::default() };
    let report = simulate(&exponential(4), &effort).expect("it is a network");
    let heard = heard.lock().expect("nobody panics").clone();
    assert!(heard.windows(2).all(|pair| pair[0].arrivals < pair[1].arrivals), "{heard:?}");
    assert!(heard.iter().rev().skip(1).all(|progress| progress.imprecision > 1.0), "{heard:?}");
    let last = heard.last().expect("at least one");
    assert!(last.imprecision <= 1.0 && last.arrivals == report.run.arrivals);
}

#[test]
fn known_rates_and_shares_of_a_run_without_end() {
    let report = run_for(&exponential(4), 400_000);
    let chain = &report.chains[0];
    let loss = mm1k_loss(1.2, 4);
    assert_within("loss", chain.fates.loss, loss);
    assert_within("throughput", chain.fates.throughput, 1.2 * (1.0 - loss));
    assert_within("of the first source", report.sources[0].fates.throughput, 1.0 - loss);
    assert_within("of the second source", report.sources[1].fates.throughput, 0.2 * (1.0 - loss));
    assert_within("offered", chain.steps[0].offered_rate, 1.2);
    assert_within("utilization", report.devices[0].utilization, 1.2 * (1.0 - loss));
    let weights: Vec<f64> = (0..=4).map(|n| 1.2f64.powi(n)).collect();
    let jobs: f64 =
        weights.iter().enumerate().map(|(n, weight)| n as f64 * weight).sum::<f64>() / weights.iter().sum::<f64>();
    assert_within("jobs", report.devices[0].mean_jobs, jobs);
    assert_within("residence", chain.steps[0].residence_time, jobs / (1.2 * (1.0 - loss)));
}

/// Two exits of one segment each, by a policy that a controller may change.
fn controlled(times: &[f64], control: Option<Control>) -> Network {
    Network {
        devices: vec![device(100.0, Discipline::Fcfs)],
        regions: vec![region("memory", PLENTY)],
        models: vec![model(&[0, 1], &[0.1, 0.3], &[0.0, 0.0], &[&[(0.5, false), (0.5, true)]])],
        chains: vec![model_chain(vec![segments(0, 0, 0, 1)])],
        schedulers: vec![keeping(&[0], policy(Epoch::Arrival, &[(1.0, 0, &[1.0])]))],
        sources: vec![scheduled(trace(times))],
        control,
        ..Network::default()
    }
}

/// Looks, writes down what it sees, and once exchanges the policy.
struct Swaps {
    at: f64,
    seen: Arc<Mutex<Vec<(f64, Counts)>>>,
}

impl Controller for Swaps {
    fn look(&mut self, view: &mut View<'_>) {
        self.seen.lock().expect("nobody panics").push((view.now(), view.counts()[0]));
        if (view.now() - self.at).abs() < 1e-9 {
            view.replace(0, Box::new(policy::Gatekeeper::new(policy(Epoch::Arrival, &[(1.0, 0, &[0.0])]), view.now())));
            view.replace(9, Box::new(policy::Gatekeeper::new(policy(Epoch::Arrival, &[(1.0, 0, &[0.0])]), view.now())));
        }
    }
}

#[test]
fn a_controller_changes_what_happens_from_then_on() {
    let seen: Arc<Mutex<Vec<(f64, Counts)>>> = Arc::default();
    let log = Arc::clone(&seen);
    let make: simulator::MakeController = Arc::new(move |_| Box::new(Swaps { at: 50.0, seen: Arc::clone(&log) }));
    let times: Vec<f64> = (0..400).map(|job| f64::from(job) * 0.25 + 0.05).collect();
    let network = controlled(&times, Some(Control { every: 10.0, make }));
    let report = simulate(&network, &Effort { series: Some(10.0), ..once() }).expect("it is a network");
    for job in &report.jobs {
        let exit = usize::from(job.arrived < 50.0);
        assert_eq!(job.fate, Fate::Answered { exit, on_overflow: false, correct: Some(exit == 1) }, "{job:?}");
    }
    let series = &report.series.as_ref().expect("it was asked for").sources[0];
    assert_eq!(series.len(), 10);
    for (index, interval) in series.iter().enumerate() {
        let right = if index < 5 { 40.0 } else { 0.0 };
        assert_eq!((interval.arrived, interval.answered, interval.correct), (40.0, 40.0, right), "{index}");
        assert_close("latencies", interval.latency_sum, if index < 5 { 16.0 } else { 4.0 });
    }
    let seen = seen.lock().expect("nobody panics").clone();
    let nine_looks: Vec<f64> = seen.iter().map(|look| look.0).collect();
    assert!(nine_looks.len() >= 9, "{nine_looks:?}");
    for (index, (now, counts)) in seen.iter().take(9).enumerate() {
        assert_close("time of a look", *now, (index + 1) as f64 * 10.0);
        assert_eq!((counts.arrived, counts.lost, counts.failed), (40 * (index as u64 + 1), 0, 0));
        // The last one arrived 0.2 s before and takes 0.4 s, or 0.1 s.
        let there = u64::from(*now < 50.1);
        assert_eq!(counts.arrived - counts.answered, there, "{now}");
    }
}

#[test]
fn a_series_adds_up_to_the_totals() {
    for interval in [0.1, 0.3, 0.7, 1.0, 1.0 / 3.0, 2.5, 1000.0] {
        let times: Vec<f64> = (0..200).map(|job| f64::from(job) * 0.4).collect();
        let network = single(Law::Deterministic(0.9), 5, vec![at(0, &times), at(0, &[3.0, 4.0])]);
        let report = simulate(&network, &Effort { series: Some(interval), ..once() }).expect("it is a network");
        let series = report.series.as_ref().expect("it was asked for");
        assert_eq!(series.interval, interval);
        for (number, of_source) in series.sources.iter().enumerate() {
            let jobs: Vec<_> = report.jobs.iter().filter(|job| job.source == number).collect();
            let sum = |what: fn(&simulator::Interval) -> f64| of_source.iter().map(what).sum::<f64>();
            let count = |fits: fn(&Fate) -> bool| jobs.iter().filter(|job| fits(&job.fate)).count() as f64;
            assert_eq!(sum(|of| of.arrived), jobs.len() as f64);
            assert_eq!(sum(|of| of.answered), count(|fate| *fate == ok(0)));
            assert_eq!(sum(|of| of.lost), count(|fate| *fate == common::lost(0)));
            assert_eq!(sum(|of| of.failed), 0.0);
            let time: f64 = jobs.iter().map(|job| job.ended - job.arrived).sum();
            assert_close("latencies", sum(|of| of.latency_sum), time);
            assert_close(&format!("time present, by intervals of {interval}"), sum(|of| of.present) * interval, time);
        }
    }
}

#[test]
fn a_series_is_a_mean_over_replications() {
    let network = single(Law::Deterministic(0.25), PLENTY, vec![at(0, &[0.1, 0.2, 1.2])]);
    let effort = Effort { replications: NonZeroU32::new(5), series: Some(1.0), ..once() };
    let report = simulate(&network, &effort).expect("it is a network");
    let series = &report.series.as_ref().expect("it was asked for").sources[0];
    assert_eq!(series.iter().map(|interval| interval.arrived).collect::<Vec<_>>(), [2.0, 1.0]);
    // 0.1 to 0.35 and 0.2 to 0.6.
    assert_close("present", series[0].present, 0.65);
    assert_eq!(report.jobs.len(), 3, "records are those of the first replication");
}

#[test]
fn a_long_step_that_ends_after_the_horizon_is_followed() {
    let network = Network {
        devices: vec![core(), core()],
        regions: vec![region("memory", PLENTY)],
        chains: vec![chain(vec![step(0, 0, 1.0), step(1, 0, 100.0)])],
        sources: vec![at(0, &[0.0, 1.0]), poisson(0, 0.001)],
        ..Network::default()
    };
    let jobs = common::jobs(&network);
    // The other source ends with the last recorded arrival.
    assert!(jobs.iter().all(|job| job.arrived <= 1.0), "{jobs:?}");
    assert_close("end", jobs.iter().map(|job| job.ended).fold(0.0, f64::max), 201.0);
}
