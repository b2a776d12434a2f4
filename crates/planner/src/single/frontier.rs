//! Threshold vectors on the accuracy–time frontier of an exit table.
//!
//! # Problem
//! Which threshold vectors give the most accuracy for their mean service time? They keep what single exits waste: that
//! a sample which an early exit is sure about need not go on.
//!
//! # Method
//! For a price μ of time (value per second) maximise value − μ·time over the samples, one exit at a time. Given all
//! other thresholds, each sample that reaches exit l is worth U_i if it goes on (its value at the exit where it would
//! leave, less μ times the way there) and its correctness if it leaves. Sorted by confidence at l, the best cut is that
//! of the largest running sum of (correct − U): all cuts are tried in one pass over the samples. Closed (no head) and
//! always leaving are cuts, too. Sweeps from the last exit to the first need each U_i once, and repeat until nothing
//! improves. Prices are slopes: between two points that are known, that of the line through them finds the point
//! farthest above it, climbed to from both ends; the widest gap is next. Points that are not better than a faster one
//! are dropped.
//!
//! # Differences from what is published
//! Bayesian optimisation treats the same table as a black box and finds a noisy point per arrival rate. Here the
//! objective is exact, each coordinate is optimal, and the result is monotone: more time, more value.
//!
//! # Noise
//! What is best on some samples looks better there than it is, so that a tuned vector would be preferred to the last exit
//! where that costs nothing. So thresholds are tuned on one half of the samples and valued on the other, relative to the
//! last exit. Cuts are tried at every 1/64 of the samples only. Coordinate ascent finds local optima.
//!
//! # Cost
//! O(N·L) per sweep, some 30 prices, two starts with two or three sweeps each.

use super::Mode;
use super::modes::{self, Server, Step, Worth};
use domain::problem::Model;
use domain::{ExitEvaluator, ExitTable, Thresholds};
use queueing::ArgumentError;

/// Points, at most.
pub const MOST_POINTS: usize = 32;
/// Price of time for the most valuable vector ÷ (1 ÷ longest time): only decides between equals.
const CHEAPEST: f64 = 1e-5;
/// Cuts per exit.
const CUTS: usize = 64;
/// Sweeps per price and start, at most.
const SWEEPS: usize = 4;

/// Modes of increasing mean time and increasing value, at most [`MOST_POINTS`]; the first is among the fastest there
/// are.
///
/// # Errors
/// Times that are none.
pub fn frontier(model: &Model, server: Server, worth: Worth) -> Result<Vec<Mode>, ArgumentError> {
    bent(model, server, worth, Bend(1.0))
}

