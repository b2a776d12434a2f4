//! How far gateways are with the policies that they should follow. Between those who decide what that is, and those who tell them.

use super::observed::Said;
use crate::cache::Key;
use api::EENNPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use wire::document::PolicyVersion;

/// A gateway that has said nothing for so long, in seconds, is not there.
const SILENT: f64 = 15.0;
/// So long after a change, in seconds, gateways that followed the policy before count as following, and new ones may be silent.
const GRACE: f64 = 15.0;

/// So long, in seconds, the reason for which gateways could not be told is the one that is said.
const SAME_WORDS: f64 = 60.0;

/// What gateways have counted is true for so long, in seconds: something else is said sooner where they are asked.
const TRUE_FOR: f64 = 1200.0;

/// What gateways of a service should follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The pool.
    pub pool: Key,
    /// The plan.
    pub plan: Arc<EENNPlan>,
    /// Version of its policies.
    pub version: PolicyVersion,
    /// One per Deployment of gateways, as JSON. Those of before that are not among them go on with what they have: it may be another model.
    pub policies: BTreeMap<String, Arc<str>>,
    /// Deployments of the fragments that they send jobs to, in order.
    pub fragments: Vec<Box<str>>,
    /// Tells these fragments, and those that no jobs go to, from others.
    pub placement: u64,
    /// Nodes with sources: jobs are taken on all of them.
    pub nodes: BTreeSet<String>,
    /// Whether no other policies are made for it: the service is paused, or moves elsewhere.
    pub held: bool,
}

/// How far the fragments are that policies send jobs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragments {
    /// They take jobs.
    Ready,
    /// Not yet, and there are none of before: gateways that are there may as well know already.
    Starting,
    /// Not yet; those of before serve meanwhile.
    Replacing,
}

/// What a gateway has said.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// When, on the clock of the process.
    pub at: f64,
    /// The policy that it follows.
    pub version: PolicyVersion,
}

/// A pod of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Its node.
    pub node: String,
    /// What it has said, if anything.
    pub heard: Option<Heard>,
}

impl Gateway {
    /// What it has said, unless that was long ago.
    fn present(&self, now: f64) -> Option<&Heard> {
        self.heard.as_ref().filter(|heard| now - heard.at < SILENT)
    }
}

impl Heard {
    /// Plans are not counted that far: whoever says so is not to be overtaken.
    fn is_sane(&self) -> bool {
        const MOST: u64 = 1 << 48;
        self.version.transitions < MOST && self.version.generation < MOST
    }
}

/// Whether gateways follow the plan in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// Nobody has been asked yet, or has had time to answer.
    NotAsked,
    /// So many of so many do, at least one on each node with sources.
    Some(usize, usize),
    /// So many of so many do, and on a node with sources none; why, as far as is known.
    Part(usize, usize, String),
    /// None does; why, as far as is known.
    None(String),
}

#[derive(Debug, Default)]
struct Entry {
    wanted: Option<Wanted>,
    since: f64,
    /// Whether its fragments have never been ready: nobody misses gateways of these.
    starting: bool,
    /// Since when it is these fragments.
    moved: f64,
    /// Whether anybody has looked.
    asked: bool,
    gateways: BTreeMap<String, Gateway>,
    /// Why gateways could not be told, and since when that is said.
    trouble: Option<(String, f64)>,
    /// Since when there are these gateways.
    there_since: f64,
    /// What was news last.
    told: Option<Following>,
    /// Whether one has ever followed anything.
    followed: bool,
    /// The highest generation that one has followed.
    highest: u64,
    /// Versions are to have at least this in front: more than gateways have heard of, where they follow something newer than they
    /// should. So it is after a lease was deleted, or an operator without one took over.
    transitions: u64,
    /// What gateways have counted lately, and when that was said: nothing yet when the process started.
    observed: (Said, f64),
}

/// All services with gateways.
#[derive(Debug, Default)]
pub struct Standings(Mutex<BTreeMap<Key, Entry>>);

