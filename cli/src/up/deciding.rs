//! Who decides about jobs, from the command line: the same words for all commands that read manifests.

use crate::deploy::Overrides;
use crate::exit_code::{Failure, Outcome};
use api::{
    AdaEE, AdaEEVariant, DataDriven, ExitValue, Fixed, FixedDistribution, Knapsack, LossFormula, QueueingLP, Ratio,
    Scheduler, SchedulerType, ThresholdSearch,
};
use clap::Args;

/// Options for the scheduler.
#[derive(Debug, Args)]
pub(crate) struct Deciding {
    // As an attribute: in a comment rustdoc takes the brackets for a link.
    #[arg(
        long,
        value_name = "NAME[:OPTION]",
        value_parser = scheduler,
        help = "Use this scheduler in all services instead of theirs: Auto, ExitFirst, ExitLast, Fixed, Random, \
                FixedDistribution, Reactive, Knapsack[:TrackedConfidence], QueueingLP[:TwoMoment][:TrackedConfidence], \
                DataDriven[:Bayesian], AdaEE[:BufferAware] or SMDP"
    )]
    scheduler: Option<Scheduler>,

    /// Use these thresholds in all services, one per exit but the last: 0 always leaves, 1 closes the exit. Implies
    /// --scheduler Fixed
    #[arg(long, value_name = "T,T,…", value_delimiter = ',', value_parser = ratio)]
    thresholds: Vec<Ratio>,

    /// Let these shares of jobs leave at each exit, the last one included. Implies --scheduler FixedDistribution
    #[arg(long, value_name = "P,P,…", value_delimiter = ',', value_parser = ratio, conflicts_with = "thresholds")]
    probabilities: Vec<Ratio>,
}

