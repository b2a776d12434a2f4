//! Which certificates services were given. The operator cannot see the Secrets, so it makes sure of them every so often: where they are
//! what they should be, that changes nothing.

use super::build::access;
use super::labels;
use crate::Context;
use crate::cache::Key;
use crate::controller::Failure;
use crate::identity;
use api::EENNService;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// A Secret that somebody has deleted is back after so long, at the latest.
pub const AGAIN: Duration = Duration::from_secs(3600);
/// And where pods may be waiting for it after so long, then twice as long and so on.
pub const SOON: Duration = Duration::from_secs(120);

/// What services were given last.
#[derive(Debug, Default)]
pub struct Certified(Mutex<BTreeMap<Key, Given>>);

#[derive(Debug, Clone, PartialEq)]
struct Given {
    /// Hash of it.
    hash: String,
    /// When.
    at: f64,
    /// How often it was given again soon.
    times: i32,
}

impl Certified {
    /// A service is gone.
    pub fn forget(&self, service: &Key) {
        self.0.lock().expect("nothing panics while it holds times").remove(service);
    }

    /// Whether this process has given it one.
    pub fn knows(&self, service: &Key) -> bool {
        self.0.lock().expect("nothing panics while it holds times").contains_key(service)
    }

    /// Whether it should be given its certificate now.
    pub fn is_due(&self, service: &Key, hash: &str, wait: Duration, now: f64) -> bool {
        let all = self.0.lock().expect("nothing panics while it holds times");
        let wait = |given: &Given| (wait.as_secs_f64() * 2f64.powi(given.times)).min(AGAIN.as_secs_f64());
        all.get(service).is_none_or(|given| given.hash != hash || now - given.at >= wait(given))
    }

    /// It was given one.
    pub fn given(&self, service: Key, hash: String, now: f64) {
        let mut all = self.0.lock().expect("nothing panics while it holds times");
        let before = all.get(&service).filter(|given| given.hash == hash && now - given.at < AGAIN.as_secs_f64());
        let times = before.map_or(0, |given| given.times.saturating_add(1));
        all.insert(service, Given { hash, at: now, times });
    }
}

/// Gives a service its certificate. `waiting`: whether some of its pods are not ready.
pub async fn certify(context: &Context, service: &EENNService, waiting: bool, now: f64) -> Result<(), Failure> {
    let key = Key::of(service);
    let pem = context
        .identity
        .of_service(&key.name, &key.namespace, &service.uid().unwrap_or_default(), identity::now())
        .map_err(Failure::Certificate)?;
    let hash = labels::hash_of(&[&pem.certificate[..], &pem.key, &pem.authorities].concat());
    if !context.certified.is_due(&key, &hash, if waiting { SOON } else { AGAIN }, now) {
        return Ok(());
    }
    let is_new = service.status.as_ref().is_none_or(|status| status.last_plan_generation == 0);
    context.cluster.put_secret(&key.namespace, &access::certificates(service, &pem), is_new).await?;
    context.certified.given(key, hash, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_given_when_it_changes_and_made_sure_of_every_so_often() {
        let (certified, key) = (Certified::default(), Key::new("a", "camera"));
        assert!(certified.is_due(&key, "x", AGAIN, 0.0));
        certified.given(key.clone(), "x".to_owned(), 0.0);
        assert!(!certified.is_due(&key, "x", AGAIN, 3599.0) && certified.is_due(&key, "x", AGAIN, 3600.0));
        assert!(certified.is_due(&key, "x", SOON, 120.0) && !certified.is_due(&key, "x", SOON, 119.0));
        // Twice as long every time.
        certified.given(key.clone(), "x".to_owned(), 120.0);
        assert!(certified.is_due(&key, "x", SOON, 360.0) && !certified.is_due(&key, "x", SOON, 359.0));
        certified.given(key.clone(), "x".to_owned(), 360.0);
        assert!(certified.is_due(&key, "x", SOON, 840.0) && !certified.is_due(&key, "x", SOON, 839.0));
        // It was well for an hour, and then it was not.
        certified.given(key.clone(), "x".to_owned(), 4440.0);
        assert!(certified.is_due(&key, "x", SOON, 4560.0));
        assert!(certified.is_due(&key, "y", AGAIN, 1.0));
        assert!(certified.knows(&key));
        certified.forget(&key);
        assert!(!certified.knows(&key) && certified.is_due(&key, "x", AGAIN, 1.0));
    }
}
