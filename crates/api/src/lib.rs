//! The manifests of `eenn.dev/v1alpha1` as types, and how they read as domain values.
//!
//! [`load`] reads a folder of YAML and reports every problem with its line. Strictness lives there, not in the types, so
//! that the same types serve a controller, which must tolerate fields of newer versions.

mod artifact;
pub mod exit_table;
pub mod fields;
mod load;
mod model;
mod node;
mod pool;
mod qos;
mod resolve;
pub mod samples;
mod service;
mod tensors;

mod check;
#[cfg(test)]
mod conventions;
mod form;
mod problem;
mod yaml;

pub use form::{
    Decimal, FormError, LabelValue, Name, NodeName, PositiveDecimal, Quantity, Ratio, Sha256, TensorName, Uri,
};
pub use load::{API_VERSION, Manifests, Object, load};
pub use model::{Artifact, Confidence, Cut, EENNModelSpec, Exit, ExitOutput, Input, Profile, ServiceTime};
pub use node::{Node, NodeMetadata, NodeStatus, Resources};
pub use pool::{DeviceClass, DevicePoolSpec, Direction, Link, LinkEnd, NodeSelector, Tier};
pub use problem::{LoadErrors, Origin, Position, Problem};
pub use qos::{Objective, QoSTargetSpec};
pub use resolve::{
    Device, Fragment, FragmentSize, Pool, Reach, Resolved, ResolvedModel, ResolvedService, ResolvedSource,
};
pub use service::{
    Choice, ChoiceScheduler, ChoiceSchedulerType, EENNServiceSpec, Epoch, Fixed, Overflow, PinnedChain, PinnedFragment,
    Placement, PlacementStrategy, Reference, Runtime, Scheduler, SchedulerType, Source,
};
pub use tensors::TensorFileError;
