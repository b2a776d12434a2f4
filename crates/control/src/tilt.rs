//! Weights for the rows of an exit table under which its exits agree with the last one as often as audits say.
//!
//! # Formula
//! Of all weights w that meet Σ w_i y_il = t_l for each exit l but the last (y_il = 1 if exit l and the last one say the same
//! of row i, Σ w = 1) those closest to uniform in relative entropy: w_i ∝ exp(Σ_l θ_l y_il). Found by raking: in turn the rows
//! that agree at exit l are multiplied by t(1 − a)/(a(1 − t)), where a is their present weight. The effective number of rows is
//! 1 ÷ Σ w_i²; where it would fall below a floor, all t_l are moved towards the table by the same share, as little as needed.
//!
//! # Assumptions
//! Inputs have changed in how often they are easy, not in what confidence means: given its agreements a row is still typical.
//! Labels are not needed; the accuracy estimated under the weights inherits the assumption.
//!
//! # Cost
//! O(sweeps × rows × exits), 10 ms for 5,000 rows and 9 exits with the floor.
//!
//! # Reference
//! W. E. Deming and F. F. Stephan, Annals of Mathematical Statistics 11 (1940), pp. 427–444; I. Csiszár, Annals of Probability
//! 3 (1975), pp. 146–158, for the entropy.

use domain::ExitTable;

const SWEEPS: usize = 60;

/// Targets this close to 0 or 1 are moved here, so that weights stay finite.
const EDGE: f64 = 1e-3;

/// Weights, and how far they go.
#[derive(Debug, Clone, PartialEq)]
pub struct Tilt {
    /// One per row; they sum to one.
    pub weights: Vec<f64>,
    /// Effective number of rows ÷ rows.
    pub effective: f64,
    /// Share of the way to the wanted agreement that was gone; 1 unless the floor held it up.
    pub share: f64,
}

/// Weights under which the exits of `table` agree with the last one in the shares `wanted` (one per exit but the last; NaN
/// where it is not known), with at least `floor` × rows effective.
pub fn tilt(table: &ExitTable, wanted: &[f64], floor: f64) -> Tilt {
    let flags = agreements(table);
    let own: Vec<f64> = flags.iter().map(|flags| share(flags, None)).collect();
    let towards = |part: f64| {
        let targets: Vec<Option<f64>> = own
            .iter()
            .zip(wanted)
            .map(|(own, wanted)| {
                let possible = *own > 0.0 && *own < 1.0 && wanted.is_finite();
                possible.then(|| (own + part * (wanted - own)).clamp(EDGE, 1.0 - EDGE))
            })
            .collect();
        rake(table.samples(), &flags, &targets, part)
    };
    let whole = towards(1.0);
    if whole.effective >= floor {
        return whole;
    }
    let (mut good, mut bad) = (towards(0.0), 1.0);
    for _ in 0..12 {
        let middle = towards((good.share + bad) / 2.0);
        if middle.effective >= floor { good = middle } else { bad = middle.share }
    }
    good
}

/// Per exit but the last the share of rows in which it says what the last one says.
pub(crate) fn table_agreement(table: &ExitTable) -> Vec<f64> {
    agreements(table).iter().map(|flags| share(flags, None)).collect()
}

fn agreements(table: &ExitTable) -> Vec<Vec<bool>> {
    let last = table.exits() - 1;
    let agrees = |exit| move |row| table.prediction(row, exit) == table.prediction(row, last);
    (0..last).map(|exit| (0..table.samples()).map(agrees(exit)).collect()).collect()
}

fn share(flags: &[bool], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64,
        Some(weights) => flags.iter().zip(weights).filter(|(flag, _)| **flag).map(|(_, weight)| weight).sum(),
    }
}

fn rake(rows: usize, flags: &[Vec<bool>], targets: &[Option<f64>], part: f64) -> Tilt {
    let mut weights = vec![1.0 / rows as f64; rows];
    for _ in 0..SWEEPS {
        let mut moved: f64 = 0.0;
        for (flags, target) in flags.iter().zip(targets) {
            let (Some(target), now) = (target, share(flags, Some(&weights))) else { continue };
            // Raking may have driven all weight to one side, where targets contradict each other.
            if !(now > 1e-12 && now < 1.0 - 1e-12) {
                continue;
            }
            moved = moved.max((target - now).abs());
            let (agree, differ) = (target / now, (1.0 - target) / (1.0 - now));
            for (weight, flag) in weights.iter_mut().zip(flags) {
                *weight *= if *flag { agree } else { differ };
            }
        }
        if moved < 1e-6 {
            break;
        }
    }
    let effective = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>() / rows as f64;
    Tilt { weights, effective, share: part }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rows that are easy or hard; exits get better with depth.
    fn table(rows: usize) -> ExitTable {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (mut confidence, mut prediction) = (vec![], vec![]);
        for _ in 0..rows {
            let hard: f64 = random.random();
            for skill in [0.6, 0.8, 0.95] {
                let right = hard < skill;
                confidence.push(if right { 0.9 } else { 0.4 });
                prediction.push(u16::from(!right));
            }
        }
        ExitTable::new(3, confidence, prediction, vec![0; rows]).unwrap()
    }

    #[test]
    fn weighted_rows_agree_as_wanted() {
        let table = table(4000);
        let tilted = tilt(&table, &[0.45, 0.7], 0.1);
        let shares: Vec<f64> = agreements(&table).iter().map(|flags| share(flags, Some(&tilted.weights))).collect();
        assert!((shares[0] - 0.45).abs() < 1e-4 && (shares[1] - 0.7).abs() < 1e-4, "{shares:?}");
        assert_eq!(tilted.share, 1.0);
        let again = table_agreement(&table.reweighted(&tilted.weights));
        assert!((again[0] - 0.45).abs() < 2e-3 && (again[1] - 0.7).abs() < 2e-3, "{again:?}");
    }

    #[test]
    fn weights_that_would_rest_on_few_rows_are_held_up() {
        let table = table(4000);
        let tilted = tilt(&table, &[0.01, 0.05], 0.5);
        assert!(tilted.effective >= 0.5 && tilted.share < 0.9 && tilted.share > 0.1, "{}", tilted.share);
    }

    #[test]
    fn what_is_not_known_or_not_possible_is_left_alone() {
        let table = table(500);
        let own = table_agreement(&table);
        let tilted = tilt(&table, &[f64::NAN, own[1]], 0.1);
        assert!((tilted.effective - 1.0).abs() < 1e-9);
        assert!(tilt(&table, &[0.0, 1.0], 0.1).weights.iter().all(|weight| weight.is_finite()));
    }
}
