//! What a table does with the gateway's own filter, on a fixed sequence of arrivals.
//!
//! Neither arrivals nor beliefs depend on the table: they are drawn once, and every table is then followed through the same
//! arrivals, with the same random numbers for each job. Phases last as long as quantiles of their law say, in random order, so
//! that a course has as many long bursts as it should.
//!
//! # Cost
//! Some 40 ns per arrival for the course, the same for each table.

use super::Bursts;
use super::belief::Grid;
use super::kernel::Phased;
use super::target::BeliefTable;
use policy::PhaseFilter;
use queueing::Service;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Phase cycles of a course, and the bounds of its arrivals.
const CYCLES: f64 = 6000.0;
const ARRIVALS: std::ops::RangeInclusive<f64> = 50_000.0..=400_000.0;

/// Arrivals with what a gateway believes at each.
#[derive(Debug, Clone)]
pub struct Course {
    arrivals: Vec<Arrival>,
    /// The filter after each arrival is this one with its belief.
    filter: PhaseFilter,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    time: f64,
    /// P(burst) just after it.
    belief: f64,
    /// Chances of the job: which draw of a lottery, which exit, how long.
    lottery: f32,
    exit: f32,
    /// Standard normal.
    length: f32,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Share of arrivals that were lost.
    pub loss: f64,
    /// Mean value of the answers.
    pub value: f64,
}

impl Course {
    /// Some thousand cycles of both phases; the same for the same seed.
    pub fn new(bursts: Bursts, seed: u64) -> Self {
        let Bursts { rates, switch } = bursts;
        let per_cycle = rates[0] / switch[0] + rates[1] / switch[1];
        let wanted = (CYCLES * per_cycle).clamp(*ARRIVALS.start(), *ARRIVALS.end());
        let cycles = (wanted / per_cycle).ceil().clamp(1.0, *ARRIVALS.end()) as usize;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut lengths = switch.map(|rate| {
            let quantile = |cycle: usize| -(1.0 - (cycle as f64 + 0.5) / cycles as f64).ln() / rate;
            (0..cycles).map(quantile).collect::<Vec<f64>>()
        });
        lengths.iter_mut().for_each(|lengths| lengths.shuffle(&mut rng));
        let filter = PhaseFilter::new(rates, switch, 0.0);
        let mut course = Self { arrivals: Vec::with_capacity(wanted as usize), filter };
        let mut follow = filter;
        let mut begin = 0.0;
        'cycles: for cycle in 0..cycles {
            for (phase, lengths) in lengths.iter().enumerate() {
                let end = begin + lengths[cycle];
                let mut time = begin;
                loop {
                    time -= (1.0 - rng.random::<f64>()).ln() / rates[phase];
                    if time >= end {
                        break;
                    }
                    follow.arrive(time);
                    let belief = follow.burst_at(time);
                    let [lottery, exit] = rng.random::<[f32; 2]>();
                    course.arrivals.push(Arrival { time, belief, lottery, exit, length: normal(&mut rng) });
                    if course.arrivals.len() as f64 > 2.0 * ARRIVALS.end() {
                        break 'cycles;
                    }
                }
                begin = end;
            }
        }
        course
    }

    /// Follows a table through all arrivals.
    pub fn measure(&self, phased: &Phased<'_>, table: &BeliefTable) -> Measured {
        let capacity = phased.station.capacity;
        let grid = Grid::new();
        let times: Vec<Times> = phased.station.modes.iter().map(|mode| Times::new(&mode.service)).collect();
        let mut waiting = std::collections::VecDeque::<Arrival>::with_capacity(capacity + 1);
        let (mut lost, mut answered, mut value) = (0_u64, 0_u64, 0.0);
        let mut free_at = f64::NEG_INFINITY;
        let mut last = (0.0, 0.0);
        let start = |job: &Arrival, now: f64, belief: f64, present: usize, value: &mut f64| {
            let lottery = &table.0[grid.nearest(belief)].0[present - 1];
            let mode = match &lottery[..] {
                [(_, mode)] => *mode,
                [(share, first), .., (_, second)] => {
                    if f64::from(job.lottery) < *share {
                        *first
                    } else {
                        *second
                    }
                }
                [] => 0,
            };
            *value += phased.station.modes[mode].value;
            now + times[mode].of(job)
        };
        for arrival in &self.arrivals {
            // `waiting` holds the job in service, too, at its front.
            while !waiting.is_empty() && free_at <= arrival.time {
                waiting.pop_front();
                answered += 1;
                if let Some(next) = waiting.front() {
                    let belief = self.filter.with(last.1, last.0).burst_at(free_at);
                    free_at = start(next, free_at, belief, waiting.len(), &mut value);
                }
            }
            if waiting.len() >= capacity {
                lost += 1;
            } else {
                waiting.push_back(*arrival);
                if waiting.len() == 1 {
                    free_at = start(arrival, arrival.time, arrival.belief, 1, &mut value);
                }
            }
            last = (arrival.time, arrival.belief);
        }
        let begun = answered + u64::from(!waiting.is_empty());
        Measured { loss: lost as f64 / self.arrivals.len().max(1) as f64, value: value / begun.max(1) as f64 }
    }
}

/// Service times to draw from: exits by their shares, each log-normal with its mean and variance.
struct Times {
    /// (share up to here, location, scale).
    exits: Vec<(f32, f64, f64)>,
}

impl Times {
    fn new(service: &Service) -> Self {
        let mut up_to = 0.0;
        let exit = |(share, law): &(f64, queueing::Law)| {
            up_to += share;
            let variance = (law.variance() / (law.mean() * law.mean())).ln_1p();
            (up_to as f32, law.mean().ln() - variance / 2.0, variance.sqrt())
        };
        Self { exits: service.exits().iter().map(exit).collect() }
    }

    fn of(&self, job: &Arrival) -> f64 {
        let exit = self.exits.partition_point(|(up_to, ..)| *up_to <= job.exit).min(self.exits.len() - 1);
        let (_, location, scale) = self.exits[exit];
        (location + scale * f64::from(job.length)).exp()
    }
}

/// Box and Muller.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let [radius, angle] = rng.random::<[f64; 2]>();
    ((-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}
