//! Bursty arrivals: MAP/G/1/K with two phases, of which MMPP(2) is the usual case; exact.
//!
//! # Formula
//! Arrivals are driven by a two-phase chain: D₀ holds the phase changes without an arrival, D₁ those with one. At
//! departures (phase, jobs left behind) is a Markov chain with the blocks A_j, the probability that j jobs arrive
//! during a service, from phase to phase. With θ at least the rates out of both phases, the chain watched at a Poisson
//! process of rate θ (uniformization) gives A_j = Σ_n γ_n M_{n,j}, where γ_n is the probability of n such events in a
//! service, which [`ArrivalCounts`] gives for every law, and M_{n,j} the probability of j arrivals in n of them. P(more
//! than n events)/θ in place of γ_n gives the expected time with j arrivals so far. Levels are eliminated from the top
//! down (level n is left downwards to n − 1 only, so that one column of blocks changes at a time), then the
//! probabilities follow from the bottom up, without a subtraction. The probabilities at a random time come from those
//! at departures by the expected times; the loss is the share of arrivals in the states with K jobs.
//!
//! # Assumptions
//! Services independent of the arrivals and of each other; one core; first come, first served; the job in service
//! counts in K.
//!
//! # Cost
//! O(NK + K²) time with N uniformization steps per service (a few times θE\[S\], many for laws with long tails) and
//! 16K² bytes: 25 µs at K = 50 for constant service and 1 ms for log-normal, 45 ms at K = 2000. More than
//! [`MOST_PLACES`] are refused.
//!
//! # Reference
//! C. Blondia, "The N/G/1 finite capacity queue", Stochastic Models 5 (1989), pp. 273–294; W. Fischer and K.
//! Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 18 (1993), pp.
//! 149–171; elimination as in W. K. Grassmann and D. P. Heyman, "Equilibrium distribution of block-structured Markov
//! chains with repeating rows", Journal of Applied Probability 27 (1990), pp. 557–576.

use crate::error::{count, not_negative, positive};
use crate::solution::{Load, Metrics, Solution, mean_level};
use crate::{ArgumentError, ArrivalCounts, Service};

/// Largest capacity that is solved.
pub const MOST_PLACES: usize = 4096;

/// Most uniformization steps that are followed; services with more expected events are cut there.
const MOST_STEPS: usize = 50_000;

/// Below this probability of no arrival during a service, in both phases, a service leaves the station full but for
/// its own place.
const SMALLEST_EMPTY: f64 = 1e-140;

/// Probability of more steps than are followed, where it can be had: below the smallest loss of interest.
const CUT: f64 = 1e-32;

pub(crate) type Block = [[f64; 2]; 2];
pub(crate) type Row = [f64; 2];

pub(crate) const ZERO: Block = [[0.0; 2]; 2];

/// A Markovian arrival process of two phases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArrivalProcess {
    /// Rates of phase changes without an arrival; the diagonal is not used.
    silent: Block,
    /// Rates of phase changes with an arrival; on the diagonal the phase stays.
    arriving: Block,
}

impl ArrivalProcess {
    /// Poisson arrivals whose rate is `rates[i]` ≥ 0 in phase i; phase 0 is left at rate `switch[0]` > 0, phase 1 at
    /// `switch[1]` > 0.
    pub fn mmpp(rates: [f64; 2], switch: [f64; 2]) -> Result<Self, ArgumentError> {
        for (phase, rate) in switch.into_iter().enumerate() {
            positive(format_args!("switching rate of phase {phase}"), rate)?;
        }
        Self::map([switch[0], switch[1]], [[rates[0], 0.0], [0.0, rates[1]]])
    }

    /// The general process: `silent[i]` ≥ 0 is the rate from phase i to the other one without an arrival,
    /// `arriving[i][j]` ≥ 0 the rate of arrivals that turn phase i into phase j. Both phases must be left at some rate,
    /// and something must arrive.
    pub fn map(silent: [f64; 2], arriving: [[f64; 2]; 2]) -> Result<Self, ArgumentError> {
        for phase in 0..2 {
            not_negative(format_args!("silent rate of phase {phase}"), silent[phase])?;
            for (next, rate) in arriving[phase].into_iter().enumerate() {
                not_negative(format_args!("arrival rate from phase {phase} to {next}"), rate)?;
            }
            positive(format_args!("rate out of phase {phase}"), silent[phase] + arriving[phase][1 - phase])?;
        }
        positive("sum of the arrival rates", arriving.iter().flatten().sum())?;
        Ok(Self { silent: [[0.0, silent[0]], [silent[1], 0.0]], arriving })
    }

