//! The queueing-model policy as published, with its slips put right: two-moment loss, a linear program per mean.
//!
//! # Method
//! For each mean service m on a grid: ρ = λ·m; find the largest variability s² at which the
//! [two-moment formula](queueing::smith) keeps to the target; then
//!
//! > maximise Σ x_a·value_a  subject to  Σ x_a = 1,  Σ x_a·p_a = m,  Σ x_a·E\[S_a²\] ≤ (1 + s²)·m²,  x ≥ 0,
//!
//! and keep the best m. With three constraints a vertex mixes at most three modes, so that all pairs and triples are
//! enumerated instead of calling a solver; a test holds it against one.
//!
//! # What the published code gets wrong, and this does not
//! It passes s where s² is meant; it minimises a squared difference and so often lands a hair above the target, which
//! throws the mean away at random; it counts a place too many (K + 1); its formula overflows at ρ > 1; and it takes p²
//! for E\[S²\], as if service at an exit did not vary. What remains is the approximation itself: kept for comparison,
//! [`super::mixture`] is what to use.
//!
//! # Cost
//! 100 means × triples: about 2 ms at 24 modes.
//!
//! # Reference
//! Casale and Roveri, IEEE Trans. Computers 73, 2024.

use super::mixture::{self, Mixed};
use super::station::Rated;
use queueing::smith;

/// Means that are tried.
const MEANS: usize = 100;
/// Largest variability that is asked about.
const MOST_VARIABLE: f64 = 1e6;
/// Rounding that is forgiven in shares and constraints.
const TOLERANCE: f64 = 1e-9;

/// A mode, as the program sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// What is maximised.
    pub value: f64,
    /// Mean service.
    pub mean: f64,
    /// Mean of the squared service.
    pub second: f64,
}

/// The best mixture by the approximation; its `loss` is the exact one, which may miss the target either way.
pub fn best(rated: &Rated<'_>, target: f64) -> Mixed {
    let items: Vec<Item> = rated
        .station
        .modes
        .iter()
        .map(|mode| {
            let mean = mode.service.mean();
            Item { value: mode.value, mean, second: (1.0 + mode.service.scv()) * mean * mean }
        })
        .collect();
    let shortest = items.iter().map(|item| item.mean).fold(f64::INFINITY, f64::min);
    let longest = items.iter().map(|item| item.mean).fold(0.0, f64::max);
    let mut best: Option<Vertex> = None;
    for index in 0..MEANS {
        let mean = shortest + (longest - shortest) * index as f64 / (MEANS - 1) as f64;
        let Some(scv) = most_variable(rated.rate * mean, rated.station.capacity, target) else { continue };
        let vertex = best_vertex(&items, mean, (1.0 + scv) * mean * mean);
        if let Some(vertex) = vertex.filter(|vertex| best.as_ref().is_none_or(|best| vertex.value > best.value)) {
            best = Some(vertex);
        }
    }
    let is_met = best.is_some();
    let shares = best.map_or_else(|| vec![(1.0, rated.station.fastest())], |vertex| vertex.shares);
    let value = shares.iter().map(|&(share, mode)| share * items[mode].value).sum();
    Mixed { value, loss: mixture::loss(rated, &shares), price: 0.0, is_met, shares }
}

/// The largest s² at which the approximate loss is at most `target`; `None` if even constant service loses more.
fn most_variable(rho: f64, capacity: usize, target: f64) -> Option<f64> {
    let keeps = |scv: f64| smith::loss(rho, scv, capacity).is_ok_and(|loss| loss <= target);
    if !keeps(0.0) {
        return None;
    }
    if keeps(MOST_VARIABLE) {
        return Some(MOST_VARIABLE);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while keeps(high) {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if keeps(middle) { low = middle } else { high = middle }
    }
    // The side that keeps to the target.
    Some(low)
}

/// A basic solution.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertex {
    /// (probability, index of the item).
    pub shares: Vec<(f64, usize)>,
    /// Its value.
    pub value: f64,
}

/// The best of all mixtures of at most three items with this mean and at most this second moment; `None` if there is
/// none.
pub fn best_vertex(items: &[Item], mean: f64, most_second: f64) -> Option<Vertex> {
    let mut best = Best { items, most_second, vertex: None };
    let near = |value: f64| (value - mean).abs() <= TOLERANCE * mean;
    for one in (0..items.len()).filter(|&one| near(items[one].mean)) {
        best.offer(&[(1.0, one)]);
    }
    let short: Vec<usize> = (0..items.len()).filter(|&item| items[item].mean < mean).collect();
    let long: Vec<usize> = (0..items.len()).filter(|&item| items[item].mean >= mean).collect();
    for &a in &short {
        for &b in &long {
            let share = (mean - items[a].mean) / (items[b].mean - items[a].mean);
            best.offer(&[(1.0 - share, a), (share, b)]);
            for c in (0..items.len()).filter(|&c| c != a && c != b) {
                if let Some(shares) = tight(items, [a, b, c], mean, most_second) {
                    best.offer(&shares);
                }
            }
        }
    }
    best.vertex
}

struct Best<'a> {
    items: &'a [Item],
    most_second: f64,
    vertex: Option<Vertex>,
}

impl Best<'_> {
    fn offer(&mut self, shares: &[(f64, usize)]) {
        let value: f64 = shares.iter().map(|&(share, item)| share * self.items[item].value).sum();
        if self.vertex.as_ref().is_some_and(|best| value <= best.value) {
            return;
        }
        let second: f64 = shares.iter().map(|&(share, item)| share * self.items[item].second).sum();
        if second <= self.most_second * (1.0 + TOLERANCE) {
            self.vertex = Some(Vertex { shares: shares.to_vec(), value });
        }
    }
}

/// Shares of three items that meet all three constraints with equality, if there are any that are not negative.
fn tight(items: &[Item], [a, b, c]: [usize; 3], mean: f64, second: f64) -> Option<[(f64, usize); 3]> {
    let relative = |item: usize| (items[item].mean - items[a].mean, items[item].second - items[a].second);
    let ((mean_b, second_b), (mean_c, second_c)) = (relative(b), relative(c));
    let (mean, second) = (mean - items[a].mean, second - items[a].second);
    let determinant = mean_b * second_c - mean_c * second_b;
    let share_b = (mean * second_c - mean_c * second) / determinant;
    let share_c = (mean_b * second - mean * second_b) / determinant;
    let share_a = 1.0 - share_b - share_c;
    let all = [share_a, share_b, share_c];
    // Written so that NaN (three on a line) is refused.
    all.iter().all(|&share| share >= 0.0).then_some([(share_a, a), (share_b, b), (share_c, c)])
}
