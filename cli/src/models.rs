//! The files of models: which exits hang where, how large tensors are, and what exits say about samples.

use crate::deploy::{Deployed, Files};
use crate::exit_code::{Blame, Outcome};
use crate::model::sha256;
use anyhow::{Context, ensure};
use api::exit_table::{self, ExitTableMetadata};
use api::{LoadErrors, Manifests, ResolvedModel};
use deployment::{Judge, Models, Outline};
use domain::problem::Model;
use runtime_image::model::Network;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A model that is served, with its files.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    /// The model.
    pub(crate) model: &'a ResolvedModel,
    /// Its ONNX file.
    pub(crate) file: &'a Path,
    /// Its exit table; why it is not there, in words; `None` if the manifest names none.
    exit_table: Option<Result<PathBuf, String>>,
}

impl<'a> Served<'a> {
    /// A model of manifests, whose file is among those that are there.
    pub(crate) fn new(model: &'a ResolvedModel, files: &'a Files, manifests: &Manifests) -> Self {
        let object = manifests.models.iter().find(|object| object.name == model.model.name);
        let table = model.exit_table.as_ref().zip(object);
        Self {
            model,
            file: &files[&model.model.name],
            exit_table: table.map(|(table, object)| table.file(&object.origin)),
        }
    }
}

/// Reads the files of all models of a deployment. `exit_table` replaces the tables of the manifests.
pub(crate) fn read(
    deployed: &Deployed,
    manifests: &Manifests,
    exit_table: Option<&Path>,
    judge: Judge,
) -> Outcome<Models> {
    let services = deployed.deployment.services.iter();
    let served: Vec<Served<'_>> =
        services.map(|service| Served::new(&service.resolved.model, &deployed.files, manifests)).collect();
    read_all(&served, manifests, exit_table, judge)
}

/// As [`read`], for services that need not have chains.
pub(crate) fn read_all(
    served: &[Served<'_>],
    manifests: &Manifests,
    exit_table: Option<&Path>,
    judge: Judge,
) -> Outcome<Models> {
    let mut read: BTreeMap<&str, Model> = BTreeMap::new();
    for one in served {
        let name = one.model.model.name.as_str();
        if read.contains_key(name) {
            continue;
        }
        let table = match exit_table {
            Some(file) => file.to_owned(),
            None => named_table(one, name, manifests).blame_input()?,
        };
        read.insert(name, model(one, &table, judge)?);
    }
    Ok(read.into_values().collect())
}

/// Bytes of the tensor in front of each segment, and 0 behind the last.
fn tensor_bytes(network: &Network) -> Vec<u64> {
    let segments = network.model().segments();
    let cuts = (0..segments).map(|segment| network.forward_len(segment).unwrap_or(0));
    let values = std::iter::once(network.model().input_len()).chain(cuts);
    values.map(|values| (values * size_of::<f32>()) as u64).collect()
}

const NO_TABLE: &str = "is missing; a prediction draws its samples from it; `eenn model profile -f DIR --data \
                        SAMPLES.safetensors --exit-table exit-table.safetensors` makes one";

/// The file that the manifest of a model names.
fn named_table(service: &Served<'_>, model: &str, manifests: &Manifests) -> Result<PathBuf, LoadErrors> {
    let (field, message) = match &service.exit_table {
        Some(Ok(file)) => return Ok(file.clone()),
        Some(Err(message)) => ("spec.exitTable.uri", message.clone()),
        None => ("spec.exitTable", NO_TABLE.to_owned()),
    };
    let object = manifests.models.iter().find(|object| object.name == model).expect("a served model has a manifest");
    LoadErrors::none_or(vec![object.origin.problem(field, message)]).map(|()| PathBuf::new())
}

fn model(service: &Served<'_>, table: &Path, judge: Judge) -> Outcome<Model> {
    let description = &service.model.model;
    let network = Network::load(service.file, description).blame_input()?;
    let (rows, metadata) = exit_table::read(table).blame_input()?;
    check(&metadata, service.file, network.model())
        .with_context(|| format!("exit table {} does not fit model {:?}", table.display(), description.name))
        .blame_input()?;
    let outline = Outline { exit_segments: network.segments_of_exits(), tensor_bytes: tensor_bytes(&network) };
    // Emulated processors know means only.
    deployment::model(service.model, outline, rows, judge, false).blame_input()
}

fn check(metadata: &ExitTableMetadata, model_file: &Path, model: &domain::Model) -> anyhow::Result<()> {
    let again = "make it anew with `eenn model profile --data … --exit-table …`";
    let exits: Vec<&str> = model.exits.iter().map(|exit| exit.name.as_str()).collect();
    ensure!(
        metadata.exits == exits,
        "its exits are {}, those of the model {}",
        metadata.exits.join(", "),
        exits.join(", ")
    );
    let confidence = match metadata.confidence {
        api::Confidence::MaxSoftmax => domain::Confidence::MaxSoftmax,
        api::Confidence::NormalizedEntropy => domain::Confidence::NormalizedEntropy,
    };
    ensure!(
        confidence == model.confidence,
        "its confidence is {confidence:?}, that of the model {:?}; {again}",
        model.confidence
    );
    let (theirs, ours) = (&metadata.model_sha256, sha256(model_file)?);
    ensure!(
        *theirs == ours,
        "it was made from a file with SHA-256 {theirs}, {} has {ours}; {again}",
        model_file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