    /// Long-run arrivals per unit of time.
    pub fn rate(&self) -> f64 {
        let phases = self.phases();
        (0..2).map(|phase| phases[phase] * self.arrival_rate(phase)).sum()
    }

    /// Long-run share of time in each phase.
    pub fn phases(&self) -> [f64; 2] {
        let out = |phase: usize| self.silent[phase][1 - phase] + self.arriving[phase][1 - phase];
        let total = out(0) + out(1);
        [out(1) / total, out(0) / total]
    }

    pub(crate) fn arrival_rate(&self, phase: usize) -> f64 {
        self.arriving[phase][0] + self.arriving[phase][1]
    }

    /// Rate of the events by which the process is watched.
    pub(crate) fn events(&self) -> f64 {
        (0..2).map(|phase| self.silent[phase][1 - phase] + self.arrival_rate(phase)).fold(0.0, f64::max)
    }

    /// Probabilities per event: of no arrival, of one.
    pub(crate) fn per_event(&self) -> (Block, Block) {
        let events = self.events();
        let (mut none, mut one) = (ZERO, ZERO);
        for phase in 0..2 {
            let other = 1 - phase;
            none[phase][other] = self.silent[phase][other] / events;
            none[phase][phase] = (events - self.silent[phase][other] - self.arrival_rate(phase)).max(0.0) / events;
            one[phase] = self.arriving[phase].map(|rate| rate / events);
        }
        (none, one)
    }

    /// `[i][k]`: mean time in phase k until the next arrival, from phase i on; (−D₀)⁻¹, positive, since silent phases lead
    /// to one with arrivals.
    pub fn until_arrival(&self) -> Block {
        let [first, second] = [self.arrival_rate(0), self.arrival_rate(1)];
        let [to_second, to_first] = [self.silent[0][1], self.silent[1][0]];
        let determinant = first * second + first * to_first + second * to_second;
        [
            [(second + to_first) / determinant, to_second / determinant],
            [to_first / determinant, (first + to_second) / determinant],
        ]
    }
}

/// Solves MAP/G/1/K for at most `capacity` ≥ 1 jobs, the one in service included.
///
/// `at_random` is what a clock sees. Jobs that arrive in bursts find more: here P(K jobs) is not the loss.
pub fn solve(arrivals: &ArrivalProcess, service: &Service, capacity: usize) -> Result<Solution, ArgumentError> {
    if count("capacity", capacity)? > MOST_PLACES {
        return Err(ArgumentError::new("capacity", "at most 4096 for MAP arrivals", capacity as f64));
    }
    let during = DuringService::new(arrivals, service, capacity)?;
    let idle = arrivals.until_arrival();
    let first = multiply(&idle, &arrivals.arriving);
    let departures = departures(&during, &first, capacity);
    let random = at_random(&departures, &during, &idle, &first, capacity);
    Ok(solution(arrivals, service, &departures, &random))
}

/// What arrives while one job is served, j = 0..=K, the last meaning K or more.
struct DuringService {
    /// Probability of j arrivals by the end, with the phase then.
    at_end: Vec<Block>,
    /// Expected time with j arrivals so far, by phase.
    time: Vec<Block>,
}

impl DuringService {
    fn new(arrivals: &ArrivalProcess, service: &Service, capacity: usize) -> Result<Self, ArgumentError> {
        let (none, one) = arrivals.per_event();
        let events = event_counts(arrivals.events(), service)?;
        let steps = events.capacity();
        let mut during = Self { at_end: vec![ZERO; capacity + 1], time: vec![ZERO; capacity + 1] };
        let mut after = vec![ZERO; capacity + 1];
        after[0] = [[1.0, 0.0], [0.0, 1.0]];
        for step in 0..=steps {
            let reached = step.min(capacity);
            // The last step stands for all that follow.
            let last = step == steps;
            let ends = if last { events.at_least[step] } else { events.exactly[step] };
            let goes_on = if last { events.excess } else { events.at_least[step + 1] } / events.rate;
            for (level, block) in after[..=reached].iter().enumerate() {
                add(&mut during.at_end[level], ends, block);
                add(&mut during.time[level], goes_on, block);
            }
            for level in (0..=(reached + 1).min(capacity)).rev() {
                let stays = multiply(&after[level], &none);
                let arrives = if level > 0 { multiply(&after[level - 1], &one) } else { ZERO };
                let beyond = if level == capacity { multiply(&after[level], &one) } else { ZERO };
                after[level] = sum(&sum(&stays, &arrives), &beyond);
            }
        }
        Ok(during)
    }
}

