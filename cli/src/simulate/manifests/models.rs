//! Models: which exits hang where, how large tensors are, how long segments take, and what exits say about samples.

use crate::deploy::{Deployment, ServicePlan};
use crate::exit_code::{Blame, Failure, Outcome};
use crate::model::sha256;
use anyhow::{Context, ensure};
use api::exit_table::{self, ExitTableMetadata};
use api::{LoadErrors, Manifests};
use domain::{FragmentRange, Seconds, ServiceTime, ServiceTimes};
use runtime_image::model::{Network, read_description};
use simulator::Model;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wire::document::{FragmentDocument, ProfileDocument, TimeDocument};

/// The models that are served.
#[derive(Debug)]
pub(super) struct Models {
    pub(super) models: Vec<Model>,
    sizes: Vec<Sizes>,
    by_name: BTreeMap<String, usize>,
}

/// Bytes of the tensor in front of each segment, and 0 behind the last.
#[derive(Debug)]
pub(super) struct Sizes(Vec<u64>);

/// Bytes of a job at a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobSize {
    /// The tensor it brings.
    pub(super) input: u64,
    /// The tensor it takes on; 0 behind the last segment.
    pub(super) output: u64,
}

impl JobSize {
    /// What a fragment reserves for it: serving it never needs more.
    pub(super) fn held(self) -> u64 {
        self.input.max(self.output)
    }
}

impl Sizes {
    fn new(network: &Network) -> Self {
        let segments = network.model().segments();
        let cuts = (0..segments).map(|segment| network.forward_len(segment).unwrap_or(0));
        let values = std::iter::once(network.model().input_len()).chain(cuts);
        Self(values.map(|values| (values * size_of::<f32>()) as u64).collect())
    }

    /// Bytes of a job at a fragment.
    pub(super) fn of(&self, range: FragmentRange) -> JobSize {
        JobSize { input: self.0[range.first], output: self.0[range.last + 1] }
    }

    /// Bytes of a sample.
    pub(super) fn input(&self) -> u64 {
        self.0[0]
    }
}

impl Models {
    /// Reads the files of all models that are served. `exit_table` replaces the tables of the manifests.
    pub(super) fn read(deployment: &Deployment, manifests: &Manifests, exit_table: Option<&Path>) -> Outcome<Self> {
        let mut read = Self { models: vec![], sizes: vec![], by_name: BTreeMap::new() };
        let fragments: Vec<&FragmentDocument> =
            deployment.devices.iter().flat_map(|device| &device.fragments).collect();
        for service in &deployment.services {
            let Some(gateway) = service.gateways.first() else { continue };
            let name = &gateway.model.name;
            if read.by_name.contains_key(name) {
                continue;
            }
            let table = match exit_table {
                Some(file) => file.to_owned(),
                None => named_table(service, name, manifests).blame_input()?,
            };
            let fragment = fragments.iter().find(|fragment| fragment.model.name == *name);
            let fragment = fragment.expect("a service has fragments of its model");
            let (model, sizes) = model(service, fragment, &table)?;
            read.by_name.insert(name.clone(), read.models.len());
            read.models.push(model);
            read.sizes.push(sizes);
        }
        Ok(read)
    }

    /// Index of a model that is served.
    pub(super) fn index(&self, name: &str) -> usize {
        self.by_name[name]
    }

    /// Sizes of its tensors.
    pub(super) fn sizes(&self, name: &str) -> &Sizes {
        &self.sizes[self.index(name)]
    }
}

/// The file that the manifest of a model names.
fn named_table(service: &ServicePlan, model: &str, manifests: &Manifests) -> Result<PathBuf, LoadErrors> {
    if let Some(file) = &service.exit_table {
        return Ok(file.clone());
    }
    let object = manifests.models.iter().find(|object| object.name == model).expect("a served model has a manifest");
    let message = match &object.spec.exit_table {
        Some(table) => format!("\"{}\" is for clusters; a simulation reads file:// only", table.uri),
        None => "is missing; a simulation draws its samples from it; `eenn model profile -f DIR --data \
                 SAMPLES.safetensors --exit-table exit-table.safetensors` makes one"
            .to_owned(),
    };
    LoadErrors::none_or(vec![object.origin.problem("spec.exitTable", message)]).map(|()| PathBuf::new())
}

fn model(service: &ServicePlan, fragment: &FragmentDocument, table: &Path) -> Outcome<(Model, Sizes)> {
    let description = read_description(fragment.model.clone()).blame_input()?;
    let network = Network::load(&service.model_file, &description).blame_input()?;
    let (rows, metadata) = exit_table::read(table).blame_input()?;
    check(&metadata, &service.model_file, network.model())
        .with_context(|| format!("exit table {} does not fit model {:?}", table.display(), description.name))
        .blame_input()?;
    let profile = fragment.profile.as_ref().expect("local mode has refused models without a profile");
    let model = Model {
        name: description.name,
        exit_segments: network.segments_of_exits(),
        times: times(profile).map_err(Failure::input)?,
        // Emulated processors know means only.
        varies: false,
        table: Arc::new(rows),
    };
    Ok((model, Sizes::new(&network)))
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

fn times(profile: &ProfileDocument) -> Result<ServiceTimes, domain::UnitError> {
    let time =
        |time: &TimeDocument| Ok(ServiceTime { mean: Seconds::new(time.mean_microseconds / 1e6)?, scv: time.scv });
    Ok(ServiceTimes {
        segments: profile.segments.iter().map(time).collect::<Result<_, _>>()?,
        heads: profile.heads.iter().map(time).collect::<Result<_, _>>()?,
    })
}
