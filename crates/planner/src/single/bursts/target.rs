//! From a loss target to a table.

use super::belief::BELIEFS;
use super::iteration::{always, optimal, performance};
use super::kernel::Phased;
use super::measure::{Course, Measured};
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
/// Losing a job must bring at least this share of the best answer, even where the target would allow it for less: what one
/// table is better by than the next is then noise of the samples that choose.
const WORTHLESS: f64 = 0.1;
/// The first price, and the step of ln price to further ones until the target lies between two.
const FIRST_PRICE: f64 = 1.0;
const STRIDE: f64 = 2.0;
/// Halvings of such a step.
const HALVINGS: usize = 8;
/// Halvings of the share of the riskier table.
const MIX_HALVINGS: usize = 14;
/// Times that the target of the model is moved.
const CORRECTIONS: usize = 3;
/// Losses of the model this close below what is aimed at will do, and measured ones below the target: they are not known
/// better than that.
const CLOSE: f64 = 0.97;
const CLOSE_MEASURED: f64 = 0.94;

/// The most valuable table whose loss, as measured with the gateway's filter on `course`, is at most `target`.
pub fn on_target(phased: &Phased<'_>, course: &Course, target: f64) -> OnTarget {
    let mut search = Search::new(phased);
    let mut aim = target;
    let mut best: Option<OnTarget> = None;
    let mut tried: Vec<Lottery> = vec![];
    for _ in 0..=CORRECTIONS {
        let (lottery, predicted) = search.at(aim);
        if tried.contains(&lottery) {
            break;
        }
        tried.push(lottery.clone());
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
        let is_free = is_met && predicted.loss < FREE * aim;
        if (is_met && measured.loss > CLOSE_MEASURED * target) || is_safest || is_free {
            break;
        }
        // Losses move together; not quite to the target, so that the next one is below it.
        let ratio = (target * (1.0 + CLOSE_MEASURED) / 2.0 / measured.loss.max(1e-9)).clamp(0.1, 4.0);
        aim *= ratio;
    }
    best.expect("at least one table was tried")
}

/// The table that is optimal by the model for `penalty` per lost job: a mode per belief and jobs present.
pub fn optimum(phased: &Phased<'_>, penalty: f64) -> Vec<usize> {
    optimal(phased, penalty, &vec![phased.station.fastest(); phased.station.capacity * BELIEFS])
}

/// What the model says of a table without lotteries, a mode per belief and jobs present.
pub fn predicted(phased: &Phased<'_>, modes: &[usize]) -> Performance {
    performance(phased, &always(modes))
}

/// Where the model loses less than this share of what it may, the most valuable table loses less than it may.
const FREE: f64 = 0.9;

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
        Self { phased, known: vec![], largest: values.fold(f64::NEG_INFINITY, f64::max) }
    }

    /// Begins with the table of the nearest price.
    fn solve(&mut self, price: f64) {
        let far = |known: &(f64, Modes, Performance)| (known.0 - price).abs();
        let nearest = self.known.iter().min_by(|one, other| far(one).total_cmp(&far(other)));
        let fastest = || vec![self.phased.station.fastest(); self.phased.station.capacity * BELIEFS];
        let start = nearest.map_or_else(fastest, |(_, modes, _)| modes.clone());
        let modes = optimal(self.phased, price.exp() - self.largest, &start);
        let performance = performance(self.phased, &always(&modes));
        let at = self.known.partition_point(|(known, ..)| *known < price);
        self.known.insert(at, (price, modes, performance));
    }

    /// Prices on both sides of `aim`, or one end of all prices.
    fn bracket(&mut self, aim: f64) {
        let (least, most) = ((WORTHLESS * self.largest).max(*PRICES.start()).ln(), PRICES.end().ln());
        if self.known.is_empty() {
            self.solve(FIRST_PRICE.ln());
        }
        while self.known[0].2.loss <= aim && self.known[0].0 > least {
            self.solve((self.known[0].0 - STRIDE).max(least));
        }
        while let Some((price, _, performance)) = self.known.last()
            && performance.loss > aim
            && *price < most
        {
            self.solve((price + STRIDE).min(most));
        }
    }

    /// The table of largest value whose loss by the model is at most `aim`; the safest where none is.
    fn at(&mut self, aim: f64) -> (Lottery, Performance) {
        self.bracket(aim);
        for _ in 0..HALVINGS {
            let Some((risky, safe)) = self.around(aim) else { break };
            let ((low, riskier, _), (high, safer, found)) = (&self.known[risky], &self.known[safe]);
            if riskier == safer || found.loss > CLOSE * aim {
                break;
            }
            let middle = f64::midpoint(*low, *high);
            self.solve(middle);
        }
        match self.around(aim) {
            Some((risky, safe)) => self.mix(risky, safe, aim),
            None if self.known[0].2.loss <= aim => (always(&self.known[0].1), self.known[0].2),
            None => {
                let (_, modes, performance) = self.known.last().expect("a price was tried");
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
        let lottery =
            |share: f64| Lottery { safe: self.known[safe].1.clone(), risky: self.known[risky].1.clone(), share };
        let mut best = (lottery(0.0), self.known[safe].2);
        if self.known[safe].1 == self.known[risky].1 || best.1.loss > CLOSE * aim {
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
                if found.loss > CLOSE * aim {
                    break;
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
