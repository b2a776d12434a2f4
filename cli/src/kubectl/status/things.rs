//! What services run on, as documents: pools and models. Pure.

use super::super::words::{find, holds};
use api::status::DeviceStatus;
use api::{DevicePool, EENNModel};
use kube::ResourceExt;
use serde::Serialize;

/// State of a device that can take fragments.
const USABLE: &str = "Usable";

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Ready {
    /// That are ready.
    pub(crate) ready: i32,
    /// That there should be.
    pub(crate) all: i32,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolLine {
    /// Its name.
    pub(crate) name: String,
    /// Whether at least one device takes fragments.
    pub(crate) is_ready: bool,
    /// Devices that take fragments, of how many.
    pub(crate) devices: Ready,
    /// Services that use it.
    pub(crate) services: i32,
    /// Devices that are left out: `box is cordoned`.
    pub(crate) left_out: Vec<String>,
    /// What is wrong and what helps.
    pub(crate) trouble: Option<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelLine {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether services can be planned with it.
    pub(crate) is_ready: bool,
    /// How many exits it has.
    pub(crate) exits: i32,
    /// How many segments it has.
    pub(crate) segments: i32,
    /// What is wrong and what helps.
    pub(crate) trouble: Option<String>,
}

impl PoolLine {
    /// Of a pool.
    pub(super) fn new(pool: &DevicePool) -> Self {
        let status = pool.status.clone().unwrap_or_default();
        let refused = ["Accepted", "Ready"].iter().find(|aspect| !holds(&status.conditions, aspect));
        let trouble = match (status.observed_generation, refused) {
            (0, _) => Some(format!(
                "no operator has said anything of it yet: is one running with the name {:?} (spec.operatorName)?",
                pool.spec.operator_name.as_str()
            )),
            (_, Some(aspect)) => find(&status.conditions, aspect).map(|one| one.message.clone()),
            _ => None,
        };
        Self {
            name: pool.name_any(),
            is_ready: holds(&status.conditions, "Ready"),
            devices: Ready { ready: status.usable_device_count, all: status.device_count },
            services: status.service_count,
            left_out: status.devices.iter().filter_map(left_out).collect(),
            trouble,
        }
    }
}

/// `box is cordoned`; `None` where it can take fragments.
fn left_out(device: &DeviceStatus) -> Option<String> {
    let why = match device.state.as_str() {
        USABLE => return None,
        "NotReady" => "is not ready",
        "Cordoned" => "is cordoned",
        "NoClass" => "has no class: no entry of spec.classes fits its labels",
        "NoImage" => "has an architecture that the image is not made for",
        "Tainted" => "has a taint that no entry of spec.tolerations fits",
        "Unreadable" => "has a status that cannot be read",
        other => return Some(format!("{}: {other}", device.name)),
    };
    Some(format!("{} {why}", device.name))
}

impl ModelLine {
    /// Of a model.
    pub(super) fn new(model: &EENNModel) -> Self {
        let status = model.status.clone().unwrap_or_default();
        let ready = find(&status.conditions, "Ready").filter(|one| one.observed_generation > 0);
        let is_ready = holds(&status.conditions, "Ready");
        let unseen = || "no operator has said anything of it yet".to_owned();
        Self {
            namespace: model.namespace().unwrap_or_default(),
            name: model.name_any(),
            is_ready,
            exits: status.exit_count,
            segments: status.segment_count,
            trouble: (!is_ready).then(|| ready.map_or_else(unseen, |one| one.message.clone())),
        }
    }
}
