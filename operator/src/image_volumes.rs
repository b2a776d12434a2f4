//! Whether the cluster can mount images as volumes, which `oci://` needs: asked of the API server, since versions only say what it
//! does by default.

use crate::cluster::Cluster;
use crate::service::build::delivery;
use crate::service::labels;
use crate::{Context, clock};
use api::EENNModel;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

/// An answer holds for so long: clusters are upgraded while the operator runs.
pub const HOLDS: Duration = Duration::from_secs(600);

/// What the API server has said, and when.
#[derive(Debug, Default)]
pub struct ImageVolumes(Mutex<Option<(bool, f64)>>);

impl ImageVolumes {
    /// Whether the files of a model can be mounted, where that needs image volumes; the message says what would help.
    pub async fn check(&self, context: &Context, model: &EENNModel) -> Result<(), String> {
        let files = [Some(&model.spec.artifact), crate::measure::known::elsewhere(&model.spec)];
        let Some(image) = files.into_iter().flatten().find(|file| delivery::is_image(file)) else { return Ok(()) };
        let namespace = model.namespace().unwrap_or_default();
        match self.are_there(&context.cluster, &namespace).await {
            true => Ok(()),
            false => Err(format!(
                "{:?} needs volumes that are images, which this cluster has not: Kubernetes has them from 1.35 on, and 1.33 and 1.34 \
                 with the feature gate ImageVolume; upgrade, turn it on, or put the file at https://, s3:// or pvc://",
                image.uri.as_str()
            )),
        }
    }

    async fn are_there(&self, cluster: &Cluster, namespace: &str) -> bool {
        let now = clock::now();
        let known = *self.0.lock().expect("nothing panics while it holds an answer");
        if let Some((answer, at)) = known
            && now - at < HOLDS.as_secs_f64()
        {
            return answer;
        }
        let answer = match cluster.try_out(&cluster.api::<Deployment>(namespace), &probe()).await {
            Err(kube::Error::Api(status)) if status.code == 422 => false,
            Ok(made) => has_image(&made),
            // Not an answer: pods that cannot be made will say why.
            Err(error) => {
                tracing::debug!("not known whether there are image volumes: {error}");
                return true;
            }
        };
        *self.0.lock().expect("nothing panics while it holds an answer") = Some((answer, now));
        answer
    }
}

/// Whether the API server has kept the volume.
fn has_image(made: &Value) -> bool {
    let volumes = made["spec"]["template"]["spec"]["volumes"].as_array();
    volumes.is_some_and(|volumes| volumes.iter().any(|one| one.get("image").is_some()))
}

/// What is asked about. An API server that has image volumes turned off leaves the volume out; one that does not know of them
/// refuses a volume that is nothing.
fn probe() -> Value {
    let labels = labels::of_operator();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "eenn-operator-probe", "labels": labels },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": {
                "containers": [{ "name": "probe", "image": "probe" }],
                "volumes": [{ "name": "image", "image": { "reference": "probe" } }],
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_was_left_out_is_noticed() {
        let mut made = probe();
        assert!(has_image(&made));
        made["spec"]["template"]["spec"]["volumes"].take();
        assert!(!has_image(&made));
    }
}
