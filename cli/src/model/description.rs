//! Which model is meant: a file, or the EENNModel of a folder of manifests.

use anyhow::{Context, bail};
use domain::{Confidence, Exit, ExitOutput, Model};
use runtime_image::model::inspect;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A model and its file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    /// Where it is.
    pub(super) file: PathBuf,
    /// What is in it.
    pub(super) model: Model,
}

/// The model in a file, with the exits and cuts that are recommended for it.
pub(super) fn of_file(file: &Path) -> anyhow::Result<Described> {
    Ok(Described { file: file.to_owned(), model: inspect(file)?.model(&model_name(file)) })
}

/// The EENNModel with this name, or the only one.
pub(super) fn of_manifests(folder: &Path, name: Option<&str>) -> anyhow::Result<Described> {
    let manifests = api::load(folder)?;
    let known: Vec<&str> = manifests.models.iter().map(|model| model.name.as_str()).collect();
    let found = manifests.models.iter().filter(|model| name.is_none_or(|name| model.name == name)).collect::<Vec<_>>();
    let [object] = found[..] else {
        bail!("name one EENNModel with --model; {} has: {}", folder.display(), known.join(", "));
    };
    let artifact = &object.spec.artifact;
    let file = artifact.file(&object.origin).map_err(|error| anyhow::anyhow!("EENNModel/{}: {error}", object.name))?;
    artifact.verify(&file).map_err(|error| anyhow::anyhow!(error))?;
    Ok(Described { file, model: model(&object.name, &object.spec).new()? })
}

fn model(name: &str, spec: &api::EENNModelSpec) -> Model {
    let exit = |exit: &api::Exit| Exit {
        name: exit.name.to_string(),
        tensor: exit.tensor.to_string(),
        output: match exit.output {
            api::ExitOutput::Logits => ExitOutput::Logits,
            api::ExitOutput::Probabilities => ExitOutput::Probabilities,
        },
    };
    Model {
        name: name.to_owned(),
        input: spec.input.name.to_string(),
        input_shape: spec.input.shape.iter().map(|axis| axis.unsigned_abs() as usize).collect(),
        exits: spec.exits.iter().map(exit).collect(),
        cuts: spec.cuts.iter().map(|cut| cut.tensor.to_string()).collect(),
        confidence: match spec.confidence {
            api::Confidence::MaxSoftmax => Confidence::MaxSoftmax,
            api::Confidence::NormalizedEntropy => Confidence::NormalizedEntropy,
        },
    }
}

/// A file's name as the name of an object.
pub(super) fn model_name(file: &Path) -> String {
    object_name(&file.file_stem().unwrap_or_default().to_string_lossy(), "model")
}

/// The last part of a path.
pub(super) fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Text as the name of an object: lower-case letters, digits and `-`.
pub(super) fn object_name(text: &str, otherwise: &str) -> String {
    let safe = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let mut name: String = safe.take(63).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let name = name.trim_matches('-');
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}

/// SHA-256 of a file, in hexadecimal digits.
pub(crate) fn sha256(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name() {
        for (text, want) in
            [("ResNet_50 v2", "resnet-50-v2"), ("/head/Gemm: 1", "head-gemm-1"), ("…", "exit"), ("a", "a")]
        {
            assert_eq!(object_name(text, "exit"), want);
        }
        assert_eq!(model_name(Path::new("a/B.onnx")), "b");
    }
}
