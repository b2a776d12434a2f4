//! The part of an EENNService that says at which confidence jobs leave.

use crate::form::{Name, Ratio};
use crate::rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// At which confidence jobs leave. `type` says which of the other fields may be set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::SCHEDULER.to_json()))]
pub struct Scheduler {
    /// The kind of scheduler. Default: Auto.
    #[serde(default)]
    pub r#type: SchedulerType,
    /// For type Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Fixed>,
    /// For type Mixture: every job is treated in one of these ways, drawn by probability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub mixture: Vec<Choice>,
    /// For type FixedDistribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_distribution: Option<FixedDistribution>,
    /// For type Knapsack. Default: the values of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knapsack: Option<Knapsack>,
    /// For type QueueingLP. Default: the values of its fields.
    #[serde(default, rename = "queueingLP", skip_serializing_if = "Option::is_none")]
    pub queueing_lp: Option<QueueingLP>,
    /// For type DataDriven. Default: the values of its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_driven: Option<DataDriven>,
    /// For type AdaEE. Default: the values of its fields.
    #[serde(default, rename = "adaEE", skip_serializing_if = "Option::is_none")]
    pub ada_ee: Option<AdaEE>,
}

/// Kinds of scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SchedulerType {
    /// The best there is: thresholds and chain probabilities of all services of a pool together, checked by simulation, and
    /// found anew when the load drifts.
    #[default]
    Auto,
    /// Every job leaves at the first exit.
    ExitFirst,
    /// Every job leaves at the last exit.
    ExitLast,
    /// The same thresholds for every job.
    Fixed,
    /// Several ways to treat a job, drawn by probability.
    Mixture,
    /// A random exit for each job, all equally likely.
    Random,
    /// A random exit for each job, with probabilities that you give.
    FixedDistribution,
    /// One exit earlier after each lost job, one later whenever a job finds nobody else present. Learns in the gateway.
    Reactive,
    /// By the jobs present and the arrival rate the exits that fit into the time until memory is full, found as a knapsack.
    Knapsack,
    /// Random exits whose probabilities give the most accuracy with the loss on its target, by a queueing formula.
    QueueingLP,
    /// One vector of thresholds for each arrival rate, tuned on the exit table.
    DataDriven,
    /// A bandit over vectors of thresholds: learns in the gateway from confidences, without a model of the load.
    AdaEE,
    /// The optimal exits or thresholds for each number of jobs present, of a semi-Markov decision process.
    SMDP,
    /// Surrogate-guided search over thresholds and chains. Not available yet.
    CEEN,
}

/// One vector of thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fixed {
    /// One per exit but the last, such as ["0.9", "0.8"]. A job leaves where its confidence is above the threshold; "0"
    /// always leaves, "1" closes the exit.
    #[schemars(length(max = 63))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub thresholds: Vec<Ratio>,
}

/// Random exits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::FIXED_DISTRIBUTION.to_json()))]
pub struct FixedDistribution {
    /// One per exit, such as ["0.5", "0.3", "0.2"]: the share of jobs that leaves there, however sure it is. They sum to 1.
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub probabilities: Vec<Ratio>,
}

/// How the Knapsack scheduler rates exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Knapsack {
    /// What an answer of an exit is worth. Default: Accuracy.
    #[serde(default)]
    pub value: ExitValue,
}

/// How the QueueingLP scheduler computes loss and rates exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueingLP {
    /// The formula for the share of jobs lost. Default: Exact.
    #[serde(default)]
    pub approximation: LossFormula,
    /// What an answer of an exit is worth. Default: Accuracy.
    #[serde(default)]
    pub value: ExitValue,
}

/// What an answer of an exit is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ExitValue {
    /// The exit's accuracy in the exit table.
    #[default]
    Accuracy,
    /// The exit's mean confidence: needs no labels. Taken from the exit table when a plan is made.
    TrackedConfidence,
}

/// Formulas for the share of jobs lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum LossFormula {
    /// The M/G/1/K queue, solved exactly.
    #[default]
    Exact,
    /// From mean and variance of service times only, as published; loses more than it should.
    TwoMoment,
}

/// How the DataDriven scheduler searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataDriven {
    /// Who proposes thresholds. Default: Direct.
    #[serde(default)]
    pub search: ThresholdSearch,
}

/// Searches for thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ThresholdSearch {
    /// One threshold after the other, each on the whole exit table.
    #[default]
    Direct,
    /// Bayesian optimisation with a Gaussian process, as published.
    Bayesian,
}

/// What the AdaEE scheduler looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdaEE {
    /// Whether waiting jobs make going on dearer. Default: Original.
    #[serde(default)]
    pub variant: AdaEEVariant,
}

/// Forms of AdaEE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AdaEEVariant {
    /// Does not look at the queue, as published.
    #[default]
    Original,
    /// Going on costs more the less room is left at the first device.
    BufferAware,
}

/// One way to treat a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// Share of the jobs treated so. The shares sum to 1.
    pub probability: Ratio,
    /// The chain they take. Default: all chains, by their own probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Name>,
    /// At which confidence they leave.
    pub scheduler: ChoiceScheduler,
}

/// At which confidence the jobs of one choice leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::CHOICE_SCHEDULER.to_json()))]
pub struct ChoiceScheduler {
    /// The kind of scheduler.
    pub r#type: ChoiceSchedulerType,
    /// For type Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Fixed>,
}

/// Kinds of scheduler within a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChoiceSchedulerType {
    /// Every job leaves at the first exit.
    ExitFirst,
    /// Every job leaves at the last exit.
    ExitLast,
    /// The same thresholds for every job.
    Fixed,
}
