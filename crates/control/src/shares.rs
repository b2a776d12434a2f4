//! Whether jobs leave at the exits at which they should under the plan: a shift of inputs that shows in loads, without audits
//! and without labels.
//!
//! # Formula
//! Per exit the share of the last 450, 1,500 and 4,500 answers given there, against the share of the rows of the exit table that
//! leave there under the thresholds in force: of each answer those of its source, in the row of the rate table that its gateway
//! names. Where any share differs by more than the shift that matters, what losses can explain (their share of the jobs), and four
//! standard deviations, inputs have shifted. While the loss is proven to be above its target something must be wrong: then all of
//! these answers are looked at as soon as there are [`FEWEST`], and three deviations are enough.
//!
//! # Assumptions
//! Thresholds are known, and nothing else decides where a job leaves. Nothing is tested where a gateway learns thresholds, where
//! they depend on jobs present, where jobs that find no memory are answered with their last exit, or while a gateway still
//! follows another policy.
//!
//! # Cost
//! O(sources × exits) per reading, an evaluation of the exit table per plan, source and row.

use crate::GatewayReading;
use crate::confidence::mixture;
use domain::problem::{Samples, Service};
use domain::{ExitTable, Overflow, Policy, Thresholds};
use std::collections::{BTreeMap, VecDeque};
use wire::document::PolicyVersion;

/// Answers of a block, and the blocks that are looked at together.
const BLOCK: f64 = 150.0;
const SPANS: [usize; 3] = [3, 10, 30];
const LONGEST: usize = 30;

/// Standard deviations that chance explains.
const CHANCE: f64 = 4.0;
const CHANCE_IN_TROUBLE: f64 = 3.0;

/// Answers that are looked at while targets are missed.
const FEWEST: f64 = 100.0;

/// Answers that cannot be tested after which what was found before is no longer believed.
const TOO_OLD: u64 = 20_000;

/// How often jobs leave where, with the thresholds by which they do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaving {
    /// Threshold vectors with their probabilities, which sum to one.
    pub(crate) thresholds: Vec<(f64, Thresholds)>,
    /// Per exit the share of answers.
    pub(crate) shares: Vec<f64>,
}

/// Row of the rate table (`None` without one) and source.
type Key = (Option<usize>, String);

/// Follows at which exits the jobs of one service leave.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShareTracker {
    replicas: BTreeMap<String, Counters>,
    /// What to expect; `None` where thresholds are not known.
    expected: BTreeMap<Key, Option<Leaving>>,
    blocks: VecDeque<Block>,
    /// Per exit what weights of rows could not make up for: it is known, and no news.
    left_over: Vec<f64>,
    untested: u64,
}

/// Counters of a gateway process.
#[derive(Debug, Clone, PartialEq)]
struct Counters {
    row: Option<usize>,
    version: Option<PolicyVersion>,
    exits: BTreeMap<String, Vec<u64>>,
    unanswered: u64,
}

/// Some answers.
#[derive(Debug, Clone, Default)]
struct Block {
    /// Per exit.
    answers: Vec<f64>,
    of: BTreeMap<Key, f64>,
    unanswered: f64,
}

/// By what answers are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement<'a> {
    pub(crate) service: &'a Service,
    /// What its jobs are believed to be like.
    pub(crate) believed: &'a Samples,
    pub(crate) policy: &'a Policy,
    pub(crate) version: PolicyVersion,
    /// Difference of shares that matters.
    pub(crate) shift: f64,
    /// Whether the loss is proven to be above its target.
    pub(crate) is_in_trouble: bool,
}

impl ShareTracker {
    /// Takes the counters of a gateway. How jobs leave when that has been found to be another way.
    pub(crate) fn observe(&mut self, gateway: &GatewayReading, by: Judgement<'_>) -> Option<Leaving> {
        let block = self.read(gateway, by)?;
        let is_full = self.add(block);
        let spans = if is_full { &SPANS[..] } else { &[] };
        let full = self.blocks.len() - 1;
        let spans = spans.iter().filter(|span| **span <= full).map(|span| (self.last(*span), CHANCE));
        let all = by.is_in_trouble.then(|| (self.last(LONGEST), CHANCE_IN_TROUBLE));
        let all = all.filter(|(all, _)| all.count() >= FEWEST);
        let (found, _) = spans.chain(all).find(|(block, chance)| self.is_off(block, by.shift, *chance))?;
        let count = found.count();
        let mut thresholds: Vec<(f64, Thresholds)> = vec![];
        for (key, answers) in &found.of {
            for (probability, one) in &self.expected.get(key)?.as_ref()?.thresholds {
                let weight = probability * answers / count;
                match thresholds.iter_mut().find(|(_, known)| known == one) {
                    Some((sum, _)) => *sum += weight,
                    None => thresholds.push((weight, one.clone())),
                }
            }
        }
        Some(Leaving { thresholds, shares: found.answers.iter().map(|answers| answers / count).collect() })
    }

