//! `kubectl eenn approve`: puts the placement of a plan that waits into place.
//!
//! * [`choice`]: which plan that is, or why there is none, pure. [`progress`]: how far it is, pure.

mod choice;
mod progress;
#[cfg(test)]
mod tests;

use super::cluster::{Cluster, ClusterOptions};
use super::plan::{Proposal, difference};
use super::plans::Plans;
use super::service::{Found, find};
use super::words;
use crate::exit_code::{Failure, Outcome};
use anyhow::anyhow;
use api::{EENNPlan, EENNService};
use clap::Args;
use console::Term;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use progress::Progress;
use std::io::Write;
use std::time::{Duration, Instant};

/// Owns `spec.approvedPlan` in the managed fields of services.
const MANAGER: &str = "kubectl-eenn";
/// A service whose status changes all the time is patched in the end; one whose spec changes is not.
const TRIES: usize = 5;
/// Between two looks at how far it is.
const EVERY: Duration = Duration::from_secs(1);

/// Put the placement of a plan that waits for approval into place
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// The service
    service: String,

    /// Approve the plan with this generation, also an older one [default: the one that waits]
    #[arg(short, long, value_name = "N")]
    generation: Option<i64>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Wait until the plan is in force and its pods are ready
    #[arg(short, long)]
    wait: bool,

    /// Give up waiting after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "wait")]
    timeout: u64,

    #[command(flatten)]
    cluster: ClusterOptions,
}

const EXAMPLES: &str = "\
Examples:
  What would change? Then asks
    kubectl eenn approve fashion-mnist

  In a script
    kubectl eenn approve fashion-mnist --yes --wait

  Go back to the placement of an older plan
    kubectl eenn approve fashion-mnist --generation 3

For services with `planning: Manual`: a new placement of those waits, while policies adapt within
the one in force. Sets spec.approvedPlan, so it needs the right to patch eennservices. A service
that is kept in Git is approved there instead.";

impl Options {
    /// Shows what would change, asks, and does it.
    pub(super) fn exec(self, out: &mut dyn Write) -> Outcome {
        let cluster = self.cluster.connect()?;
        let Found { service, plans } = find(&cluster, &self.service)?;
        let plans = Plans::of(&service, &plans);
        let plan = choice::chosen(&service, &plans, self.generation).map_err(Failure::input)?;
        let (name, namespace) = (plan.name_any(), &cluster.namespace);
        let before = service.metadata.generation;
        let generation = if service.spec.approved_plan.as_ref().is_some_and(|approved| approved.as_str() == name) {
            writeln!(out, "Plan {name} is approved already.")?;
            before
        } else {
            writeln!(out, "{}", difference(&Proposal::new(plans.in_force, plan)).trim_end())?;
            if words::is_paused(&service) {
                writeln!(out, "The service is paused: nothing happens before its annotation eenn.dev/paused is gone.")?;
            }
            self.ask(&name)?;
            let generation = approve(&cluster, service.clone(), plan)?.metadata.generation;
            writeln!(out, "Plan {name} is approved.")?;
            generation
        };
        if self.wait {
            return self.follow(&cluster, plan, generation.unwrap_or_default(), out);
        }
        Ok(writeln!(out, "See how far it is: kubectl eenn status {} -n {namespace}", self.service)?)
    }

    /// Returns where the answer is yes.
    fn ask(&self, plan: &str) -> Outcome {
        if self.yes {
            return Ok(());
        }
        let terminal = Term::stderr();
        if !(terminal.is_term() && std::io::IsTerminal::is_terminal(&std::io::stdin())) {
            return Err(Failure::input("there is no terminal to ask at; --yes approves without asking"));
        }
        terminal.write_str(&format!("\nApprove {plan}? [y/N] "))?;
        let answer = terminal.read_line()?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Running(anyhow!("not approved, nothing has changed"))),
        }
    }

    /// Tells what it waits for until nothing is missing.
    fn follow(&self, cluster: &Cluster, plan: &EENNPlan, generation: i64, out: &mut dyn Write) -> Outcome {
        let (began, mut last) = (Instant::now(), String::new());
        loop {
            let Found { service, plans } = find(cluster, &self.service)?;
            let waits = match progress::of(&service, &Plans::of(&service, &plans), plan, generation) {
                Progress::Done(words) => return Ok(writeln!(out, "{words}")?),
                Progress::Waits(waits) => waits,
            };
            if began.elapsed() > Duration::from_secs(self.timeout) {
                return Err(Failure::Running(anyhow!("not in force after {} s: {waits}", self.timeout)));
            }
            if waits != last {
                let _ = writeln!(std::io::stderr(), "{waits}");
            }
            last = waits;
            cluster.sleep(EVERY);
        }
    }
}

/// Sets `spec.approvedPlan`, as long as spec and plan are those that were shown. Returns the service as it is then.
fn approve(cluster: &Cluster, service: EENNService, plan: &EENNPlan) -> Outcome<EENNService> {
    let (name, namespace) = (service.name_any(), cluster.namespace.clone());
    let shown = (service.uid(), service.metadata.generation);
    let api = cluster.api::<EENNService>(&namespace);
    let mut service = service;
    for _ in 0..TRIES {
        let there = cluster.find::<EENNPlan>(Some(&namespace), &plan.name_any())?;
        if there.is_none_or(|there| there.uid() != plan.uid()) {
            return Err(Failure::Running(anyhow!("plan {} is gone; ask for what waits now", plan.name_any())));
        }
        // With the version that was seen, so that nothing else is changed unseen.
        let patch = serde_json::json!({
            "metadata": { "uid": service.uid(), "resourceVersion": service.resource_version() },
            "spec": { "approvedPlan": plan.name_any() },
        });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match cluster.wait(api.patch(&name, &params, &Patch::Merge(&patch))) {
            Ok(patched) => return Ok(patched),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(cluster.failed(&format!("approve {}", plan.name_any()), error)),
        }
        // Its status has changed, which does not matter, or its spec, which does.
        let now = cluster.find::<EENNService>(Some(&namespace), &name)?;
        match now.filter(|now| (now.uid(), now.metadata.generation) == shown) {
            Some(now) => service = now,
            None => break,
        }
    }
    Err(Failure::Running(anyhow!("service {name:?} was changed meanwhile; nothing was approved, ask again")))
}
