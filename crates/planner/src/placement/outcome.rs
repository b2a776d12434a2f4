//! What came of a search for a placement.

use super::anneal::Judged;
use super::appraise::Appraisal;
use super::fit::Fit;
use super::reason::{Misfit, Reason, Rejection};
use super::route::Placement;

/// A placement with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Where fragments live; services that have no place have no chains.
    pub placement: Placement,
    /// What it is worth; `None` where nothing is placed, or nobody could tell.
    pub appraisal: Option<Appraisal>,
    /// Whether it replaces the incumbent, and why.
    pub verdict: Change,
    /// Services that have no place, and why.
    pub misfits: Vec<Misfit>,
    /// Sites that host nothing, or nothing of a service that they may not host, and why.
    pub rejected: Vec<Rejection>,
    /// Evaluations that it took.
    pub spent: u64,
}

/// Whether a placement replaces the incumbent.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// There was none.
    First,
    /// What there was stays where it is; services that had no place may have got one.
    Kept,
    /// It is better by more than the change costs.
    Better {
        /// By how much, before costs; 0.01 is a point of accuracy.
        gain: f64,
        /// Fragments that have to be started.
        started: usize,
    },
    /// What there was fits no more.
    Forced {
        /// Fragments that have to be started.
        started: usize,
    },
}

/// Per site why it hosts nothing. Given what is placed.
pub(super) fn rejected(fit: &Fit<'_>, placement: &Placement) -> Vec<Rejection> {
    let (ground, demands) = (fit.ground, fit.demands);
    let free: Vec<usize> = (0..demands.len())
        .filter(|&one| demands[one].pinned.is_none() && !placement.services[one].is_empty())
        .collect();
    let mut found = vec![];
    for site in 0..ground.sites.len() {
        let own: Vec<(usize, Reason)> = match placement.uses(site) {
            true => free.iter().filter_map(|&one| Some((one, fit.barred[one][site].clone()?))).collect(),
            false => free.iter().map(|&one| (one, why_unused(fit, placement, one, site))).collect(),
        };
        let is_alike = own.len() == free.len() && own.windows(2).all(|pair| pair[0].1 == pair[1].1);
        match own.first() {
            Some((_, reason)) if is_alike => found.push(Rejection { site, service: None, reason: reason.clone() }),
            _ => found.extend(own.into_iter().map(|(service, reason)| Rejection {
                site,
                service: Some(service),
                reason,
            })),
        }
    }
    found
}

fn why_unused(fit: &Fit<'_>, placement: &Placement, service: usize, site: usize) -> Reason {
    if let Some(reason) = &fit.barred[service][site] {
        return reason.clone();
    }
    match fit.longest(service, site, &fit.usage(placement)) {
        (None, Some(lack)) => lack,
        (_, lack) => Reason::NoGain { lack: lack.map(Box::new) },
    }
}

/// Why a service has no place, site by site, given what else is placed.
pub(super) fn misfit(fit: &Fit<'_>, placement: &Placement, service: usize) -> Misfit {
    let usage = fit.usage(placement);
    let of = |site: usize| {
        let reason = fit.barred[service][site].clone().unwrap_or_else(|| match fit.longest(service, site, &usage) {
            (Some(most), Some(lack)) => Reason::Incomplete { most, lack: Box::new(lack) },
            (None, Some(lack)) => lack,
            // The whole model fits, so it can only be that jobs do not come here first.
            (_, None) => fit.unreached(&fit.demands[service], site),
        });
        Rejection { site, service: Some(service), reason }
    };
    Misfit { service, rejected: (0..fit.ground.sites.len()).map(of).collect() }
}

/// What a search has come to, against what there was (`old`) and what of it still fits (`before`); `base` is what that was worth.
pub(super) fn verdict(
    before: &Placement,
    old: &Placement,
    is_whole: bool,
    found: &Judged,
    base: Option<f64>,
) -> Change {
    let started = found.placement.started(old);
    match base {
        _ if before.services.iter().all(Vec::is_empty) && is_whole => Change::First,
        _ if !found.placement.differs(before) && is_whole => Change::Kept,
        Some(base) if is_whole => Change::Better { gain: found.appraisal.worth - base, started },
        _ => Change::Forced { started },
    }
}
