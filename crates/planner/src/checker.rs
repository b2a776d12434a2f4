//! Checks plans without knowing how they were made.
//!
//! # Problem
//! A plan that is wrong must not reach a gateway, whoever made it: an optimiser with a defect, a person, an old file.
//!
//! # How
//! From the problem and the plan alone, by rules of its own: memory, probabilities, thresholds, chains, tables. That
//! chains hold the whole model and can be reached (fragments and links are there, gateways name one for each chain) is
//! what [`Problem::check`] says, with which it begins. It shares no code with what makes plans. Nothing is corrected;
//! every finding is a note with its place.
//!
//! # Cost
//! Linear in the size of problem and plan.

use domain::problem::{Chain, Gateway, Service};
use domain::{Epoch, Learning, Mixture, Plan, Policy, Problem, Thresholds};
use std::fmt;

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How bad it is.
    pub severity: Severity,
    /// Where, such as `service "camera", source "left"`.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but somebody should know.
    Warning,
    /// The plan must not be followed.
    Error,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}

/// Checks a plan against its problem; no note, no finding.
pub fn check(problem: &Problem, plan: &Plan) -> Vec<Note> {
    let mut notes = Notes::default();
    if let Err(error) = problem.check() {
        notes.error(&error.place, &error.message);
        return notes.0;
    }
    if plan.policies.len() != problem.services.len() {
        let message = format!("has {} policies for {} services", plan.policies.len(), problem.services.len());
        notes.error("plan", &message);
        return notes.0;
    }
    device_memory(problem, &mut notes);
    for (service, policy) in problem.services.iter().zip(&plan.policies) {
        Checked { problem, service, policy }.check(&mut notes);
    }
    notes.0
}

#[derive(Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, severity: Severity, place: &str, message: &str) {
        let note = Note { severity, place: place.to_owned(), message: message.to_owned() };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    fn error(&mut self, place: &str, message: &str) {
        self.add(Severity::Error, place, message);
    }

    fn warn(&mut self, place: &str, message: &str) {
        self.add(Severity::Warning, place, message);
    }
}

/// Budgets of fragments must fit into that of their device.
fn device_memory(problem: &Problem, notes: &mut Notes) {
    for device in &problem.devices {
        let Some(budget) = device.memory_budget else { continue };
        let sum = device.fragments.iter().fold(0u64, |sum, fragment| sum.saturating_add(fragment.memory_budget.0));
        if sum > budget.0 {
            let message = format!(
                "its fragments may hold {sum} bytes together, the device {}: one can crowd out another",
                budget.0
            );
            notes.warn(&format!("device {:?}", device.name), &message);
        }
    }
}

struct Checked<'a> {
    problem: &'a Problem,
    service: &'a Service,
    policy: &'a Policy,
}

