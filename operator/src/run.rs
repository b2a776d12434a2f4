//! Starts everything, in order, and stops it again.

use crate::caches::{Caches, Controllers, Scope};
use crate::cluster::Cluster;
use crate::gateways::address::Addresses;
use crate::health::{self, Health};
use crate::lease::{Candidate, Leadership};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::service::drains::Drains;
use crate::{Context, gateways, identity, model, plan, pool, service, target};
use anyhow::Context as _;
use kube::{Client, Config};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A connection on which nothing has come for so long is broken: longer than watches last, and than a reconcile may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Name of the lease. Operators that run different pools have one each.
fn lease_name(options: &Options) -> String {
    format!("eenn-operator-{}", options.name)
}

/// Runs until a signal, or until another operator leads.
pub async fn run(mut options: Options, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let me = options.identity().to_owned();
    // Options first: what is wrong with them is wrong on every cluster.
    let timing = options.timing().map_err(anyhow::Error::msg)?;
    let config =
        Config::infer().await.context("no way to the API server: neither in a cluster nor with a kubeconfig")?;
    let health = Arc::new(Health::default());
    health.beat();
    tokio::spawn(health::listen(options.listen, Arc::clone(&health), Arc::clone(&metrics)).await?);
    let beating = Arc::clone(&health);
    tokio::spawn(async move {
        loop {
            beating.beat();
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    let stopped = stopped()?;
    if options.no_leader_election {
        metrics.leads(true);
        return tokio::select! {
            done = work(&options, config, Leadership::alone(), &metrics, &health) => done,
            () = stopped => Ok(()),
        };
    }
    let candidate = Candidate::new(
        config.clone(),
        &options.lease_namespace,
        &lease_name(&options),
        me,
        timing,
        Arc::clone(&metrics),
    )?;
    lead(&options, candidate, config, &metrics, &health, stopped).await
}

/// Ends with the first signal to stop.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Works while it holds the lease, and gives it up at the end.
async fn lead(
    options: &Options,
    mut candidate: Candidate,
    config: Config,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
    stopped: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // A standby is as ready as it can be.
    health.ready();
    let mut stopped = std::pin::pin!(stopped);
    tokio::select! {
        () = candidate.win() => {}
        () = &mut stopped => return Ok(()),
    }
    let leadership = candidate.leadership();
    let outcome = tokio::select! {
        () = candidate.hold() => Err(anyhow::anyhow!("another operator may lead now: stopped so as not to write beside it")),
        done = work(options, config, leadership, metrics, health) => done,
        () = &mut stopped => Ok(()),
    };
    candidate.resign().await;
    outcome
}

async fn work(
    options: &Options,
    config: Config,
    leadership: Arc<Leadership>,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
) -> anyhow::Result<()> {
    let client = Client::try_from(patient(config)).context("no client")?;
    let controllers = Controllers::new(metrics);
    health.follow(controllers.clone());
    let cluster = Cluster::new(client.clone(), leadership, Arc::clone(metrics)).ending_after(options.end_after_writes);
    let identity = identity::establish(&cluster, &options.lease_namespace, &options.name).await;
    let context = Arc::new(Context {
        cluster,
        identity,
        certified: Default::default(),
        namespace: options.lease_namespace.clone(),
        serves_one_namespace: options.namespace.is_some(),
        addresses: options.pod_addresses.clone().map_or_else(Default::default, Addresses::Mapped),
        standings: Default::default(),
        measuring: Default::default(),
        image_volumes: Default::default(),
        metrics: Arc::clone(metrics),
        caches: Caches::default(),
        operator_name: options.name.clone(),
        runtime_image: options.runtime_image.clone(),
        applied: Default::default(),
        drains: Drains::lasting(
            Duration::from_secs(options.drain_seconds),
            Duration::from_secs(options.unheard_seconds),
        ),
        plan_notes: Default::default(),
        steps: Default::default(),
        tables: Default::default(),
        tried: Arc::clone(&controllers.tried),
        losses: Default::default(),
        planning: Default::default(),
    });
    let scope = options.namespace.clone().map_or(Scope::Cluster, Scope::Namespace);
    let mut watches = context.caches.watch(&client, &scope, &controllers, metrics);
    let working = async {
        context.caches.complete().await;
        health.ready();
        tracing::info!("everything has been listed");
        let every = Duration::from_secs(options.authorities_seconds.get());
        let identity = identity::keep(&context.identity, &context.cluster, &context.namespace, &options.name, every);
        tokio::join!(run_all(&context, &controllers, usize::from(options.workers)), identity);
    };
    tokio::select! {
        () = working => Ok(()),
        // They go on for ever.
        ended = watches.join_next() => anyhow::bail!("a watch has ended: {ended:?}"),
    }
}

/// What is not answered is given up: an API server that takes a request and never answers must not hold up a watch until everything is
/// listed anew. The API server ends a watch before. And nothing is sent twice: whether this process leads is asked before a write, not
/// before what the client would send again on its own a minute later; queues and watches try again anyway.
fn patient(mut config: Config) -> Config {
    (config.read_timeout, config.reset_reader_on_write) = (Some(ANSWER_WITHIN), true);
    config.default_retry = false;
    config
}

async fn run_all(context: &Arc<Context>, controllers: &Controllers, workers: usize) {
    let c = Arc::clone(context);
    let pools = Arc::clone(&controllers.pools).run(workers, move |key| {
        let context = Arc::clone(&c);
        async move { pool::reconcile(&context, &key.name).await }
    });
    let c = Arc::clone(context);
    let models = Arc::clone(&controllers.models).run(workers, move |key| {
        let context = Arc::clone(&c);
        async move { model::reconcile(&context, &key).await }
    });
    let c = Arc::clone(context);
    let targets = Arc::clone(&controllers.targets).run(workers, move |key| {
        let context = Arc::clone(&c);
        async move { target::reconcile(&context, &key).await.map(|()| None) }
    });
    // Plans take all cores, so they are made one after the other.
    let (c, told, queue) = (Arc::clone(context), Arc::clone(&controllers.services), Arc::clone(&controllers.plans));
    let plans = Arc::clone(&controllers.plans).run(1, move |key| {
        let (context, told, waiting) = (Arc::clone(&c), Arc::clone(&told), queue.waiting());
        async move { plan::reconcile(&context, &key.name, &told, waiting).await }
    });
    let c = Arc::clone(context);
    let services = Arc::clone(&controllers.services).run(workers, move |key| {
        let context = Arc::clone(&c);
        async move { service::reconcile(&context, &key).await }
    });
    let gateways = gateways::follow(Arc::clone(context), Arc::clone(&controllers.services));
    tokio::join!(pools, models, targets, plans, services, gateways);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    const BUSY: &str =
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[test]
    fn what_the_api_server_has_no_time_for_is_not_sent_again_behind_the_back_of_whoever_asks_for_leadership() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let server = std::thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            let _ = first.read(&mut [0; 4096]).unwrap();
            first.write_all(BUSY.as_bytes()).unwrap();
            drop(first);
            // Whoever tried again would have connected before it gave up.
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked = runtime.block_on(async { Client::try_from(patient(config)).unwrap().apiserver_version().await });
        assert!(asked.is_err(), "{asked:?}");
        assert!(server.join().unwrap().accept().is_err(), "it was sent again");
    }
}
