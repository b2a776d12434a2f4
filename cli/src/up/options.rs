//! Options of `eenn up`.

use super::follow::Start;
use super::{Drive, run, samples};
use crate::deploy::{Deployed, Files, deploy};
use crate::exit_code::{Blame, Outcome};
use crate::load::plan::Plan;
use crate::models;
use crate::placement::{PlacementDocument, Settled, place};
use crate::plan::decide;
use api::{Manifests, ResolvedScheduler};
use clap::{Args, ValueEnum};
use deployment::{Ask, Deployment, Judge, ServicePlan, problem};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Serve manifests on this machine, with one process per emulated device
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Folder (or file) with the manifests: EENNModel, DevicePool, EENNService and Node
    #[arg(short = 'f', long = "file", value_name = "DIR")]
    manifests: PathBuf,

    #[command(flatten)]
    drive: Drive,

    /// Images and labels to send: safetensors with `input` and `label` [default: load.safetensors in
    /// DIR or beside the model]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Keep the first plan, whatever the load does: no new plans, and no table over rates in the gateways
    #[arg(long)]
    no_reoptimize: bool,

    /// Address of the first gateway; others take the next ports [default: 127.0.0.1:8080, any free port with --load]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// Seed of the arrivals: the same seed gives the same times
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Form of the summary on standard output; progress is on standard error
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  Serve until Ctrl-C; prints a curl line to try:
    eenn up -f examples/fashion-mnist

  Drive it, with other thresholds than the manifest's, and sum up as JSON:
    eenn up -f examples/fashion-mnist --load 'rate=100/s for 30s' --thresholds 0.9,0.9,0.8,0.8,0.7 -o json

  Two sources at once:
    eenn up -f DIR --load 'camera: rate=40/s for 30s' --load 'phone: rate=5/s for 200 jobs'

Ctrl-C ends in good order and shows what was measured; a second one ends at once. No process stays behind.";

/// Form of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
}

/// Everything that a run needs, checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Processes to start.
    pub(crate) deployment: Deployment,
    /// Where fragments live, where that was decided here.
    pub(crate) placement: Option<PlacementDocument>,
    /// What to send; none to serve until Ctrl-C.
    pub(crate) plan: Option<Plan>,
    /// What to send it with, and to try; per service.
    pub(crate) samples: Vec<samples::ServiceSamples>,
    /// What was planned, and what new plans start from; none where nothing was planned.
    pub(crate) start: Option<Start>,
    /// Whether there are new plans when the load drifts.
    pub(crate) reoptimizes: bool,
    /// Address of the first gateway.
    pub(crate) listen: SocketAddr,
    /// Form of the summary.
    pub(crate) output: Output,
}

impl Options {
    /// Checks everything, then runs until the load or the user ends it.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        run::run(self.check()?, out)
    }

    fn check(self) -> Outcome<Checked> {
        let overrides = self.drive.overrides()?;
        let Settled { manifests, placement } = place(api::load(&self.manifests).blame_input()?, &overrides, &[])?;
        let mut deployed = deploy(&manifests, &overrides).blame_input()?;
        deployed.verify()?;
        let plan = self.drive.plan(&run::sources(&deployed.deployment), self.seed)?;
        let start = self.decide(&manifests, &mut deployed)?;
        let Deployed { deployment, files } = deployed;
        let data = self.data.clone().or_else(|| default_data(&self.manifests, &files));
        let samples = samples::read(&deployment, data.as_deref(), plan.is_some()).blame_input()?;
        let listen = self.listen.unwrap_or_else(|| {
            // Nobody needs to know the port of a gateway that only we send to.
            SocketAddr::from(([127, 0, 0, 1], if plan.is_some() { 0 } else { 8080 }))
        });
        let reoptimizes = !self.no_reoptimize;
        Ok(Checked { deployment, placement, plan, samples, start, reoptimizes, listen, output: self.output })
    }

    /// Plans for the expected rates, where a scheduler has to be planned.
    fn decide(&self, manifests: &Manifests, deployed: &mut Deployed) -> Outcome<Option<Start>> {
        let given = |service: &ServicePlan| matches!(service.resolved.scheduler, ResolvedScheduler::Given(_));
        if deployed.deployment.services.iter().all(given) {
            return Ok(None);
        }
        let models = models::read(deployed, manifests, None, Judge::Others)?;
        let deployment = &mut deployed.deployment;
        let problem = problem(deployment, &models).blame_input()?;
        let mut plan = decide(&problem, deployment, &Ask { seed: self.seed, ..Ask::default() })?.plan;
        if self.no_reoptimize {
            plan.policies.iter_mut().for_each(|policy| policy.rates = None);
        }
        deployment.with_plan(&plan);
        Ok(Some(Start { problem, plan, seed: self.seed }))
    }
}

/// Beside the manifests, or beside the model that one of them names.
fn default_data(manifests: &Path, files: &Files) -> Option<PathBuf> {
    let folder = if manifests.is_dir() { Some(manifests) } else { manifests.parent() };
    let models = files.values().map(|file| file.parent());
    let folders = std::iter::once(folder).chain(models).flatten();
    folders.map(|folder| folder.join("load.safetensors")).find(|file| file.is_file())
}
