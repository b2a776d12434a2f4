//! Follows the load while local mode runs: telemetry into the drift loop, new plans out to the gateways.
//!
//! The loop and the planner are those of the operator. What is here reads what processes say, hands it over, and sends
//! policies; planning is done beside that, so that looks go on.

use super::board::Board;
use super::local::{Gateway, Local};
use crate::plan::in_words;
use anyhow::{Context, bail};
use control::{Accepted, Decision, DriftLoop, Held, LoopOptions, Observation, Reason};
use deployment::{Ask, Deployment, Replanned};
use domain::{EvaluationEffort, Plan, Problem};
use serde::Serialize;
use simulator::Simulation;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use transport::client::{GatewayClient, Pushed};
use wire::document::PolicyVersion;

/// Time between two looks: a change is acted on within seconds.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time for the search; its table over rates takes as much again. Together with what is simulated before: under a second.
const BUDGET: Duration = Duration::from_millis(300);
/// How much is simulated to see what the plan in force would do.
const ARRIVALS: u64 = 20_000;
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");
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

/// What decides, and what it decides about.
#[derive(Debug)]
struct Mind {
    drift: DriftLoop,
    deployment: Deployment,
    seed: u64,
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
        let wanted = deployment.services.iter().filter_map(|service| service.resolved.reoptimization);
        let options = wanted.fold(None, |options: Option<LoopOptions>, limits| {
            let before = options.unwrap_or(LoopOptions { min_interval: 0.0, ..LoopOptions::default() });
            Some(LoopOptions {
                // Plans are made together, so the most patient service sets the pace.
                min_interval: before.min_interval.max(limits.minimum_interval.get()),
                max_changes_per_hour: match options {
                    Some(_) => before.max_changes_per_hour.min(limits.maximum_per_hour as usize),
                    None => limits.maximum_per_hour as usize,
                },
                ..before
            })
        })?;
        let version = PolicyVersion { transitions: 0, generation: 1 };
        let mut deployment = deployment.clone();
        let addresses = local.devices.iter();
        deployment
            .with_addresses(&addresses.map(|(name, started)| (name.clone(), started.ready.address.clone())).collect());
        let services = deployment.services.iter().enumerate();
        let tracking =
            services.filter(|(_, one)| one.resolved.reoptimization.is_some() && deployment::tracks_confidence(one));
        let tracking: Vec<usize> = tracking.map(|(index, _)| index).collect();
        let drift = DriftLoop::new(start.problem.clone(), start.plan.clone(), version, options).tracking(tracking);
        let gateways = local.gateways.iter();
        Some(Self {
            mind: Some(Box::new(Mind { drift, deployment, seed: start.seed })),
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
            let thought = std::panic::catch_unwind(AssertUnwindSafe(|| mind.think(now, &observation)));
            let look = thought.unwrap_or_else(|_| mind.stumbled(now));
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
            if versions.get(&gateway.name).is_none_or(|version| *version >= mind.drift.version()) {
                continue;
            }
            let sent = tokio::time::timeout(PUSH_WITHIN, mind.send(gateway, client)).await;
            if let Err(error) = sent.map_err(anyhow::Error::new).flatten() {
                messages.push(format!("gateway {} has not taken the new policy: {error:#}", gateway.name));
            }
        }
        messages
    }
}

impl Mind {
    /// Thinking panicked: the plan in force stays, and the next attempt has to wait.
    fn stumbled(&mut self, now: f64) -> Look {
        self.drift.reject(now, Held::Failed("planning panicked".to_owned()));
        Look { messages: self.drift.take_events().iter().map(ToString::to_string).collect(), change: None }
    }

    fn think(&mut self, now: f64, observation: &Observation) -> Look {
        let mut look = Look::default();
        self.drift.observe(now, observation);
        let effort = EvaluationEffort { seed: self.seed, replications: REPLICATIONS, arrivals: ARRIVALS, stop: None };
        let began = Instant::now();
        look.change = match self.drift.decide(now, &Simulation { threads: 1 }, &effort) {
            Decision::Keep => None,
            Decision::Replan { problem, reasons } => self.replan(now, *problem, &reasons, began),
            Decision::Retune { problem, confidences, reasons } => {
                self.retune(now, &problem, &confidences, &reasons, began)
            }
        };
        look.messages.extend(self.drift.take_events().iter().map(ToString::to_string));
        if look.change.is_some() {
            look.messages.extend(self.in_words());
        }
        look
    }

    fn replan(&mut self, now: f64, problem: Problem, reasons: &[Reason], began: Instant) -> Option<Change> {
        let ask = Ask { budget: BUDGET, seed: self.seed, threads: 1 };
        let services = 0..self.deployment.services.len();
        let confidences: Vec<_> = services.map(|index| self.drift.confidences(index).map(<[f64]>::to_vec)).collect();
        let clock = || began.elapsed();
        let replanned = deployment::replan(&problem, &self.deployment, self.drift.plan(), &confidences, &ask, &clock);
        match replanned {
            Ok(Replanned::Better { plan, gain }) => {
                let version = self.drift.accept(now, Accepted { problem, plan, gain: gain.clone() });
                Some(self.changed(now, version, reasons, gain, began))
            }
            Ok(Replanned::Kept) => {
                self.drift.reject(now, Held::DidNotBeat);
                None
            }
            Err(error) => {
                self.drift.reject(now, Held::Failed(error.to_string()));
                None
            }
        }
    }

    fn retune(
        &mut self,
        now: f64,
        problem: &Problem,
        confidences: &[(usize, Vec<f64>)],
        reasons: &[Reason],
        began: Instant,
    ) -> Option<Change> {
        match deployment::retune(problem, &self.deployment, self.drift.plan(), confidences) {
            Ok(policies) => {
                let version = self.drift.retuned(now, policies)?;
                Some(self.changed(now, version, reasons, "confidences as observed".to_owned(), began))
            }
            Err(error) => {
                self.drift.reject(now, Held::Failed(error.to_string()));
                None
            }
        }
    }

    /// The loop has a new plan: gateways are to have it, too.
    fn changed(
        &mut self,
        now: f64,
        version: PolicyVersion,
        reasons: &[Reason],
        gain: String,
        began: Instant,
    ) -> Change {
        self.deployment.with_new_plan(self.drift.plan());
        self.deployment.with_version(version);
        Change {
            at: now,
            generation: version.generation,
            reasons: reasons.iter().map(ToString::to_string).collect(),
            gain,
            milliseconds: began.elapsed().as_secs_f64() * 1e3,
        }
    }

    /// The plan in force: shares and thresholds, per service.
    fn in_words(&self) -> Vec<String> {
        let services = self.deployment.services.iter().zip(&self.drift.plan().policies);
        services.map(|(service, policy)| format!("{}: {}", service.name, in_words(policy))).collect()
    }

    async fn send(&self, gateway: &Gateway, client: &GatewayClient) -> anyhow::Result<()> {
        let services = self.deployment.services.iter().filter(|service| service.name == gateway.service);
        let documents = services.flat_map(|service| &service.gateways);
        let document = documents.into_iter().find(|document| document.device == gateway.device);
        match client.push(&document.context("every gateway is in the deployment")?.policy).await? {
            Pushed::Applied(_) => Ok(()),
            Pushed::Stale(version) => bail!("it has generation {}, which is as new or newer", version.generation),
        }
    }
}
