//! How the file of a model gets into a pod: brought by an init container that checks it, or mounted.

use api::Artifact;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvFromSource, ImageVolumeSource, KeyToPath,
    PersistentVolumeClaimVolumeSource, SecretEnvSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A file in a pod.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Name of the volume.
    volume: &'static str,
    /// Where it is mounted.
    folder: &'static str,
    /// Name of the file, where the artifact does not give one.
    file: &'static str,
    /// The container that brings it.
    container: &'static str,
    /// Name of the volume that it is brought from, where it is in the cluster.
    source: &'static str,
}

/// Where pods find the model.
const MODEL: Place =
    Place { volume: "model", folder: "/model", file: "model.onnx", container: "fetch", source: "model-source" };
/// Where they find an exit table.
const EXIT_TABLE: Place = Place {
    volume: "exit-table",
    folder: "/exit-table",
    file: "exit-table.safetensors",
    container: "fetch-exit-table",
    source: "exit-table-source",
};
/// Where a container that brings a file finds it, if that is in the cluster.
const SOURCE: &str = "/source";

/// What a pod needs for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivery {
    /// Runs before the fragment.
    pub init: Option<Container>,
    /// Where the file is kept, and where it comes from.
    pub volumes: Vec<Volume>,
    /// How the fragment sees it.
    pub mount: VolumeMount,
    /// Path of the file.
    pub file: String,
}

/// Whether a pod can get at the file at all; the message says what would be right.
pub fn check(artifact: &Artifact, field: &str) -> Result<(), String> {
    match scheme(artifact) {
        ("file", _) => Err(format!(
            "{field}.uri is {:?}, which only local mode can read; put the file at https://, s3://, oci:// or pvc://, or a small one into a ConfigMap (configmap://NAME/KEY)",
            artifact.uri.as_str()
        )),
        _ => Ok(()),
    }
}

/// Whether it is mounted as an image.
pub fn is_image(artifact: &Artifact) -> bool {
    scheme(artifact).0 == "oci"
}

/// For a model that [`check`] takes.
pub fn delivery(artifact: &Artifact, image: &str) -> Delivery {
    to(MODEL, artifact, image)
}

/// For an exit table that [`check`] takes.
pub fn of_exit_table(artifact: &Artifact, image: &str) -> Delivery {
    to(EXIT_TABLE, artifact, image)
}

fn to(place: Place, artifact: &Artifact, image: &str) -> Delivery {
    let Place { volume: name, folder, file, .. } = place;
    let (scheme, rest) = scheme(artifact);
    let (first, last) = rest.split_once('/').unwrap_or((rest, ""));
    let mount = |read_only| VolumeMount {
        name: name.to_owned(),
        mount_path: folder.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    };
    let volume = Volume { name: name.to_owned(), ..Volume::default() };
    let found = |volume, path: &str| Delivery {
        volumes: vec![volume],
        mount: mount(true),
        file: format!("{folder}/{path}"),
        init: None,
    };
    let brought = |init: Container, from: Option<Volume>| {
        let size = Quantity(format!("{}", 2 * artifact.size.bytes().0));
        let kept = EmptyDirVolumeSource { size_limit: Some(size), ..Default::default() };
        let kept = Volume { empty_dir: Some(kept), ..volume.clone() };
        let volumes = [kept].into_iter().chain(from).collect();
        Delivery { init: Some(init), volumes, mount: mount(true), file: format!("{folder}/{file}") }
    };
    match scheme {
        "configmap" => {
            let items = vec![KeyToPath { key: last.to_owned(), path: file.to_owned(), ..Default::default() }];
            let source = ConfigMapVolumeSource { name: first.to_owned(), items: Some(items), ..Default::default() };
            let Some(sha256) = &artifact.sha256 else {
                return found(Volume { config_map: Some(source), ..volume }, file);
            };
            let from = Volume { name: place.source.to_owned(), config_map: Some(source), ..Volume::default() };
            let uri = format!("{SOURCE}/{file}");
            let mut init = bring(place, &uri, Some(sha256.as_str()), artifact, image, mount(false));
            init.volume_mounts.get_or_insert_default().push(VolumeMount {
                name: place.source.to_owned(),
                mount_path: SOURCE.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
            brought(init, Some(from))
        }
        "pvc" => {
            let source = PersistentVolumeClaimVolumeSource { claim_name: first.to_owned(), read_only: Some(true) };
            found(Volume { persistent_volume_claim: Some(source), ..volume }, last)
        }
        "oci" => {
            let source = ImageVolumeSource { reference: Some(rest.to_owned()), pull_policy: None };
            found(Volume { image: Some(source), ..volume }, file)
        }
        _ => {
            let sha256 = artifact.sha256.as_ref().map(|sha256| sha256.as_str());
            let mut init = bring(place, artifact.uri.as_str(), sha256, artifact, image, mount(false));
            init.env_from = credentials(artifact);
            brought(init, None)
        }
    }
}

fn scheme(artifact: &Artifact) -> (&str, &str) {
    artifact.uri.as_str().split_once("://").unwrap_or(("", ""))
}

fn bring(
    place: Place,
    uri: &str,
    sha256: Option<&str>,
    artifact: &Artifact,
    image: &str,
    mount: VolumeMount,
) -> Container {
    let mut args = vec!["fetch".to_owned(), "--uri".to_owned(), uri.to_owned()];
    if let Some(sha256) = sha256 {
        args.extend(["--sha256".to_owned(), sha256.to_owned()]);
    }
    args.extend(["--to".to_owned(), format!("{}/{}", place.folder, place.file)]);
    args.extend(["--limit".to_owned(), artifact.size.bytes().0.to_string()]);
    Container {
        name: place.container.to_owned(),
        image: Some(image.to_owned()),
        args: Some(args),
        volume_mounts: Some(vec![mount]),
        resources: Some(super::pod::resources("50m", None, 32 << 20)),
        security_context: Some(super::pod::locked_down()),
        ..Container::default()
    }
}

fn credentials(artifact: &Artifact) -> Option<Vec<EnvFromSource>> {
    let secret = artifact.credentials_secret_ref.as_ref()?;
    let secret = SecretEnvSource { name: secret.name.to_string(), optional: Some(false) };
    Some(vec![EnvFromSource { secret_ref: Some(secret), ..EnvFromSource::default() }])
}
