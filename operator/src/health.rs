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

/// From when on a process that does not get on counts as dead; in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// A heart that did not beat for so long has stopped.
    pub pause: f64,
    /// A controller that has taken up nothing for so long, although something is due, stands still.
    pub standstill: f64,
    /// A watch that has brought nothing for so long, while others have, is broken.
    pub silence: f64,
    /// Requests that are not answered have been given up within this, and back-offs have ended; before, a watch that is heard says
    /// nothing of the others.
    pub all_back: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pause: 60.0,
            // After a reconcile's deadline another object should have been taken up long ago.
            standstill: 3.0 * DEADLINE.as_secs_f64(),
            // Every watch lists anew, and so brings something, within five quarters of that.
            silence: 3.0 * LIST_AGAIN.as_secs_f64(),
            all_back: 120.0,
        }
    }
}

/// How the process is.
#[derive(Debug, Default)]
pub struct Health {
    limits: Limits,
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
    fn trouble(&self, limits: &Limits, now: f64) -> Option<String> {
        let pause = now - self.beat;
        if pause >= limits.pause {
            return Some(format!("the runtime has not turned for {pause:.0} s"));
        }
        if let Some((name, long)) = self.standstills.iter().find(|(_, long)| *long >= limits.standstill) {
            return Some(format!("controller {name} has stood still for {long:.0} s"));
        }
        let silence = |at: &f64| now - at;
        // Heard of lately, but not just now: others have had time to be heard again, too.
        let reachable = self.heard.iter().any(|(_, at)| (limits.all_back..limits.silence / 2.0).contains(&silence(at)));
        let silent = self.heard.iter().find(|(_, at)| silence(at) >= limits.silence).filter(|_| reachable);
        silent.map(|(kind, at)| format!("nothing was heard of {kind} for {:.0} s, but of others", silence(at)))
    }
}

impl Health {
    /// With other limits than usual.
    pub fn with(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

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
        let all = self.controllers.get().map(|c| [&c.pools, &c.models, &c.targets, &c.plans, &c.services]);
        let signs = Signs {
            beat: self.beat.load(Ordering::Acquire) as f64 / 1e3,
            standstills: all.into_iter().flatten().map(|one| (one.name, one.standstill(now))).collect(),
            heard: metrics.last_heard(),
        };
        signs.trouble(&self.limits, now)
    }
}

/// Listens. The result serves for ever.
pub async fn listen(
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
    let app = app(health, metrics);
    Ok(async move { serve(listener, app).await })
}

