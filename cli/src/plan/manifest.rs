//! A decision as EENNPlan objects, one per service: what the operator would store.

use super::decision::Decision;
use crate::exit_code::{Blame, Outcome};
use crate::yaml;
use anyhow::Context;
use api::EENNPlan;
use deployment::{Decided, Deployment, spec};
use domain::Problem;

/// The first of its service.
const GENERATION: i64 = 1;

/// Objects of all services, as YAML documents behind each other.
pub(super) fn render(deployment: &Deployment, problem: &Problem, decision: &Decision) -> Outcome<String> {
    let decided = Decided { problem, deployment, plan: &decision.plan, predictions: &decision.predictions };
    let objects = deployment.services.iter().enumerate().map(|(index, service)| {
        let spec = spec(&decided, index, GENERATION, "planned by hand, with eenn plan").blame_input()?;
        let object = EENNPlan::new(&format!("{}-{GENERATION}", service.name), spec);
        let value = serde_json::to_value(object).context("failed to write an EENNPlan")?;
        Ok(yaml::render(&value))
    });
    Ok(objects.collect::<Outcome<Vec<_>>>()?.join("---\n"))
}
