//! What a decision costs a gateway.

use policy::{Arriving, Dispatching, End, Outcome, Scheduler};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use simulator::Network;
use std::time::Instant;

/// Jobs that are decided about before time is taken: bandits try every arm first.
const WARM_UP: u32 = 5_000;
const JOBS: u32 = 20_000;

/// Seconds per job, from its arrival to the word of its end, for the first scheduler of a network.
pub(crate) fn seconds_per_job(network: &Network, rate: f64, exits: usize, room: usize) -> f64 {
    let mut scheduler = (network.schedulers[0].make)(0);
    let mut rng = StdRng::seed_from_u64(1);
    let source = &network.sources[0].name;
    let mut begin = Instant::now();
    for job in 0..WARM_UP + JOBS {
        if job == WARM_UP {
            begin = Instant::now();
        }
        decide(
            &mut *scheduler,
            source,
            f64::from(job) / rate,
            (job as usize % exits, 1 + job as usize % room),
            &mut rng,
        );
    }
    begin.elapsed().as_secs_f64() / f64::from(JOBS)
}

fn decide(scheduler: &mut dyn Scheduler, source: &str, now: f64, (exit, present): (usize, usize), rng: &mut StdRng) {
    let arriving = Arriving { source, now, usable: &|_| true, again: false };
    let Some(selected) = scheduler.arrive(&arriving, rng) else { return };
    let (chain, mut tag) = (selected.chain, selected.tag);
    if selected.thresholds.is_none() {
        let Some((_, decided)) = scheduler.dispatch(&Dispatching { source, now, chain, present }, rng) else { return };
        tag = decided;
    }
    let evaluated: Vec<(usize, f32)> = (0..=exit).map(|exit| (exit, 0.5 + 0.05 * exit as f32)).collect();
    let end = End::Answered { exit, confidence: evaluated[exit].1, latency: 0.01 };
    scheduler.ended(&Outcome { source, now, tag, end, evaluated: &evaluated });
}
