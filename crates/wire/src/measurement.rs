//! What a job finds out about a model and the machine that it runs on.

use crate::document::ProfileDocument;
use serde::{Deserialize, Serialize};

/// What was found out about the file of a model that is described already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementDocument {
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// What the machine calls itself, for people.
    pub machine: String,
    /// One per exit of the description, in order.
    pub exits: Vec<ExitMeasurement>,
    /// One per segment of the description, in order.
    pub segments: Vec<SegmentMeasurement>,
    /// Service times on this machine, of one thread; absent if nobody has asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileDocument>,
    /// The exit table; absent if there was none to bring along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_table: Option<ExitTableMeasurement>,
}

/// What an exit costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitMeasurement {
    /// Its name in the description.
    pub name: String,
    /// Segment after which it is evaluated, from 1.
    pub segment: usize,
    /// Multiply-accumulates of its head; 0 for the last, which is part of the last segment.
    pub macs: u64,
    /// Bytes of the weights of its head.
    pub weight_bytes: u64,
}

/// What a segment costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentMeasurement {
    /// Multiply-accumulates, heads excluded.
    pub macs: u64,
    /// Bytes of its weights, heads excluded.
    pub weight_bytes: u64,
    /// Bytes of the tensor that it hands on for one job; 0 for the last.
    pub forward_bytes: u64,
}

/// An exit table, small enough to be kept in an object of Kubernetes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitTableMeasurement {
    /// SHA-256 of the file that it was made from, in hexadecimal digits.
    pub sha256: String,
    /// Samples that it has.
    pub samples: usize,
    /// Samples that the file had.
    pub samples_of_file: usize,
    /// Most by which a confidence differs from that of the file; 0 where nothing had to be rounded.
    pub largest_error: f64,
    /// The table as safetensors, in base64.
    pub file: String,
}
