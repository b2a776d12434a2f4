//! `cargo xtask control-plane`: the control plane of the tests, for a person.

use anyhow::Context as _;
use control_plane::{Binaries, Binary, ControlPlane, Error, FakeNodes, Options};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Starts a cluster and keeps it until Ctrl-C
    ///
    /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK with some fake nodes, on free ports of
    /// loopback and in a temporary folder. Pods on fake nodes are said to run, but nothing is executed. Several clusters
    /// can run side by side. Whatever ends this command, nothing is left.
    ///
    /// The first time, the programs are built with Go (about ten minutes on two cores) and kept in
    /// ~/.cache/eenn-operator/control-plane. With KUBEBUILDER_ASSETS, those of that folder are taken where it has them.
    #[command(
        after_help = "In another terminal:\n  export KUBECONFIG=…   (the line that is printed)\n  kubectl get nodes"
    )]
    Up(Up),
    /// Builds what is missing, and prints where each program is
    Build,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// How many fake nodes the cluster has
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Without KWOK: no fake nodes, and pods stay Pending
    #[arg(long, conflicts_with = "nodes")]
    no_kwok: bool,
}

pub(crate) fn exec(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(options) => up(&options),
        Command::Build => build(),
    }
}

fn build() -> anyhow::Result<()> {
    let binaries = found(&Binary::ALL)?;
    for binary in Binary::ALL {
        println!("{}", binaries.path(binary).display());
    }
    Ok(())
}

fn up(options: &Up) -> anyhow::Result<()> {
    let wanted = Options { kwok: !options.no_kwok, ..Options::everything() };
    let binaries = found(&[wanted.binaries(), vec![Binary::Kubectl]].concat())?;
    // Only now: a build can simply be killed.
    let asked_to_end = signals()?;
    println!("starting {}", wanted.binaries().iter().map(|binary| binary.name()).collect::<Vec<_>>().join(", "));
    let started = Instant::now();
    let mut plane = ControlPlane::start(&wanted).map_err(failed)?;
    if wanted.kwok {
        let nodes = FakeNodes { count: options.nodes, ..FakeNodes::default() };
        plane.add_fake_nodes(&nodes).map_err(failed)?;
    }
    println!("ready in {:.1} s at {}", started.elapsed().as_secs_f64(), plane.url());
    tell(&plane, binaries.path(Binary::Kubectl));
    while !asked_to_end.load(Ordering::Relaxed) {
        plane.check().map_err(failed)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    plane.stop();
    println!("\nstopped; nothing is left of it");
    Ok(())
}

fn tell(plane: &ControlPlane, kubectl: &Path) {
    println!("logs and audit log: {}", plane.folder().display());
    println!("kubectl, if you have none: {}", kubectl.display());
    println!("\nexport KUBECONFIG={}\n", plane.kubeconfig_path().display());
    println!("Ctrl-C stops it.");
}

/// Set by Ctrl-C, by a request to end, and when the terminal is closed.
fn signals() -> anyhow::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // A second one ends this program at once, and the cluster with it.
        signal_hook::flag::register_conditional_default(signal, asked.clone()).context("failed to handle signals")?;
        signal_hook::flag::register(signal, asked.clone()).context("failed to handle signals")?;
    }
    Ok(asked)
}

fn found(binaries: &[Binary]) -> anyhow::Result<Binaries> {
    Binaries::find(binaries).map_err(failed)
}

/// The errors of the control plane read after "failed to".
fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("failed to {:#}", anyhow::Error::new(error))
}
