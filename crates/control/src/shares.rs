//! Whether jobs leave at the exits at which they should under the plan: a shift of inputs that shows in loads, without audits
//! and without labels.
//!
//! # Formula
//! Per exit the share of the last 450, 1,500 and 4,500 answers given there, against the share of the rows of the exit table that
//! leave there under the thresholds in force (those of the row of the rate table that the gateway names). Where any differs by
//! more than the shift that matters and four standard deviations of a share, inputs have shifted. While the loss is proven to be
//! above its target something must be wrong: then all answers since the last plan are looked at, [`FEWEST`] or more, and three
//! deviations are enough.
//!
//! # Assumptions
//! Thresholds are known: where a gateway learns them, or they depend on jobs present, nothing is tested. Jobs that are lost
//! would have left like the others: a loss of some percent makes no difference that matters.
//!
//! # Cost
//! O(exits) per reading, an evaluation of the exit table per plan and row.

use crate::confidence::{Increment, mixture};
use domain::problem::{Samples, Service};
use domain::{ExitTable, Policy, Thresholds};
use std::collections::{BTreeMap, VecDeque};

/// Answers of a block, and the blocks that are looked at together.
const BLOCK: f64 = 150.0;
const SPANS: [usize; 3] = [3, 10, 30];
const LONGEST: usize = 30;

/// Standard deviations that chance explains.
const CHANCE: f64 = 4.0;
const CHANCE_IN_TROUBLE: f64 = 3.0;

/// Answers that are looked at while targets are missed.
const FEWEST: f64 = 100.0;

/// How often jobs leave where, with the thresholds by which they do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaving {
    /// Threshold vectors with their probabilities, which sum to one.
    pub(crate) thresholds: Vec<(f64, Thresholds)>,
    /// Per exit the share of answers.
    pub(crate) shares: Vec<f64>,
}

/// Follows at which exits the jobs of one service leave.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShareTracker {
    /// Per row of the rate table (`None` without one).
    rows: BTreeMap<Option<usize>, Row>,
}

#[derive(Debug, Clone)]
struct Row {
    /// What to expect; `None` where thresholds are not known.
    expected: Option<Leaving>,
    blocks: Blocks,
}

/// Answers per exit, in blocks; the last one is not full.
#[derive(Debug, Clone)]
struct Blocks(VecDeque<Vec<f64>>);

/// By what answers are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement<'a> {
    pub(crate) service: &'a Service,
    /// What its jobs are believed to be like.
    pub(crate) believed: &'a Samples,
    pub(crate) policy: &'a Policy,
    /// Difference of shares that matters.
    pub(crate) shift: f64,
    /// Whether the loss is proven to be above its target.
    pub(crate) is_in_trouble: bool,
}

impl ShareTracker {
    /// Takes what a gateway answered. How jobs leave when that has been found to be another way.
    pub(crate) fn observe(&mut self, answers: &Increment, by: Judgement<'_>) -> Option<Leaving> {
        let exits = by.service.model.exits();
        let begin = || Row { expected: expected(by, answers.row), blocks: Blocks([vec![0.0; exits]].into()) };
        let Row { expected, blocks } = self.rows.entry(answers.row).or_insert_with(begin);
        let expected = expected.as_ref()?;
        let is_full = blocks.add(&answers.exits);
        let spans = if is_full { &SPANS[..] } else { &[] };
        let full = blocks.0.len() - 1;
        let spans = spans.iter().filter(|span| **span <= full).map(|span| (blocks.last(*span), CHANCE));
        let all = by.is_in_trouble.then(|| (blocks.last(LONGEST), CHANCE_IN_TROUBLE)).filter(|all| all.0.1 >= FEWEST);
        let is_off = |((shares, count), chance): &((Vec<f64>, f64), f64)| {
            !are_near(shares, &expected.shares, by.shift, *chance / count.sqrt())
        };
        let ((shares, _), _) = spans.chain(all).find(is_off)?;
        let found = Leaving { thresholds: expected.thresholds.clone(), shares };
        self.restart();
        Some(found)
    }

