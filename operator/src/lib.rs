//! The control plane: brings clusters to where DevicePools, EENNModels, QoSTargets and EENNServices say they should be.
//!
//! Every reconciler reads like a table of contents: **observe** what there is, **validate** it, **plan**, **build** what should be,
//! **apply** the difference, **report** in the status. What decides is pure; what acts is thin.
//!
//! * [`cache`], [`caches`]: one watch per kind; who looks at what when something changes.
//! * [`queue`], [`controller`]: who looks at which object when.
//! * [`cluster`]: every write, only while [`lease`] says that this process leads.
//! * [`pool`], [`model`], [`target`], [`service`]: the reconcilers.
//! * [`room`]: whether old and new pods have room side by side.
//! * [`measure`]: Jobs that find out what is not known of models.
//! * [`telemetry`]: log lines, and spans for a collector.
//! * [`identity`]: who processes are. [`gateways`]: what they are told, and what follows from what they tell.

pub mod applied;
pub mod cache;
pub mod caches;
pub mod clock;
pub mod cluster;
pub mod conditions;
pub mod controller;
pub mod gateways;
pub mod head;
pub mod health;
pub mod identity;
pub mod image_volumes;
pub mod lease;
pub mod manifests;
pub mod measure;
pub mod metrics;
pub mod model;
pub mod options;
pub mod outline;
pub mod plan;
pub mod pods;
pub mod pool;
pub mod queue;
pub mod room;
pub mod run;
#[cfg(test)]
mod scripted;
pub mod service;
pub mod target;
pub mod telemetry;

use api::DevicePool;
use applied::Applied;
use caches::Caches;
use cluster::Cluster;
use gateways::address::Addresses;
use gateways::standing::Standings;
use identity::Identity;
use image_volumes::ImageVolumes;
use measure::Measuring;
use metrics::Metrics;
use plan::{Losses, Notes, Tables, Tried};
use service::certified::Certified;
use service::drains::Drains;
use service::steps::Steps;
use std::sync::Arc;

/// What every reconciler works with.
#[derive(Debug)]
pub struct Context {
    /// The way to the API server.
    pub cluster: Cluster,
    /// What it has.
    pub caches: Caches,
    /// The name under which pools ask for this operator.
    pub operator_name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it serves one namespace only: in others it may not tell of anything.
    pub serves_one_namespace: bool,
    /// The image of gateways and fragments.
    pub runtime_image: String,
    /// What was applied.
    pub applied: Applied,
    /// What is not needed any more, and since when.
    pub drains: Drains,
    /// Exit tables.
    pub tables: Tables,
    /// What pools were last planned with.
    pub tried: Arc<Tried>,
    /// Held by whoever makes a plan, which takes all cores.
    pub planning: Arc<tokio::sync::Mutex<()>>,
    /// Pools that have lost nodes.
    pub losses: Losses,
    /// Why services have no new plan.
    pub plan_notes: Notes,
    /// What services wait for that have not been told of it.
    pub steps: Steps,
    /// Who certifies.
    pub identity: Arc<Identity>,
    /// Which certificates services have.
    pub certified: Certified,
    /// Where pods are reached.
    pub addresses: Addresses,
    /// What gateways should follow, and do.
    pub standings: Standings,
    /// What is being measured.
    pub measuring: Measuring,
    /// Whether images can be mounted.
    pub image_volumes: ImageVolumes,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// Whether a pool asks for this operator.
    pub fn runs(&self, pool: &DevicePool) -> bool {
        pool.spec.operator_name.as_str() == self.operator_name
    }
}