impl Standings {
    /// What gateways of a service should follow from now on. Other fragments than before only once they do not replace any that serve: until
    /// then jobs go on where they went.
    pub fn want(&self, service: &Key, wanted: Wanted, fragments: Fragments, now: f64) {
        let mut entries = self.entries();
        let entry = entries.entry(service.clone()).or_default();
        let has_all = |before: &Wanted| wanted.fragments.iter().all(|one| before.fragments.contains(one));
        if fragments == Fragments::Replacing && !entry.wanted.as_ref().is_some_and(has_all) {
            entry.hold();
            return;
        }
        let was_starting = entry.starting;
        entry.starting = fragments == Fragments::Starting && (was_starting || entry.wanted.is_none());
        if entry.starting != was_starting || entry.wanted.as_ref().is_none_or(|before| before.version != wanted.version)
        {
            entry.since = now;
        }
        if entry.wanted.as_ref().is_none_or(|before| before.fragments != wanted.fragments) {
            entry.moved = now;
        }
        entry.wanted = Some(wanted);
    }

    /// A service is paused, or moves: whatever its load does, it goes on with what it has.
    pub fn hold(&self, service: &Key) {
        if let Some(entry) = self.entries().get_mut(service) {
            entry.hold();
        }
    }

    /// Deployments of the gateways of a service that were told policies for this placement.
    pub fn at(&self, service: &Key, placement: u64) -> BTreeSet<String> {
        let entries = self.entries();
        let wanted = entries.get(service).and_then(|entry| entry.wanted.as_ref());
        let wanted = wanted.filter(|wanted| wanted.placement == placement);
        wanted.into_iter().flat_map(|wanted| wanted.policies.keys().cloned()).collect()
    }

    /// Whether gateways of a service that can be reached follow the plan with this generation, or a newer one.
    pub fn are_told(&self, service: &Key, generation: u64, now: f64) -> bool {
        let entries = self.entries();
        let Some(entry) = entries.get(service) else { return false };
        let Some(wanted) = entry.wanted.as_ref().filter(|wanted| wanted.version.generation >= generation) else {
            return false;
        };
        let mut present = entry.gateways.values().filter_map(|gateway| gateway.present(now));
        present.all(|heard| heard.version >= wanted.version)
    }

    /// A service is gone, or nobody looks after it any more.
    pub fn forget(&self, service: &Key) {
        self.entries().remove(service);
    }

    /// What gateways of the services of a pool should follow.
    pub fn of_pool(&self, pool: &Key) -> BTreeMap<Key, Wanted> {
        let entries = self.entries();
        let wanted = entries.iter().filter_map(|(key, entry)| Some((key.clone(), entry.wanted.clone()?)));
        wanted.filter(|(_, wanted)| wanted.pool == *pool).collect()
    }

    /// What gateways of a service have said, and why others could not be told. Whether that is news for its status.
    pub fn heard(&self, service: &Key, gateways: BTreeMap<String, Gateway>, trouble: Option<String>, now: f64) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(service) else { return false };
        // Others may have seen that meanwhile, and have told it.
        let before = entry.following(now);
        entry.followed |= gateways.values().any(|gateway| gateway.heard.is_some());
        let ahead = entry.catch_up(&gateways);
        if !gateways.keys().eq(entry.gateways.keys()) {
            entry.there_since = now;
        }
        (entry.gateways, entry.asked) = (gateways, true);
        entry.trouble(trouble, now);
        // Time alone can make it so.
        let following = entry.following(now);
        let news = before != following || entry.told.as_ref().unwrap_or(&Following::NotAsked) != &following;
        entry.told = Some(following);
        ahead || news
    }

    /// What versions of a service have to have in front at least.
    pub fn transitions(&self, service: &Key) -> u64 {
        self.entries().get(service).map_or(0, |entry| entry.transitions)
    }

    /// The highest generation of a plan that gateways of a service have followed.
    pub fn highest_heard(&self, service: &Key) -> u64 {
        self.entries().get(service).map_or(0, |entry| entry.highest)
    }

    /// What gateways of a service have counted lately. Whether that is news.
    pub fn observed(&self, service: &Key, observed: Said, now: f64) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(service).filter(|_| observed != Said::Nothing) else { return false };
        let news = entry.observed.0 != observed;
        entry.observed = (observed, now);
        news
    }

    /// That, for its status. Where nobody has looked for long, nothing is known.
    pub fn last_observed(&self, service: &Key, now: f64) -> Said {
        let (said, at) = self.entries().get(service).map(|entry| entry.observed.clone()).unwrap_or_default();
        if now - at < TRUE_FOR { said } else { Said::TooFew }
    }

    /// Whether gateways of a service follow the plan in force.
    pub fn following(&self, service: &Key, now: f64) -> Following {
        self.entries().get(service).map_or(Following::NotAsked, |entry| entry.following(now))
    }

    /// Whether one of these gateways, which take requests, may still follow an older policy: what that one needs must stay. One that cannot be asked counts
    /// for `patience` seconds after fragments have changed.
    pub fn lags(&self, service: &Key, gateways: &BTreeSet<String>, patience: f64, now: f64) -> bool {
        let entries = self.entries();
        let Some(entry) = entries.get(service) else { return false };
        let Some(wanted) = &entry.wanted else { return false };
        let lags = |pod: &String| match entry.gateways.get(pod).and_then(|gateway| gateway.heard.as_ref()) {
            Some(heard) if heard.version == wanted.version => false,
            Some(heard) if now - heard.at < SILENT => true,
            _ => now - entry.moved < patience,
        };
        gateways.iter().any(lags)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.0.lock().expect("nothing panics while it holds standings")
    }
}

