//! Thresholds that are best at given prices.
//!
//! # Problem
//! Running a segment or a head costs, a right answer is worth something. Which thresholds earn most on the samples that
//! choose them?
//!
//! # How
//! From the last exit back to the first. Behind an exit every sample has a value: what it will earn where it will
//! leave, less what is run until then. At the exit itself those leave whose confidence is above the threshold; with
//! samples in bins by confidence, the gain of leaving over going on is summed from the most confident bin down, and the
//! threshold is where the sum is largest. A closed exit saves its head. Only samples that reach an exit count; as those
//! depend on the thresholds before, it is done [`PASSES`] times.
//!
//! This is what makes the search for thresholds small: whatever the number of exits, the best thresholds of a chain
//! follow from one price per fragment and link.
//!
//! # Assumptions
//! Costs add up over what is run. Thresholds are quantiles of the confidences, [`BINS`] of them, so that they are not
//! tuned to single samples.
//!
//! # Cost
//! Two looks at every sample and exit per pass.

use domain::Thresholds;
use domain::problem::Model;

/// Quantiles that a threshold may be at.
const BINS: usize = 64;
/// Times that all exits are visited.
const PASSES: usize = 2;

/// What segments, heads and answers cost and are worth, for a job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prices {
    /// Per segment, with what it costs to get to its fragment.
    pub(crate) segments: Vec<f64>,
    /// Per exit what its head costs.
    pub(crate) heads: Vec<f64>,
    /// Per exit what a right answer there is worth.
    pub(crate) right: Vec<f64>,
}

/// Finds thresholds for a model.
#[derive(Debug)]
pub(crate) struct Pricer {
    samples: usize,
    exit_segments: Vec<usize>,
    /// Per exit but the last: thresholds in rising order; a sample in bin b is above the first b of them.
    cuts: Vec<Vec<f32>>,
    bins: Vec<Vec<u8>>,
    /// Per exit, per sample: 1 if it is right.
    right: Vec<Vec<f32>>,
}

impl Pricer {
    /// For a model, by `most` of its samples at most, evenly spread over all.
    pub(crate) fn new(model: &Model, most: usize) -> Self {
        let (table, exits) = (&model.choose.table, &model.choose.exits);
        let stride = table.samples().div_ceil(most).max(1);
        let taken = || (0..table.samples()).step_by(stride);
        let (mut cuts, mut bins) = (vec![], vec![]);
        for exit in 0..model.exits() - 1 {
            let confidences = exits.confidences(exit);
            let cut = cuts_of(confidences);
            bins.push(taken().map(|one| cut.partition_point(|cut| *cut < confidences[one]) as u8).collect());
            cuts.push(cut);
        }
        let right = |exit: usize| taken().map(|one| f32::from(u8::from(table.correct(one, exit)))).collect();
        Self {
            samples: taken().count(),
            exit_segments: model.exit_segments.clone(),
            right: (0..model.exits()).map(right).collect(),
            cuts,
            bins,
        }
    }

    /// The thresholds that earn most.
    pub(crate) fn thresholds(&self, prices: &Prices) -> Thresholds {
        let mut search = Search {
            pricer: self,
            prices,
            reach: vec![self.exit_segments.len() as u8; self.samples],
            values: vec![0.0; self.samples],
            gains: vec![0.0; self.samples],
            chosen: vec![Chosen::Closed; self.cuts.len()],
        };
        for pass in 0..PASSES {
            if pass > 0 {
                search.follow();
            }
            search.choose();
        }
        let threshold = |(exit, chosen): (usize, &Chosen)| match chosen {
            Chosen::All => 0.0,
            Chosen::Above(cut) => self.cuts[exit][*cut],
            Chosen::Closed => 1.0,
        };
        let thresholds: Vec<f32> = search.chosen.iter().enumerate().map(threshold).collect();
        Thresholds::new(thresholds).expect("cuts are confidences")
    }
}

