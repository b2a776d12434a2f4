//! Regression by a Gaussian process on [0, 1]^d, small and dense.
//!
//! # Formula
//! With values y (standardised) at points X, kernel k and noise σ²: L·Lᵀ = k(X, X) + σ²·I. At a point z, with v =
//! L⁻¹·k(X, z) and w = L⁻¹·y: mean v·w, variance k(z, z) − v·v. The kernel is Matérn 5/2, k(r) = (1 + s + s²/3)·e^(−s)
//! with s = √5·r ÷ length; the length is the one of a few with the largest marginal likelihood, −½·w·w − Σ ln L_ii.
//!
//! # Cost
//! O(n³) to fit, O(n²) per predicted point; n is about a hundred here.
//!
//! # Reference
//! C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press, 2006, §2 and §5.4.

/// Lengths that are tried.
const LENGTHS: [f64; 6] = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2];
/// σ² beside a variance of one: the objective has no noise, but steps.
const NOISE: f64 = 1e-4;

/// A fitted process.
#[derive(Debug, Clone)]
pub struct GaussianProcess {
    length: f64,
    points: Vec<Vec<f64>>,
    /// Rows of L, entry i has i + 1 values.
    lower: Vec<Vec<f64>>,
    whitened: Vec<f64>,
    mean: f64,
    deviation: f64,
}

/// A prediction, in units of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

impl GaussianProcess {
    /// Fits values at points. `length`: that of the kernel; `None` chooses the likeliest. `None` comes back where there
    /// are no points or nothing finite comes out.
    pub fn fit(points: &[Vec<f64>], values: &[f64], length: Option<f64>) -> Option<Self> {
        let lengths = length.map_or_else(|| LENGTHS.to_vec(), |length| vec![length]);
        let fits = lengths.into_iter().filter_map(|length| Self::with_length(points, values, length));
        fits.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(process, _)| process)
    }

    fn with_length(points: &[Vec<f64>], values: &[f64], length: f64) -> Option<(Self, f64)> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let mut lower: Vec<Vec<f64>> = vec![];
        for (index, point) in points.iter().enumerate() {
            let mut row = solve(&lower, points[..index].iter().map(|other| kernel(other, point, length)));
            let left = 1.0 + NOISE - row.iter().map(|value| value * value).sum::<f64>();
            // Positive but for rounding: the noise sees to it.
            row.push(left.max(NOISE * 1e-3).sqrt());
            lower.push(row);
        }
        let whitened = solve(&lower, values.iter().map(|value| (value - mean) / deviation));
        let determinant: f64 = lower.iter().map(|row| row[row.len() - 1].ln()).sum();
        let likelihood = -0.5 * whitened.iter().map(|value| value * value).sum::<f64>() - determinant;
        let process = Self { length, points: points.to_vec(), lower, whitened, mean, deviation };
        (likelihood.is_finite() && !values.is_empty()).then_some((process, likelihood))
    }

    /// Length of the kernel.
    pub fn length(&self) -> f64 {
        self.length
    }

    /// Prediction at a point.
    pub fn predict(&self, point: &[f64]) -> Prediction {
        let along = solve(&self.lower, self.points.iter().map(|other| kernel(other, point, self.length)));
        let mean: f64 = along.iter().zip(&self.whitened).map(|(a, b)| a * b).sum();
        let variance = (1.0 - along.iter().map(|value| value * value).sum::<f64>()).max(0.0);
        Prediction { mean: self.mean + self.deviation * mean, deviation: self.deviation * variance.sqrt() }
    }
}

fn kernel(a: &[f64], b: &[f64], length: f64) -> f64 {
    let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    let scaled = (5.0 * squared).sqrt() / length;
    (1.0 + scaled + scaled * scaled / 3.0) * (-scaled).exp()
}

/// L⁻¹·x.
fn solve(lower: &[Vec<f64>], right: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut solved: Vec<f64> = Vec::with_capacity(lower.len() + 1);
    for (row, value) in lower.iter().zip(right) {
        let known = super::station::dot(&row[..solved.len()], &solved);
        solved.push((value - known) / row[row.len() - 1]);
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_by_hand() {
        let points = [vec![0.0], vec![1.0]];
        let process = GaussianProcess::fit(&points, &[3.0, 7.0], Some(1.0)).unwrap();
        let s = 5f64.sqrt();
        let (k, near) = ((1.0 + s + 5.0 / 3.0) * (-s).exp(), {
            let s = s / 2.0;
            (1.0 + s + s * s / 3.0) * (-s).exp()
        });
        // In the middle both count alike: the mean is that of the values, the variance 1 − 2·near²/(1 + σ² + k).
        let middle = process.predict(&[0.5]);
        assert!((middle.mean - 5.0).abs() < 1e-9, "{middle:?}");
        let variance = 1.0 - 2.0 * near * near / (1.0 + NOISE + k);
        assert!((middle.deviation - 2.0 * variance.sqrt()).abs() < 1e-9, "{middle:?}");
        // y standardised is ∓1: at a point it shrinks by (1 − k) ÷ (1 + σ² − k).
        let first = process.predict(&[0.0]);
        assert!((first.mean - (5.0 - 2.0 * (1.0 - k) / (1.0 + NOISE - k))).abs() < 1e-9, "{first:?}");
    }

    #[test]
    fn smooth_functions_are_found_again() {
        let points: Vec<Vec<f64>> = (0..60).map(|i| vec![f64::from(i * 37 % 60) / 60.0, f64::from(i) / 60.0]).collect();
        let function = |x: &[f64]| (3.0 * x[0]).sin() + x[1] * x[1];
        let values: Vec<f64> = points.iter().map(|x| function(x)).collect();
        let process = GaussianProcess::fit(&points, &values, None).unwrap();
        for point in [[0.3, 0.4], [0.71, 0.22], [0.5, 0.9]] {
            assert!((process.predict(&point).mean - function(&point)).abs() < 0.02, "{point:?}");
        }
        assert!(process.predict(&[0.5, 0.5]).deviation < process.predict(&[3.0, 3.0]).deviation);
    }

    #[test]
    fn equal_points_and_equal_values_do_no_harm() {
        let process = GaussianProcess::fit(&vec![vec![0.5]; 30], &[2.0; 30], None).unwrap();
        assert!((process.predict(&[0.1]).mean - 2.0).abs() < 1e-9);
        assert!(GaussianProcess::fit(&[], &[], None).is_none());
    }
}