impl Entry {
    fn hold(&mut self) {
        if let Some(wanted) = &mut self.wanted {
            wanted.held = true;
        }
    }

    fn following(&self, now: f64) -> Following {
        let Some(wanted) = self.wanted.as_ref().filter(|_| self.asked) else { return Following::NotAsked };
        let in_time = self.followed && now - self.since < GRACE;
        let follows =
            |gateway: &&Gateway| gateway.present(now).is_some_and(|heard| in_time || heard.version == wanted.version);
        let (count, all) = (self.gateways.values().filter(follows).count(), self.gateways.len());
        let here =
            |node: &String| self.gateways.values().filter(|gateway| gateway.node == *node).any(|one| follows(&one));
        let missed = wanted.nodes.iter().find(|node| !here(node));
        let Some(node) = missed.filter(|_| count > 0) else {
            return if count > 0 { Following::Some(count, all) } else { self.nobody_follows(now) };
        };
        let gateways = self.gateways.values().filter(|gateway| gateway.node == *node);
        // Those of one node may start while others serve.
        let is_silent = !gateways.clone().any(|gateway| gateway.present(now).is_some());
        let since = if is_silent { self.since.max(self.there_since) } else { self.since };
        if self.starting || now - since < GRACE {
            return Following::NotAsked;
        }
        let why = self.trouble.as_ref().map_or_else(|| silence(gateways, now), |(trouble, _)| trouble.clone());
        Following::Part(count, all, format!("none on {node}: {why}"))
    }

    fn nobody_follows(&self, now: f64) -> Following {
        // Pods that have just started are no bad news.
        if self.starting || !self.followed && now - self.since.max(self.there_since) < GRACE {
            return Following::NotAsked;
        }
        let nobody = || silence(self.gateways.values(), now);
        Following::None(self.trouble.as_ref().map_or_else(nobody, |(trouble, _)| trouble.clone()))
    }

    /// Notes how far gateways are. Whether one is further than it should be.
    fn catch_up(&mut self, gateways: &BTreeMap<String, Gateway>) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let before = self.transitions;
        for heard in gateways.values().filter_map(|gateway| gateway.heard.as_ref()).filter(|heard| heard.is_sane()) {
            self.highest = self.highest.max(heard.version.generation);
            if heard.version > wanted.version {
                self.transitions = self.transitions.max(heard.version.transitions + 1);
            }
        }
        self.transitions != before
    }

    /// The same words for a while: a network may find another excuse every time. Not those of a gateway that has just started, which
    /// nobody was told.
    fn trouble(&mut self, trouble: Option<String>, now: f64) {
        let told = matches!(self.told, Some(Following::None(_) | Following::Part(..)));
        let said = self.trouble.take().filter(|(_, since)| told && now - since < SAME_WORDS);
        self.trouble = trouble.map(|trouble| said.unwrap_or((trouble, now)));
    }
}

/// Why none of these gateways follows, where none has said anything of trouble.
fn silence<'a>(mut gateways: impl Iterator<Item = &'a Gateway> + Clone, now: f64) -> String {
    let words = match gateways.clone().next() {
        _ if gateways.any(|gateway| gateway.present(now).is_some()) => {
            "gateways follow another one, and are being told"
        }
        None => "there is no gateway pod with an address",
        Some(_) => "no gateway has been reached yet",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests;