/// The same where a service of time t costs t to the power of a bend: 2 for little variability, 4 for hardly any service
/// that takes much longer than the others. Modes of increasing mean cost.
///
/// # Errors
/// Times that are none.
pub fn bent(model: &Model, server: Server, worth: Worth, bend: Bend) -> Result<Vec<Mode>, ArgumentError> {
    let fold = model.choose.table.halves();
    let halves = fold.as_ref().map_or([&*model.choose.table; 2], |(search, value)| [search, value]);
    let mut search = Search::new(model, halves[0], server, worth);
    search.bend(bend);
    let evaluator = ExitEvaluator::new(halves[0]);
    let exits = model.exits();
    let mode = |values: &[f32]| {
        let thresholds = Thresholds::new(values).expect("cuts are confidences, 0 or 1");
        let behaviour = evaluator.evaluate(&thresholds);
        let service = server.service(model, &thresholds, &behaviour)?;
        Ok(Mode { value: worth.of(&behaviour), thresholds, service })
    };
    let cost = |mode: &Mode| bend.cost(mode);
    let longest: f64 = search.steps.iter().map(|step| step.segments.0 + step.head.0).sum();
    let starts = [Thresholds::exit_first(exits), Thresholds::exit_last(exits)];
    let valuable = search.best_of(CHEAPEST / longest, [starts[0].as_slice(), starts[1].as_slice()]);
    let mut points = increasing(vec![mode(starts[0].as_slice())?, mode(starts[1].as_slice())?, mode(&valuable)?], cost);
    // Pairs of neighbours between which there may be more, by their thresholds.
    let mut open: Vec<[Mode; 2]> = points.windows(2).map(|pair| [pair[0].clone(), pair[1].clone()]).collect();
    let area = |[low, high]: &[Mode; 2]| (high.value - low.value) * (cost(high) - cost(low));
    while points.len() < MOST_POINTS
        && let Some(widest) = (0..open.len()).max_by(|&a, &b| area(&open[a]).total_cmp(&area(&open[b])))
    {
        let [low, high] = open.swap_remove(widest);
        let slope = (high.value - low.value) / (cost(&high) - cost(&low));
        let between = mode(&search.best_of(slope, [low.thresholds.as_slice(), high.thresholds.as_slice()]))?;
        let gain = |mode: &Mode| mode.value - slope * cost(mode);
        let is_between = cost(&low) < cost(&between) && cost(&between) < cost(&high);
        let is_better = low.value < between.value && between.value < high.value;
        if gain(&between) > gain(&low) + NO_GAIN && is_between && is_better {
            points.push(between.clone());
            open.push([low, between.clone()]);
            open.push([between, high]);
        }
    }
    // Also where the search thinks that something else is better.
    points.push(mode(starts[1].as_slice())?);
    let values = Values::new(model, halves[1], worth);
    let all = points.into_iter().map(|point| {
        let mode = modes::mode(model, server, worth, point.thresholds)?;
        Ok(Mode { value: values.of(&mode), ..mode })
    });
    Ok(increasing(all.collect::<Result<_, _>>()?, cost))
}

/// By which power of its time a service costs; 1 for its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bend(pub f64);

impl Bend {
    fn of(self, time: f64) -> f64 {
        if self.0 == 1.0 { time } else { time.powf(self.0) }
    }

    /// The mean cost of a service, from the mean times of its exits.
    fn cost(self, mode: &Mode) -> f64 {
        if self.0 == 1.0 {
            return mode.service.mean();
        }
        mode.service.exits().iter().map(|(share, law)| share * self.of(law.mean())).sum()
    }
}

/// Honest values: of thresholds that were tuned to one half of the samples by the other half.
struct Values {
    other: ExitEvaluator,
    worth: Worth,
    /// What the last exit is worth on all samples, more than on that half: is the half easier?
    shift: f64,
}

impl Values {
    fn new(model: &Model, other: &ExitTable, worth: Worth) -> Self {
        let other = ExitEvaluator::new(other);
        let last = Thresholds::exit_last(model.exits());
        let shift = worth.of(&model.choose.exits.evaluate(&last)) - worth.of(&other.evaluate(&last));
        Self { other, worth, shift }
    }

    fn of(&self, mode: &Mode) -> f64 {
        let is_tuned = mode.thresholds.as_slice().iter().any(|&value| value > 0.0 && value < 1.0);
        if is_tuned { self.worth.of(&self.other.evaluate(&mode.thresholds)) + self.shift } else { mode.value }
    }
}

/// Gains in value below this are rounding.
const NO_GAIN: f64 = 1e-9;

/// Keeps what is better than everything faster.
pub fn monotone(modes: Vec<Mode>) -> Vec<Mode> {
    increasing(modes, |mode| mode.service.mean())
}

/// Keeps what is better than everything that costs less.
fn increasing(mut modes: Vec<Mode>, cost: impl Fn(&Mode) -> f64) -> Vec<Mode> {
    modes.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then(b.value.total_cmp(&a.value)));
    let mut kept: Vec<Mode> = vec![];
    for mode in modes {
        if kept.last().is_none_or(|last| mode.value > last.value) {
            kept.push(mode);
        }
    }
    kept
}

