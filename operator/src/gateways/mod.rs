//! Gateways that serve are told which policy to follow, and what they tell decides about the next one.
//!
//! The operator dials the pods of services, each by its address, and makes sure that it is one of the service. Every second it asks
//! how they are; a gateway that follows an older policy than it should is given the newer one. The drift loop of local mode
//! decides when new policies are worth making; they are stored as EENNPlans first and sent when they have come back from there.
//!
//! * [`observed`]: what they have counted, for the status of services.
//! * [`standing`]: who should follow what, and does. [`link`]: one pod. [`address`]: where it is. [`mind`]: the drift loop.
//! * [`follow`] does all of it, and thinks on threads of its own.

pub mod address;
pub mod link;
pub mod mind;
pub mod observed;
pub mod standing;
mod thinking;

use crate::cache::Key;
use crate::controller::{Controller, Failure};
use crate::plan;
use crate::pods::Pod;
use crate::{Context, clock};
use address::Book;
use futures::future::join_all;
use link::{Link, Reading, Role, Target};
use mind::{Basis, Found, PoolMind};
use observed::Observed;
use standing::{Gateway, Heard, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use thinking::Pace;
use thinking::{learn, thought};
use tokio::task::{Id, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio::time::error::Elapsed;
use tracing::Instrument as _;
use wire::document::{DeviceTelemetry, GatewayTelemetry};

/// Pods of a pool that are dialled at a time: each takes memory until it answers, and those that are away do not.
const MOST_DIALLED: usize = 8;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A look that takes longer is given up: requests and searches end long before.
const LONGEST_LOOK: Duration = Duration::from_secs(300);

/// Looks after the gateways of all pools, for ever. Each pool has its own pace: one that thinks, or whose pods answer late, holds
/// up no other.
pub async fn follow(context: Arc<Context>, services: Arc<Controller<Key>>) {
    let mut at_home: BTreeMap<Key, Follower> = BTreeMap::new();
    let mut out: JoinSet<Result<Follower, Elapsed>> = JoinSet::new();
    let mut pools: BTreeMap<Id, Key> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        while let Some(done) = out.try_join_next_with_id() {
            match done {
                Ok((id, Ok(follower))) => at_home.extend(pools.remove(&id).map(|pool| (pool, follower))),
                Ok((id, Err(_))) => starts_anew(&context, pools.remove(&id), "took too long"),
                Err(error) => starts_anew(&context, pools.remove(&error.id()), "panicked"),
            }
        }
        let book = Arc::new(context.addresses.now());
        let mut targets = targets(&context.caches.pods.all(), &book);
        let ours: Vec<Key> =
            context.caches.pools.all().iter().filter(|pool| context.runs(pool)).map(|pool| Key::of(&**pool)).collect();
        at_home.retain(|pool, _| {
            let stays = ours.contains(pool);
            if !stays {
                context.metrics.unlinked(&pool.name);
            }
            stays
        });
        for pool in ours.into_iter().filter(|pool| !pools.values().any(|out| out == pool)).collect::<Vec<_>>() {
            let follower = at_home.remove(&pool).unwrap_or_default();
            let round = Round::of(&context, &pool, &mut targets, &book);
            let look = follower.look(Arc::clone(&context), Arc::clone(&services), round);
            let handle = out.spawn(tokio::time::timeout(LONGEST_LOOK, look));
            pools.insert(handle.id(), pool);
        }
    }
}

/// A look at a pool has not ended as it should: the next one begins with what is stored.
fn starts_anew(context: &Context, pool: Option<Key>, why: &str) {
    let Some(pool) = pool else { return };
    tracing::warn!(%pool, "looking after its gateways {why}; it begins anew");
    context.metrics.unlinked(&pool.name);
}

/// Pods to speak to, by service.
pub(crate) fn targets(pods: &[Arc<Pod>], book: &Book) -> BTreeMap<Key, Vec<Target>> {
    let mut targets: BTreeMap<Key, Vec<Target>> = BTreeMap::new();
    for target in pods.iter().filter_map(|pod| target(pod, book)) {
        targets.entry(target.service.clone()).or_default().push(target);
    }
    targets
}

fn target(pod: &Pod, book: &Book) -> Option<Target> {
    let role = match pod.role.as_deref()? {
        "gateway" => Role::Gateway,
        "fragment" => Role::Fragment,
        _ => return None,
    };
    if !pod.runs || pod.leaves {
        return None;
    }
    Some(Target {
        service: Key::new(&*pod.key.namespace, pod.service.as_deref()?),
        pod: pod.key.name.clone(),
        workload: pod.workload.as_deref()?.to_owned(),
        node: pod.node.as_deref()?.to_owned(),
        address: book.control(pod)?,
        role,
    })
}

/// What a look is about.
pub(crate) struct Round {
    pool: Key,
    wanted: BTreeMap<Key, Wanted>,
    targets: Vec<Target>,
    book: Arc<Book>,
}

impl Round {
    /// At a pool; takes the pods of its services from all `targets`.
    pub(crate) fn of(
        context: &Context,
        pool: &Key,
        targets: &mut BTreeMap<Key, Vec<Target>>,
        book: &Arc<Book>,
    ) -> Self {
        let wanted = context.standings.of_pool(pool);
        let targets = wanted.keys().flat_map(|service| targets.remove(service).unwrap_or_default()).collect();
        Self { pool: pool.clone(), wanted, targets, book: Arc::clone(book) }
    }
}

/// Who looks after the gateways of a pool.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// Boxed, for half of such a map is room for more.
    links: BTreeMap<(Key, String), Box<Link>>,
    mind: Option<PoolMind>,
    /// What the mind was made of, or could not be.
    basis: Basis,
    /// The newest of each pod of a fragment.
    fragments: BTreeMap<(Key, String), DeviceTelemetry>,
    observed: BTreeMap<Key, Observed>,
    /// How time for searches passes.
    pace: Pace,
}

