//! How the file of a model gets into a pod: downloaded by an init container that checks it, or mounted.

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
    /// The container that downloads it.
    container: &'static str,
}

/// Where pods find the model.
const MODEL: Place = Place { volume: "model", folder: "/model", file: "model.onnx", container: "fetch" };
/// Where they find an exit table.
const EXIT_TABLE: Place = Place {
    volume: "exit-table",
    folder: "/exit-table",
    file: "exit-table.safetensors",
    container: "fetch-exit-table",
};

/// What a pod needs for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivery {
    /// Runs before the fragment.
    pub init: Option<Container>,
    /// Where the file is kept.
    pub volume: Volume,
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
    let found =
        |volume, path: &str| Delivery { volume, mount: mount(true), file: format!("{folder}/{path}"), init: None };
    match scheme {
        "configmap" => {
            let items = vec![KeyToPath { key: last.to_owned(), path: file.to_owned(), ..Default::default() }];
            let source = ConfigMapVolumeSource { name: first.to_owned(), items: Some(items), ..Default::default() };
            found(Volume { config_map: Some(source), ..volume }, file)
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
            let size = Quantity(format!("{}", 2 * artifact.size.bytes().0));
            let source = EmptyDirVolumeSource { size_limit: Some(size), ..Default::default() };
            Delivery {
                init: Some(download(place, artifact, image, mount(false))),
                volume: Volume { empty_dir: Some(source), ..volume },
                mount: mount(true),
                file: format!("{folder}/{file}"),
            }
        }
    }
}

fn scheme(artifact: &Artifact) -> (&str, &str) {
    artifact.uri.as_str().split_once("://").unwrap_or(("", ""))
}

fn download(place: Place, artifact: &Artifact, image: &str, mount: VolumeMount) -> Container {
    let mut args = vec!["fetch".to_owned(), "--uri".to_owned(), artifact.uri.to_string()];
    if let Some(sha256) = &artifact.sha256 {
        args.extend(["--sha256".to_owned(), sha256.to_string()]);
    }
    args.extend(["--to".to_owned(), format!("{}/{}", place.folder, place.file)]);
    args.extend(["--limit".to_owned(), artifact.size.bytes().0.to_string()]);
    let secret = artifact.credentials_secret_ref.as_ref().map(|secret| EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: secret.name.to_string(), optional: Some(false) }),
        ..EnvFromSource::default()
    });
    Container {
        name: place.container.to_owned(),
        image: Some(image.to_owned()),
        args: Some(args),
        env_from: secret.map(|secret| vec![secret]),
        volume_mounts: Some(vec![mount]),
        resources: Some(super::pod::resources("50m", None, 32 << 20)),
        security_context: Some(super::pod::locked_down()),
        ..Container::default()
    }
}
