//! Whether counts scatter more than Poisson counts do, whatever their mean: the test on scale.
//!
//! # Formula
//! A block is 16 cells of nearly equal length. Given the N arrivals of the block, Poisson counts are multinomial with the
//! shares w_i of time; the alternative is Dirichlet-multinomial with α_i = a·w_i, where a = (N − φ)/(φ − 1) makes variances φ
//! times as large. The log-likelihood ratio ln Γ(a) − ln Γ(N + a) + Σ \[ln Γ(n_i + α_i) − ln Γ(α_i) − n_i ln w_i\], at most
//! [`MOST_OF_A_BLOCK`], is summed as in [`crate::Cusum`]. The bound of the sequential probability ratio test holds (cutting
//! off only lowers the expected likelihood ratio): h = ln(blocks per day ÷ probability).
//!
//! # Assumptions
//! The rate is constant within a block. A change in the middle of one scatters, too, but cannot alarm alone, since several
//! blocks are needed; slow drift does not matter, because only scatter inside blocks counts.
//!
//! # Cost
//! O(1) per reading, two values of ln Γ per cell.
//!
//! # Where we differ
//! The usual test is on the index of dispersion with a χ² limit (D. R. Cox and P. A. W. Lewis, The Statistical Analysis of
//! Series of Events, 1966, §6.3). Its tails are wrong for cells with few arrivals, and it takes the mean as known.

use crate::cusum::{Cusum, SECONDS_PER_DAY};
use statrs::function::gamma::ln_gamma;

const CELLS: usize = 16;

/// Arrivals wanted in a cell: with fewer there is little to see in it.
const ARRIVALS_PER_CELL: f64 = 4.0;

/// Variance ÷ mean that is looked for.
const DISPERSION: f64 = 2.0;

/// What a block may add to the sum, so that a single step in the rate is not scatter.
pub(crate) const MOST_OF_A_BLOCK: f64 = 5.0;

/// Sum over blocks, and the block being filled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ScaleTest {
    sum: Cusum,
    cells: [(f64, f64); CELLS],
    filled: usize,
}

impl ScaleTest {
    /// Counts an increment. Says whether scatter is proven, with at most `probability` of being wrong within 24 hours.
    pub fn add(&mut self, arrivals: f64, seconds: f64, probability: f64) -> bool {
        let cell = &mut self.cells[self.filled];
        cell.0 += arrivals;
        cell.1 += seconds;
        // By time, not by arrivals, so that the length of a cell does not depend on what is in it; the rate it is chosen
        // by is that of the first cell, which is therefore no part of the block.
        if self.filled == 0 {
            if cell.0 >= ARRIVALS_PER_CELL {
                self.filled = 1;
            }
            return false;
        }
        if cell.1 < self.cells[0].1 * 0.999 {
            return false;
        }
        self.filled += 1;
        if self.filled < CELLS {
            return false;
        }
        let (ratio, arrivals, seconds) = self.block();
        (self.cells, self.filled) = ([(0.0, 0.0); CELLS], 0);
        self.sum.add(ratio.min(MOST_OF_A_BLOCK), arrivals, seconds);
        self.sum.score() > (SECONDS_PER_DAY / seconds / probability).max(1.0).ln()
    }

    /// Forgets the block that is being filled: the rate changed in it.
    pub fn interrupt(&mut self) {
        *self = Self::default();
    }

    fn block(&self) -> (f64, f64, f64) {
        let cells = &self.cells[1..];
        let (arrivals, seconds) = cells.iter().fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        let a = (arrivals - DISPERSION) / (DISPERSION - 1.0);
        if a <= 0.0 {
            return (0.0, arrivals, seconds);
        }
        let of_cell = |&(count, time): &(f64, f64)| {
            let share = time / seconds;
            ln_gamma(count + a * share) - ln_gamma(a * share) - count * share.ln()
        };
        let ratio = ln_gamma(a) - ln_gamma(arrivals + a) + cells.iter().map(of_cell).sum::<f64>();
        (ratio, arrivals, seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Gamma, Poisson};

    #[test]
    fn likelihood_ratios_of_poisson_counts_have_the_mean_one_at_most() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for mean in [0.3, 2.0, 40.0] {
            let law = Poisson::new(mean).unwrap();
            let blocks = 40_000;
            let sum: f64 = (0..blocks)
                .map(|_| {
                    let cells = std::array::from_fn(|_| (law.sample(&mut random), 1.0));
                    ScaleTest { cells, ..ScaleTest::default() }.block().0.exp()
                })
                .sum();
            let found = sum / f64::from(blocks);
            assert!((found - 1.0).abs() < 0.05, "{mean}: {found}");
        }
    }

    #[test]
    fn scatter_is_found_and_a_step_is_not_scatter() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let rates = Gamma::new(4.0, 5.0).unwrap();
        let mut test = ScaleTest::default();
        // Variance ÷ mean = 1 + 100/20 = 6.
        let found = (0..).find(|_| {
            let rate: f64 = rates.sample(&mut random);
            test.add(Poisson::new(rate.max(1e-9)).unwrap().sample(&mut random), 1.0, 0.001)
        });
        assert!(found.unwrap() < 120, "{found:?}");

        let mut test = ScaleTest::default();
        for rate in [20.0, 400.0] {
            let law = Poisson::new(rate).unwrap();
            assert!((0..500).all(|_| !test.add(law.sample(&mut random), 1.0, 0.001)), "rate {rate}");
        }
    }
}