/// Keeps what nothing else is at least as good as, in value, mean time and second moment of time.
pub fn undominated(modes: Vec<Mode>) -> Vec<Mode> {
    let moment = |(share, law): &(f64, queueing::Law)| share * (law.variance() + law.mean().powi(2));
    let second = |mode: &Mode| mode.service.exits().iter().map(moment).sum::<f64>();
    let facts: Vec<[f64; 3]> = modes.iter().map(|mode| [-mode.value, mode.service.mean(), second(mode)]).collect();
    let beats = |one: usize, other: usize| {
        let (one_facts, other_facts) = (facts[one], facts[other]);
        // Of two alike the first.
        one_facts.iter().zip(&other_facts).all(|(a, b)| a <= b) && (one_facts != other_facts || one < other)
    };
    let kept: Vec<bool> = (0..modes.len()).map(|mode| !(0..modes.len()).any(|other| beats(other, mode))).collect();
    let kept = modes.into_iter().zip(kept).filter_map(|(mode, is_kept)| is_kept.then_some(mode));
    monotone_order(kept.collect())
}

fn monotone_order(mut modes: Vec<Mode>) -> Vec<Mode> {
    modes.sort_by(|a, b| a.service.mean().total_cmp(&b.service.mean()).then(b.value.total_cmp(&a.value)));
    modes
}

/// Columns are kept in the order of samples, and once more in the order of confidence: what is read together lies
/// together.
struct Search {
    samples: usize,
    steps: Vec<Step>,
    /// Per exit and sample its worth and confidence.
    worth: Vec<Vec<f32>>,
    confidence: Vec<Vec<f32>>,
    /// Per exit the samples, surest first, with their worth and confidence.
    sorted: Vec<Vec<Sorted>>,
    /// Per sample the first exit at which it leaves; worked on.
    leaves: Vec<u16>,
    /// Per sample what going on is worth; worked on.
    ahead: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Sorted {
    sample: u32,
    worth: f32,
    confidence: f32,
}

impl Search {
    fn new(model: &Model, table: &ExitTable, server: Server, worth: Worth) -> Self {
        let samples = table.samples();
        let columns = |value: &dyn Fn(usize, usize) -> f32| -> Vec<Vec<f32>> {
            (0..model.exits()).map(|exit| (0..samples).map(|sample| value(sample, exit)).collect()).collect()
        };
        let confidence = columns(&|sample, exit| table.confidence(sample, exit));
        let worth = match worth {
            Worth::Accuracy => columns(&|sample, exit| f32::from(u8::from(table.correct(sample, exit)))),
            Worth::Confidence => confidence.clone(),
        };
        let sorted = |(worth, confidence): (&Vec<f32>, &Vec<f32>)| {
            let row = |(sample, (&worth, &confidence))| Sorted { sample: sample as u32, worth, confidence };
            let mut rows: Vec<Sorted> = worth.iter().zip(confidence).enumerate().map(row).collect();
            rows.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
            rows
        };
        let sorted = worth.iter().zip(&confidence).map(sorted).collect();
        let (leaves, ahead) = (vec![0; samples], vec![0.0; samples]);
        Self { samples, steps: server.steps(model), worth, confidence, sorted, leaves, ahead }
    }

    /// Times as they cost: each step what it adds to a job that has skipped all heads before it.
    fn bend(&mut self, bend: Bend) {
        let mut time = 0.0;
        for step in &mut self.steps {
            let (segment, head) = (step.segments.0, step.head.0);
            step.segments.0 = bend.of(time + segment) - bend.of(time);
            time += segment;
            step.head.0 = bend.of(time + head) - bend.of(time);
        }
    }

    /// The better of what is climbed to from two starts.
    fn best_of(&mut self, price: f64, starts: [&[f32]; 2]) -> Vec<f32> {
        let [first, second] = starts.map(|start| {
            let mut at = start.to_vec();
            (self.climb(price, &mut at), at)
        });
        if first.0 >= second.0 { first.1 } else { second.1 }
    }

