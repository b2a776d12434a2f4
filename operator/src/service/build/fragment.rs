//! A fragment: a pod on its device, its configuration, and the Service it takes jobs at.

use super::documents::{self, CONTROL_PORT, JOBS_PORT, METRICS_PORT};
use super::pod::{self, BASE_MEMORY, Pod};
use super::{Blueprint, delivery, labels};
use api::PlannedFragment;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// All objects of a fragment.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// What its process is told.
    pub config: ConfigMap,
    /// Its pod.
    pub deployment: Deployment,
    /// Where it takes jobs.
    pub service: Service,
    /// `host:port` of that.
    pub address: String,
}

/// A fragment of a plan.
pub fn build(blueprint: &Blueprint<'_>, fragment: &PlannedFragment) -> Built {
    let delivery = delivery::delivery(&blueprint.model.spec.artifact, blueprint.image);
    let document = documents::device(blueprint, fragment, &delivery.file);
    let config = serde_json::to_string_pretty(&document).expect("documents have no keys but text");
    let pod = Pod {
        role: "fragment",
        node: fragment.node.to_string(),
        container: Container { volume_mounts: Some(vec![delivery.mount]), ..container(blueprint) },
        init: delivery.init,
        volumes: delivery.volumes,
        fixed: config.clone(),
        replicas: 1,
        labels: BTreeMap::new(),
    };
    let deployment = pod::deployment(blueprint, pod);
    let name = deployment.name_any();
    let namespace = blueprint.service.namespace().unwrap_or_default();
    Built {
        config: configuration(blueprint, &name, config),
        service: service(blueprint, &name),
        address: format!("{name}.{namespace}.svc:{JOBS_PORT}"),
        deployment,
    }
}

/// A ConfigMap with the configuration of a process.
pub(super) fn configuration(blueprint: &Blueprint<'_>, name: &str, config: String) -> ConfigMap {
    let data = Some(BTreeMap::from([("config.json".to_owned(), config)]));
    ConfigMap { metadata: blueprint.metadata(name), data, ..ConfigMap::default() }
}

fn container(blueprint: &Blueprint<'_>) -> Container {
    let runtime = &blueprint.service.spec.runtime;
    // Weights are at most as large as the file.
    let memory = BASE_MEMORY + 2 * blueprint.model.spec.artifact.size.bytes().0 + runtime.memory_budget.bytes().0;
    let limit = runtime.cpu_limit.as_ref().map_or_else(|| runtime.workers.to_string(), |limit| limit.to_string());
    let request = runtime.cpu_request.as_ref().map_or("50m", |request| request.as_str());
    Container {
        name: "fragment".to_owned(),
        image: Some(blueprint.image.to_owned()),
        args: Some(["fragment", "--config", "/etc/eenn/config.json"].map(str::to_owned).to_vec()),
        ports: Some(vec![
            pod::port("jobs", JOBS_PORT),
            pod::port("control", CONTROL_PORT),
            pod::port("metrics", METRICS_PORT),
        ]),
        resources: Some(pod::resources(request, Some(limit), memory)),
        security_context: Some(pod::locked_down()),
        // Loading a model takes minutes on a small device.
        startup_probe: Some(pod::probe("/readyz", 2, 150)),
        readiness_probe: Some(pod::probe("/readyz", 5, 2)),
        liveness_probe: Some(pod::probe("/healthz", 10, 6)),
        ..Container::default()
    }
}

fn service(blueprint: &Blueprint<'_>, name: &str) -> Service {
    let selector = BTreeMap::from([(labels::WORKLOAD.to_owned(), name.to_owned())]);
    Service {
        metadata: blueprint.metadata(name),
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ports: Some(vec![service_port("jobs", JOBS_PORT)]),
            // Headless: there is one pod behind it, and an address of its own would be a rule on every node of the cluster.
            cluster_ip: Some("None".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// A port that leads to the container's port of the same name.
pub(super) fn service_port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
