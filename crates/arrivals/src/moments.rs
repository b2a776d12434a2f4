//! Burstiness from counts: how their variance grows with the length of the window, and two phases that explain it.
//!
//! # Formula
//! For a rate that switches between two values, with variance σ² and correlation e^{−ct}, and mean rate m, the index of
//! dispersion of counts in windows of length W is I(W) = 1 + A·(1 − (1 − e^{−cW})/(cW)) with A = 2σ²/(mc) = I(∞) − 1.
//! A and c are fitted to the measured I(W) of windows that double in length, by least squares (c on a grid, A in closed
//! form), each weighed by (number of windows) ÷ (1 + its variance relative to Poisson counts)². The third factorial cumulant
//! of counts ÷ σ³, at the shortest windows, is the skewness γ of the rate and gives the share of time in the higher
//! phase, p = (1 − γ/√(4 + γ²))/2, at most m²/(m² + σ²), so that the lower rate is not negative. Then the rates are
//! m + σ√((1 − p)/p) and m − σ√(p/(1 − p)), and the phases end at the rates c(1 − p) and cp.
//!
//! # Assumptions
//! The process is stationary over what was counted. Moments of bursts are noisy: after few bursts the fit says their order
//! of magnitude. Windows of unequal length, as readings make them, are weighed by their length; exact for Poisson counts.
//!
//! # Cost
//! O(1) per reading (two windows end on average), O(levels × grid) per fit: about 10 µs.
//!
//! # Reference
//! H. Heffes and D. M. Lucantoni, "A Markov modulated characterization of packetized voice and data traffic", IEEE JSAC 4
//! (1986), §IV, for two phases by moments of counts; R. Gusella, "Characterizing the variability of arrival processes with
//! indexes of dispersion", IEEE JSAC 9 (1991).

use crate::phases::TwoPhases;

const LEVELS: usize = 11;

/// Length of the shortest window, in seconds; the longest is 8.5 minutes.
const SHORTEST: f64 = 0.5;

/// Windows that a level needs before it is believed.
const FEWEST: f64 = 8.0;

/// Sums over the windows of one length.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Level {
    open: (f64, f64),
    windows: f64,
    arrivals: f64,
    seconds: f64,
    /// Σ n²/t.
    squares: f64,
    /// Σ n³/t².
    cubes: f64,
}

/// Sums over windows of many lengths.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moments {
    levels: [Level; LEVELS],
}

impl Moments {
    /// Counts an increment.
    pub fn add(&mut self, arrivals: f64, seconds: f64) {
        let mut closed = (arrivals, seconds);
        let mut length = SHORTEST;
        for level in &mut self.levels {
            level.open.0 += closed.0;
            level.open.1 += closed.1;
            // Readings may be a little early.
            if level.open.1 < length * 0.99 {
                return;
            }
            closed = std::mem::take(&mut level.open);
            level.close(closed);
            length *= 2.0;
        }
    }

    /// Windows of the shortest length so far.
    pub fn windows(&self) -> f64 {
        self.levels[0].windows
    }

    /// Pairs of window length in seconds and index of dispersion of counts.
    pub fn dispersions(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.trusted().map(|level| (level.length(), level.dispersion()))
    }

    /// Two phases that explain the variance; `None` where there is none to explain.
    pub fn fit(&self) -> Option<TwoPhases> {
        let shortest = self.trusted().next()?;
        let mean = shortest.arrivals / shortest.seconds;
        let (excess, decay) = self.fit_growth().filter(|(excess, _)| *excess > 0.05 && mean > 0.0)?;
        let variance = excess * mean * decay / 2.0;
        let highest_share = mean * mean / (mean * mean + variance);
        let share = high_share(shortest.skewness(variance)).min(highest_share).clamp(1e-6, 1.0 - 1e-6);
        let deviation = variance.sqrt();
        let rates = [
            (mean - deviation * (share / (1.0 - share)).sqrt()).max(0.0),
            mean + deviation * ((1.0 - share) / share).sqrt(),
        ];
        let switch = [decay * share, decay * (1.0 - share)];
        Some(TwoPhases::new(rates, switch, shortest.seconds))
    }

