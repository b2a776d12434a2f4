//! The least that simulates such a network: Poisson sources, one first-come-first-served core per device with constant
//! service times, jobs that find it full are lost. It measures throughput and residence times, and nothing else.

use std::collections::VecDeque;

/// What is measured per chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    pub(crate) arrived: u64,
    pub(crate) completed: u64,
    pub(crate) residence: f64,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) events: u64,
    pub(crate) chains: Vec<Chain>,
}

struct Device {
    capacity: u64,
    queue: VecDeque<Job>,
}

#[derive(Clone, Copy)]
struct Job {
    chain: u32,
    step: u32,
    entered: f64,
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn exponential(&mut self, mean: f64) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        -((((bits >> 11) + 1) as f64) * (1.0 / (1u64 << 53) as f64)).ln() * mean
    }
}

pub(crate) fn run(capacity: &[u64], chains: &[(f64, Vec<(usize, f64)>)], arrivals: u64, seed: u64) -> Outcome {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut devices: Vec<Device> = capacity
        .iter()
        .map(|&capacity| Device { capacity, queue: VecDeque::with_capacity(capacity as usize) })
        .collect();
    // Departures first, then arrivals: one time each.
    let mut due = vec![f64::INFINITY; devices.len()];
    due.extend(chains.iter().map(|(gap, _)| random.exponential(*gap)));
    let mut outcome = Outcome { events: 0, chains: vec![Chain::default(); chains.len()] };
    let mut arrived = 0;
    while arrived < arrivals {
        let mut first = 0;
        for slot in 1..due.len() {
            if due[slot] < due[first] {
                first = slot;
            }
        }
        let now = due[first];
        outcome.events += 1;
        let asks = if first >= devices.len() {
            let chain = first - devices.len();
            due[first] = now + random.exponential(chains[chain].0);
            arrived += 1;
            outcome.chains[chain].arrived += 1;
            Job { chain: chain as u32, step: 0, entered: now }
        } else {
            let device = &mut devices[first];
            let job = device.queue.pop_front().expect("a device is due when it serves");
            due[first] = device
                .queue
                .front()
                .map_or(f64::INFINITY, |next| now + chains[next.chain as usize].1[next.step as usize].1);
            let chain = &mut outcome.chains[job.chain as usize];
            chain.residence += now - job.entered;
            if job.step as usize + 1 == chains[job.chain as usize].1.len() {
                chain.completed += 1;
                continue;
            }
            Job { chain: job.chain, step: job.step + 1, entered: now }
        };
        let (number, seconds) = chains[asks.chain as usize].1[asks.step as usize];
        let device = &mut devices[number];
        if (device.queue.len() as u64) < device.capacity {
            if device.queue.is_empty() {
                due[number] = now + seconds;
            }
            device.queue.push_back(asks);
        }
    }
    outcome
}
