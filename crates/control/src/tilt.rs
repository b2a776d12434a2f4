//! Weights for the rows of an exit table under which its exits agree with the last one as often as audits say, and jobs leave
//! where they were seen to leave.
//!
//! # Formula
//! Of all weights w that meet Σ w_i y_il = t_l for each exit l but the last (y_il = 1 if exit l and the last one say the same
//! of row i, Σ w = 1) those closest to uniform in relative entropy: w_i ∝ exp(Σ_l θ_l y_il). Found by raking: in turn the rows
//! that agree at exit l are multiplied by t(1 − a)/(a(1 − t)), where a is their present weight. The effective number of rows is
//! 1 ÷ Σ w_i²; where it would fall below a floor, all t_l are moved towards the table by the same share, as little as needed.
//!
//! Where jobs leave is one more margin: π_ie, the probability that row i leaves at exit e under the thresholds in force, shall be
//! t_e in the weighted mean. As Σ_e π_ie = 1, rows are multiplied by Π_e (t_e ÷ a_e)^π_ie (generalised iterative scaling), which for one
//! threshold vector is raking.
//!
//! # Assumptions
//! Inputs have changed in how often they are easy, not in what confidence means: given its agreements and where it leaves a row
//! is still typical.
//! Labels are not needed; the accuracy estimated under the weights inherits the assumption.
//!
//! # Cost
//! O(sweeps × rows × exits), 10 ms for 5,000 rows and 9 exits with the floor.
//!
//! # Reference
//! W. E. Deming and F. F. Stephan, Annals of Mathematical Statistics 11 (1940), pp. 427–444; I. Csiszár, Annals of Probability
//! 3 (1975), pp. 146–158, for the entropy; J. N. Darroch and D. Ratcliff, Annals of Mathematical Statistics 43 (1972), pp. 1470–1480,
//! for the scaling.

use crate::shares::Leaving;
use domain::ExitTable;

const SWEEPS: usize = 60;

/// Targets this close to 0 or 1 are moved here, so that weights stay finite.
const EDGE: f64 = 1e-3;

/// Weights, and how far they go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tilt {
    /// One per row; they sum to one.
    pub(crate) weights: Vec<f64>,
    /// Effective number of rows ÷ rows.
    pub(crate) effective: f64,
    /// Share of the way to the wanted agreement that was gone; 1 unless the floor held it up.
    pub(crate) share: f64,
}

/// What weighted rows shall be like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Per exit but the last the share that agrees with the last one; NaN where it is not known, empty where none is.
    pub(crate) agreement: Vec<f64>,
    /// Where jobs leave, if that is known.
    pub(crate) leaving: Option<Leaving>,
}