fn app(health: Arc<Health>, metrics: Arc<Metrics>) -> Router {
    Router::new()
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
        .with_state((health, metrics))
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
    use crate::cache::Key;
    use axum::body::Body;
    use axum::http::Request;
    use std::time::Duration;
    use tokio::sync::Semaphore;
    use tower::ServiceExt as _;

    const NOW: f64 = 100_000.0;

    fn signs(standstill: f64, silences: &[f64]) -> Signs {
        let names = ["Node", "DevicePool", "EENNService"];
        let heard = names.into_iter().zip(silences).map(|(kind, silence)| (kind, NOW - silence)).collect();
        Signs { beat: NOW - 5.0, standstills: vec![("plan", standstill), ("eennservice", 0.0)], heard }
    }

    #[test]
    fn who_gets_on_is_alive() {
        assert_eq!(signs(0.0, &[1.0, 5.0, 700.0]).trouble(&Limits::default(), NOW), None);
        assert_eq!(
            signs(60.0, &[1.0, 5.0, 700.0]).trouble(&Limits::default(), NOW),
            None,
            "a reconcile may take until its deadline"
        );
        assert_eq!(
            Signs { beat: NOW, ..Signs::default() }.trouble(&Limits::default(), NOW),
            None,
            "a standby has nothing to do"
        );
    }

    #[test]
    fn who_stands_still_is_not() {
        let stopped = Signs { beat: NOW - 60.0, ..Signs::default() };
        assert_eq!(stopped.trouble(&Limits::default(), NOW), Some("the runtime has not turned for 60 s".to_owned()));
        assert_eq!(
            signs(180.0, &[]).trouble(&Limits::default(), NOW),
            Some("controller plan has stood still for 180 s".to_owned())
        );
        let one_dead = signs(0.0, &[300.0, 130.0, 1800.0]).trouble(&Limits::default(), NOW);
        assert_eq!(one_dead, Some("nothing was heard of EENNService for 1800 s, but of others".to_owned()));
    }

    #[test]
    fn an_outage_of_the_api_server_is_no_reason_to_die() {
        assert_eq!(
            signs(0.0, &[7200.0, 7300.0, 7400.0]).trouble(&Limits::default(), NOW),
            None,
            "nothing is heard of any kind"
        );
        assert_eq!(
            signs(0.0, &[1.0, 7300.0, 7400.0]).trouble(&Limits::default(), NOW),
            None,
            "the first is back, the others follow"
        );
        assert_eq!(signs(0.0, &[30.0, 2.0, 7400.0]).trouble(&Limits::default(), NOW), None);
    }

    /// What `/healthz` says.
    async fn asked(health: &Arc<Health>, metrics: &Arc<Metrics>) -> (StatusCode, String) {
        let request = Request::get("/healthz").body(Body::empty()).expect("it is a request");
        let answer = app(Arc::clone(health), Arc::clone(metrics)).oneshot(request).await.expect("it always answers");
        let (head, body) = answer.into_parts();
        let text = axum::body::to_bytes(body, 10_000).await.expect("it is short");
        (head.status, String::from_utf8(text.to_vec()).expect("it is text"))
    }

    #[tokio::test]
    async fn a_controller_that_gets_stuck_is_told_and_one_that_goes_on_is_well() {
        let metrics = Arc::new(Metrics::default());
        let health = Arc::new(Health::with(Limits { standstill: 0.2, ..Limits::default() }));
        let controllers = Controllers::new(&metrics);
        health.follow(controllers.clone());
        health.beat();
        let gate = Arc::new(Semaphore::new(0));
        let passing = Arc::clone(&gate);
        let plans = Arc::clone(&controllers.plans).run(1, move |_| {
            let gate = Arc::clone(&passing);
            async move {
                gate.acquire().await.expect("it is not closed").forget();
                Ok(None)
            }
        });
        let working = tokio::spawn(plans);
        assert_eq!(asked(&health, &metrics).await, (StatusCode::OK, "ok".to_owned()), "there is nothing to do");
        ["a", "b"].into_iter().for_each(|name| controllers.plans.add(Key::new("", name)));
        let stuck = until(|| asked(&health, &metrics), StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(stuck.starts_with("controller plan has stood still for"), "{stuck}");
        gate.add_permits(2);
        assert_eq!(until(|| asked(&health, &metrics), StatusCode::OK).await, "ok");
        working.abort();
    }

    #[tokio::test]
    async fn every_controller_counts() {
        for index in 0..5 {
            let metrics = Arc::new(Metrics::default());
            let health = Arc::new(Health::with(Limits { standstill: 0.2, ..Limits::default() }));
            let of = Controllers::new(&metrics);
            health.follow(of.clone());
            health.beat();
            let stuck = [&of.pools, &of.models, &of.targets, &of.plans, &of.services][index];
            let working = tokio::spawn(Arc::clone(stuck).run(1, |_| std::future::pending()));
            stuck.add(Key::new("", "a"));
            let told = until(|| asked(&health, &metrics), StatusCode::SERVICE_UNAVAILABLE).await;
            assert!(told.starts_with(&format!("controller {} has", stuck.name)), "{told}");
            working.abort();
        }
    }

    #[tokio::test]
    async fn a_watch_that_is_silent_while_others_are_not_is_told() {
        let (metrics, health) = (Arc::new(Metrics::default()), Arc::new(Health::default()));
        health.beat();
        let heard = |kind, ago| metrics.heard(kind, clock::now() - ago);
        heard("Node", 2_000.0);
        heard("EENNService", 2_000.0);
        assert_eq!(asked(&health, &metrics).await.0, StatusCode::OK, "the API server is away");
        heard("EENNService", 200.0);
        let (code, text) = asked(&health, &metrics).await;
        assert!(code == StatusCode::SERVICE_UNAVAILABLE && text.starts_with("nothing was heard of Node"), "{text}");
        heard("Node", 0.0);
        assert_eq!(asked(&health, &metrics).await.0, StatusCode::OK);
    }

    /// Asks until the answer has this status.
    async fn until<A: Future<Output = (StatusCode, String)>>(asked: impl Fn() -> A, wanted: StatusCode) -> String {
        for _ in 0..600 {
            let (code, text) = asked().await;
            if code == wanted {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not {wanted} within half a minute");
    }
}
