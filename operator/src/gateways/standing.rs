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
mod tests {
    use super::*;
    use serde_json::json;

    fn version(generation: u64) -> PolicyVersion {
        PolicyVersion { transitions: 1, generation }
    }

    fn wanted(generation: u64, node: &str) -> Wanted {
        let plan = json!({
            "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNPlan", "metadata": { "name": format!("camera-{generation}") },
            "spec": {
                "serviceRef": { "name": "camera" }, "generation": generation, "reason": "", "policy": "", "choices": [],
                "forecast": [], "predicted": [],
                "chains": [{ "name": node, "fragments": [{ "node": node, "firstSegment": 1, "lastSegment": 6 }] }],
            },
        });
        let plan = Arc::new(serde_json::from_value(plan).expect("it is a plan"));
        Wanted {
            pool: Key::new("", "edge"),
            plan,
            version: version(generation),
            policies: BTreeMap::new(),
            fragments: vec![node.into()],
            placement: 0,
            nodes: BTreeSet::new(),
            held: false,
        }
    }

    /// Gateways on nodes that are called as they are.
    fn said(at: f64, generations: &[(&str, Option<u64>)]) -> BTreeMap<String, Gateway> {
        let gateway = |(pod, generation): &(&str, Option<u64>)| {
            let heard = generation.map(|one| Heard { at, version: version(one) });
            ((*pod).to_owned(), Gateway { node: pod[..1].to_owned(), heard })
        };
        generations.iter().map(gateway).collect()
    }

    fn lags(standings: &Standings, now: f64) -> bool {
        standings.lags(&Key::new("a", "camera"), &["x".to_owned()].into(), 30.0, now)
    }

