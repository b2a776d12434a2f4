//! Thinking takes its time, and may panic: it is done on threads of its own.

use super::Round;
use super::mind::{Found, PoolMind};
use super::standing::Wanted;
use crate::cache::Key;
use crate::controller::Failure;
use crate::plan::{self, Gathered};
use crate::{Context, clock};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// How time for searches passes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Pace {
    /// As it does.
    #[default]
    Real,
    /// A millisecond with each look at the clock: so the outcome does not depend on how busy the machine is.
    #[cfg(test)]
    Looks,
}

impl Pace {
    /// A clock that starts now.
    fn clock(self) -> Box<dyn Fn() -> Duration + Sync> {
        match self {
            Self::Real => {
                let began = clock::now();
                Box::new(move || Duration::from_secs_f64((clock::now() - began).max(0.0)))
            }
            #[cfg(test)]
            Self::Looks => {
                let looks = std::sync::atomic::AtomicU64::new(0);
                Box::new(move || Duration::from_millis(looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
            }
        }
    }
}

/// The drift loop for what gateways follow now.
pub(super) async fn learn(context: &Context, round: &Round) -> Result<Option<PoolMind>, Failure> {
    let Some(pool) = context.caches.pools.get(&round.pool) else { return Ok(None) };
    let held = round.wanted.iter().filter(|(_, wanted)| wanted.held);
    let held = held.map(|(key, wanted)| (key.clone(), Arc::clone(&wanted.plan))).collect();
    let Some(gathered) = plan::gather(context, &pool, &held).await? else { return Ok(None) };
    let (wanted, name) = (round.wanted.clone(), round.pool.clone());
    let made = tokio::task::spawn_blocking(move || {
        std::panic::catch_unwind(AssertUnwindSafe(|| learned(&gathered, &wanted, &name))).unwrap_or_default()
    });
    Ok(made.await.unwrap_or_default())
}

fn learned(gathered: &Gathered, wanted: &BTreeMap<Key, Wanted>, pool: &Key) -> Option<PoolMind> {
    match PoolMind::new(gathered, wanted) {
        Ok(mind) => mind,
        Err(refused) => {
            tracing::info!(pool = %pool, "rates are not followed until there are new plans: {refused}");
            None
        }
    }
}

/// Thinks on a thread of its own. A panic there costs an attempt, not the operator.
pub(super) async fn thought(
    mut mind: PoolMind,
    now: f64,
    observation: control::Observation,
    pace: Pace,
) -> (Option<PoolMind>, Found) {
    let thinking = tokio::task::spawn_blocking(move || {
        let passed = pace.clock();
        let think = || mind.think(now, &observation, &*passed);
        let found = std::panic::catch_unwind(AssertUnwindSafe(think)).unwrap_or_else(|_| mind.stumbled(now));
        (mind, found)
    });
    match thinking.await {
        Ok((mind, found)) => (Some(mind), found),
        Err(_) => (None, Found::default()),
    }
}