/// Distinct quantiles above 0 and below 1.
fn cuts_of(confidences: &[f32]) -> Vec<f32> {
    let mut sorted = confidences.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |bin: usize| sorted[bin * (sorted.len() - 1) / BINS];
    let mut cuts: Vec<f32> = (1..BINS).map(at).filter(|&cut| cut > 0.0 && cut < 1.0).collect();
    cuts.dedup();
    cuts
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Chosen {
    All,
    /// Those in bins above this one: index of the cut.
    Above(usize),
    Closed,
}

struct Search<'a> {
    pricer: &'a Pricer,
    prices: &'a Prices,
    /// The exit at which each sample leaves under the last choice: it reaches no later one.
    reach: Vec<u8>,
    /// What each sample earns behind the exit that is looked at. Of prices and values only ratios count, and what is
    /// summed up is a few thousand of them: f32 does, and more of them fit into a register.
    values: Vec<f32>,
    /// What each sample gains by leaving there, 0 if it does not come that far.
    gains: Vec<f32>,
    chosen: Vec<Chosen>,
}

impl Search<'_> {
    fn follow(&mut self) {
        let exits = self.chosen.len();
        self.reach.fill(exits as u8);
        for exit in (0..exits).rev() {
            match self.chosen[exit] {
                Chosen::Closed => {}
                Chosen::All => self.reach.fill(exit as u8),
                Chosen::Above(cut) => {
                    for (reach, bin) in self.reach.iter_mut().zip(&self.pricer.bins[exit]) {
                        *reach = if *bin > cut as u8 { exit as u8 } else { *reach };
                    }
                }
            }
        }
    }

    fn choose(&mut self) {
        let (last, Prices { right, heads, segments }) = (self.chosen.len(), self.prices);
        let (worth, head) = (right[last] as f32, heads[last] as f32);
        for (value, correct) in self.values.iter_mut().zip(&self.pricer.right[last]) {
            *value = correct * worth - head;
        }
        for exit in (0..last).rev() {
            let way = self.pricer.exit_segments[exit] + 1..=self.pricer.exit_segments[exit + 1];
            let cost: f64 = segments[way].iter().sum();
            self.values.iter_mut().for_each(|value| *value -= cost as f32);
            self.choose_at(exit);
            let bins = &self.pricer.bins[exit];
            let (worth, head) = (right[exit] as f32, heads[exit] as f32);
            let leaving = self.values.iter_mut().zip(bins).zip(&self.pricer.right[exit]);
            match self.chosen[exit] {
                Chosen::Closed => {}
                Chosen::All => leaving.for_each(|((value, _), correct)| *value = correct * worth - head),
                Chosen::Above(cut) => leaving.for_each(|((value, bin), correct)| {
                    *value = if *bin > cut as u8 { correct * worth } else { *value } - head;
                }),
            }
        }
    }

    fn choose_at(&mut self, exit: usize) {
        let (bins, right) = (&self.pricer.bins[exit], &self.pricer.right[exit]);
        let (worth, mut reaching) = (self.prices.right[exit] as f32, 0.0);
        let samples = self.values.iter().zip(right).zip(&self.reach);
        for (gain, ((value, correct), reach)) in self.gains.iter_mut().zip(samples) {
            let reaches = f32::from(u8::from(*reach >= exit as u8));
            *gain = reaches * (correct * worth - value);
            reaching += reaches;
        }
        // Two sums in turn: the next one does not wait for the one before.
        let mut sums = [[0f32; BINS + 1]; 2];
        for (index, (gain, bin)) in self.gains.iter().zip(bins).enumerate() {
            sums[index & 1][usize::from(*bin)] += gain;
        }
        let gain = |bin: usize| f64::from(sums[0][bin] + sums[1][bin]);
        let head = self.prices.heads[exit] * f64::from(reaching);
        let (mut sum, mut best, mut chosen) = (0.0, head, Chosen::Closed);
        for cut in (0..self.pricer.cuts[exit].len()).rev() {
            sum += gain(cut + 1);
            if sum > best {
                (best, chosen) = (sum, Chosen::Above(cut));
            }
        }
        if sum + gain(0) > best {
            chosen = Chosen::All;
        }
        self.chosen[exit] = chosen;
    }
}