    #[test]
    fn gateways_follow_once_one_of_them_says_so() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        assert_eq!(standings.following(&key, 0.0), Following::NotAsked);
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
        assert_eq!(standings.following(&key, 0.0), Following::NotAsked);
        standings.heard(&key, said(0.5, &[]), None, 0.5);
        assert_eq!(standings.following(&key, 0.5), Following::NotAsked, "pods that have just started are no bad news");
        assert!(standings.heard(&key, said(15.5, &[]), None, 15.5), "time alone can make it so");
        assert_eq!(
            standings.following(&key, 15.5),
            Following::None("there is no gateway pod with an address".to_owned())
        );
        assert!(standings.heard(&key, said(16.0, &[("x", None), ("y", None)]), Some("x refused".to_owned()), 16.0));
        assert_eq!(standings.following(&key, 16.0), Following::NotAsked, "these have just started");
        assert_eq!(standings.following(&key, 31.0), Following::None("x refused".to_owned()));
        assert!(standings.heard(&key, said(32.0, &[("x", Some(1)), ("y", None)]), None, 32.0));
        assert_eq!(standings.following(&key, 32.0), Following::Some(1, 2));
        assert!(!standings.heard(&key, said(33.0, &[("x", Some(1)), ("y", None)]), None, 33.0), "that is no news");
        // What was said long ago is not true for ever.
        assert!(matches!(standings.following(&key, 48.5), Following::None(_)));
    }

    #[test]
    fn gateways_follow_only_where_one_does_on_each_node_with_sources() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        let both = |generation| Wanted { nodes: ["a", "b"].map(str::to_owned).into(), ..wanted(generation, "pi") };
        let heard = |now: f64, said: BTreeMap<String, Gateway>, trouble: Option<&str>| {
            standings.heard(&key, said, trouble.map(str::to_owned), now);
            standings.following(&key, now)
        };
        let part = |count, all, why: &str| Following::Part(count, all, why.to_owned());
        standings.want(&key, both(1), Fragments::Ready, 0.0);
        let first = |now| heard(now, said(now, &[("a1", Some(1)), ("b1", None)]), None);
        assert_eq!(first(1.0), Following::NotAsked, "the other has just started");
        assert_eq!(first(16.0), part(1, 2, "none on b: no gateway has been reached yet"));
        let all = |now| heard(now, said(now, &[("a1", Some(1)), ("b1", Some(1))]), None);
        assert_eq!(all(17.0), Following::Some(2, 2));
        // A second one starts, or is replaced, where one serves.
        let more = |now| heard(now, said(now, &[("a1", Some(1)), ("b1", Some(1)), ("b2", None)]), Some("b2 is silent"));
        assert_eq!((more(18.0), more(100.0)), (Following::Some(2, 3), Following::Some(2, 3)));
        // One refuses what comes next.
        standings.want(&key, both(2), Fragments::Ready, 101.0);
        let refuses = |now| heard(now, said(now, &[("a1", Some(2)), ("b1", Some(1))]), Some("b refused"));
        assert_eq!(refuses(117.0), part(1, 2, "none on b: b refused"));
        assert_eq!(heard(118.0, said(118.0, &[("a1", Some(2))]), None), Following::NotAsked, "it may be replaced");
        let alone = heard(134.0, said(134.0, &[("a1", Some(2))]), None);
        assert_eq!(alone, part(1, 1, "none on b: there is no gateway pod with an address"));
        // Sources are on the other node only.
        let one = Wanted { nodes: ["a".to_owned()].into(), ..wanted(2, "pi") };
        standings.want(&key, one, Fragments::Ready, 135.0);
        assert_eq!(standings.following(&key, 135.0), Following::Some(1, 1));
    }

    #[test]
    fn what_was_counted_is_not_true_for_ever() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        let counted = || Said::Counted(api::status::Metrics::default());
        // A status that another process has written stays for a while, also of a service whose gateways nobody asks.
        assert_eq!(
            (standings.last_observed(&key, 100.0), standings.last_observed(&key, 1_300.0)),
            (Said::Nothing, Said::TooFew)
        );
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 100.0);
        assert!(standings.observed(&key, counted(), 1_300.0) && !standings.observed(&key, counted(), 1_600.0));
        assert!(!standings.observed(&key, Said::Nothing, 1_601.0), "it stays");
        assert_eq!(standings.last_observed(&key, 2_700.0), counted());
        assert_eq!(standings.last_observed(&key, 2_900.0), Said::TooFew, "nobody has asked since");
        assert!(standings.observed(&key, Said::TooFew, 2_901.0) && !standings.observed(&key, Said::TooFew, 3_501.0));
        assert_eq!(standings.last_observed(&key, 3_502.0), Said::TooFew);
    }

    #[test]
    fn gateways_are_not_missed_before_there_is_anything_to_send_jobs_to() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        let silent = |standings: &Standings, now: f64| {
            standings.heard(&key, said(now, &[("x", None)]), Some("x refused".to_owned()), now)
        };
        standings.want(&key, wanted(1, "pi"), Fragments::Starting, 0.0);
        assert!(!silent(&standings, 1.0) && !silent(&standings, 60.0), "fragments are not ready");
        // A gateway that a process before has started follows what it should all the same.
        assert!(standings.heard(&key, said(61.0, &[("x", Some(1))]), None, 61.0));
        assert_eq!(standings.following(&key, 61.0), Following::Some(1, 1));
        let standings = Standings::default();
        standings.want(&key, wanted(1, "pi"), Fragments::Starting, 0.0);
        assert!(!silent(&standings, 1.0));
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 60.0);
        assert!(!silent(&standings, 61.0) && silent(&standings, 76.0), "their time starts when fragments are ready");
        // One that is not ready for a moment does not make it a beginning.
        standings.want(&key, wanted(1, "pi"), Fragments::Starting, 77.0);
        assert!(matches!(standings.following(&key, 77.0), Following::None(_)));
    }

    #[test]
    fn what_others_have_seen_meanwhile_is_news_again() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
        assert!(standings.heard(&key, said(1.0, &[("x", Some(1))]), None, 1.0));
        // Nobody asks for a while; whoever reports then finds nobody.
        assert!(matches!(standings.following(&key, 20.0), Following::None(_)));
        assert!(standings.heard(&key, said(20.0, &[("x", Some(1))]), None, 20.0));
    }

    #[test]
    fn time_alone_makes_silence_news() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
        let silent = |now: f64| standings.heard(&key, said(now, &[("x", None)]), Some("x refused".to_owned()), now);
        assert!(!silent(1.0) && !silent(14.0), "it has just started");
        assert!(silent(17.0) && !silent(18.0));
        assert_eq!(standings.following(&key, 18.0), Following::None("x refused".to_owned()));
    }

    #[test]
    fn a_new_policy_is_given_some_seconds() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
        standings.heard(&key, said(1.0, &[("x", Some(1))]), None, 1.0);
        standings.want(&key, wanted(2, "pi"), Fragments::Replacing, 2.0);
        standings.heard(&key, said(3.0, &[("x", Some(1))]), None, 3.0);
        assert_eq!(standings.following(&key, 3.0), Following::Some(1, 1));
        assert!(lags(&standings, 3.0) && !standings.are_told(&key, 2, 3.0) && standings.are_told(&key, 2, 18.0));
        standings.heard(&key, said(20.0, &[("x", Some(1))]), Some("the disk is full".to_owned()), 20.0);
        standings.heard(&key, said(20.0, &[("x", Some(1))]), Some("or so".to_owned()), 20.5);
        assert_eq!(standings.following(&key, 20.0), Following::None("the disk is full".to_owned()));
        standings.heard(&key, said(21.0, &[("x", Some(2))]), None, 21.0);
        assert!(!lags(&standings, 21.0) && standings.are_told(&key, 2, 21.0) && !standings.are_told(&key, 3, 21.0));
        // One that says nothing any more, but takes requests, is waited for; not for ever.
        standings.want(&key, wanted(3, "box"), Fragments::Ready, 22.0);
        assert!(lags(&standings, 22.0) && lags(&standings, 51.0) && !lags(&standings, 52.0));
        // One that takes none is not.
        assert!(!standings.lags(&key, &BTreeSet::new(), 30.0, 51.0));
    }

    #[test]
    fn a_gateway_that_is_ahead_does_not_follow_and_is_overtaken() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        standings.want(&key, wanted(3, "pi"), Fragments::Ready, 0.0);
        assert_eq!((standings.transitions(&key), standings.highest_heard(&key)), (0, 0));
        let gateway = |heard| Gateway { node: "x".to_owned(), heard: Some(heard) };
        let ahead = Heard { at: 1.0, version: PolicyVersion { transitions: 4, generation: 6 } };
        assert!(standings.heard(&key, [("x".to_owned(), gateway(ahead))].into(), None, 1.0), "it has to be overtaken");
        assert_eq!((standings.transitions(&key), standings.highest_heard(&key)), (5, 6));
        assert!(lags(&standings, 1.0));
        assert!(matches!(standings.following(&key, 20.0), Following::None(_)));
    }

    #[test]
    fn another_placement_waits_for_its_fragments() {
        let (standings, key) = (Standings::default(), Key::new("a", "camera"));
        let generation = || standings.of_pool(&Key::new("", "edge"))[&key].version.generation;
        standings.want(&key, wanted(1, "pi"), Fragments::Replacing, 0.0);
        assert!(standings.of_pool(&Key::new("", "edge")).is_empty());
        standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
        let held = || standings.of_pool(&Key::new("", "edge"))[&key].held;
        assert!(!held());
        standings.want(&key, wanted(2, "box"), Fragments::Replacing, 1.0);
        assert_eq!((generation(), held()), (1, true), "no other policy is made for what is left");
        standings.want(&key, wanted(2, "box"), Fragments::Ready, 2.0);
        assert_eq!((generation(), held()), (2, false));
        // Fewer of the same are there already; more are not.
        let both = || Wanted { fragments: vec!["box".into(), "pi".into()], ..wanted(3, "box") };
        standings.want(&key, both(), Fragments::Replacing, 3.0);
        assert_eq!(generation(), 2);
        standings.want(&key, both(), Fragments::Ready, 4.0);
        standings.want(&key, wanted(4, "pi"), Fragments::Replacing, 5.0);
        assert_eq!(generation(), 4);
        standings.hold(&key);
        assert!(held(), "it is paused");
        let told =
            Wanted { policies: [("camera-g-1".to_owned(), "{}".into())].into(), placement: 7, ..wanted(5, "pi") };
        standings.want(&key, told, Fragments::Ready, 6.0);
        assert_eq!(standings.at(&key, 7), BTreeSet::from(["camera-g-1".to_owned()]));
        assert_eq!(standings.at(&key, 8), BTreeSet::new(), "it may be another model there");
        assert!(standings.of_pool(&Key::new("", "other")).is_empty());
        standings.forget(&key);
        assert_eq!(standings.following(&key, 3.0), Following::NotAsked);
    }
}
