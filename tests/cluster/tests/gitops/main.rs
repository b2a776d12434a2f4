//! Health of our kinds as GitOps tools see it.
//!
//! Not the built-in harness: without Go these tests are skipped, and it has to be seen that they were.

mod argocd;
mod flux;
mod kstatus;

use control_plane::Binary;
use std::process::ExitCode;

const NEEDED: [Binary; 5] = [Binary::Etcd, Binary::KubeApiserver, Binary::Kubectl, Binary::Glua, Binary::Helm];

fn main() -> ExitCode {
    cluster_tests::run("the tests of health rules", &NEEDED, &[argocd::TESTS, flux::TESTS, kstatus::TESTS].concat())
}