impl Checked<'_> {
    fn place(&self, rest: &str) -> String {
        format!("service {:?}{rest}", self.service.name)
    }

    fn check(&self, notes: &mut Notes) {
        self.chains(notes);
        let policy = self.policy;
        self.mixtures(&policy.default, &policy.sources, "", notes);
        self.rates(notes);
        self.learning(notes);
        if policy.audit.get() != self.service.audit.get() {
            notes.warn(&self.place(""), "audits another share of jobs than the service asks for");
        }
        if policy.deadline != self.service.deadline {
            notes.error(&self.place(""), "gives jobs another deadline than the service");
        }
        if policy.overflow != self.service.overflow {
            notes.error(&self.place(""), "does something else than the service with jobs that find no memory");
        }
    }

    /// The chains of a policy are those of its service, each with the whole model, and a job fits everywhere on its way.
    fn chains(&self, notes: &mut Notes) {
        let (given, wanted) = (self.policy.chains.len(), self.service.chains.len());
        if given != wanted {
            notes.error(&self.place(""), &format!("has {given} chains where the placement has {wanted}"));
        }
        for (chain, placed) in self.policy.chains.iter().zip(&self.service.chains) {
            let place = self.place(&format!(", chain {:?}", chain.name));
            if chain.name != placed.name {
                notes.error(&place, &format!("stands where the placement has {:?}", placed.name));
            }
            let segments = self.service.model.times.segments.len();
            let mut next = 0;
            let mut whole = !chain.fragments.is_empty();
            for range in &chain.fragments {
                whole &= range.first == next && range.last >= range.first;
                next = range.last + 1;
            }
            if !whole || next != segments {
                notes.error(&place, &format!("does not hold segments 1 to {segments} in order without gap"));
            }
            let ranges = placed.hops.iter().map(|hop| self.problem.devices[hop.device].fragments[hop.fragment].range);
            if !ranges.eq(chain.fragments.iter().copied()) {
                notes.error(&place, "is cut elsewhere than the placement");
            }
            self.memory(placed, &place, notes);
        }
        for gateway in &self.service.gateways {
            self.gateway(gateway, notes);
        }
    }

    fn memory(&self, chain: &Chain, place: &str, notes: &mut Notes) {
        for hop in &chain.hops {
            let device = &self.problem.devices[hop.device];
            let fragment = &device.fragments[hop.fragment];
            let bytes = &self.service.model.tensor_bytes;
            let needs = bytes[fragment.range.first].max(bytes[fragment.range.last + 1]);
            let budget =
                device.memory_budget.map_or(fragment.memory_budget.0, |all| all.0.min(fragment.memory_budget.0));
            if budget < needs {
                let message = format!("one job needs {needs} bytes on {:?}, which has {budget} for it", device.name);
                notes.error(place, &message);
            }
        }
    }

    fn gateway(&self, gateway: &Gateway, notes: &mut Notes) {
        let place = self.place(&format!(", gateway on {:?}", gateway.device));
        let sample = self.service.model.tensor_bytes[0];
        if gateway.memory_budget.0 < sample {
            notes.error(&place, &format!("has {} bytes, one sample needs {sample}", gateway.memory_budget.0));
        }
    }

    fn mixtures(&self, default: &Mixture, sources: &[(String, Mixture)], row: &str, notes: &mut Notes) {
        let known = |name: &str| self.service.sources.iter().any(|source| source.name == name);
        self.mixture(default, &self.place(row), notes);
        for (name, mixture) in sources {
            let place = self.place(&format!("{row}, source {name:?}"));
            if !known(name) {
                notes.warn(&place, "the service has no such source");
            }
            self.mixture(mixture, &place, notes);
        }
    }

    fn mixture(&self, mixture: &Mixture, place: &str, notes: &mut Notes) {
        let choices = mixture.choices();
        let sum: f64 = choices.iter().map(|choice| choice.probability.get()).sum();
        let is_whole = (sum - 1.0).abs() <= 1e-6;
        if !is_whole {
            notes.error(place, &format!("probabilities sum to {sum}"));
        }
        for choice in choices {
            if choice.chain >= self.service.chains.len() {
                notes.error(place, &format!("sends jobs to chain {}, of {}", choice.chain, self.service.chains.len()));
            }
            self.thresholds(&choice.thresholds, place, notes);
            if !choice.by_present.is_empty() && self.policy.epoch != Epoch::Dispatch {
                notes.error(place, "looks at jobs present, but decides when jobs arrive");
            }
            for lottery in &choice.by_present {
                let sum: f64 = lottery.draws().iter().map(|(share, _)| share.get()).sum();
                let is_whole = (sum - 1.0).abs() <= 1e-6;
                if !is_whole {
                    notes.error(place, &format!("probabilities for some number of jobs present sum to {sum}"));
                }
                lottery.draws().iter().for_each(|(_, thresholds)| self.thresholds(thresholds, place, notes));
            }
        }
    }

    fn thresholds(&self, thresholds: &Thresholds, place: &str, notes: &mut Notes) {
        let (given, exits) = (thresholds.as_slice(), self.service.model.exit_segments.len());
        if given.len() + 1 != exits {
            notes.error(place, &format!("has {} thresholds for {exits} exits", given.len()));
        }
        if let Some(bad) = given.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            notes.error(place, &format!("has the threshold {bad}"));
        }
        let all_leave = given.iter().position(|&value| value == 0.0);
        if all_leave.is_some_and(|exit| given[exit + 1..].iter().any(|&value| value < 1.0)) {
            notes.warn(place, "has open exits behind one at which every job leaves");
        }
    }

    fn rates(&self, notes: &mut Notes) {
        let Some(table) = &self.policy.rates else { return };
        let place = self.place(", rate table");
        if table.forecast.get() == 0.0 {
            notes.error(&place, "has no forecast");
        }
        if table.rows.is_empty() {
            notes.error(&place, "has no row");
        }
        let mut before = 0.0;
        for row in &table.rows {
            if !(row.up_to > before && row.up_to.is_finite()) {
                notes.error(&place, &format!("has a row up to {} behind one up to {before}", row.up_to));
            }
            before = row.up_to;
            self.mixtures(&row.default, &row.sources, &format!(", rate table up to {}", row.up_to), notes);
        }
        if table.rows.iter().all(|row| row.up_to < 1.0) {
            notes.warn(&place, "has no row made for the forecast");
        }
    }

    fn learning(&self, notes: &mut Notes) {
        let place = self.place(", learning");
        let needs_dispatch = match &self.policy.learning {
            None => false,
            Some(Learning::Reactive) => true,
            Some(Learning::AdaEE(bandit)) => {
                bandit.arms.iter().for_each(|arm| self.thresholds(arm, &place, notes));
                if bandit.arms.is_empty() || bandit.costs.len() != self.service.model.exit_segments.len() {
                    notes.error(&place, "has no arms, or not one cost per exit");
                }
                let rises = bandit.costs.first() == Some(&0.0) && bandit.costs.is_sorted();
                if !rises || bandit.costs.iter().any(|cost| !cost.is_finite()) {
                    notes.error(&place, "has costs that do not rise from 0");
                }
                if !(bandit.exploration >= 0.0 && bandit.exploration.is_finite()) {
                    notes.error(&place, &format!("explores with weight {}", bandit.exploration));
                }
                bandit.room.is_some()
            }
        };
        if needs_dispatch && self.policy.epoch != Epoch::Dispatch {
            notes.error(&place, "looks at jobs present, but decides when jobs arrive");
        }
    }
}
