//! What local mode adds to a [`Deployment`]: the files that it reads, and what the command line says instead of the manifests.

use crate::exit_code::{Failure, Outcome};
use api::{LoadErrors, Manifests, Problem, ResolvedModel, Scheduler};
use deployment::Deployment;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What the command line says instead of the manifests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overrides {
    /// For all services, from `--scheduler` and `--thresholds`.
    pub(crate) scheduler: Option<Scheduler>,
}

/// All processes of all services, and the files of their models.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployed {
    pub(crate) deployment: Deployment,
    pub(crate) files: Files,
}

/// Path of the ONNX file of each model that is served.
pub(crate) type Files = BTreeMap<String, PathBuf>;

impl Overrides {
    /// The manifests with what the command line says.
    pub(crate) fn applied<'m>(&self, manifests: &'m Manifests) -> Cow<'m, Manifests> {
        let Some(scheduler) = &self.scheduler else { return Cow::Borrowed(manifests) };
        let option = match (&scheduler.fixed, &scheduler.fixed_distribution) {
            (Some(_), _) => "--thresholds",
            (None, Some(_)) => "--probabilities",
            (None, None) => "--scheduler",
        };
        Cow::Owned(manifests.with_scheduler(scheduler, option))
    }
}

/// Decides which processes there are and what each is told. All services have their chains.
pub(crate) fn deploy(manifests: &Manifests, overrides: &Overrides) -> Result<Deployed, LoadErrors> {
    let resolved = overrides.applied(manifests).resolve()?;
    let served = resolved.services.iter().map(|service| service.model.model.name.as_str()).collect();
    let files = local_files(manifests, &served)?;
    let paths = files.iter().map(|(name, file)| (name.clone(), file.display().to_string())).collect();
    Ok(Deployed { deployment: deployment::deploy(&resolved, &paths), files })
}

impl Deployed {
    /// Refuses files that are not the ones that were meant.
    pub(crate) fn verify(&self) -> Outcome {
        let models = self.models();
        models.into_iter().try_for_each(|(model, file)| model.artifact.verify(file).map_err(Failure::input))
    }

    /// The model of each service, with its file.
    fn models(&self) -> Vec<(&ResolvedModel, &Path)> {
        let models = self.deployment.services.iter().map(|service| &service.resolved.model);
        models.map(|model| (model, self.files[&model.model.name].as_path())).collect()
    }
}

/// What local mode asks beyond a cluster: models in files, with a profile to emulate devices by.
pub(crate) fn local_files(manifests: &Manifests, served: &BTreeSet<&str>) -> Result<Files, LoadErrors> {
    let mut problems: Vec<Problem> = vec![];
    if served.is_empty() {
        let message = "there is no EENNService to serve".to_owned();
        problems.push(Problem { file: PathBuf::new(), position: None, path: String::new(), message });
    }
    let mut files = Files::new();
    for object in manifests.models.iter().filter(|object| served.contains(object.name.as_str())) {
        match object.spec.artifact.file(&object.origin) {
            Ok(path) => {
                files.insert(object.name.clone(), path);
            }
            Err(message) => problems.push(object.origin.problem("spec.artifact.uri", message)),
        }
        if object.spec.profile.is_none() {
            let message = "is missing; local mode takes the service times of emulated devices from it; \
                           `eenn model profile -f DIR --output manifest` measures and prints one";
            problems.push(object.origin.problem("spec.profile", message));
        }
    }
    LoadErrors::none_or(problems).map(|()| files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fashion-mnist");

    fn example() -> Manifests {
        api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn fixed(thresholds: &[&str]) -> Overrides {
        let json = serde_json::json!({"type": "Fixed", "fixed": {"thresholds": thresholds}});
        Overrides { scheduler: Some(serde_json::from_value(json).unwrap()) }
    }

    #[test]
    fn a_scheduler_of_the_command_line_replaces_that_of_the_manifest() {
        let deployment = deploy(&example(), &fixed(&["0.1", "0.2", "0.3", "0.4", "1"])).unwrap().deployment;
        let policy = &deployment.services[0].gateways[0].policy;
        assert_eq!(policy.default.len(), 2, "one choice per chain");
        assert_eq!(policy.default[0].thresholds, [0.1, 0.2, 0.3, 0.4, 1.0]);
        let errors = deploy(&example(), &fixed(&["0.1"])).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "--thresholds (for EENNService/fashion-mnist): has 1 thresholds; a model with 6 exits needs 5"
        );
    }

    #[test]
    fn local_mode_wants_files_and_a_profile() {
        let mut manifests = example();
        let model = &mut manifests.models[0];
        model.spec.artifact.uri = "pvc://claim/other.onnx".parse().unwrap();
        model.spec.profile = None;
        let errors = deploy(&manifests, &Overrides::default()).unwrap_err().to_string();
        assert!(
            errors.contains(
                "spec.artifact.uri: \"pvc://claim/other.onnx\" is for clusters; local mode takes a copy of it beside the manifest, and there is no "
            ),
            "{errors}"
        );
        assert!(errors.contains("spec.profile: is missing; local mode takes the service times"), "{errors}");
    }
}