    /// Answers since the last reading, where it is known by which thresholds they left.
    fn read(&mut self, gateway: &GatewayReading, by: Judgement<'_>) -> Option<Block> {
        let unanswered = gateway.sources.values().fold(0, |sum: u64, source| sum.saturating_add(source.unanswered));
        let (row, version, exits) = (gateway.row, gateway.version, gateway.exits.clone());
        let now = Counters { row, version, exits, unanswered };
        let before = self.replicas.insert(gateway.replica.clone(), now)?;
        // What was counted while row or policy changed belongs to neither.
        let is_steady = before.row == row && before.version == version && version.is_none_or(|one| one == by.version);
        if !is_steady {
            return None;
        }
        let mut block = Block { unanswered: unanswered.checked_sub(before.unanswered)? as f64, ..Block::default() };
        block.answers.resize(by.service.model.exits(), 0.0);
        let (mut tested, mut untested) = (false, 0);
        for (source, now) in &gateway.exits {
            let Some(was) = before.exits.get(source).filter(|was| was.len() == now.len()) else { continue };
            let answers: Option<Vec<u64>> = now.iter().zip(was).map(|(now, was)| now.checked_sub(*was)).collect();
            let (answers, key) = (answers?, (row, source.clone()));
            let count: u64 = answers.iter().sum();
            if count == 0 {
                continue;
            }
            if self.expected.entry(key.clone()).or_insert_with(|| expected(by, row, source)).is_none() {
                untested += count;
                continue;
            }
            tested = true;
            block.answers.iter_mut().zip(&answers).for_each(|(sum, answers)| *sum += *answers as f64);
            *block.of.entry(key).or_default() += count as f64;
        }
        self.untested = if tested { 0 } else { self.untested.saturating_add(untested) };
        tested.then_some(block)
    }

    /// Whether that has filled a block.
    fn add(&mut self, more: Block) -> bool {
        if self.blocks.is_empty() {
            self.blocks.push_back(Block::default());
        }
        let last = self.blocks.len() - 1;
        self.blocks[last].add(&more);
        let is_full = self.blocks[last].count() >= BLOCK;
        if is_full {
            self.blocks.push_back(Block::default());
            if self.blocks.len() > LONGEST + 1 {
                self.blocks.pop_front();
            }
        }
        is_full
    }

    /// The last full blocks with what has come after.
    fn last(&self, full: usize) -> Block {
        let mut all = Block::default();
        self.blocks.iter().rev().take(full + 1).for_each(|block| all.add(block));
        all
    }

    fn is_off(&self, block: &Block, shift: f64, chance: f64) -> bool {
        let count = block.count();
        let mut expected = self.left_over.clone();
        expected.resize(block.answers.len(), 0.0);
        for (key, answers) in &block.of {
            let Some(Some(leaving)) = self.expected.get(key) else { return false };
            expected.iter_mut().zip(&leaving.shares).for_each(|(sum, share)| *sum += share * answers / count);
        }
        let lost = block.unanswered / (block.unanswered + count);
        let found: Vec<f64> = block.answers.iter().map(|answers| answers / count).collect();
        !are_near(&found, &expected, shift + lost, chance / count.sqrt())
    }

    /// Whether what was found before can be tested no more.
    pub(crate) fn is_too_old(&self) -> bool {
        self.untested >= TOO_OLD
    }

    /// Other samples are believed, by which jobs leave in the way that was found as far as weights of rows can say so.
    pub(crate) fn reweighed(&mut self, believed: &Samples, found: Option<&Leaving>) {
        self.restart();
        self.left_over = found.map_or_else(Vec::new, |found| {
            let now = shares(believed, &found.thresholds);
            found.shares.iter().zip(now).map(|(found, now)| found - now).collect()
        });
    }

    /// Another plan is in force.
    pub(crate) fn restart(&mut self) {
        let replicas = std::mem::take(&mut self.replicas);
        *self = Self { replicas, ..Self::default() };
    }
}

impl Block {
    fn add(&mut self, more: &Self) {
        self.answers.resize(more.answers.len().max(self.answers.len()), 0.0);
        self.answers.iter_mut().zip(&more.answers).for_each(|(sum, more)| *sum += more);
        for (key, more) in &more.of {
            *self.of.entry(key.clone()).or_default() += more;
        }
        self.unanswered += more.unanswered;
    }

    fn count(&self) -> f64 {
        self.answers.iter().sum()
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

/// How jobs of a source leave by the samples that are believed; `None` where thresholds are not known.
fn expected(by: Judgement<'_>, row: Option<usize>, source: &str) -> Option<Leaving> {
    if by.policy.overflow == Overflow::AnswerWithLastExit {
        return None;
    }
    let choices = mixture(by.policy, row, source)?.choices();
    let is_known =
        |choice: &domain::Choice| choice.by_present.is_empty() && choice.thresholds.exits() == by.service.model.exits();
    if !choices.iter().all(is_known) {
        return None;
    }
    let thresholds: Vec<(f64, Thresholds)> =
        choices.iter().map(|choice| (choice.probability.get(), choice.thresholds.clone())).collect();
    let shares = shares(by.believed, &thresholds);
    Some(Leaving { thresholds, shares })
}