impl Deciding {
    /// What replaces the scheduler of the manifests.
    pub(crate) fn overrides(&self) -> Outcome<Overrides> {
        let numbers = [
            ("--thresholds", &self.thresholds, SchedulerType::Fixed, "Fixed", "one per exit but the last"),
            (
                "--probabilities",
                &self.probabilities,
                SchedulerType::FixedDistribution,
                "FixedDistribution",
                "one per exit",
            ),
        ];
        let kind = self.scheduler.as_ref().map(|scheduler| scheduler.r#type);
        for (option, given, needed_by, name, which) in numbers {
            match kind {
                Some(kind) if kind == needed_by && given.is_empty() => {
                    return Err(Failure::input(format!("--scheduler {name} needs {option}, {which}")));
                }
                Some(kind) if kind != needed_by && !given.is_empty() => {
                    return Err(Failure::input(format!("{option} go with --scheduler {name} only")));
                }
                _ => {}
            }
        }
        Ok(Overrides { scheduler: self.numbers().or_else(|| self.scheduler.clone()) })
    }

    fn numbers(&self) -> Option<Scheduler> {
        if !self.thresholds.is_empty() {
            let fixed = Some(Fixed { thresholds: self.thresholds.clone() });
            return Some(Scheduler { r#type: SchedulerType::Fixed, fixed, ..Default::default() });
        }
        (!self.probabilities.is_empty()).then(|| Scheduler {
            r#type: SchedulerType::FixedDistribution,
            fixed_distribution: Some(FixedDistribution { probabilities: self.probabilities.clone() }),
            ..Default::default()
        })
    }
}

/// A kind of scheduler, and values of its options behind colons.
fn scheduler(text: &str) -> Result<Scheduler, String> {
    let mut words = text.split(':');
    let mut scheduler = of_kind(words.next().unwrap_or_default())?;
    for word in words {
        if !set(&mut scheduler, &word.to_ascii_lowercase()) {
            return Err(format!("{:?} has no option {word:?}", scheduler.r#type));
        }
    }
    Ok(scheduler)
}

/// Those that can be written without a file.
const KINDS: [SchedulerType; 12] = [
    SchedulerType::Auto,
    SchedulerType::ExitFirst,
    SchedulerType::ExitLast,
    SchedulerType::Fixed,
    SchedulerType::Random,
    SchedulerType::FixedDistribution,
    SchedulerType::Reactive,
    SchedulerType::Knapsack,
    SchedulerType::QueueingLP,
    SchedulerType::DataDriven,
    SchedulerType::AdaEE,
    SchedulerType::SMDP,
];

fn of_kind(name: &str) -> Result<Scheduler, String> {
    let found = KINDS.into_iter().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(name));
    let found = found.ok_or_else(|| format!("available are {}", KINDS.map(|kind| format!("{kind:?}")).join(", ")));
    found.map(|r#type| Scheduler { r#type, ..Default::default() })
}

/// Sets the option that has this value; whether there is one. Values of one scheduler are distinct.
fn set(scheduler: &mut Scheduler, value: &str) -> bool {
    let knapsack = scheduler.knapsack.get_or_insert_default();
    let queueing = scheduler.queueing_lp.get_or_insert_default();
    let data = scheduler.data_driven.get_or_insert_default();
    let bandit = scheduler.ada_ee.get_or_insert_default();
    match (scheduler.r#type, value) {
        (SchedulerType::Knapsack, "accuracy") => *knapsack = Knapsack { value: ExitValue::Accuracy },
        (SchedulerType::Knapsack, "trackedconfidence") => *knapsack = Knapsack { value: ExitValue::TrackedConfidence },
        (SchedulerType::QueueingLP, "accuracy") => queueing.value = ExitValue::Accuracy,
        (SchedulerType::QueueingLP, "trackedconfidence") => queueing.value = ExitValue::TrackedConfidence,
        (SchedulerType::QueueingLP, "exact") => {
            *queueing = QueueingLP { approximation: LossFormula::Exact, ..*queueing }
        }
        (SchedulerType::QueueingLP, "twomoment") => queueing.approximation = LossFormula::TwoMoment,
        (SchedulerType::DataDriven, "direct") => *data = DataDriven { search: ThresholdSearch::Direct },
        (SchedulerType::DataDriven, "bayesian") => *data = DataDriven { search: ThresholdSearch::Bayesian },
        (SchedulerType::AdaEE, "original") => *bandit = AdaEE { variant: AdaEEVariant::Original },
        (SchedulerType::AdaEE, "bufferaware") => *bandit = AdaEE { variant: AdaEEVariant::BufferAware },
        _ => return false,
    }
    // Options of other kinds would be refused.
    let kind = scheduler.r#type;
    scheduler.knapsack = scheduler.knapsack.filter(|_| kind == SchedulerType::Knapsack);
    scheduler.queueing_lp = scheduler.queueing_lp.filter(|_| kind == SchedulerType::QueueingLP);
    scheduler.data_driven = scheduler.data_driven.filter(|_| kind == SchedulerType::DataDriven);
    scheduler.ada_ee = scheduler.ada_ee.filter(|_| kind == SchedulerType::AdaEE);
    true
}

/// As in a manifest, where it stands in quotes.
fn ratio(text: &str) -> Result<Ratio, &'static str> {
    text.parse().map_err(|_| "write numbers from 0 to 1, such as 0.9")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_are_known_by_name() {
        let kind = |text: &str| scheduler(text).map(|scheduler| scheduler.r#type);
        assert_eq!((kind("exitlast"), kind("smdp")), (Ok(SchedulerType::ExitLast), Ok(SchedulerType::SMDP)));
        let error = kind("CEEN").expect_err("it is not there yet");
        assert!(error.starts_with("available are Auto, ExitFirst, ExitLast, Fixed,"), "{error}");
    }

    #[test]
    fn options_of_a_scheduler_follow_its_name() {
        let read = scheduler("QueueingLP:TwoMoment:trackedConfidence").expect("both are options of it");
        let options = QueueingLP { approximation: LossFormula::TwoMoment, value: ExitValue::TrackedConfidence };
        let want = Scheduler { r#type: SchedulerType::QueueingLP, queueing_lp: Some(options), ..Scheduler::default() };
        assert_eq!(read, want);
        let read = scheduler("AdaEE:BufferAware").expect("it is an option of it");
        assert_eq!(read.ada_ee, Some(AdaEE { variant: AdaEEVariant::BufferAware }));
        assert_eq!(scheduler("SMDP:Exact"), Err("SMDP has no option \"Exact\"".to_owned()));
    }
}
