//! The Helm chart: rendered, refused where values are wrong, and installed on a real API server.
//!
//! Not the built-in harness: without Go these tests are skipped, and it has to be seen that they were.

mod release;
mod render;
mod rights;

use control_plane::Binary;
use std::process::ExitCode;

/// Folder of the chart.
const CHART: &str = "charts/eenn-operator";
/// Name of the release, as the guide has it.
const RELEASE: &str = "eenn-operator";
/// Namespace of the release, as the guide has it.
const NAMESPACE: &str = "eenn-system";
/// Value files that every check is made with, beside the defaults.
const VALUES: [&str; 3] = ["everything", "namespace", "one-board"];

const NEEDED: [Binary; 7] = [
    Binary::Etcd,
    Binary::KubeApiserver,
    Binary::KubeControllerManager,
    Binary::KubeScheduler,
    Binary::Kwok,
    Binary::Kubectl,
    Binary::Helm,
];

fn main() -> ExitCode {
    let tests = [render::TESTS, release::TESTS, rights::TESTS].concat();
    cluster_tests::run("the tests of the chart", &NEEDED, &tests)
}

/// Path of the chart.
fn chart() -> String {
    cluster_tests::file(CHART).display().to_string()
}

/// Arguments that name a value file; none for the defaults.
fn values(name: &str) -> Vec<String> {
    match name {
        "" => vec![],
        name => vec![format!("--values={}", cluster_tests::file(&format!("{CHART}/ci/{name}-values.yaml")).display())],
    }
}

/// The defaults and all value files.
fn all_values() -> impl Iterator<Item = &'static str> {
    [""].into_iter().chain(VALUES)
}
