//! `kubectl eenn status`: how services are, what is wrong and what helps.
//!
//! * [`scene`]: what is read. [`document`] and [`things`]: what it comes to, pure. [`table`]: the same for people.

mod document;
mod scene;
mod table;
#[cfg(test)]
mod tests;
mod things;

pub(super) use scene::not_found;

use super::cluster::{Cluster, ClusterOptions};
use super::output::Output;
use crate::exit_code::Outcome;
use clap::Args;
use console::Term;
use document::StatusDocument;
use jiff::Timestamp;
use scene::Scene;
use std::io::Write;
use std::time::Duration;

/// Nobody reads faster.
const EVERY: Duration = Duration::from_secs(2);

/// Show how services are, what is wrong with them, and what helps
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Show this service in detail [default: all services of the namespace]
    service: Option<String>,

    /// Show services of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "service"])]
    all_namespaces: bool,

    /// Go on showing it whenever it changes, until Ctrl-C
    #[arg(short, long, conflicts_with = "output")]
    watch: bool,

    /// Form of the status on standard output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,

    #[command(flatten)]
    cluster: ClusterOptions,
}

const EXAMPLES: &str = "\
Examples:
  Which services take jobs, and what keeps the others from it?
    kubectl eenn status -A

  Everything about one: conditions, chains, pods, addresses
    kubectl eenn status fashion-mnist -n cameras

  Follow it until it is ready
    kubectl eenn status fashion-mnist -w

  For a script
    kubectl eenn status -o json | jq '.services[] | select(.isReady | not) | .trouble[0]'

Loss, accuracy and latency are what is predicted of the plan in force, above the targets. Needs the
right to list eennservices; what else you may not see is left out, and a line says so.";

impl Options {
    /// Reads and shows, once or again and again.
    pub(super) fn exec(self, out: &mut dyn Write) -> Outcome {
        let cluster = self.cluster.connect()?;
        let mut text = self.text(&cluster)?;
        if !self.watch {
            return Ok(out.write_all(text.as_bytes())?);
        }
        let terminal = Some(Term::stdout()).filter(Term::is_term);
        loop {
            if let Some(terminal) = &terminal {
                terminal.clear_screen()?;
            }
            out.write_all(text.as_bytes())?;
            out.flush()?;
            let shown = text;
            text = loop {
                cluster.sleep(EVERY);
                let next = self.text(&cluster)?;
                // On a terminal times go on; elsewhere only news are printed.
                if terminal.is_some() || next != shown {
                    break next;
                }
            };
            if terminal.is_none() {
                out.write_all(b"\n")?;
            }
        }
    }

    fn text(&self, cluster: &Cluster) -> Outcome<String> {
        let scene = Scene::read(cluster, self.all_namespaces)?;
        let scene = match &self.service {
            Some(name) => scene.of(name, &cluster.namespace)?,
            None => scene,
        };
        let document = StatusDocument::new(&scene);
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        self.output.render(&document, |document| match &self.service {
            Some(_) => table::detail(document, Timestamp::now()),
            None => table::overview(document, namespace),
        })
    }
}
