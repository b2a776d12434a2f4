//! A real Kubernetes control plane for tests: etcd, kube-apiserver and, where asked for, kube-controller-manager,
//! kube-scheduler and KWOK, on free loopback ports and in a temporary folder.
//!
//! ```no_run
//! use control_plane::{ControlPlane, FakeNodes, Options};
//!
//! let plane = ControlPlane::start(&Options::everything())?;
//! plane.add_fake_nodes(&FakeNodes { count: 100, ..FakeNodes::default() })?;
//! println!("export KUBECONFIG={}", plane.kubeconfig_path().display());
//! # Ok::<(), control_plane::Error>(())
//! ```
//!
//! [`Binaries`] finds the programs or builds them with Go; a test asks [`unavailable`] first, and skips with its answer.
//! [`ControlPlane`] runs them. Whether it is stopped, dropped, or its owner is killed: processes and folder are gone
//! afterwards. Everything blocks; from async code, call it in `spawn_blocking`.

mod api;
mod binaries;
mod certificates;
mod component;
mod error;
mod files;
mod flags;
mod go;
mod group;
mod nodes;
mod plane;
mod ports;

pub use api::{Api, Reply};
pub use binaries::{Binaries, Binary, unavailable};
pub use error::Error;
pub use flags::{Options, Program};
pub use nodes::FakeNodes;
pub use plane::ControlPlane;
