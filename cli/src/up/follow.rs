//! Follows the load while local mode runs: telemetry into the drift loop, new plans out to the gateways.
//!
//! The loop and the planner are those of the operator. What is here reads what processes say, hands it over, and sends
//! policies; planning is done beside that, so that looks go on.

use super::board::Board;
use super::local::{Gateway, Local};
use crate::plan::in_words;
use anyhow::{Context, bail};
use control::Observation;
use deployment::{Conclusion, Deployment, Mind};
use domain::{Plan, Problem};
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use transport::client::{GatewayClient, Pushed};
use wire::document::PolicyVersion;

/// Time between two looks: a change is acted on within seconds.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A gateway that does not take a policy in this time is asked again at the next look.
const PUSH_WITHIN: Duration = Duration::from_secs(2);

/// Where a run starts from.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// What was planned for.
    pub(crate) problem: Problem,
    /// The plan that gateways start with.
    pub(crate) plan: Plan,
    /// Seed of searches.
    pub(crate) seed: u64,
}

/// A change of the plan, for the summary.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Change {
    /// Seconds since the start.
    pub(crate) at: f64,
    /// Generation of the policies.
    pub(crate) generation: u64,
    /// Why there is a new plan.
    pub(crate) reasons: Vec<String>,
    /// What it gains.
    pub(crate) gain: String,
    /// Time that the decision took, in milliseconds.
    pub(crate) milliseconds: f64,
}

/// The shell around the loop.
#[derive(Debug)]
pub(crate) struct Follower {
    /// `None` only while a thread has it.
    mind: Option<Box<Mind>>,
    gateways: Vec<(Gateway, GatewayClient)>,
    begin: Instant,
    seen: BTreeMap<String, Instant>,
    uptimes: BTreeMap<String, f64>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// For people, in order.
    pub(crate) messages: Vec<String>,
    /// A new plan.
    pub(crate) change: Option<Change>,
}

impl Follower {
    /// For the processes of `local`, which started with the plan of `start`. `None` where no service wants new plans.
    pub(crate) fn new(start: &Start, deployment: &Deployment, local: &Local, begin: Instant) -> Option<Self> {
        let version = PolicyVersion { transitions: 0, generation: 1 };
        let mut deployment = deployment.clone();
        let addresses = local.devices.iter();
        deployment
            .with_addresses(&addresses.map(|(name, started)| (name.clone(), started.ready.address.clone())).collect());
        let mind = Mind::new(start.problem.clone(), start.plan.clone(), deployment, version, start.seed)?;
        let gateways = local.gateways.iter();
        Some(Self {
            mind: Some(Box::new(mind)),
            gateways: gateways.map(|one| (one.clone(), GatewayClient::new(&one.started.ready.metrics, None))).collect(),
            begin,
            seen: BTreeMap::new(),
            uptimes: BTreeMap::new(),
        })
    }

    /// What processes have said since the last look, and when; `None` where no gateway did. What did not answer is left out.
    pub(crate) fn read(&mut self, board: &Board) -> Option<(Observation, Instant)> {
        let fresh = board.gateway_states().filter(|(name, at, _)| self.seen.get(*name) != Some(at));
        let fresh: Vec<_> = fresh.map(|(name, at, telemetry)| (name.to_owned(), at, telemetry.clone())).collect();
        self.seen.extend(fresh.iter().map(|(name, at, _)| (name.clone(), *at)));
        let devices = board.devices.values().filter_map(|log| log.last());
        let devices: Vec<_> = devices
            .filter(|one| self.uptimes.insert(one.device.clone(), one.uptime_seconds) != Some(one.uptime_seconds))
            .cloned()
            .collect();
        // Rates are counts over time: the time must be that of the counts, not that of the look.
        let at = fresh.iter().map(|(_, at, _)| *at).max()?;
        let gateways = fresh.iter().map(|(name, _, telemetry)| (name.as_str(), telemetry));
        Some((Observation::read(gateways, &devices), at))
    }

    /// Thinks about what was read, and tells gateways what follows. `versions`: what gateways have in force.
    pub(crate) async fn look(
        &mut self,
        (observation, at): (Observation, Instant),
        versions: &BTreeMap<String, PolicyVersion>,
    ) -> anyhow::Result<Look> {
        let mut mind = self.mind.take().context("the loop has ended by a panic")?;
        let now = at.saturating_duration_since(self.begin).as_secs_f64();
        let (mind, mut look) = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let think = || mind.think(now, &observation, &|| began.elapsed());
            let thought = std::panic::catch_unwind(AssertUnwindSafe(think));
            let conclusion = thought.unwrap_or_else(|_| mind.stumbled(now));
            let look = told(now, conclusion, &mind, began.elapsed());
            (mind, look)
        })
        .await
        .context("planning panicked; the plan in force stays")?;
        let messages = self.push(&mind, versions).await;
        look.messages.extend(messages);
        self.mind = Some(mind);
        Ok(look)
    }

    /// Sends policies to gateways that have an older one: after a new plan, and after a gateway was started again.
    async fn push(&self, mind: &Mind, versions: &BTreeMap<String, PolicyVersion>) -> Vec<String> {
        let mut messages = vec![];
        for (gateway, client) in &self.gateways {
            if versions.get(&gateway.name).is_none_or(|version| *version >= mind.version()) {
                continue;
            }
            let sent = tokio::time::timeout(PUSH_WITHIN, send(mind.deployment(), gateway, client)).await;
            if let Err(error) = sent.map_err(anyhow::Error::new).flatten() {
                messages.push(format!("gateway {} has not taken the new policy: {error:#}", gateway.name));
            }
        }
        messages
    }
}

/// What came of it, for people; the plan in force where it is new.
fn told(now: f64, conclusion: Conclusion, mind: &Mind, took: Duration) -> Look {
    let mut messages = conclusion.messages;
    let change = conclusion.change.map(|change| Change {
        at: now,
        generation: change.version.generation,
        reasons: change.reasons,
        gain: change.gain,
        milliseconds: took.as_secs_f64() * 1e3,
    });
    if change.is_some() {
        let services = mind.deployment().services.iter().zip(&mind.plan().policies);
        messages.extend(services.map(|(service, policy)| format!("{}: {}", service.name, in_words(policy))));
    }
    Look { messages, change }
}

async fn send(deployment: &Deployment, gateway: &Gateway, client: &GatewayClient) -> anyhow::Result<()> {
    let services = deployment.services.iter().filter(|service| service.name == gateway.service);
    let documents = services.flat_map(|service| &service.gateways);
    let document = documents.into_iter().find(|document| document.device == gateway.device);
    match client.push(&document.context("every gateway is in the deployment")?.policy).await? {
        Pushed::Applied(_) => Ok(()),
        Pushed::Stale(version) => bail!("it has generation {}, which is as new or newer", version.generation),
    }
}