    /// Sweeps from `at` until nothing improves; gives the objective per sample.
    fn climb(&mut self, price: f64, at: &mut [f32]) -> f64 {
        let mut best = f64::NEG_INFINITY;
        for _ in 0..SWEEPS {
            let objective = self.sweep(price, at);
            if objective <= best + NO_STEP {
                break;
            }
            best = objective;
        }
        best
    }

    /// Sets each threshold to its best cut, from the last to the first; gives the objective per sample.
    fn sweep(&mut self, price: f64, at: &mut [f32]) -> f64 {
        self.find_exits(at);
        let last = self.steps.len() - 1;
        let way = |step: &Step| (price * step.segments.0) as f32;
        let head = |step: &Step| (price * step.head.0) as f32;
        let to_last = head(&self.steps[last]) + way(&self.steps[last]);
        self.ahead.iter_mut().zip(&self.worth[last]).for_each(|(value, &worth)| *value = worth - to_last);
        for exit in (0..last).rev() {
            let step = self.steps[exit];
            at[exit] = self.best_cut(exit, price * step.head.0);
            let cut = cut_of(at[exit]);
            let passing = way(&step) + if at[exit] < 1.0 { head(&step) } else { 0.0 };
            let columns = self.worth[exit].iter().zip(&self.confidence[exit]);
            for (ahead, (&worth, &confidence)) in self.ahead.iter_mut().zip(columns) {
                *ahead = if confidence > cut { worth } else { *ahead } - passing;
            }
        }
        self.ahead.iter().map(|&value| f64::from(value)).sum::<f64>() / self.samples as f64
    }

    fn find_exits(&mut self, at: &[f32]) {
        self.leaves.fill(at.len() as u16);
        for (exit, &threshold) in at.iter().enumerate().rev().filter(|(_, threshold)| **threshold < 1.0) {
            let cut = cut_of(threshold);
            for (leaves, &confidence) in self.leaves.iter_mut().zip(&self.confidence[exit]) {
                *leaves = if confidence > cut { exit as u16 } else { *leaves };
            }
        }
    }

    /// The threshold of an exit that is best for the samples that reach it; `head` is the price of its head.
    fn best_cut(&self, exit: usize, head: f64) -> f32 {
        let rows = &self.sorted[exit];
        let reaches = |sample: u32| self.leaves[sample as usize] >= exit as u16;
        let reach = self.leaves.iter().filter(|&&leaves| leaves >= exit as u16).count();
        let stride = (self.samples / CUTS).max(1);
        // Against closed: nobody leaves, no head.
        let (mut best, mut most) = (1.0, 0.0);
        let mut gain = -head * reach as f64;
        let (mut start, mut end) = (0, stride.min(rows.len()));
        while start < rows.len() {
            // A cut lies between two confidences: ties stay together.
            while end < rows.len() && rows[end].confidence == rows[end - 1].confidence {
                end += 1;
            }
            let part = rows[start..end].iter();
            gain += part
                .map(|row| if reaches(row.sample) { row.worth - self.ahead[row.sample as usize] } else { 0.0 })
                .map(f64::from)
                .sum::<f64>();
            // All leave behind the last one, and where nobody is less sure than 0.
            let cut = rows.get(end).map_or(0.0, |next| next.confidence);
            if gain > most && (end == rows.len() || cut > 0.0) {
                (best, most) = (cut, gain);
            }
            (start, end) = (end, (end + stride).min(rows.len()));
        }
        best
    }
}

/// Gains of a sweep below this are rounding of `f32`.
const NO_STEP: f64 = 1e-7;

/// Confidences above it leave.
fn cut_of(threshold: f32) -> f32 {
    match threshold {
        0.0 => -1.0,
        1.0 => f32::INFINITY,
        _ => threshold,
    }
}
