//! EENNModel: an early-exit network, where its file is, and where it can leave and be split.

use crate::form::{Decimal, Name, Quantity, Sha256, TensorName, Uri};
use crate::status::EENNModelStatus;
use crate::{ObjectReference, rules};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An early-exit neural network in one ONNX file.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "eenn.dev", version = "v1alpha1", kind = "EENNModel", namespaced, status = "EENNModelStatus")]
#[kube(doc = "An early-exit neural network: where its file is, where jobs may leave, and where it may be split")]
#[kube(crates(kube_core = "kube_core"), derive = "PartialEq", shortname = "eennm", category = "eenn")]
#[kube(printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"))]
#[kube(printcolumn(name = "Exits", type_ = "integer", json_path = ".status.exitCount"))]
#[kube(printcolumn(name = "Segments", type_ = "integer", json_path = ".status.segmentCount"))]
#[kube(printcolumn(name = "Accuracy", type_ = "string", json_path = ".status.accuracy"))]
#[kube(printcolumn(name = "Artifact", type_ = "string", json_path = ".spec.artifact.uri", priority = "1"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::MODEL.to_json()))]
pub struct EENNModelSpec {
    /// The ONNX file. Every fragment loads it and extracts its own segments, so nobody has to split it.
    pub artifact: Artifact,
    /// The input of the network.
    pub input: Input,
    /// Where a job may leave, in the order of the network. The last one always answers.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub exits: Vec<Exit>,
    /// Tensors at which the network may be split, in order. n cuts make n + 1 segments, numbered from 1. Default: none,
    /// the network stays whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 255))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["tensor"]))]
    pub cuts: Vec<Cut>,
    /// How sure an exit is of its answer. A job leaves where this is above the threshold. Default: MaxSoftmax.
    #[serde(default)]
    pub confidence: Confidence,
    /// What each exit said about each sample of a validation set. Needed to predict accuracy. In a cluster, one that is not in a
    /// ConfigMap is brought into one, made to fit: with confidences of 16 bits, and if need be with fewer samples. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_table: Option<Artifact>,
    /// Service times on the machine that `speedFactor` 1 means. Emulated devices take their times from it. Default:
    /// measured in clusters; none elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// A file and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::ARTIFACT.to_json()))]
pub struct Artifact {
    /// `file://model.onnx` is relative to the manifest and works in local mode only; oci://, https://, s3://, pvc:// and
    /// configmap:// are for clusters, and local mode takes a copy of the same name beside the manifest.
    pub uri: Uri,
    /// SHA-256 of the file. Where a file is brought to a pod, by https://, s3:// (which need it) or configmap://, one with another digest is refused;
    /// of what is mounted (oci://, pvc://) it is not looked at. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Most that the file takes. Memory and disk for it are set aside on nodes; a larger file is refused. Default: 64Mi. Local
    /// mode does not look at it.
    #[serde(default = "file_size")]
    pub size: Quantity,
    /// Secret in the namespace of the model whose keys the download gets as its environment, such as AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY. For https:// and s3:// only; the operator itself never reads it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<ObjectReference>,
}

/// An input tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Name of the tensor.
    pub name: TensorName,
    /// Shape of one sample, without the batch axis, such as [1, 28, 28].
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 65536)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub shape: Vec<i32>,
}

/// An intermediate classifier, or the final one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Name in answers, metrics and tables.
    pub name: Name,
    /// Output tensor with one score per class.
    pub tensor: TensorName,
    /// What the tensor holds. Default: Logits.
    #[serde(default)]
    pub output: ExitOutput,
    /// Segment that it hangs on, from 1, as `eenn model inspect` prints it. Clusters plan with it; local mode looks into the file
    /// instead. Default: the segment of the same number, where there are as many segments as exits; else clusters look into the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub segment: Option<i32>,
}

/// What the output tensor of an exit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ExitOutput {
    /// Scores before the softmax.
    #[default]
    Logits,
    /// Class probabilities.
    Probabilities,
}

/// A tensor at which the network may be split: everything after it depends on it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// Name of the tensor.
    pub tensor: TensorName,
    /// Name for people. Default: the tensor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Bytes of the tensor for one job, as `eenn model inspect` prints them. Clusters plan with it; local mode looks into the
    /// file instead. Default: clusters look into the file, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_099_511_627_776_i64))]
    pub bytes: Option<i64>,
}

/// How confidence is read off class probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Confidence {
    /// The largest probability.
    #[default]
    MaxSoftmax,
    /// 1 − entropy ÷ ln(number of classes).
    NormalizedEntropy,
}

/// Service times of one job, measured on one machine with one thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What the machine is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub machine: Option<String>,
    /// One entry per segment, in order, without the heads of the exits.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub segments: Vec<ServiceTime>,
    /// One entry per exit, in order: the time of its head. The last exit is part of the last segment and counts zero.
    /// Default: heads cost nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub heads: Vec<ServiceTime>,
}

/// A service time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTime {
    /// Mean, in microseconds.
    pub mean_microseconds: Decimal,
    /// Squared coefficient of variation: variance ÷ mean². Default: "0", always the same time.
    #[serde(default = "zero")]
    pub scv: Decimal,
}

fn file_size() -> Quantity {
    "64Mi".parse().expect("64Mi is a quantity")
}

fn zero() -> Decimal {
    "0".parse().expect("0 is a decimal")
}
