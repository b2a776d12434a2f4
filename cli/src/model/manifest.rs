//! What was found or measured, as YAML for an EENNModel.

use super::description::object_name;
use runtime_image::model::Inspection;
use std::collections::BTreeSet;
use std::fmt::Write;
use wire::document::{ProfileDocument, TimeDocument};

/// A manifest that serves the model with all its exits, and the recommended cuts.
pub(super) fn of_inspection(found: &Inspection, name: &str, file: &str, sha256: &str) -> String {
    let shape: Vec<_> = found.input_shape.iter().map(usize::to_string).collect();
    let mut text = format!(
        "# Made by `eenn model inspect`; keep it beside {file}.\n\
         apiVersion: eenn.dev/v1alpha1\nkind: EENNModel\nmetadata:\n  name: {name}\nspec:\n  artifact:\n    \
         uri: {}\n    sha256: {}\n  input:\n    name: {}\n    shape: [{}]\n  exits:\n",
        quoted(&format!("file://{file}")),
        quoted(sha256),
        quoted(&found.input),
        shape.join(", ")
    );
    for (exit, name) in found.exits.iter().zip(exit_names(found)) {
        let (tensor, segment) = (quoted(&exit.tensor), exit.segment);
        let output = exit.output;
        let _ = writeln!(text, "    - {{ name: {name}, tensor: {tensor}, output: {output:?}, segment: {segment} }}");
    }
    text.push_str("  cuts:\n");
    for (cut, segment) in found.recommended_cuts.iter().zip(&found.segments) {
        let _ = writeln!(text, "    - {{ tensor: {}, bytes: {} }}", quoted(cut), segment.forward_bytes);
    }
    text.push_str("  confidence: MaxSoftmax\n");
    text
}

/// Names from the tensors, as long as they are distinct.
fn exit_names(found: &Inspection) -> Vec<String> {
    let numbered = (1..=found.exits.len()).map(|number| format!("exit{number}"));
    let named: Vec<String> =
        found.exits.iter().zip(numbered.clone()).map(|(exit, number)| object_name(&exit.tensor, &number)).collect();
    let distinct: BTreeSet<&String> = named.iter().collect();
    if distinct.len() == named.len() { named } else { numbered.collect() }
}

/// The `profile:` block of a model.
pub(super) fn of_profile(profile: &ProfileDocument, machine: &str) -> String {
    let mut text = format!("  profile:\n    machine: {}\n    segments:\n", quoted(machine));
    profile.segments.iter().for_each(|time| text.push_str(&of_time(time)));
    text.push_str("    heads:\n");
    profile.heads.iter().for_each(|time| text.push_str(&of_time(time)));
    text
}

fn of_time(time: &TimeDocument) -> String {
    format!("      - {{ meanMicroseconds: \"{:.1}\", scv: \"{:.4}\" }}\n", time.mean_microseconds, time.scv)
}

/// A string in YAML: JSON strings are that too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::inspect::tests::example;

    #[test]
    fn a_manifest_with_its_profile_can_be_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.yaml");
        let time = TimeDocument { mean_microseconds: 12.345, scv: 0.01 };
        let profile = ProfileDocument { segments: vec![time; 2], heads: vec![time; 2] };
        let text = of_inspection(&example(), "net", "net.onnx", &"ab".repeat(32)) + &of_profile(&profile, "a \"box\"");
        std::fs::write(&file, &text).unwrap();
        let manifests = api::load(&file).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let spec = &manifests.models[0].spec;
        assert_eq!(spec.exits[0].name.as_str(), "head-gemm-1");
        assert_eq!((spec.cuts[0].tensor.as_str(), spec.cuts[0].bytes), ("relu_2", Some(512)));
        let segments: Vec<_> = spec.exits.iter().map(|exit| exit.segment).collect();
        assert_eq!(segments, example().exits.iter().map(|exit| i32::try_from(exit.segment).ok()).collect::<Vec<_>>());
        assert_eq!(spec.profile.as_ref().unwrap().segments.len(), 2);
    }

    #[test]
    fn names_that_would_clash_are_numbered() {
        let mut found = example();
        found.exits[0].tensor = "a/b".into();
        found.exits[1].tensor = "a.b".into();
        assert_eq!(exit_names(&found), ["exit1", "exit2"]);
    }
}
