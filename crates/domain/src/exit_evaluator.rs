//! What thresholds do to the samples of an exit table, exactly.

use crate::{ExitTable, ServiceTimes, Thresholds};

/// Samples that are looked at together: their flags fit the first-level cache beside their confidences.
const BLOCK: usize = 512;

/// Counts for any thresholds where the samples of an exit table leave and how many leave with the right answer.
///
/// Keeps the table by columns, so that a threshold is compared with neighbouring numbers. Cost of an evaluation: one
/// comparison per sample and open exit it reaches in its block; 5,000 samples at 9 exits take some 10 µs.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitEvaluator {
    samples: usize,
    exits: usize,
    /// Per exit one value per sample.
    confidence: Vec<f32>,
    /// Per exit one value per sample: 1 if the exit is right.
    correct: Vec<u32>,
}

/// What thresholds do: the share of jobs that leave at each exit, and what they get there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExitBehaviour {
    /// Per exit the share of jobs that leave there; sums to one.
    pub share: Vec<f64>,
    /// Per exit the share of jobs that leave there with the right answer.
    pub correct: Vec<f64>,
    /// Per exit the sum of confidences of the jobs that leave there ÷ all jobs.
    pub confidence: Vec<f64>,
}

impl ExitBehaviour {
    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.correct.iter().sum()
    }

    /// Mean confidence of the answers: what can be known without labels.
    pub fn mean_confidence(&self) -> f64 {
        self.confidence.iter().sum()
    }

    /// Share of jobs that do not leave before `exit` (from 0).
    pub fn reach(&self, exit: usize) -> f64 {
        self.share[exit..].iter().sum()
    }
}

impl ExitEvaluator {
    /// Takes over a table.
    pub fn new(table: &ExitTable) -> Self {
        let (samples, exits) = (table.samples(), table.exits());
        let columns = || (0..exits).flat_map(move |exit| (0..samples).map(move |sample| (sample, exit)));
        Self {
            samples,
            exits,
            confidence: columns().map(|(sample, exit)| table.confidence(sample, exit)).collect(),
            correct: columns().map(|(sample, exit)| u32::from(table.correct(sample, exit))).collect(),
        }
    }

    /// Number of exits L.
    pub fn exits(&self) -> usize {
        self.exits
    }

    /// Number of samples N.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Confidences of all samples at an exit.
    pub fn confidences(&self, exit: usize) -> &[f32] {
        &self.confidence[exit * self.samples..][..self.samples]
    }

    /// What `thresholds` (for as many exits as the table has) do.
    ///
    /// # Panics
    /// When they are for another number of exits.
    pub fn evaluate(&self, thresholds: &Thresholds) -> ExitBehaviour {
        let mut behaviour = ExitBehaviour::default();
        self.evaluate_into(thresholds, &mut behaviour);
        behaviour
    }

    /// As [`ExitEvaluator::evaluate`], without allocating when `behaviour` has been used before.
    pub fn evaluate_into(&self, thresholds: &Thresholds, behaviour: &mut ExitBehaviour) {
        assert_eq!(thresholds.exits(), self.exits, "thresholds are for the exits of the table");
        let lists = [&mut behaviour.share, &mut behaviour.correct, &mut behaviour.confidence];
        lists.into_iter().for_each(|list| {
            list.clear();
            list.resize(self.exits, 0.0);
        });
        for start in (0..self.samples).step_by(BLOCK) {
            self.add_block(start, BLOCK.min(self.samples - start), thresholds, behaviour);
        }
        let whole = self.samples as f64;
        let lists = [&mut behaviour.share, &mut behaviour.correct, &mut behaviour.confidence];
        lists.into_iter().flatten().for_each(|value| *value /= whole);
    }

