//! What load to drive, and who decides about its jobs: the same words for `eenn up` and `eenn simulate`.

use super::Deciding;
use crate::deploy::Overrides;
use crate::exit_code::{Failure, Outcome};
use crate::load::arrivals::{Spacing, read_trace};
use crate::load::grammar::{Load, Pattern};
use crate::load::plan::{Plan, ResolvedLoad, Source};
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Options for load and scheduler.
#[derive(Debug, Args)]
pub(crate) struct Drive {
    // As an attribute: in a comment rustdoc takes the brackets for a link.
    #[arg(
        long,
        value_name = "SPEC",
        help = "Send jobs: '[SOURCE:]rate=40/s for 30s, then 160/s for 500 jobs' or '[SOURCE:]trace=FILE'. May be given \
                several times. Without SOURCE jobs go to all sources, in proportion to their expected rates"
    )]
    load: Vec<Load>,

    #[command(flatten)]
    deciding: Deciding,

    /// How jobs are spaced: poisson, uniform, or trace:FILE with one offset in seconds per line (instead of --load)
    #[arg(long, value_name = "HOW", default_value = "poisson")]
    arrivals: HowArrivals,
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

impl Drive {
    /// What replaces the scheduler of the manifests.
    pub(crate) fn overrides(&self) -> Outcome<Overrides> {
        self.deciding.overrides()
    }

    /// When which source gets a job; none without load.
    pub(crate) fn plan(&self, sources: &[Source], seed: u64) -> Outcome<Option<Plan>> {
        let (spacing, loads) = match &self.arrivals {
            HowArrivals::Spaced(spacing) => (*spacing, self.load.clone()),
            HowArrivals::Trace(_) if !self.load.is_empty() => {
                return Err(Failure::input(
                    "trace:FILE has its own times; write --load '[SOURCE:]trace=FILE' to combine it with others",
                ));
            }
            HowArrivals::Trace(file) => {
                (Spacing::Uniform, vec![Load { source: None, pattern: Pattern::Trace(file.clone()) }])
            }
        };
        let resolved = loads.into_iter().map(|load| ResolvedLoad::new(load, sources, read_trace_file));
        let loads = resolved.collect::<Result<Vec<_>, _>>().map_err(Failure::input)?;
        Ok((!loads.is_empty()).then_some(Plan { loads, spacing, seed }))
    }
}

fn read_trace_file(file: &Path) -> Result<Vec<f64>, String> {
    let text = std::fs::read_to_string(file).context("failed to read it").map_err(|error| format!("{error:#}"))?;
    read_trace(&text)
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
}
