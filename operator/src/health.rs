//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Alive is who gets on with things: the runtime turns, objects that are due are looked at and left again, watches bring something.
//! A plain outage of the API server is no reason to die, so it is not asked here; and where no watch brings anything, it is away.

use crate::cache::LIST_AGAIN;
use crate::caches::Controllers;
use crate::clock;
use crate::controller::DEADLINE;
use crate::metrics::Metrics;
use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, serve};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

/// A heart that did not beat for so long has stopped; in seconds.
const LONGEST_PAUSE: f64 = 60.0;
/// After a reconcile's deadline another object should have been taken up long ago.
const LONGEST_STANDSTILL: f64 = 3.0 * DEADLINE.as_secs() as f64;
/// Every watch lists anew, and so brings something, within five quarters of [`LIST_AGAIN`].
const LONGEST_SILENCE: f64 = 3.0 * LIST_AGAIN.as_secs() as f64;
/// Back-offs of watches end within this; before, one that is heard says nothing of the others.
const ALL_BACK: f64 = 120.0;

/// How the process is.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    /// Milliseconds on the process clock.
    beat: AtomicU64,
    controllers: OnceLock<Controllers>,
}

/// What tells a process that works from one that does not; times in seconds on the process clock.
#[derive(Debug, Clone, Default, PartialEq)]
struct Signs {
    /// When the runtime last turned.
    beat: f64,
    /// For how long each controller has stood still.
    standstills: Vec<(&'static str, f64)>,
    /// When each watch last brought something.
    heard: Vec<(&'static str, f64)>,
}

impl Signs {
    /// What does not get on, if anything.
    fn trouble(&self, now: f64) -> Option<String> {
        let pause = now - self.beat;
        if pause >= LONGEST_PAUSE {
            return Some(format!("the runtime has not turned for {pause:.0} s"));
        }
        if let Some((name, long)) = self.standstills.iter().find(|(_, long)| *long >= LONGEST_STANDSTILL) {
            return Some(format!("controller {name} has stood still for {long:.0} s"));
        }
        let silence = |at: &f64| now - at;
        // Heard of lately, but not just now: others have had time to be heard again, too.
        let reachable = self.heard.iter().any(|(_, at)| (ALL_BACK..LONGEST_SILENCE / 2.0).contains(&silence(at)));
        let silent = self.heard.iter().find(|(_, at)| silence(at) >= LONGEST_SILENCE).filter(|_| reachable);
        silent.map(|(kind, at)| format!("nothing was heard of {kind} for {:.0} s, but of others", silence(at)))
    }
}

impl Health {
    /// Everything has been listed.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The runtime gets on with things.
    pub fn beat(&self) {
        self.beat.store((clock::now() * 1e3) as u64, Ordering::Release);
    }

    /// These have to get on with things from now on. The first ones count.
    pub fn follow(&self, controllers: Controllers) {
        let _ = self.controllers.set(controllers);
    }

    fn trouble(&self, metrics: &Metrics) -> Option<String> {
        let now = clock::now();
        let all = self.controllers.get().map(|c| [&c.pools, &c.models, &c.plans, &c.services]);
        let signs = Signs {
            beat: self.beat.load(Ordering::Acquire) as f64 / 1e3,
            standstills: all.into_iter().flatten().map(|one| (one.name, one.standstill(now))).collect(),
            heard: metrics.last_heard(),
        };
        signs.trouble(now)
    }
}

/// Listens. The result serves for ever.
pub async fn listen(
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
    let app = Router::new()
        .route(
            "/healthz",
            get(|State((health, metrics)): State<(Arc<Health>, Arc<Metrics>)>| async move {
                answer(health.trouble(&metrics))
            }),
        )
        .route(
            "/readyz",
            get(|State((health, _)): State<(Arc<Health>, Arc<Metrics>)>| async move {
                let waits = !health.ready.load(Ordering::Acquire);
                answer(waits.then(|| "not everything has been listed yet".to_owned()))
            }),
        )
        .route(
            "/metrics",
            get(|State((_, metrics)): State<(Arc<Health>, Arc<Metrics>)>| async move {
                ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
            }),
        )
        .with_state((health, metrics));
    Ok(async move { serve(listener, app).await })
}

fn answer(trouble: Option<String>) -> impl IntoResponse {
    match trouble {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 100_000.0;

    fn signs(standstill: f64, silences: &[f64]) -> Signs {
        let names = ["Node", "DevicePool", "EENNService"];
        let heard = names.into_iter().zip(silences).map(|(kind, silence)| (kind, NOW - silence)).collect();
        Signs { beat: NOW - 5.0, standstills: vec![("plan", standstill), ("eennservice", 0.0)], heard }
    }

    #[test]
    fn who_gets_on_is_alive() {
        assert_eq!(signs(0.0, &[1.0, 5.0, 700.0]).trouble(NOW), None);
        assert_eq!(signs(60.0, &[1.0, 5.0, 700.0]).trouble(NOW), None, "a reconcile may take until its deadline");
        assert_eq!(Signs { beat: NOW, ..Signs::default() }.trouble(NOW), None, "a standby has nothing to do");
    }

    #[test]
    fn who_stands_still_is_not() {
        let stopped = Signs { beat: NOW - 60.0, ..Signs::default() };
        assert_eq!(stopped.trouble(NOW), Some("the runtime has not turned for 60 s".to_owned()));
        assert_eq!(signs(180.0, &[]).trouble(NOW), Some("controller plan has stood still for 180 s".to_owned()));
        let one_dead = signs(0.0, &[300.0, 130.0, 1800.0]).trouble(NOW);
        assert_eq!(one_dead, Some("nothing was heard of EENNService for 1800 s, but of others".to_owned()));
    }

    #[test]
    fn an_outage_of_the_api_server_is_no_reason_to_die() {
        assert_eq!(signs(0.0, &[7200.0, 7300.0, 7400.0]).trouble(NOW), None, "nothing is heard of any kind");
        assert_eq!(signs(0.0, &[1.0, 7300.0, 7400.0]).trouble(NOW), None, "the first is back, the others follow");
        assert_eq!(signs(0.0, &[30.0, 2.0, 7400.0]).trouble(NOW), None);
    }
}
