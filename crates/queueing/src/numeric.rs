//! Small helpers of the recursions.

/// Sum of products, in eight lanes: the compiler may not reorder a plain floating-point sum, and this is the inner loop
/// of every embedded chain.
pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Scales weights that are only known up to a factor down before they overflow.
pub(crate) fn rescale_if_large(weights: &mut [f64]) {
    if weights.last().is_some_and(|&last| last > 1e200) {
        for weight in weights {
            *weight *= 1e-200;
        }
    }
}