    fn add_block(&self, start: usize, length: usize, thresholds: &Thresholds, behaviour: &mut ExitBehaviour) {
        // All ones while a sample is in the network.
        let mut inside = [u32::MAX; BLOCK];
        let inside = &mut inside[..length];
        let mut left = length as u32;
        for exit in (0..self.exits).filter(|&exit| thresholds.is_open(exit)) {
            // Below every confidence where all leave: a threshold of 0, and the last exit.
            let threshold = thresholds.as_slice().get(exit).copied().filter(|&value| value > 0.0).unwrap_or(-1.0);
            let at = exit * self.samples + start;
            let found = leave(threshold, &self.confidence[at..at + length], &self.correct[at..at + length], inside);
            behaviour.share[exit] += f64::from(found.left);
            behaviour.correct[exit] += f64::from(found.right);
            behaviour.confidence[exit] += f64::from(found.confidence);
            left -= found.left;
            if left == 0 {
                break;
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Found {
    left: u32,
    right: u32,
    confidence: f32,
}

/// Lets the samples of a block leave at an exit. Without branches, in lanes of equal width: compilers make SIMD of it.
fn leave(threshold: f32, confidence: &[f32], correct: &[u32], inside: &mut [u32]) -> Found {
    const LANES: usize = 8;
    let mut left = [0u32; LANES];
    let mut right = [0u32; LANES];
    let mut sum = [0f32; LANES];
    let mut step = |lane: usize, confidence: f32, correct: u32, inside: &mut u32| {
        let leaves = *inside & u32::from(confidence > threshold).wrapping_neg();
        *inside &= !leaves;
        left[lane] += leaves & 1;
        right[lane] += leaves & correct;
        sum[lane] += f32::from_bits(confidence.to_bits() & leaves);
    };
    let whole = confidence.len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let (confidence, correct) = (&confidence[at..at + LANES], &correct[at..at + LANES]);
        let inside = &mut inside[at..at + LANES];
        for lane in 0..LANES {
            step(lane, confidence[lane], correct[lane], &mut inside[lane]);
        }
    }
    for at in whole..confidence.len() {
        step(0, confidence[at], correct[at], &mut inside[at]);
    }
    Found { left: left.iter().sum(), right: right.iter().sum(), confidence: sum.iter().sum() }
}

impl ServiceTimes {
    /// Mean and second moment of the time that jobs need for all segments and heads on the profiled machine, when
    /// they leave in the shares of `behaviour`. Exits hang behind `exit_segments`; only open heads are computed.
    ///
    /// Times of segments and heads are taken as independent of each other and of the exit.
    pub fn whole_service(
        &self,
        exit_segments: &[usize],
        thresholds: &Thresholds,
        behaviour: &ExitBehaviour,
    ) -> (f64, f64) {
        let (mut mean, mut second) = (0.0, 0.0);
        let (mut time, mut variance, mut segment) = (0.0, 0.0, 0);
        for (exit, &share) in behaviour.share.iter().enumerate() {
            if !thresholds.is_open(exit) {
                continue;
            }
            let run = self.segments[segment..=exit_segments[exit]].iter().chain([&self.heads[exit]]);
            for part in run {
                let seconds = part.mean.get();
                time += seconds;
                variance += part.scv * seconds * seconds;
            }
            segment = exit_segments[exit] + 1;
            mean += share * time;
            second += share * (time * time + variance);
        }
        (mean, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seconds, ServiceTime};
    use proptest::prelude::*;

    /// The rule, sample by sample.
    fn one_by_one(table: &ExitTable, thresholds: &Thresholds) -> ExitBehaviour {
        let zeros = || vec![0.0; table.exits()];
        let mut behaviour = ExitBehaviour { share: zeros(), correct: zeros(), confidence: zeros() };
        for sample in 0..table.samples() {
            let exit = (0..table.exits()).find(|&exit| thresholds.leaves(exit, table.confidence(sample, exit)));
            let exit = exit.expect("the last exit always answers");
            let part = 1.0 / table.samples() as f64;
            behaviour.share[exit] += part;
            behaviour.correct[exit] += if table.correct(sample, exit) { part } else { 0.0 };
            behaviour.confidence[exit] += part * f64::from(table.confidence(sample, exit));
        }
        behaviour
    }

    fn tables() -> impl Strategy<Value = (ExitTable, Thresholds)> {
        (1usize..6, 1usize..1200).prop_flat_map(|(exits, samples)| {
            let confidence =
                prop::collection::vec(prop_oneof![Just(0.0f32), Just(1.0f32), 0.0f32..=1.0], samples * exits);
            let classes = prop::collection::vec(0u16..3, samples * exits);
            let labels = prop::collection::vec(0u16..3, samples);
            let thresholds = prop::collection::vec(prop_oneof![Just(0.0f32), Just(1.0f32), 0.0f32..=1.0], exits - 1);
            (confidence, classes, labels, thresholds).prop_map(move |(confidence, classes, labels, thresholds)| {
                let table = ExitTable::new(exits, confidence, classes, labels).unwrap();
                (table, Thresholds::new(thresholds).unwrap())
            })
        })
    }

    proptest! {
        #[test]
        fn columns_say_what_the_rule_says((table, thresholds) in tables()) {
            let (found, want) = (ExitEvaluator::new(&table).evaluate(&thresholds), one_by_one(&table, &thresholds));
            for exit in 0..table.exits() {
                prop_assert!((found.share[exit] - want.share[exit]).abs() < 1e-9);
                prop_assert!((found.correct[exit] - want.correct[exit]).abs() < 1e-9);
                prop_assert!((found.confidence[exit] - want.confidence[exit]).abs() < 1e-5);
            }
            prop_assert!((found.share.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn service_follows_exits_and_open_heads() {
        let time = |mean: f64| ServiceTime { mean: Seconds::new(mean).unwrap(), scv: 1.0 };
        let times = ServiceTimes {
            segments: vec![time(1.0), time(2.0), time(4.0)],
            heads: vec![time(0.5), time(0.25), time(0.0)],
        };
        let behaviour = ExitBehaviour { share: vec![0.5, 0.0, 0.5], ..ExitBehaviour::default() };
        let open = Thresholds::new(vec![0.5, 0.9]).unwrap();
        let (mean, second) = times.whole_service(&[0, 1, 2], &open, &behaviour);
        assert!((mean - (0.5 * 1.5 + 0.5 * 7.75)).abs() < 1e-12, "{mean}");
        let variance = (1.0 + 0.25, 1.0 + 0.25 + 4.0 + 0.0625 + 16.0);
        assert!((second - (0.5 * (1.5 * 1.5 + variance.0) + 0.5 * (7.75 * 7.75 + variance.1))).abs() < 1e-12);
        let closed = Thresholds::new(vec![0.5, 1.0]).unwrap();
        let (mean, _) = times.whole_service(&[0, 1, 2], &closed, &behaviour);
        assert!((mean - (0.5 * 1.5 + 0.5 * 7.5)).abs() < 1e-12, "a closed head is not computed: {mean}");
    }
}
