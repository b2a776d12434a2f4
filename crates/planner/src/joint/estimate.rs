//! What a placement is worth once it is planned for, in a few linear programs: for searches over placements, in which
//! every candidate is a problem of its own.

use super::Budget;
use super::candidate::Workshop;
use super::fluid::{self, Filling};
use super::pricing::Pricer;
use super::relaxation::{Columns, Relaxation};
use super::screen::Screen;
use super::search::FEW_SAMPLES;
use crate::decomposition::{Layout, Loads};
use domain::problem::Model;
use domain::{Plan, Policy, Problem};
use std::sync::Arc;

/// Shares of time that resources are busy: one for plans that lose little, one for plans that wait little.
const FILLS: [f64; 2] = [0.8, 0.5];
/// As of all fluid plans.
const SOFTNESS: f64 = 0.05;

/// What finds thresholds, per service; models that are the same share one.
pub(crate) fn pricers<'m>(models: impl Iterator<Item = &'m Arc<Model>>) -> Vec<Arc<Pricer>> {
    let mut known: Vec<(&Arc<Model>, Arc<Pricer>)> = vec![];
    let mut found = vec![];
    for model in models {
        let same = known.iter().find(|(other, _)| Arc::ptr_eq(other, model)).map(|(_, pricer)| pricer.clone());
        let pricer = same.unwrap_or_else(|| Arc::new(Pricer::new(model, FEW_SAMPLES)));
        known.push((model, pricer.clone()));
        found.push(pricer);
    }
    found
}

/// A problem to be valued: services with a fixed policy keep it.
pub(crate) struct Estimate<'p> {
    pub(crate) problem: &'p Problem,
    pub(crate) fixed: Vec<Option<Policy>>,
    pub(crate) pricers: Vec<Arc<Pricer>>,
}

impl Estimate<'_> {
    /// The merit of the better of two fluid plans. What cannot be solved is worth nothing.
    pub(crate) fn merit(&self) -> f64 {
        self.with(|workshop, screen| {
            screen.softness = SOFTNESS;
            if self.fixed.iter().all(Option::is_some) {
                return screen.merit(&workshop.fixed_loads);
            }
            let mut relaxation = Relaxation::new(workshop);
            let mut best = f64::NEG_INFINITY;
            for (index, fill) in FILLS.into_iter().enumerate() {
                let columns = if index == 0 { Columns::New { stop: &|| false } } else { Columns::Known };
                let fills = vec![fill; relaxation.resources()];
                if let Some(found) = relaxation.solve(&fills, columns) {
                    best = best.max(screen.merit(&workshop.loads(&found)));
                }
            }
            best
        })
    }

    /// The best fluid plan with all resources as full; `None` where the solver gives up.
    pub(crate) fn plan(&self) -> Option<Plan> {
        if let Some(policies) = self.fixed.iter().cloned().collect::<Option<Vec<Policy>>>() {
            return Some(Plan { policies });
        }
        self.with(|workshop, screen| {
            let found = fluid::best(workshop, screen, Filling::Alike)?;
            Some(workshop.plan(&found))
        })
    }

    fn with<Found>(&self, look: impl FnOnce(&Workshop<'_>, &mut Screen<'_>) -> Found) -> Found {
        let layout = Layout::new(self.problem);
        let mut loads = Loads::new(&layout);
        for (service, policy) in self.fixed.iter().enumerate() {
            if let Some(policy) = policy {
                loads.add_policy(&layout, service, policy, false);
            }
        }
        let (fixed_loads, fixed) = (loads.numbers, self.fixed.clone());
        let workshop = Workshop { layout: &layout, pricers: self.pricers.clone(), fixed_loads, fixed };
        let mut screen = Screen::new(&layout, loads.waiting, Budget::default());
        // Placements are judged by accuracy: a plan that gives some of it for shorter waits hides what another device is worth.
        screen.lean = 0.0;
        look(&workshop, &mut screen)
    }
}