/// Weights under which the rows of `table` are as wanted, with at least `floor` × rows effective.
pub(crate) fn tilt(table: &ExitTable, wanted: &Wanted, floor: f64) -> Tilt {
    let margins = Margins::new(table, wanted);
    let whole = margins.rake(1.0);
    if whole.effective >= floor {
        return whole;
    }
    let (mut good, mut bad) = (margins.rake(0.0), 1.0);
    for _ in 0..12 {
        let middle = margins.rake((good.share + bad) / 2.0);
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

/// A share of rows as it is, and as it shall be.
struct Margin<Of> {
    of: Of,
    own: f64,
    wanted: f64,
}

impl<Of> Margin<Of> {
    /// The share to be reached after a part of the way.
    fn target(&self, part: f64) -> f64 {
        (self.own + part * (self.wanted - self.own)).clamp(EDGE, 1.0 - EDGE)
    }
}

struct Margins {
    rows: usize,
    agreements: Vec<Margin<Vec<bool>>>,
    leaving: Vec<Margin<Vec<f32>>>,
}

impl Margins {
    fn new(table: &ExitTable, wanted: &Wanted) -> Self {
        let agreements = agreements(table).into_iter().zip(&wanted.agreement).filter_map(|(of, &wanted)| {
            let own = share(&of, None);
            (own > 0.0 && own < 1.0 && wanted.is_finite()).then_some(Margin { of, own, wanted })
        });
        let leaving = wanted.leaving.iter().flat_map(|leaving| {
            leaving.of_rows(table).into_iter().zip(leaving.shares.clone()).map(|(of, wanted)| {
                let own = of.iter().map(|share| f64::from(*share)).sum::<f64>() / of.len().max(1) as f64;
                Margin { of, own, wanted }
            })
        });
        // What no row does cannot be brought about by weights.
        let leaving = leaving.filter(|margin| margin.own > 0.0);
        Self { rows: table.samples(), agreements: agreements.collect(), leaving: leaving.collect() }
    }

    /// Weights that go a part of the way.
    fn rake(&self, part: f64) -> Tilt {
        let mut weights = vec![1.0 / self.rows as f64; self.rows];
        for _ in 0..SWEEPS {
            let moved = self.rake_agreements(part, &mut weights).max(self.rake_leaving(part, &mut weights));
            if moved < 1e-6 {
                break;
            }
        }
        let effective = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>() / self.rows as f64;
        Tilt { weights, effective, share: part }
    }

    /// By how much shares were off before.
    fn rake_agreements(&self, part: f64, weights: &mut [f64]) -> f64 {
        let mut moved: f64 = 0.0;
        for margin in &self.agreements {
            let (target, now) = (margin.target(part), share(&margin.of, Some(weights)));
            // Raking may have driven all weight to one side, where targets contradict each other.
            if !(now > 1e-12 && now < 1.0 - 1e-12) {
                continue;
            }
            moved = moved.max((target - now).abs());
            let (agree, differ) = (target / now, (1.0 - target) / (1.0 - now));
            for (weight, flag) in weights.iter_mut().zip(&margin.of) {
                *weight *= if *flag { agree } else { differ };
            }
        }
        moved
    }

    fn rake_leaving(&self, part: f64, weights: &mut [f64]) -> f64 {
        let mut moved: f64 = 0.0;
        let mut logarithms = vec![0.0; if self.leaving.is_empty() { 0 } else { weights.len() }];
        for margin in &self.leaving {
            let now: f64 = weights.iter().zip(&margin.of).map(|(weight, of)| weight * f64::from(*of)).sum();
            if now <= 1e-12 {
                continue;
            }
            let target = margin.target(part);
            moved = moved.max((target - now).abs());
            let factor = (target / now).ln();
            logarithms.iter_mut().zip(&margin.of).for_each(|(sum, of)| *sum += factor * f64::from(*of));
        }
        weights.iter_mut().zip(&logarithms).for_each(|(weight, logarithm)| *weight *= logarithm.exp());
        let all: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= all);
        moved
    }
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

    fn agreeing(agreement: &[f64]) -> Wanted {
        Wanted { agreement: agreement.to_vec(), leaving: None }
    }

    fn leaving_shares(table: &ExitTable, leaving: &Leaving, weights: &[f64]) -> Vec<f64> {
        let weighed = |of: &Vec<f32>| of.iter().zip(weights).map(|(of, weight)| f64::from(*of) * weight).sum();
        leaving.of_rows(table).iter().map(weighed).collect()
    }

    #[test]
    fn weighted_rows_leave_where_jobs_do_and_agree_as_audits_say() {
        let table = table(4000);
        let at = |first: f32, second: f32| domain::Thresholds::new(vec![first, second]).unwrap();
        for thresholds in [vec![(1.0, at(0.5, 0.5))], vec![(0.3, at(0.5, 0.5)), (0.7, at(1.0, 0.5))]] {
            let before = Leaving { thresholds: thresholds.clone(), shares: vec![] };
            let own = leaving_shares(&table, &before, &vec![1.0 / 4000.0; 4000]);
            // A tenth of those that left at the first exit go on to the last one.
            let shares = vec![0.9 * own[0], own[1], own[2] + 0.1 * own[0]];
            let leaving = Leaving { shares: shares.clone(), ..before };
            let wanted = Wanted { agreement: vec![0.6, f64::NAN], leaving: Some(leaving.clone()) };
            let tilted = tilt(&table, &wanted, 0.1);
            let found = leaving_shares(&table, &leaving, &tilted.weights);
            // Fractions of rows converge slowly: far below what is known about shares.
            let near = found.iter().zip(&shares).all(|(found, wanted)| (found - wanted).abs() < 2e-3);
            assert!(near && tilted.share == 1.0, "{found:?} {shares:?}");
            assert!((share(&agreements(&table)[0], Some(&tilted.weights)) - 0.6).abs() < 1e-3);
        }
    }

    #[test]
    fn weighted_rows_agree_as_wanted() {
        let table = table(4000);
        let tilted = tilt(&table, &agreeing(&[0.45, 0.7]), 0.1);
        let shares: Vec<f64> = agreements(&table).iter().map(|flags| share(flags, Some(&tilted.weights))).collect();
        assert!((shares[0] - 0.45).abs() < 1e-4 && (shares[1] - 0.7).abs() < 1e-4, "{shares:?}");
        assert_eq!(tilted.share, 1.0);
        let again = table_agreement(&table.reweighted(&tilted.weights));
        assert!((again[0] - 0.45).abs() < 2e-3 && (again[1] - 0.7).abs() < 2e-3, "{again:?}");
    }

    #[test]
    fn weights_that_would_rest_on_few_rows_are_held_up() {
        let table = table(4000);
        let tilted = tilt(&table, &agreeing(&[0.01, 0.05]), 0.5);
        assert!(tilted.effective >= 0.5 && tilted.share < 0.9 && tilted.share > 0.1, "{}", tilted.share);
    }

    #[test]
    fn what_is_not_known_or_not_possible_is_left_alone() {
        let table = table(500);
        let own = table_agreement(&table);
        let tilted = tilt(&table, &agreeing(&[f64::NAN, own[1]]), 0.1);
        assert!((tilted.effective - 1.0).abs() < 1e-9);
        assert!(tilt(&table, &agreeing(&[0.0, 1.0]), 0.1).weights.iter().all(|weight| weight.is_finite()));
    }
}
