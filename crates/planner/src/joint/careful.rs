//! Plans that are more careful near the forecast than one with its table that misses targets.
//!
//! Rows near the forecast that there was no time to look at may miss what the plan itself keeps to; and the plan itself may, by a little,
//! on other arrivals than those that it was chosen by. Then some of its jobs are treated as in the next row above, for a higher rate: the share
//! that does is as small as the targets allow, since that row gives away what a higher rate would need.

use super::Request;
use domain::{Choice, Mixture, Plan, Policy, Probability, RateRow};

/// Ratios of rows that gateways may take by chance where the rate is that of the forecast: it is known to 14 % (`rate_table::window`).
const NEARBY: f64 = 1.13;

/// Shares of jobs that are treated as in the row above, in the order in which they are tried. With none, all rows near the forecast do as at the forecast.
pub(super) const SHARES: [f64; 4] = [0.0, 0.15, 0.4, 1.0];

/// The plan with the same in all rows up to a little above the forecast, where `share` of the jobs are treated as in the first row above
/// those.
pub(super) fn careful(request: &Request<'_>, tabled: &Plan, share: f64) -> Plan {
    let mut plan = tabled.clone();
    for (service, policy) in plan.policies.iter_mut().enumerate() {
        let is_fixed = request.fixed.get(service).is_some_and(Option::is_some);
        let Some(mut table) = policy.rates.take() else { continue };
        if !is_fixed {
            let above = table.rows.iter().position(|row| row.up_to >= NEARBY).unwrap_or(table.rows.len());
            let (near, above) = table.rows.split_at_mut(above);
            if let Some(row) = above.first() {
                mix(policy, row, share);
            }
            for row in near {
                row.default.clone_from(&policy.default);
                row.sources.clone_from(&policy.sources);
            }
        }
        policy.rates = Some(table);
    }
    plan
}

/// Has this share of all jobs be treated as in the row.
fn mix(policy: &mut Policy, row: &RateRow, share: f64) {
    let of_row =
        |source: &str| row.sources.iter().find(|(name, _)| name == source).map_or(&row.default, |(_, one)| one);
    let own = &policy.default;
    let only_there = row.sources.iter().filter(|(name, _)| policy.sources.iter().all(|(own, _)| own != name));
    let only_there = only_there.map(|(name, one)| (name.clone(), mixed(own, one, share)));
    let here = policy.sources.iter().map(|(name, own)| (name.clone(), mixed(own, of_row(name), share)));
    let sources = here.chain(only_there).collect();
    policy.default = mixed(own, &row.default, share);
    policy.sources = sources;
}

/// A share of the other, and the rest of the one.
fn mixed(one: &Mixture, other: &Mixture, share: f64) -> Mixture {
    let part = |mixture: &Mixture, share: f64| {
        let scaled = |choice: &Choice| {
            let probability = Probability::new(share * choice.probability.get()).ok().filter(|one| one.get() > 0.0)?;
            Some(Choice { probability, ..choice.clone() })
        };
        mixture.choices().iter().filter_map(scaled).collect::<Vec<_>>()
    };
    let choices = [part(one, 1.0 - share), part(other, share)].concat();
    Mixture::new(choices, "a mixture of two rows").unwrap_or_else(|_| other.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Thresholds;

    fn mixture(choices: &[(f64, usize)]) -> Mixture {
        let choice = |&(probability, chain): &(f64, usize)| {
            Choice::new(Probability::new(probability).unwrap(), chain, Thresholds::exit_last(3))
        };
        Mixture::new(choices.iter().map(choice).collect(), "a test").unwrap()
    }

    fn shares(mixture: &Mixture) -> Vec<(f64, usize)> {
        mixture.choices().iter().map(|choice| (choice.probability.get(), choice.chain)).collect()
    }

    #[test]
    fn a_share_of_jobs_is_treated_as_in_the_other() {
        let (one, other) = (mixture(&[(0.5, 0), (0.5, 1)]), mixture(&[(1.0, 2)]));
        assert_eq!(mixed(&one, &other, 0.0), one);
        assert_eq!(mixed(&one, &other, 1.0), other);
        assert_eq!(shares(&mixed(&one, &other, 0.5)), [(0.25, 0), (0.25, 1), (0.5, 2)]);
    }
}
