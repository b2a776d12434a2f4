//! The manifests of `eenn.dev/v1alpha1` as types, and how they read as domain values.
//!
//! [`load`] reads a folder of YAML and reports every problem with its line. Strictness lives there, not in the types, so
//! that the same types serve a controller, which must tolerate fields of newer versions.

mod artifact;
pub mod crd;
pub mod exit_table;
pub mod fields;
mod load;
mod model;
mod node;
mod plan;
mod pool;
mod qos;
mod resolve;
mod rounded;
mod rules;
pub mod samples;
mod scheduler;
mod service;
pub mod status;
mod tensors;

mod check;
#[cfg(test)]
mod conventions;
mod form;
mod problem;
#[cfg(test)]
mod structural;
#[cfg(test)]
mod table;
mod yaml;

pub use form::{
    Decimal, FormError, LabelValue, Name, NodeName, PositiveDecimal, Quantity, Ratio, Sha256, TensorName, Uri,
};
pub use load::{API_VERSION, Manifests, Object, load};
pub use model::{Artifact, Confidence, Cut, EENNModel, EENNModelSpec, Exit, ExitOutput, Input, Profile, ServiceTime};
pub use node::{Node, NodeCondition, NodeInfo, NodeMetadata, NodeSpec, NodeStatus, Resources, Taint};
pub use plan::{
    EENNPlan, EENNPlanSpec, EENNPlanStatus, ForecastRate, MissedTarget, PlannedChain, PlannedChoice, PlannedFragment,
};
pub use pool::{
    AllowedNamespaces, DeviceClass, DevicePool, DevicePoolSpec, Direction, Link, LinkEnd, NamespacesFrom, NodeSelector,
    TaintEffect, Tier, Toleration, TolerationOperator,
};
pub use problem::{LoadErrors, Origin, Position, Problem};
pub use qos::{Objective, QoSTarget, QoSTargetSpec};
pub use resolve::{
    Device, Fragment, FragmentSize, PlannedScheduler, Pool, Reach, Resolved, ResolvedChain, ResolvedModel,
    ResolvedReoptimization, ResolvedScheduler, ResolvedService, ResolvedSource, ServicePlacement, Unplaced,
    UnplacedService,
};
pub use scheduler::{
    AdaEE, AdaEEVariant, Choice, ChoiceScheduler, ChoiceSchedulerType, DataDriven, ExitValue, Fixed, FixedDistribution,
    Knapsack, LossFormula, QueueingLP, Scheduler, SchedulerType, ThresholdSearch,
};
pub use service::{
    Burstiness, EENNService, EENNServiceSpec, Epoch, ObjectReference, Overflow, PinnedChain, PinnedFragment, Placement,
    PlacementStrategy, Planning, Reoptimization, ReoptimizationMode, Runtime, Source,
};
pub use tensors::TensorFileError;