impl Follower {
    /// One that nobody has anything to tell to yet.
    #[cfg(test)]
    pub(crate) fn with(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Asks, tells, and decides.
    pub(crate) async fn look(mut self, context: Arc<Context>, services: Arc<Controller<Key>>, round: Round) -> Self {
        self.connect(&context, &round.targets);
        let now = clock::now();
        let gateways = self.ask(&round, now, context.cluster.leads()).await;
        for service in round.wanted.keys() {
            let (heard, trouble) = self.standing(service);
            let mut news = context.standings.heard(service, heard, trouble, clock::now());
            let said = gateways.iter().filter(|(key, ..)| key == service).map(|(_, pod, said)| (pod.as_str(), said));
            let observed = self.observed.entry(service.clone()).or_default().take(now, said);
            news |= context.standings.observed(service, observed, now);
            if news {
                services.add(service.clone());
            }
        }
        self.observed.retain(|service, _| round.wanted.contains_key(service));
        context.metrics.links(&round.pool.name, self.reached());
        self.conclude(&context, &round, &gateways, now).await;
        self
    }

    /// What follows from what gateways said. Where that cannot be stored, gateways keep what they follow.
    pub(crate) async fn conclude(
        &mut self,
        context: &Arc<Context>,
        round: &Round,
        gateways: &[(Key, String, GatewayTelemetry)],
        now: f64,
    ) {
        if let Err(failure) = self.decide(context, round, gateways, now).await {
            // What was decided is not stored: decided anew from what is.
            tracing::warn!(pool = %round.pool, "{failure}; gateways keep what they follow");
            (self.mind, self.basis) = (None, Basis::default());
        }
    }

    /// Links to all targets, and to no others.
    fn connect(&mut self, context: &Context, targets: &[Target]) {
        let key = |target: &Target| (target.service.clone(), target.pod.clone());
        let there: BTreeMap<(Key, String), &Target> = targets.iter().map(|target| (key(target), target)).collect();
        self.links.retain(|key, link| there.get(key).is_some_and(|target| **target == link.target));
        self.fragments.retain(|key, _| there.contains_key(key));
        for (key, target) in there {
            let connector = || context.identity.connector(&target.service.name, &target.service.namespace);
            if !self.links.contains_key(&key)
                && let Some(connector) = connector()
            {
                self.links.insert(key, Box::new(Link::new(target.clone(), connector)));
            }
        }
    }

    /// Asks all pods at a time that are due; gateways are told what to follow if this process leads. Returns what gateways said.
    async fn ask(&mut self, round: &Round, now: f64, leads: bool) -> Vec<(Key, String, GatewayTelemetry)> {
        let due = self.links.iter_mut().filter(|(_, link)| link.is_due(now));
        let (at_once, mut others): (Vec<_>, Vec<_>) = due.partition(|(_, link)| link.is_urgent());
        // Gateways, and those that have waited longest.
        others
            .sort_by(|(_, a), (_, b)| a.urgency().0.cmp(&b.urgency().0).then(a.urgency().1.total_cmp(&b.urgency().1)));
        others.truncate(MOST_DIALLED);
        let looks = at_once.into_iter().chain(others).map(|(key, link)| async move {
            let wanted = round.wanted.get(&key.0).filter(|_| leads);
            let policy = wanted.and_then(|one| Some((one.version, one.policies.get(&link.target.workload)?)));
            (key.clone(), link.look(policy, &round.book, now).await)
        });
        let mut gateways = vec![];
        for ((service, pod), reading) in join_all(looks).await {
            match reading {
                Some(Reading::Gateway(telemetry)) => gateways.push((service, pod, *telemetry)),
                Some(Reading::Fragment(telemetry)) => drop(self.fragments.insert((service, pod), *telemetry)),
                None => {}
            }
        }
        gateways
    }

    /// What gateways of a service follow, and what is wrong with the others: on nodes first where it is so of all of them.
    fn standing(&self, service: &Key) -> (BTreeMap<String, Gateway>, Option<String>) {
        let links = self.links.range((service.clone(), String::new())..).take_while(|((key, _), _)| key == service);
        let links: Vec<_> = links.filter(|(_, link)| link.target.role == Role::Gateway).collect();
        let is_well = |node: &str| links.iter().any(|(_, link)| link.target.node == node && link.trouble.is_none());
        let gateway = |link: &Link| {
            let heard = link.follows.map(|(at, version)| Heard { at, version });
            Gateway { node: link.target.node.clone(), heard }
        };
        let in_trouble = links.iter().filter(|(_, link)| link.trouble.is_some());
        let trouble = in_trouble.min_by_key(|(_, link)| is_well(&link.target.node));
        let heard = links.iter().map(|((_, pod), link)| (pod.clone(), gateway(link))).collect();
        (heard, trouble.and_then(|(_, link)| link.trouble.clone()))
    }

    /// Pods that were reached last, and those that were not.
    fn reached(&self) -> (usize, usize) {
        let reached = self.links.values().filter(|link| link.is_reached()).count();
        (reached, self.links.len() - reached)
    }

    /// Thinks about what gateways said, and stores what follows.
    async fn decide(
        &mut self,
        context: &Arc<Context>,
        round: &Round,
        gateways: &[(Key, String, GatewayTelemetry)],
        now: f64,
    ) -> Result<(), Failure> {
        if gateways.is_empty() {
            return Ok(());
        }
        if !self.basis.holds(&round.wanted) {
            self.mind = learn(context, round).await?;
            self.basis = Basis::of(&round.wanted);
        }
        let Some(mind) = self.mind.take() else { return Ok(()) };
        let fragments: Vec<DeviceTelemetry> = self.fragments.values().cloned().collect();
        let observation = mind.observation(gateways, &fragments);
        let (mind, found) = thought(mind, now, observation, self.pace).await;
        self.mind = mind;
        if found.messages.is_empty() && found.renewed.is_empty() {
            return Ok(());
        }
        let span = tracing::info_span!("drift", pool = %round.pool, plans = found.renewed.len());
        self.follow_up(context, found).instrument(span).await
    }

    /// Says what was decided, and stores it.
    async fn follow_up(&mut self, context: &Context, found: Found) -> Result<(), Failure> {
        for message in &found.messages {
            tracing::info!("{message}");
        }
        context.metrics.replanned(found.renewed.len());
        let mut failure = None;
        for renewed in found.renewed {
            // One that is refused keeps no other from its new policy.
            failure = self.store(context, renewed).await.err().or(failure);
        }
        failure.map_or(Ok(()), Err)
    }

    async fn store(&mut self, context: &Context, renewed: mind::Renewed) -> Result<(), Failure> {
        let Some(service) = context.caches.services.get(&renewed.service) else { return Ok(()) };
        if !plan::may_renew(context, &service, &renewed.spec) {
            tracing::info!(service = %renewed.service, "is paused or moves: its gateways keep what they follow");
            (self.mind, self.basis) = (None, Basis::default());
            return Ok(());
        }
        let (mark, generation) = plan::renew(context, &service, renewed.spec).await?;
        if let Some(mind) = &mut self.mind {
            mind.stored(&renewed.service, generation);
            self.basis.add(renewed.service, mark);
        }
        Ok(())
    }
}
