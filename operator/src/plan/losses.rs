//! Pools that have lost nodes: gateways are told to do without before anything is planned.

use crate::cache::Key;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Gateways are waited for no longer than this, in seconds: some may be gone with their node.
const LONGEST: f64 = 5.0;

/// When pools lost nodes that jobs went over, on the clock of the process.
#[derive(Debug, Default)]
pub struct Losses(Mutex<BTreeMap<Key, f64>>);

impl Losses {
    /// A pool has policies without a node that is gone. More of them do not make it wait longer.
    pub fn happened(&self, pool: &Key, now: f64) {
        self.0.lock().expect("nothing panics while it holds times").entry(pool.clone()).or_insert(now);
    }

    /// Whether a pool is to be planned for later, since its gateways have not been `told` yet.
    pub fn wait(&self, pool: &Key, now: f64, told: impl FnOnce() -> bool) -> bool {
        let mut all = self.0.lock().expect("nothing panics while it holds times");
        let Some(since) = all.get(pool) else { return false };
        let wait = now - since < LONGEST && !told();
        if !wait {
            all.remove(pool);
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planning_waits_until_gateways_are_told_but_not_for_ever() {
        let (losses, pool) = (Losses::default(), Key::new("", "edge"));
        assert!(!losses.wait(&pool, 0.0, || false), "nothing was lost");
        losses.happened(&pool, 0.0);
        assert!(losses.wait(&pool, 1.0, || false));
        assert!(!losses.wait(&pool, 1.5, || true));
        assert!(!losses.wait(&pool, 1.6, || false), "that is over");
        losses.happened(&pool, 2.0);
        losses.happened(&pool, 3.0);
        assert!(losses.wait(&pool, 6.9, || false) && !losses.wait(&pool, 7.0, || false));
    }
}
