//! Beliefs that tables distinguish: a grid over the probability of a burst.

/// Beliefs on the grid. Twenty changed accuracies by at most 0.03 points at the loads of the evaluation.
pub const BELIEFS: usize = 8;

/// One number per belief.
pub(super) type Row = [f64; BELIEFS];
/// From belief to belief.
pub(super) type Square = [Row; BELIEFS];

/// The beliefs, closer together where a process is nearly sure to be in one phase: sin² at even angles.
pub fn grid() -> Row {
    std::array::from_fn(|index| {
        let angle = std::f64::consts::FRAC_PI_2 * index as f64 / (BELIEFS - 1) as f64;
        angle.sin().powi(2)
    })
}

/// The largest belief that each point of the grid stands for: halfway to the next one.
pub fn edges() -> Row {
    let grid = grid();
    std::array::from_fn(|index| grid.get(index + 1).map_or(1.0, |next| f64::midpoint(grid[index], *next)))
}

/// The grid, with where a belief lies on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) points: Row,
    edges: Row,
}

impl Grid {
    pub(super) fn new() -> Self {
        Self { points: grid(), edges: edges() }
    }

    /// Adds `mass` at `belief`, in shares to both neighbours on the grid that keep its mean.
    pub(super) fn spread(&self, belief: f64, mass: f64, onto: &mut Row) {
        let high = self.points.partition_point(|point| *point < belief).clamp(1, BELIEFS - 1);
        let (below, above) = (self.points[high - 1], self.points[high]);
        let share = ((belief - below) / (above - below)).clamp(0.0, 1.0);
        onto[high - 1] += (1.0 - share) * mass;
        onto[high] += share * mass;
    }

    /// The point that stands for a belief.
    pub(super) fn nearest(&self, belief: f64) -> usize {
        self.edges.partition_point(|edge| *edge < belief).min(BELIEFS - 1)
    }
}

pub(super) fn multiply(left: &Square, right: &Square) -> Square {
    let mut product = [[0.0; BELIEFS]; BELIEFS];
    for (row, left) in product.iter_mut().zip(left) {
        *row = apply(left, right);
    }
    product
}

/// Row vector times matrix.
pub(super) fn apply(row: &Row, matrix: &Square) -> Row {
    let mut product = [0.0; BELIEFS];
    for (factor, from) in row.iter().zip(matrix) {
        add(&mut product, *factor, from);
    }
    product
}

pub(super) fn add(sum: &mut Row, factor: f64, row: &Row) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
}

pub(super) fn inner(left: &Row, right: &Row) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_belief_keeps_its_mean() {
        let grid = Grid::new();
        for belief in [0.0, 1e-9, 0.013, 0.5, 0.77, 0.999, 1.0] {
            let mut row = [0.0; BELIEFS];
            grid.spread(belief, 2.0, &mut row);
            assert!((inner(&row, &grid.points) / 2.0 - belief).abs() < 1e-12, "{belief}: {row:?}");
            assert!((row.iter().sum::<f64>() - 2.0).abs() < 1e-12);
            assert!(row[grid.nearest(belief)] > 0.0);
        }
    }
}