    /// Another plan is in force, or other samples are believed.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }
}

impl Blocks {
    /// Whether that has filled a block.
    fn add(&mut self, answers: &[(f64, u64)]) -> bool {
        let last = self.0.len() - 1;
        let block = &mut self.0[last];
        block.iter_mut().zip(answers).for_each(|(sum, (_, count))| *sum += *count as f64);
        let (exits, is_full) = (block.len(), block.iter().sum::<f64>() >= BLOCK);
        if is_full {
            self.0.push_back(vec![0.0; exits]);
            if self.0.len() > LONGEST + 1 {
                self.0.pop_front();
            }
        }
        is_full
    }

    /// Shares of the last full blocks and of what has come after, and how many answers these are.
    fn last(&self, full: usize) -> (Vec<f64>, f64) {
        let mut counts = vec![0.0; self.0[0].len()];
        for block in self.0.iter().rev().take(full + 1) {
            counts.iter_mut().zip(block).for_each(|(sum, count)| *sum += count);
        }
        let all: f64 = counts.iter().sum();
        (counts.iter().map(|count| count / all.max(1.0)).collect(), all)
    }
}

impl Leaving {
    /// Whether these samples leave in this way.
    pub(crate) fn is_that_of(&self, samples: &Samples, shift: f64) -> bool {
        are_near(&self.shares, &shares(samples, &self.thresholds), shift, CHANCE / (10.0 * BLOCK).sqrt())
    }

    /// Per exit, per row of a table: the probability that it leaves there.
    pub(crate) fn of_rows(&self, table: &ExitTable) -> Vec<Vec<f32>> {
        let mut leaves = vec![vec![0.0; table.samples()]; table.exits()];
        for (probability, thresholds) in &self.thresholds {
            for row in 0..table.samples() {
                leaves[exit_of(table, row, thresholds)][row] += *probability as f32;
            }
        }
        leaves
    }
}

fn exit_of(table: &ExitTable, row: usize, thresholds: &Thresholds) -> usize {
    let last = table.exits() - 1;
    let leaves = |exit: &usize| thresholds.leaves(*exit, table.confidence(row, *exit));
    (0..last).find(leaves).unwrap_or(last)
}

/// Whether no share differs by more than `shift` and what chance explains, per root of its variance.
fn are_near(found: &[f64], expected: &[f64], shift: f64, chance: f64) -> bool {
    let near = |(found, expected): (&f64, &f64)| {
        (found - expected).abs() <= shift + chance * (expected * (1.0 - expected)).sqrt()
    };
    found.iter().zip(expected).all(near)
}

fn shares(samples: &Samples, thresholds: &[(f64, Thresholds)]) -> Vec<f64> {
    let mut shares = vec![0.0; samples.exits.exits()];
    for (probability, thresholds) in thresholds {
        let behaviour = samples.exits.evaluate(thresholds);
        shares.iter_mut().zip(behaviour.share).for_each(|(sum, share)| *sum += probability * share);
    }
    shares
}

/// How jobs leave by the samples that are believed; `None` where thresholds are not known.
fn expected(by: Judgement<'_>, row: Option<usize>) -> Option<Leaving> {
    let service = by.service;
    let total: f64 = service.sources.iter().map(|source| source.rate.get()).sum();
    let mut thresholds: Vec<(f64, Thresholds)> = vec![];
    for source in service.sources.iter().filter(|source| source.rate.get() > 0.0) {
        for choice in mixture(by.policy, row, &source.name)?.choices() {
            if !choice.by_present.is_empty() || choice.thresholds.exits() != service.model.exits() {
                return None;
            }
            let probability = source.rate.get() / total * choice.probability.get();
            match thresholds.iter_mut().find(|(_, known)| *known == choice.thresholds) {
                Some((sum, _)) => *sum += probability,
                None => thresholds.push((probability, choice.thresholds.clone())),
            }
        }
    }
    let shares = shares(by.believed, &thresholds);
    (!thresholds.is_empty()).then_some(Leaving { thresholds, shares })
}