    /// (A, c).
    fn fit_growth(&self) -> Option<(f64, f64)> {
        let grid = (0..40).map(|step| 2f64.powf(f64::from(step) / 2.5 - 10.0));
        let fits = grid.map(|decay| {
            let (mut cross, mut square, mut whole) = (0.0, 0.0, 0.0);
            for level in self.trusted() {
                let (grown, excess) = (growth(decay * level.length()), level.dispersion() - 1.0);
                let weight = level.windows / (1.0 + excess.max(0.0)).powi(2);
                cross += weight * grown * excess;
                square += weight * grown * grown;
                whole += weight * excess * excess;
            }
            let excess = cross / square;
            (whole - excess * cross, excess, decay)
        });
        fits.filter(|(error, ..)| error.is_finite())
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, excess, decay)| (excess, decay))
    }

    fn trusted(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().filter(|level| level.windows >= FEWEST && level.arrivals > 0.0)
    }
}

impl Level {
    fn close(&mut self, (arrivals, seconds): (f64, f64)) {
        self.windows += 1.0;
        self.arrivals += arrivals;
        self.seconds += seconds;
        self.squares += arrivals * arrivals / seconds;
        self.cubes += arrivals * arrivals * arrivals / (seconds * seconds);
    }

    fn length(&self) -> f64 {
        self.seconds / self.windows
    }

    fn dispersion(&self) -> f64 {
        let rate = self.arrivals / self.seconds;
        (self.squares - self.arrivals * rate) / ((self.windows - 1.0) * rate)
    }

    /// Of the rate, which has the variance `variance`.
    fn skewness(&self, variance: f64) -> f64 {
        let (length, windows) = (self.length(), self.windows);
        let mean = self.arrivals / windows;
        let (second, third) = (self.squares * length / windows, self.cubes * length * length / windows);
        let central = third - 3.0 * mean * second + 2.0 * mean.powi(3);
        let factorial = central - 3.0 * (second - mean * mean) + 2.0 * mean;
        factorial / (variance.sqrt() * length).powi(3)
    }
}

/// Share of the variance of a constant rate that is left in windows of length x = cW.
fn growth(x: f64) -> f64 {
    // Cancels below; x/2 is the first term.
    if x < 1e-5 { x / 2.0 } else { 1.0 - (-(-x).exp_m1()) / x }
}

fn high_share(skewness: f64) -> f64 {
    if skewness.is_nan() { 0.5 } else { (1.0 - skewness / (4.0 + skewness * skewness).sqrt()) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::tests::TwoPhaseCounts;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn phases_are_found_again_in_counts() {
        let mut ratios = [0.0; 4];
        let runs = 20;
        let truth = TwoPhases::new([15.0, 90.0], [0.05, 0.2], 1.0);
        for seed in 0..runs {
            let mut counts = TwoPhaseCounts::new(&truth, ChaCha8Rng::seed_from_u64(seed));
            let mut moments = Moments::default();
            (0..14_400).for_each(|_| moments.add(counts.next(0.5), 0.5));
            let fitted = moments.fit().unwrap();
            let pairs = [
                (fitted.mean(), truth.mean()),
                (fitted.dispersion(), truth.dispersion()),
                (fitted.decay(), truth.decay()),
                (fitted.rates()[1], truth.rates()[1]),
            ];
            for (ratio, (found, true_value)) in ratios.iter_mut().zip(pairs) {
                *ratio += found / true_value / f64::from(u32::try_from(runs).unwrap());
            }
        }
        assert!(ratios.iter().all(|ratio| (ratio - 1.0).abs() < 0.15), "{ratios:?}");
    }

    #[test]
    fn poisson_counts_leave_little_to_explain() {
        use rand_distr::{Distribution, Poisson};
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let law = Poisson::new(10.0).unwrap();
        let mut moments = Moments::default();
        (0..20_000).for_each(|_| moments.add(law.sample(&mut random), 0.5));
        assert!(moments.dispersions().take(6).all(|(_, dispersion)| (dispersion - 1.0).abs() < 0.2));
        assert!(moments.fit().is_none_or(|phases| phases.dispersion() < 1.3));
    }

    #[test]
    fn nothing_counted_fits_nothing() {
        let mut moments = Moments::default();
        assert!(moments.fit().is_none());
        (0..1000).for_each(|_| moments.add(0.0, 1.0));
        assert!(moments.fit().is_none());
    }
}
