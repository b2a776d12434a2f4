//! Options of `eenn up`.

use super::{run, samples};
use crate::deploy::{self, Deployment, Overrides};
use crate::exit_code::{Blame, Failure, Outcome};
use crate::load::arrivals::{Spacing, read_trace};
use crate::load::grammar::{Load, Pattern};
use crate::load::plan::{Plan, ResolvedLoad, Source};
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Serve manifests on this machine, with one process per emulated device
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Folder (or file) with the manifests: EENNModel, DevicePool, EENNService and Node
    #[arg(short = 'f', long = "file", value_name = "DIR")]
    manifests: PathBuf,

    // As an attribute: in a comment rustdoc takes the brackets for a link.
    #[arg(
        long,
        value_name = "SPEC",
        help = "Send jobs: '[SOURCE:]rate=40/s for 30s, then 160/s for 500 jobs' or '[SOURCE:]trace=FILE'. May be given \
                several times. Without SOURCE jobs go to all sources, in proportion to their expected rates"
    )]
    load: Vec<Load>,

    /// Images and labels to send: safetensors with `input` and `label` [default: load.safetensors in DIR]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Address of the first gateway; others take the next ports [default: 127.0.0.1:8080, any free port with --load]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// Use this scheduler in all services instead of theirs
    #[arg(long, value_name = "NAME", value_parser = scheduler_type)]
    scheduler: Option<api::SchedulerType>,

    /// Use these thresholds in all services, one per exit but the last: 0 always leaves, 1 closes the exit. Implies
    /// --scheduler Fixed
    #[arg(long, value_name = "T,T,…", value_delimiter = ',', value_parser = threshold)]
    thresholds: Vec<api::Ratio>,

    /// Seed of the arrivals: the same seed gives the same times
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How jobs are spaced: poisson, uniform, or trace:FILE with one offset in seconds per line (instead of --load)
    #[arg(long, value_name = "HOW", default_value = "poisson")]
    arrivals: HowArrivals,

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

/// `--arrivals`
#[derive(Debug, Clone, PartialEq, Eq)]
enum HowArrivals {
    Spaced(Spacing),
    Trace(PathBuf),
}

impl FromStr for HowArrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("trace", file)) if !file.is_empty() => Ok(Self::Trace(file.into())),
            None if text == "poisson" => Ok(Self::Spaced(Spacing::Poisson)),
            None if text == "uniform" => Ok(Self::Spaced(Spacing::Uniform)),
            _ => Err("write poisson, uniform or trace:FILE".to_owned()),
        }
    }
}

fn scheduler_type(text: &str) -> Result<api::SchedulerType, String> {
    let known = ["ExitFirst", "ExitLast", "Fixed"];
    let found = known.into_iter().find(|name| name.eq_ignore_ascii_case(text));
    let found = found.ok_or_else(|| format!("available are {}", known.join(", ")))?;
    serde_json::from_value(found.into()).map_err(|error| error.to_string())
}

/// As in a manifest, where it stands in quotes.
fn threshold(text: &str) -> Result<api::Ratio, &'static str> {
    text.parse().map_err(|_| "write numbers from 0 to 1, such as 0.9")
}

/// Everything that a run needs, checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Processes to start.
    pub(crate) deployment: Deployment,
    /// What to send; none to serve until Ctrl-C.
    pub(crate) plan: Option<Plan>,
    /// What to send it with, and to try; per service.
    pub(crate) samples: Vec<samples::ServiceSamples>,
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
        let manifests = api::load(&self.manifests).blame_input()?;
        let deployment = deploy::deploy(&manifests, &self.overrides()?).blame_input()?;
        for service in &deployment.services {
            service.artifact.verify(&service.model_file).map_err(Failure::input)?;
        }
        let plan = self.plan(&run::sources(&deployment))?;
        let data = self.data.clone().or_else(|| default_data(&self.manifests));
        let samples = samples::read(&deployment, data.as_deref(), plan.is_some()).blame_input()?;
        let listen = self.listen.unwrap_or_else(|| {
            // Nobody needs to know the port of a gateway that only we send to.
            SocketAddr::from(([127, 0, 0, 1], if plan.is_some() { 0 } else { 8080 }))
        });
        Ok(Checked { deployment, plan, samples, listen, output: self.output })
    }

    fn overrides(&self) -> Outcome<Overrides> {
        let scheduler = match (self.scheduler, self.thresholds.as_slice()) {
            (None, []) => return Ok(Overrides::default()),
            (None | Some(api::SchedulerType::Fixed), thresholds @ [_, ..]) => fixed(thresholds.to_vec()),
            (Some(api::SchedulerType::Fixed), []) => {
                return Err(Failure::input("--scheduler Fixed needs --thresholds, one per exit but the last"));
            }
            (Some(_), [_, ..]) => return Err(Failure::input("--thresholds go with --scheduler Fixed only")),
            (Some(r#type), []) => api::Scheduler { r#type, ..Default::default() },
        };
        Ok(Overrides { scheduler: Some(scheduler) })
    }

    fn plan(&self, sources: &[Source]) -> Outcome<Option<Plan>> {
        let (spacing, loads) = match &self.arrivals {
            HowArrivals::Spaced(spacing) => (*spacing, self.load.clone()),
            HowArrivals::Trace(_) if !self.load.is_empty() => {
                return Err(Failure::input(
                    "--arrivals trace:FILE has its own times; write --load '[SOURCE:]trace=FILE' to combine it with others",
                ));
            }
            HowArrivals::Trace(file) => {
                (Spacing::Uniform, vec![Load { source: None, pattern: Pattern::Trace(file.clone()) }])
            }
        };
        let resolved = loads.into_iter().map(|load| ResolvedLoad::new(load, sources, read_trace_file));
        let loads = resolved.collect::<Result<Vec<_>, _>>().map_err(Failure::input)?;
        Ok((!loads.is_empty()).then_some(Plan { loads, spacing, seed: self.seed }))
    }
}

fn fixed(thresholds: Vec<api::Ratio>) -> api::Scheduler {
    api::Scheduler { r#type: api::SchedulerType::Fixed, fixed: Some(api::Fixed { thresholds }), ..Default::default() }
}

fn read_trace_file(file: &Path) -> Result<Vec<f64>, String> {
    let text = std::fs::read_to_string(file).context("failed to read it").map_err(|error| format!("{error:#}"))?;
    read_trace(&text)
}

fn default_data(manifests: &Path) -> Option<PathBuf> {
    let folder = if manifests.is_dir() { manifests } else { manifests.parent()? };
    Some(folder.join("load.safetensors")).filter(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_read() {
        assert_eq!("uniform".parse(), Ok(HowArrivals::Spaced(Spacing::Uniform)));
        assert_eq!("trace:a.txt".parse(), Ok(HowArrivals::Trace("a.txt".into())));
        for bad in ["Poisson", "trace:", "trace", "uniform:3"] {
            assert!(bad.parse::<HowArrivals>().is_err(), "{bad}");
        }
    }

    #[test]
    fn schedulers_are_known_by_name() {
        assert_eq!(scheduler_type("exitlast"), Ok(api::SchedulerType::ExitLast));
        assert_eq!(scheduler_type("CEEN").unwrap_err(), "available are ExitFirst, ExitLast, Fixed");
    }
}