/// Events during a service, up to as many as can matter.
fn event_counts(events: f64, service: &Service) -> Result<ArrivalCounts, ArgumentError> {
    let mut steps = 64;
    loop {
        let counts = ArrivalCounts::new(events, service, steps)?;
        if counts.at_least[steps] < CUT || steps >= MOST_STEPS {
            return Ok(counts);
        }
        steps *= 2;
    }
}

/// Probabilities of (jobs left behind, phase), levels 0..K.
fn departures(during: &DuringService, first: &Block, capacity: usize) -> Vec<Row> {
    let tails = tails(&during.at_end);
    if capacity > 1 && during.at_end[0].iter().all(|row| row[0] + row[1] < SMALLEST_EMPTY) {
        let mut levels = vec![[0.0; 2]; capacity];
        levels[capacity - 1] = stationary(&tails[0]);
        return levels;
    }
    // Blocks from level i into the level under elimination; those of earlier ones are kept for the way back.
    let mut columns: Vec<Vec<Block>> = vec![Vec::new(); capacity];
    let mut eliminated: Option<Block> = None;
    for level in (0..capacity).rev() {
        let top = level == capacity - 1;
        let mut column = Vec::with_capacity(level + 1);
        for from in 0..=level {
            let source = if top { &tails } else { &during.at_end };
            let block = match from {
                0 => multiply(first, &source[level]),
                _ => source[level + 1 - from],
            };
            let detour = eliminated.map_or(ZERO, |returns| multiply(&columns[level + 1][from], &returns));
            column.push(sum(&block, &detour));
        }
        if level > 0 {
            eliminated = Some(multiply(&visits(&column[level], &during.at_end[0]), &during.at_end[0]));
        }
        columns[level] = column;
    }
    let mut levels = vec![stationary(&columns[0][0])];
    for (level, column) in columns.iter().enumerate().skip(1) {
        let mut inflow = [0.0; 2];
        for (from, block) in levels.iter().zip(column) {
            accumulate(&mut inflow, from, block);
        }
        levels.push(apply(&inflow, &visits(&column[level], &during.at_end[0])));
        rescale(&mut levels);
    }
    normalise(&mut levels);
    levels
}

/// Visits to a level whose states lead to each other by `within` and down by `down`: (I − within)⁻¹. Rows of both sum
/// to one, so that the diagonal of I − within is a sum.
fn visits(within: &Block, down: &Block) -> Block {
    let leave = [0, 1].map(|phase: usize| down[phase][0] + down[phase][1]);
    let (forth, back) = (within[0][1], within[1][0]);
    let determinant = leave[0] * leave[1] + leave[0] * back + leave[1] * forth;
    [[(leave[1] + back) / determinant, forth / determinant], [back / determinant, (leave[0] + forth) / determinant]]
}

fn stationary(chain: &Block) -> Row {
    let (forth, back) = (chain[0][1], chain[1][0]);
    if forth + back > 0.0 { [back / (forth + back), forth / (forth + back)] } else { [0.5, 0.5] }
}

/// Probabilities of (jobs present, phase) at a random time, levels 0..=K, times the mean time between departures.
fn at_random(departures: &[Row], during: &DuringService, idle: &Block, first: &Block, capacity: usize) -> Vec<Row> {
    let tails = tails(&during.time);
    let mut random = vec![[0.0; 2]; capacity + 1];
    accumulate(&mut random[0], &departures[0], idle);
    let mut starts = departures.to_vec();
    let woken = apply(&departures[0], first);
    starts[0] = [0.0; 2];
    match starts.get_mut(1) {
        Some(start) => *start = [start[0] + woken[0], start[1] + woken[1]],
        None => starts.push(woken),
    }
    for (present, start) in starts.iter().enumerate().skip(1) {
        for (level, time) in random[present..capacity].iter_mut().zip(&during.time) {
            accumulate(level, start, time);
        }
        accumulate(&mut random[capacity], start, &tails[capacity - present]);
    }
    random
}

