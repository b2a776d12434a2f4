//! From a loss target to a table.

use super::belief::BELIEFS;
use super::kernel::Phased;
use super::measure::{Course, Measured};
use super::optimum::{always, optimal, performance};
use super::passage::{Lottery, Modes};
use crate::single::Table;
use crate::single::embedded::Performance;

/// Per belief of the grid a table over jobs present.
#[derive(Debug, Clone, PartialEq)]
pub struct BeliefTable(pub Vec<Table>);

/// A table that keeps to a loss target.
#[derive(Debug, Clone, PartialEq)]
pub struct OnTarget {
    /// The table.
    pub table: BeliefTable,
    /// What the model says of it.
    pub predicted: Performance,
    /// What it does with the filter of the gateway.
    pub measured: Measured,
    /// Whether the measured loss is on target; where it cannot be, this is the table that loses least.
    pub is_met: bool,
}

/// Prices above the largest value that are tried.
const PRICES: std::ops::RangeInclusive<f64> = 1e-6..=1e7;
/// Halvings of the range of ln price.
const HALVINGS: usize = 18;
/// Halvings of the share of the riskier table.
const MIX_HALVINGS: usize = 7;
/// Times that the target of the model is moved.
const CORRECTIONS: usize = 5;
/// Measured losses this close below the target are on target.
const CLOSE: f64 = 0.97;

/// The most valuable table whose loss, as measured with the gateway's filter on `course`, is at most `target`.
pub fn on_target(phased: &Phased<'_>, course: &Course, target: f64) -> OnTarget {
    let mut search = Search::new(phased);
    let mut aim = target;
    let mut best: Option<OnTarget> = None;
    for _ in 0..=CORRECTIONS {
        let (lottery, predicted) = search.at(aim);
        let table = table(&lottery, phased.station.capacity);
        let measured = course.measure(phased, &table);
        let is_met = measured.loss <= target;
        let better = best.as_ref().is_none_or(|best| match (is_met, best.is_met) {
            (true, true) => measured.value > best.measured.value,
            (false, false) => measured.loss < best.measured.loss,
            (is, _) => is,
        });
        if better {
            best = Some(OnTarget { table, predicted, measured, is_met });
        }
        let is_safest = predicted.loss > aim;
        let is_free = is_met && predicted.loss < 0.9 * aim;
        if (is_met && measured.loss > CLOSE * target) || is_safest || is_free {
            break;
        }
        // Losses move together; not quite to the target, so that the next one is below it.
        let ratio = (target * (1.0 + CLOSE) / 2.0 / measured.loss.max(1e-9)).clamp(0.1, 4.0);
        aim *= ratio;
    }
    best.expect("at least one table was tried")
}

/// What the model says of a table without lotteries, a mode per belief and jobs present.
pub fn predicted(phased: &Phased<'_>, modes: &[usize]) -> Performance {
    performance(phased, &always(modes))
}

/// Tables by price, kept from one target to the next.
struct Search<'a, 'b> {
    phased: &'a Phased<'b>,
    /// (ln price, table, what it does), by rising price.
    known: Vec<(f64, Modes, Performance)>,
    largest: f64,
}

impl<'a, 'b> Search<'a, 'b> {
    fn new(phased: &'a Phased<'b>) -> Self {
        let values = phased.station.modes.iter().map(|mode| mode.value);
        let largest = values.fold(f64::NEG_INFINITY, f64::max);
        let mut search = Self { phased, known: vec![], largest };
        let fastest = vec![phased.station.fastest(); phased.station.capacity * BELIEFS];
        search.solve(PRICES.start().ln(), &fastest);
        search.solve(PRICES.end().ln(), &fastest);
        search
    }

    fn solve(&mut self, price: f64, start: &[usize]) {
        let modes = optimal(self.phased, price.exp() - self.largest, start);
        let performance = performance(self.phased, &always(&modes));
        let at = self.known.partition_point(|(known, ..)| *known < price);
        self.known.insert(at, (price, modes, performance));
    }

    /// The table of largest value whose loss by the model is at most `aim`; the safest where none is.
    fn at(&mut self, aim: f64) -> (Lottery, Performance) {
        for _ in 0..HALVINGS {
            let Some((risky, safe)) = self.around(aim) else { break };
            let ((low, riskier, _), (high, safer, _)) = (&self.known[risky], &self.known[safe]);
            if riskier == safer || high - low < 2e-3 {
                break;
            }
            let (middle, start) = (f64::midpoint(*low, *high), safer.clone());
            self.solve(middle, &start);
        }
        match self.around(aim) {
            Some((risky, safe)) => self.mix(risky, safe, aim),
            None if self.known[0].2.loss <= aim => (always(&self.known[0].1), self.known[0].2),
            None => {
                let (_, modes, performance) = self.known.last().expect("both ends are known");
                (always(modes), *performance)
            }
        }
    }

    /// The neighbours between which the loss passes `aim`.
    fn around(&self, aim: f64) -> Option<(usize, usize)> {
        let safe = self.known.iter().position(|(.., performance)| performance.loss <= aim)?;
        Some((safe.checked_sub(1)?, safe))
    }

    fn mix(&self, risky: usize, safe: usize, aim: f64) -> (Lottery, Performance) {
        let lottery = |share: f64| Lottery { safe: self.known[safe].1.clone(), risky: self.known[risky].1.clone(), share };
        let mut best = (lottery(0.0), self.known[safe].2);
        if self.known[safe].1 == self.known[risky].1 {
            return best;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..MIX_HALVINGS {
            let middle = f64::midpoint(low, high);
            let table = lottery(middle);
            let found = performance(self.phased, &table);
            if found.loss <= aim {
                low = middle;
                if found.value > best.1.value {
                    best = (table, found);
                }
            } else {
                high = middle;
            }
        }
        best
    }
}

fn table(lottery: &Lottery, capacity: usize) -> BeliefTable {
    let draws = |at: usize| {
        let (safe, risky) = (lottery.safe[at], lottery.risky[at]);
        if safe == risky || lottery.share == 0.0 {
            vec![(1.0, safe)]
        } else {
            vec![(1.0 - lottery.share, safe), (lottery.share, risky)]
        }
    };
    let row = |belief: usize| Table((0..capacity).map(|present| draws(belief * capacity + present)).collect());
    BeliefTable((0..BELIEFS).map(row).collect())
}
