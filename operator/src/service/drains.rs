//! How long what nobody needs any more stays, so that jobs on their way are finished. Pure but for what it remembers.

use crate::cache::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// What is not needed any more may finish the jobs that it has: for so long at least, and for as long as jobs of the service may take where it says so.
pub const DRAIN: Duration = Duration::from_secs(30);

/// What gateways of before may need stays for so long where one that takes requests cannot be asked: that it cannot be reached from here does not mean
/// that it serves nobody.
pub const UNHEARD: Duration = Duration::from_secs(600);

/// Since when Deployments are not needed any more: fragments are sent no jobs, and requests find other gateways.
#[derive(Debug)]
pub struct Drains {
    since: Mutex<BTreeMap<Key, BTreeMap<String, f64>>>,
    lasts: Duration,
    /// How long gateways are waited for that cannot be asked.
    pub unheard: Duration,
}

impl Default for Drains {
    fn default() -> Self {
        Self::lasting(DRAIN, UNHEARD)
    }
}

impl Drains {
    /// Each takes so long; `unheard`: how long gateways are waited for that cannot be asked.
    pub fn lasting(lasts: Duration, unheard: Duration) -> Self {
        Self { since: Mutex::default(), lasts, unheard }
    }

    /// A service is gone, and all with it.
    pub fn forget(&self, service: &Key) {
        self.since.lock().expect("nothing panics while it holds times").remove(service);
    }

    /// As if these had been drained long ago.
    #[cfg(test)]
    pub(crate) fn begun(&self, service: &Key, names: &[String]) {
        let long_ago = names.iter().map(|name| (name.clone(), -1000.0)).collect();
        self.since.lock().expect("nothing panics while it holds times").insert(service.clone(), long_ago);
    }

    /// Whether all of these have begun to drain.
    pub fn drain(&self, service: &Key, names: &BTreeSet<String>) -> bool {
        let all = self.since.lock().expect("nothing panics while it holds times");
        all.get(service).is_some_and(|since| names.iter().all(|name| since.contains_key(name)))
    }

    /// These are needed, for now: should they be old again, they start anew.
    pub fn needed(&self, service: &Key, current: &BTreeSet<String>) {
        let mut all = self.since.lock().expect("nothing panics while it holds times");
        if let Some(since) = all.get_mut(service) {
            since.retain(|name, _| !current.contains(name));
        }
    }

    /// Those of `old` that have been drained, and when the next one will have. `jobs_take`: what the jobs of one may take.
    pub fn drained(
        &self,
        service: &Key,
        old: &BTreeSet<String>,
        jobs_take: impl Fn(&str) -> Duration,
        now: f64,
    ) -> (BTreeSet<String>, Option<Duration>) {
        let mut all = self.since.lock().expect("nothing panics while it holds times");
        let since = all.entry(service.clone()).or_default();
        since.retain(|name, _| old.contains(name));
        old.iter().for_each(|name| {
            since.entry(name.clone()).or_insert(now);
        });
        let left = |name: &str, since: f64| since + self.lasts.max(jobs_take(name)).as_secs_f64() - now;
        let left: Vec<(&String, f64)> = since.iter().map(|(name, since)| (name, left(name, *since))).collect();
        let done = left.iter().filter(|(_, left)| *left <= 0.0).map(|(name, _)| (*name).clone()).collect();
        let next = left.iter().map(|(_, left)| *left).filter(|left| *left > 0.0).min_by(f64::total_cmp);
        (done, next.map(Duration::from_secs_f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_deployments_are_drained_for_half_a_minute_each() {
        let (drains, key) = (Drains::default(), Key::new("a", "camera"));
        let drained = |old: &BTreeSet<String>, now| drains.drained(&key, old, |_| Duration::ZERO, now);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(drained(&names(&["x"]), 0.0), (names(&[]), Some(DRAIN)));
        assert_eq!(drained(&names(&["x", "y"]), 20.0), (names(&[]), Some(Duration::from_secs(10))));
        assert_eq!(drained(&names(&["x", "y"]), 30.0), (names(&["x"]), Some(Duration::from_secs(20))));
        // Needed again, and then not.
        assert_eq!(drained(&names(&[]), 31.0), (names(&[]), None));
        assert_eq!(drained(&names(&["y"]), 60.0), (names(&[]), Some(DRAIN)));
        assert!(drains.drain(&key, &names(&["y"])) && !drains.drain(&key, &names(&["x", "y"])));
        drains.needed(&key, &names(&["y", "z"]));
        assert_eq!(drained(&names(&["y"]), 90.0), (names(&[]), Some(DRAIN)));
    }

    #[test]
    fn where_jobs_may_take_longer_they_are_waited_for() {
        let (drains, key) = (Drains::default(), Key::new("a", "camera"));
        let old: BTreeSet<String> = ["slow", "quick"].map(str::to_owned).into();
        let minutes = |name: &str| Duration::from_secs(if name == "slow" { 120 } else { 1 });
        let drained = |now| drains.drained(&key, &old, minutes, now);
        assert_eq!(drained(0.0), (BTreeSet::new(), Some(DRAIN)));
        assert_eq!(drained(30.0), (["quick".to_owned()].into(), Some(Duration::from_secs(90))));
        assert_eq!(drained(120.0), (old.clone(), None));
    }
}