fn solution(arrivals: &ArrivalProcess, service: &Service, departures: &[Row], random: &[Row]) -> Solution {
    let total: f64 = random.iter().flatten().sum();
    let at_random: Vec<f64> = random.iter().map(|row| (row[0] + row[1]) / total).collect();
    let full = random[random.len() - 1];
    let lost: f64 = (0..2).map(|phase| full[phase] * arrivals.arrival_rate(phase)).sum();
    // Per departure, one job was served.
    let loss = lost / (lost + 1.0);
    let load = Load { rate: arrivals.rate(), mean_service: service.mean(), cores: 1 };
    let metrics = Metrics::by_little(load, loss, mean_level(&at_random));
    Solution { metrics, at_random, at_departure: departures.iter().map(|row| row[0] + row[1]).collect() }
}

fn tails(blocks: &[Block]) -> Vec<Block> {
    let mut tails = blocks.to_vec();
    for level in (0..blocks.len() - 1).rev() {
        tails[level] = sum(&blocks[level], &tails[level + 1]);
    }
    tails
}

fn rescale(levels: &mut [Row]) {
    if levels.last().is_some_and(|row| row[0] + row[1] > 1e150) {
        for value in levels.iter_mut().flatten() {
            *value *= 1e-150;
        }
    }
}

fn normalise(levels: &mut [Row]) {
    let total: f64 = levels.iter().flatten().sum();
    for value in levels.iter_mut().flatten() {
        *value /= total;
    }
}

pub(crate) fn multiply(left: &Block, right: &Block) -> Block {
    [0, 1].map(|row: usize| apply(&left[row], right))
}

fn apply(row: &Row, block: &Block) -> Row {
    [row[0] * block[0][0] + row[1] * block[1][0], row[0] * block[0][1] + row[1] * block[1][1]]
}

fn accumulate(sum: &mut Row, row: &Row, block: &Block) {
    let term = apply(row, block);
    sum[0] += term[0];
    sum[1] += term[1];
}

pub(crate) fn sum(left: &Block, right: &Block) -> Block {
    [0, 1].map(|row: usize| [left[row][0] + right[row][0], left[row][1] + right[row][1]])
}

