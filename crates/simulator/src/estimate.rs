//! Estimates of ratios of sums over groups of jobs, with confidence intervals.

use crate::engine::record::Group;
use crate::report::Estimate;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Of n jobs none: the probability of the event is below this ÷ n with 99 % confidence (−ln 0.01).
const NONE_OF: f64 = 4.6;

/// A part of a metric: `scale` × Σ numerator ÷ Σ denominator.
pub(crate) struct Term<'a> {
    pub(crate) scale: f64,
    pub(crate) numerator: &'a dyn Fn(&Group) -> f64,
    pub(crate) denominator: &'a dyn Fn(&Group) -> f64,
}

/// Half width of a 99 % confidence interval ÷ standard error, for a mean of `n` independent values.
pub(crate) fn student(n: usize) -> f64 {
    match n {
        0 | 1 => f64::NAN,
        _ => StudentsT::new(0.0, 1.0, (n - 1) as f64).map_or(f64::NAN, |student| student.inverse_cdf(0.995)),
    }
}

/// A sum of ratios. The variance is that of the linearised ratios over groups (delta method), which are as good as
/// independent: groups are long, or of different replications.
pub(crate) fn sum_of_ratios(groups: &[&Group], student: f64, terms: &[Term<'_>]) -> Estimate {
    let mut value = 0.0;
    let mut deviations = vec![0.0; groups.len()];
    for term in terms {
        let sum = |of: &dyn Fn(&Group) -> f64| groups.iter().map(|group| of(group)).sum::<f64>();
        let denominator = sum(term.denominator);
        if denominator == 0.0 {
            return Estimate { value: f64::NAN, ci99: f64::NAN };
        }
        let ratio = sum(term.numerator) / denominator;
        value += term.scale * ratio;
        for (deviation, group) in deviations.iter_mut().zip(groups) {
            *deviation += term.scale * ((term.numerator)(group) - ratio * (term.denominator)(group)) / denominator;
        }
    }
    let n = groups.len() as f64;
    let variance = deviations.iter().map(|deviation| deviation * deviation).sum::<f64>() * n / (n - 1.0);
    Estimate { value, ci99: student * variance.sqrt() }
}

/// A share of jobs. Where none or all of them have it, the interval is that of an event which has not been seen yet.
pub(crate) fn share(
    groups: &[&Group],
    student: f64,
    some: &dyn Fn(&Group) -> f64,
    all: &dyn Fn(&Group) -> f64,
) -> Estimate {
    let estimate = sum_of_ratios(groups, student, &[Term { scale: 1.0, numerator: some, denominator: all }]);
    unseen(estimate, groups.iter().map(|group| all(group)).sum())
}

/// Widens the interval of a share of `jobs` that is 0 or 1.
pub(crate) fn unseen(estimate: Estimate, jobs: f64) -> Estimate {
    if estimate.value == 0.0 || estimate.value == 1.0 {
        return Estimate { ci99: (NONE_OF / jobs).min(1.0), ..estimate };
    }
    estimate
}

/// The mean of independent values, for those that are numbers.
pub(crate) fn half_width_of_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    student(values.len()) * (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(sums: &[[f64; 2]]) -> Vec<Group> {
        sums.iter().map(|sums| Group { sums: sums.to_vec(), arrivals: 1, runs: 1.0, ticks: 1.0 }).collect()
    }

    #[test]
    fn quantiles_of_student() {
        for (n, want) in [(2, 63.657), (11, 3.1693), (31, 2.7500), (1_000_000, 2.5758)] {
            assert!((student(n) - want).abs() < 1e-3, "{n}: {}", student(n));
        }
        assert!(student(1).is_nan());
    }

    #[test]
    fn a_ratio_with_constant_denominator_is_a_mean() {
        let groups = groups(&[[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]]);
        let groups: Vec<&Group> = groups.iter().collect();
        let term = Term { scale: 2.0, numerator: &|group| group.sums[0], denominator: &|group| group.sums[1] };
        let estimate = sum_of_ratios(&groups, 1.0, &[term]);
        assert!((estimate.value - 3.0).abs() < 1e-12);
        assert!((estimate.ci99 - (4.0f64 / 3.0).sqrt()).abs() < 1e-12, "{}", estimate.ci99);
        assert!((half_width_of_mean(&[1.0, 3.0, 5.0]) / student(3) - (4.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_was_never_seen_has_an_interval_too() {
        let groups = groups(&[[0.0, 500.0], [0.0, 500.0]]);
        let groups: Vec<&Group> = groups.iter().collect();
        let loss = share(&groups, 63.7, &|group| group.sums[0], &|group| group.sums[1]);
        assert_eq!(loss, Estimate { value: 0.0, ci99: 4.6e-3 });
    }
}
