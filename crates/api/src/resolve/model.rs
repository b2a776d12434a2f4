//! A model manifest as the domain's model and service times.

use super::Problems;
use crate::{Artifact, Confidence, EENNModelSpec, ExitOutput, Object, ServiceTime};
use domain::{Model, Seconds, ServiceTimes};
use std::collections::BTreeMap;

/// A model that a service may serve.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedModel {
    /// The model.
    pub model: Model,
    /// Its ONNX file.
    pub artifact: Artifact,
    /// Its exit table.
    pub exit_table: Option<Artifact>,
    /// Service times on the profiled machine.
    pub profile: Option<ServiceTimes>,
}

pub(super) fn resolve(object: &Object<EENNModelSpec>, problems: &mut Problems) -> Option<ResolvedModel> {
    let before = problems.0.len();
    check_tensors(object, problems);
    check_artifact(object, "spec.artifact", &object.spec.artifact, problems);
    if let Some(table) = &object.spec.exit_table {
        check_artifact(object, "spec.exitTable", table, problems);
    }
    let profile = profile(object, problems);
    let spec = &object.spec;
    let model = Model {
        name: object.name.clone(),
        input: spec.input.name.to_string(),
        input_shape: spec.input.shape.iter().map(|axis| axis.unsigned_abs() as usize).collect(),
        exits: spec.exits.iter().map(exit).collect(),
        cuts: spec.cuts.iter().map(|cut| cut.tensor.to_string()).collect(),
        confidence: match spec.confidence {
            Confidence::MaxSoftmax => domain::Confidence::MaxSoftmax,
            Confidence::NormalizedEntropy => domain::Confidence::NormalizedEntropy,
        },
    };
    if problems.0.len() > before {
        return None;
    }
    let model = model.new().map_err(|error| problems.report(&object.origin, "spec", error.to_string())).ok()?;
    Some(ResolvedModel { model, artifact: spec.artifact.clone(), exit_table: spec.exit_table.clone(), profile })
}

fn exit(exit: &crate::Exit) -> domain::Exit {
    let output = match exit.output {
        ExitOutput::Logits => domain::ExitOutput::Logits,
        ExitOutput::Probabilities => domain::ExitOutput::Probabilities,
    };
    domain::Exit { name: exit.name.to_string(), tensor: exit.tensor.to_string(), output }
}

/// No tensor is named twice among input, cuts and exits.
fn check_tensors(object: &Object<EENNModelSpec>, problems: &mut Problems) {
    let spec = &object.spec;
    let exits = spec.exits.iter().enumerate().map(|(i, exit)| (format!("spec.exits[{i}].tensor"), &exit.tensor));
    let cuts = spec.cuts.iter().enumerate().map(|(i, cut)| (format!("spec.cuts[{i}].tensor"), &cut.tensor));
    let mut seen = BTreeMap::from([(&spec.input.name, "spec.input.name".to_owned())]);
    for (path, tensor) in exits.chain(cuts) {
        if let Some(first) = seen.insert(tensor, path.clone()) {
            problems.report(&object.origin, &path, format!("tensor {:?} is already used by {first}", tensor.as_str()));
        }
    }
}

/// The URI is whole, and comes with what its scheme needs.
fn check_artifact(object: &Object<EENNModelSpec>, path: &str, artifact: &Artifact, problems: &mut Problems) {
    let uri = artifact.uri.as_str();
    let (scheme, rest) = uri.split_once("://").expect("the pattern of URIs asks for a scheme");
    let (name, file) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| is_lower(byte) || b".-".contains(&byte));
    let is_key = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let (sound, form) = match scheme {
        "configmap" => (is_name(name) && is_key(file), "configmap://NAME/KEY"),
        "pvc" => (is_name(name), "pvc://CLAIM/PATH"),
        "s3" => (!name.is_empty(), "s3://BUCKET/KEY"),
        _ => (true, ""),
    };
    if !form.is_empty() && (!sound || file.is_empty()) {
        problems.report(&object.origin, &format!("{path}.uri"), format!("{uri:?} is not allowed; allowed: {form}"));
    }
    let downloaded = ["https", "s3"].contains(&scheme);
    if downloaded && artifact.sha256.is_none() {
        let message = format!("is missing; what comes over {scheme}:// is checked: take it from sha256sum FILE");
        problems.report(&object.origin, &format!("{path}.sha256"), message);
    }
    if !downloaded && artifact.credentials_secret_ref.is_some() {
        let message = format!("belongs to https:// and s3://, not to {scheme}://; remove it");
        problems.report(&object.origin, &format!("{path}.credentialsSecretRef"), message);
    }
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn profile(object: &Object<EENNModelSpec>, problems: &mut Problems) -> Option<ServiceTimes> {
    let spec = &object.spec;
    let profile = spec.profile.as_ref()?;
    let (segments, exits) = (spec.cuts.len() + 1, spec.exits.len());
    if profile.segments.len() != segments {
        let given = profile.segments.len();
        let message = format!("has {given} entries; a model with {} cuts has {segments} segments", spec.cuts.len());
        problems.report(&object.origin, "spec.profile.segments", message);
    }
    if !profile.heads.is_empty() && profile.heads.len() != exits {
        let message = format!("has {} entries; the model has {exits} exits", profile.heads.len());
        problems.report(&object.origin, "spec.profile.heads", message);
    }
    let none = domain::ServiceTime { mean: Seconds::new(0.0).expect("0 is a duration"), scv: 0.0 };
    let mut heads: Vec<_> = profile.heads.iter().map(service_time).collect();
    heads.resize(exits, none);
    Some(ServiceTimes { segments: profile.segments.iter().map(service_time).collect(), heads })
}

fn service_time(time: &ServiceTime) -> domain::ServiceTime {
    let mean = Seconds::new(time.mean_microseconds.get() / 1e6).expect("a decimal is finite and not negative");
    domain::ServiceTime { mean, scv: time.scv.get() }
}