pub(crate) fn add(sum: &mut Block, factor: f64, block: &Block) {
    for (sums, values) in sum.iter_mut().zip(block) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Law, mg1k};
    use proptest::prelude::*;

    fn poisson(rate: f64) -> ArrivalProcess {
        ArrivalProcess::mmpp([rate, rate], [0.3, 0.7]).unwrap()
    }

    #[test]
    fn equal_phases_are_poisson_down_to_tiny_losses() {
        let laws = [
            Law::deterministic(1.0),
            Law::exponential(1.0),
            Law::log_normal(1.0, 0.4),
            Law::erlang(3, 1.0),
            Law::uniform(0.5, 1.5),
        ];
        for law in laws {
            let service = law.unwrap().into();
            for (rate, capacity) in [(0.5, 1), (0.5, 2), (0.5, 40), (1.0, 12), (2.0, 9)] {
                let bursty = solve(&poisson(rate), &service, capacity).unwrap();
                let plain = mg1k::solve(rate, &service, capacity).unwrap();
                let error = (bursty.metrics.loss - plain.metrics.loss).abs() / plain.metrics.loss;
                assert!(error < 1e-9, "{service:?} {rate} {capacity}: {} {}", bursty.metrics.loss, plain.metrics.loss);
                assert!((bursty.metrics.mean_jobs - plain.metrics.mean_jobs).abs() < 1e-9);
                for (left, right) in bursty.at_departure.iter().zip(&plain.at_departure) {
                    assert!((left - right).abs() < 1e-11, "{service:?} {left} {right}");
                }
            }
        }
    }

    #[test]
    fn thousands_of_places_agree_with_the_closed_form() {
        let service = Law::exponential(1.0).unwrap().into();
        let bursty = solve(&poisson(0.99), &service, 2000).unwrap().metrics;
        let plain = crate::mmck::solve(0.99, 1.0, 1, 2000).unwrap().metrics;
        assert!((bursty.loss / plain.loss - 1.0).abs() < 1e-8, "{:e} {:e}", bursty.loss, plain.loss);
        assert!((bursty.mean_jobs / plain.mean_jobs - 1.0).abs() < 1e-8);
    }

    #[test]
    fn an_erlang_renewal_process_is_a_map() {
        // Arrivals after two phases of rate 2: E2/M/1/1 loses the transform of the time between arrivals at 1, (2/3)².
        let arrivals = ArrivalProcess::map([2.0, 0.0], [[0.0, 0.0], [2.0, 0.0]]).unwrap();
        let metrics = solve(&arrivals, &Law::exponential(1.0).unwrap().into(), 1).unwrap().metrics;
        assert!((arrivals.rate() - 1.0).abs() < 1e-14);
        assert!((metrics.loss - 4.0 / 9.0).abs() < 1e-12, "{}", metrics.loss);
    }

    #[test]
    fn extreme_load_is_saturation() {
        let service: Service = Law::deterministic(1.0).unwrap().into();
        for rate in [300.0, 1000.0] {
            let metrics = solve(&poisson(rate), &service, 5).unwrap().metrics;
            assert!((metrics.loss - (1.0 - 1.0 / rate)).abs() < 1e-9, "{metrics:?}");
            assert!((metrics.mean_jobs - (5.0 - 1.0 / rate)).abs() < 1e-9, "{metrics:?}");
        }
    }

    #[test]
    fn slow_switching_is_a_mixture_of_two_queues() {
        let service: Service = Law::deterministic(1.0).unwrap().into();
        let arrivals = ArrivalProcess::mmpp([0.4, 1.5], [1e-7, 1e-7]).unwrap();
        let lost = |rate: f64| rate * mg1k::solve(rate, &service, 6).unwrap().metrics.loss;
        let expected = (lost(0.4) + lost(1.5)) / (0.4 + 1.5);
        let loss = solve(&arrivals, &service, 6).unwrap().metrics.loss;
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }

    #[test]
    fn bad_arguments_are_named() {
        let refusal = |rates, switch| ArrivalProcess::mmpp(rates, switch).unwrap_err().to_string();
        assert!(refusal([f64::NAN, 1.0], [1.0, 1.0]).starts_with("arrival rate from phase 0"));
        assert!(refusal([0.0, 0.0], [1.0, 1.0]).starts_with("sum of the arrival rates"));
        assert!(refusal([1.0, 1.0], [1.0, 0.0]).starts_with("switching rate of phase 1"));
        let service = Law::deterministic(1.0).unwrap().into();
        assert!(solve(&poisson(1.0), &service, 0).unwrap_err().to_string().starts_with("capacity"));
        assert!(solve(&poisson(1.0), &service, 5000).unwrap_err().to_string().starts_with("capacity"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn two_ways_to_the_throughput_agree(
            rates in (0.0..3.0f64, 0.1..3.0f64), switch in (0.01..2.0f64, 0.01..2.0f64), scv in 0.0..3.0f64,
            capacity in 1usize..25,
        ) {
            let arrivals = ArrivalProcess::mmpp([rates.0, rates.1], [switch.0, switch.1]).unwrap();
            let service = Law::gamma(0.8, scv).unwrap().into();
            let Solution { metrics, at_random, at_departure } = solve(&arrivals, &service, capacity).unwrap();
            prop_assert!((at_random.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!((at_departure.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!((metrics.utilization - (1.0 - at_random[0])).abs() < 1e-9, "{:?}", metrics);
        }

        #[test]
        fn bursts_lose_more(rate in 0.2..1.5f64, switch in 0.01..1.0f64, capacity in 2usize..20) {
            let service = Law::deterministic(0.9).unwrap().into();
            let arrivals = ArrivalProcess::mmpp([1.8 * rate, 0.2 * rate], [switch, switch]).unwrap();
            let bursty = solve(&arrivals, &service, capacity).unwrap().metrics.loss;
            let plain = mg1k::solve(rate, &service, capacity).unwrap().metrics.loss;
            prop_assert!(bursty >= plain, "{} {}", bursty, plain);
        }
    }
}
