//! A scheduler that says by itself how jobs are treated, as shares of jobs with their thresholds.

use super::{Problems, ResolvedChain};
use crate::{ChoiceSchedulerType, EENNServiceSpec, Fixed, Object, SchedulerType};
use domain::{Choice, Mixture, Probability, Thresholds};

/// A share of the jobs, the chain it takes where that is fixed, and its thresholds.
struct Share {
    probability: f64,
    chain: Option<usize>,
    thresholds: Thresholds,
}

/// How jobs are treated, given the chains and their shares; `None` for a scheduler that is planned, or is wrong.
pub(super) fn resolve(
    object: &Object<EENNServiceSpec>,
    exits: usize,
    chains: &[ResolvedChain],
    problems: &mut Problems,
) -> Option<Mixture> {
    let shares = shares(object, exits, chains, problems)?;
    let sum: f64 = shares.iter().map(|share| share.probability).sum();
    if (sum - 1.0).abs() > 1e-6 {
        let message = format!("probabilities sum to {}, not to 1", (sum * 1e6).round() / 1e6);
        problems.report(&object.origin, "spec.scheduler.mixture", message);
        return None;
    }
    let choices = shares.into_iter().flat_map(|share| spread(share, chains)).collect();
    Mixture::new(choices, "the mixture")
        .map_err(|error| problems.report(&object.origin, "spec.scheduler", error.to_string()))
        .ok()
}

/// A share without a chain takes every chain, by its probability. Choices that nobody draws are left out.
fn spread(share: Share, chains: &[ResolvedChain]) -> Vec<Choice> {
    let on = |chain: usize, probability: f64| {
        let probability = Probability::new(probability).expect("a product of probabilities is one");
        Choice::new(probability, chain, share.thresholds.clone())
    };
    let all = match share.chain {
        Some(chain) => vec![on(chain, share.probability)],
        None => chains.iter().enumerate().map(|(index, chain)| on(index, share.probability * chain.share)).collect(),
    };
    all.into_iter().filter(|choice| choice.probability.get() > 0.0).collect()
}

fn shares(
    object: &Object<EENNServiceSpec>,
    exits: usize,
    chains: &[ResolvedChain],
    problems: &mut Problems,
) -> Option<Vec<Share>> {
    const PATH: &str = "spec.scheduler";
    let scheduler = &object.spec.scheduler;
    let kind = match scheduler.r#type {
        SchedulerType::ExitFirst => ChoiceSchedulerType::ExitFirst,
        SchedulerType::ExitLast => ChoiceSchedulerType::ExitLast,
        SchedulerType::Fixed => ChoiceSchedulerType::Fixed,
        SchedulerType::Mixture => return mixture(object, exits, chains, problems),
        // A planner finds them.
        _ => return None,
    };
    let thresholds = thresholds(object, kind, scheduler.fixed.as_ref(), exits, PATH, problems)?;
    Some(vec![Share { probability: 1.0, chain: None, thresholds }])
}

/// Only the field that `type` names may be there: another one would be silently ignored.
pub(super) fn refuse_other_fields(object: &Object<EENNServiceSpec>, problems: &mut Problems) {
    let scheduler = &object.spec.scheduler;
    let kind = scheduler.r#type;
    let fields = [
        ("fixed", scheduler.fixed.is_some(), SchedulerType::Fixed),
        ("mixture", !scheduler.mixture.is_empty(), SchedulerType::Mixture),
        ("fixedDistribution", scheduler.fixed_distribution.is_some(), SchedulerType::FixedDistribution),
        ("knapsack", scheduler.knapsack.is_some(), SchedulerType::Knapsack),
        ("queueingLP", scheduler.queueing_lp.is_some(), SchedulerType::QueueingLP),
        ("dataDriven", scheduler.data_driven.is_some(), SchedulerType::DataDriven),
        ("adaEE", scheduler.ada_ee.is_some(), SchedulerType::AdaEE),
    ];
    for (field, given, belongs_to) in fields {
        if given && kind != belongs_to {
            let message = format!("belongs to type {belongs_to:?}, not to {kind:?}; remove it or change the type");
            problems.report(&object.origin, &format!("spec.scheduler.{field}"), message);
        }
    }
}

fn mixture(
    object: &Object<EENNServiceSpec>,
    exits: usize,
    chains: &[ResolvedChain],
    problems: &mut Problems,
) -> Option<Vec<Share>> {
    let choices = &object.spec.scheduler.mixture;
    if choices.is_empty() {
        problems.report(&object.origin, "spec.scheduler.mixture", "is missing; type Mixture needs it");
        return None;
    }
    let shares: Vec<Option<Share>> = choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let path = format!("spec.scheduler.mixture[{index}]");
            let chain = chain(object, choice.chain.as_ref(), chains, &path, problems);
            let path = format!("{path}.scheduler");
            if choice.scheduler.fixed.is_some() && choice.scheduler.r#type != ChoiceSchedulerType::Fixed {
                let message = format!("belongs to type Fixed, not to {:?}", choice.scheduler.r#type);
                problems.report(&object.origin, &format!("{path}.fixed"), message);
            }
            let kind = choice.scheduler.r#type;
            let thresholds = thresholds(object, kind, choice.scheduler.fixed.as_ref(), exits, &path, problems)?;
            Some(Share { probability: choice.probability.get(), chain: chain?, thresholds })
        })
        .collect();
    shares.into_iter().collect()
}

/// `None` for a name that no chain has, `Some(None)` for all chains.
fn chain(
    object: &Object<EENNServiceSpec>,
    name: Option<&crate::Name>,
    chains: &[ResolvedChain],
    path: &str,
    problems: &mut Problems,
) -> Option<Option<usize>> {
    let Some(name) = name else { return Some(None) };
    let found = chains.iter().position(|chain| chain.name == name.as_str());
    if found.is_none() {
        let known: Vec<&str> = chains.iter().map(|chain| chain.name.as_str()).collect();
        let message = format!("no chain is named {}", crate::check::unknown(name.as_str(), &known));
        problems.report(&object.origin, &format!("{path}.chain"), message);
    }
    found.map(Some)
}

fn thresholds(
    object: &Object<EENNServiceSpec>,
    kind: ChoiceSchedulerType,
    fixed: Option<&Fixed>,
    exits: usize,
    path: &str,
    problems: &mut Problems,
) -> Option<Thresholds> {
    let fixed = match (kind, fixed) {
        (ChoiceSchedulerType::ExitFirst, _) => return Some(Thresholds::exit_first(exits)),
        (ChoiceSchedulerType::ExitLast, _) => return Some(Thresholds::exit_last(exits)),
        (ChoiceSchedulerType::Fixed, Some(fixed)) => fixed,
        (ChoiceSchedulerType::Fixed, None) => {
            problems.report(&object.origin, &format!("{path}.fixed"), "is missing; type Fixed needs it");
            return None;
        }
    };
    let given = fixed.thresholds.len();
    if given + 1 != exits {
        let message = format!("has {given} thresholds; a model with {exits} exits needs {}", exits - 1);
        problems.report(&object.origin, &format!("{path}.fixed.thresholds"), message);
        return None;
    }
    let values: Vec<f32> = fixed.thresholds.iter().map(|threshold| threshold.get() as f32).collect();
    Some(Thresholds::new(values).expect("ratios are from 0 to 1"))
}
