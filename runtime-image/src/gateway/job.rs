//! One job at a gateway: decides, sends, waits, and closes its entry in the books.

use super::Gateway;
use super::dispatch::Turn;
use super::ledger::{Arrival, Source};
use super::store::Active;
use crate::hop::Sent;
use bytes::Bytes;
use domain::{Epoch, Overflow};
use policy::{Arriving, Dispatching, Place, Scheduler as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use wire::frame::{Answer, Failure, Hop, Job, Outcome, Refusal, Reply};

/// What a client asked for, beside the sample.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) source: Arc<Source>,
    pub(super) deadline: Option<Duration>,
    pub(super) traceparent: String,
}

/// How a job ended, for its response.
#[derive(Debug)]
pub(super) enum End {
    Answered(Answered),
    Lost { place: String, reason: Refusal },
    Failed { place: String, reason: Failure },
}

/// An answer with what there is to say about it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) chain: String,
    pub(super) generation: u64,
    pub(super) waited: Duration,
    pub(super) service: Duration,
    pub(super) latency: Duration,
}

/// What was decided when a job arrived.
struct Selected {
    chain: usize,
    /// Unless they wait until the job is sent.
    thresholds: Option<Vec<f32>>,
    audit: bool,
    tag: u32,
}

/// How a job came back that was sent.
struct Returned {
    reply: Reply,
    chain: usize,
    /// What the scheduler calls its decision.
    tag: u32,
}

/// A job as it is sent by one of the chains.
struct Attempt<'a> {
    policy: &'a Active,
    chain: usize,
    thresholds: Vec<f32>,
    audit: bool,
    /// Held until the first fragment is done with the job.
    turn: Option<Turn>,
}

/// Takes a job that arrives now to its end.
pub(super) async fn run(gateway: &Arc<Gateway>, sample: Bytes, ask: &Ask) -> End {
    let arrival = ask.source.arrive();
    let policy = gateway.store.active();
    let configured = policy.policy.deadline.map(|seconds| Duration::from_secs_f64(seconds.get()));
    let deadline = [ask.deadline, configured].into_iter().flatten().min();
    let sent = send_by_some_chain(gateway, &policy, sample, ask, deadline, arrival.at());
    let ended = match deadline {
        None => Some(sent.await),
        Some(limit) => timeout(limit, sent).await.ok(),
    };
    close(gateway, arrival, ended, &policy)
}

/// Writes the end of a job into the books, and tells the scheduler.
fn close(gateway: &Gateway, arrival: Arrival, ended: Option<Result<Returned, End>>, policy: &Active) -> End {
    let latency = arrival.age();
    let tag = ended.as_ref().and_then(|ended| ended.as_ref().ok()).map_or(0, |returned| returned.tag);
    let end = match ended {
        None => End::Failed { place: "gateway".into(), reason: Failure::Deadline },
        Some(Err(end)) => end,
        Some(Ok(Returned { reply, chain, .. })) => match reply.outcome {
            Outcome::Lost { place, reason } => End::Lost { place, reason },
            Outcome::Failed { place, reason } => End::Failed { place, reason },
            Outcome::Answered(answer) => End::Answered(Answered {
                answer,
                chain: policy.policy.chains[chain].name.clone(),
                generation: policy.version.generation,
                waited: Duration::from_micros(reply.wait_micros),
                service: Duration::from_micros(reply.service_micros),
                latency,
            }),
        },
    };
    tell(gateway, policy, arrival.source(), tag, &end);
    match &end {
        End::Answered(answered) => arrival.answered(&answered.answer, &answered.chain),
        End::Lost { place, reason } => arrival.lost(place, *reason),
        End::Failed { reason, .. } => arrival.failed(*reason),
    }
    end
}

/// Tells the scheduler how a job ended. It does not hear of one whose client went away: that says nothing about the decision.
fn tell(gateway: &Gateway, policy: &Active, source: &str, tag: u32, end: &End) {
    let (end, evaluated) = match end {
        End::Lost { .. } => (policy::End::Lost, vec![]),
        End::Failed { .. } => (policy::End::Failed, vec![]),
        End::Answered(Answered { answer, latency, .. }) => {
            let (exit, confidence) = (usize::from(answer.exit), answer.confidence);
            let evaluated = answer.evaluated.iter().map(|one| (usize::from(one.exit), one.confidence)).collect();
            (policy::End::Answered { exit, confidence, latency: latency.as_secs_f64() }, evaluated)
        }
    };
    let now = gateway.store.now();
    gateway.store.ended(policy, &policy::Outcome { source, now, tag, end, evaluated: &evaluated });
}

/// Tries chains until one has taken the job over. A chain whose first device is away costs nothing but a moment: the
/// sample is still here. A full one is an answer: the policy decided for it.
async fn send_by_some_chain(
    gateway: &Arc<Gateway>,
    policy: &Active,
    sample: Bytes,
    ask: &Ask,
    deadline: Option<Duration>,
    arrived: Instant,
) -> Result<Returned, End> {
    let mut tried = vec![];
    let mut away = String::from("gateway");
    loop {
        let selected = select(gateway, policy, &ask.source.name, &tried);
        let Some(selected) = selected else {
            return Err(End::Failed { place: away, reason: Failure::Unreachable });
        };
        let first = &policy.places[selected.chain][0];
        gateway.try_devices(&policy.places[selected.chain]);
        let (thresholds, tag, turn) = match selected.thresholds {
            Some(thresholds) => (thresholds, selected.tag, None),
            None => {
                let turn = gateway.queues.join(&first.address, &first.fragment, first.workers).turn().await;
                let (thresholds, tag) = dispatch(gateway, policy, &ask.source.name, selected.chain, turn.present);
                (thresholds, tag, Some(turn))
            }
        };
        let attempt = Attempt { policy, chain: selected.chain, thresholds, audit: selected.audit, turn };
        let until = deadline.and_then(|limit| arrived.checked_add(limit));
        match send(gateway, attempt, sample.clone(), ask, until).await {
            Ok(reply) => return Ok(Returned { reply, chain: selected.chain, tag }),
            Err(Outcome::Failed { reason: Failure::Unreachable, place }) => {
                // The peer knows by itself that it is away.
                tried.push(selected.chain);
                away = place;
            }
            Err(Outcome::Failed { place, reason }) => return Err(End::Failed { place, reason }),
            Err(Outcome::Lost { place, reason }) => return Err(End::Lost { place, reason }),
            Err(Outcome::Answered(_)) => unreachable!("a job that was not sent has no answer"),
        }
    }
}

/// Decides thresholds for a job whose turn has come.
fn dispatch(gateway: &Gateway, policy: &Active, source: &str, chain: usize, present: usize) -> (Vec<f32>, u32) {
    let job = Dispatching { source, now: gateway.store.now(), chain, present };
    let mut keeper = policy.keeper();
    let decided = keeper.dispatch(&job, &mut *gateway.rng());
    let (thresholds, tag) = decided.expect("the chain was drawn from the same policy");
    (thresholds.as_slice().to_vec(), tag)
}

/// Decides for a job: among chains that are whole if there are any, else among those whose first device is there.
fn select(gateway: &Gateway, policy: &Active, source: &str, tried: &[usize]) -> Option<Selected> {
    let untried = |chain: &usize| !tried.contains(chain);
    let whole = |chain| untried(&chain) && gateway.whole(&policy.places[chain]);
    let reachable = |chain| untried(&chain) && gateway.reachable(&policy.places[chain]);
    let now = gateway.store.now();
    let arrive = |usable: &dyn Fn(usize) -> bool, again| {
        let arriving = Arriving { source, now, usable, again };
        let mut keeper = policy.keeper();
        let selected = keeper.arrive(&arriving, &mut *gateway.rng())?;
        let thresholds = selected.thresholds.map(|thresholds| thresholds.as_slice().to_vec());
        Some(Selected { chain: selected.chain, thresholds, audit: selected.audit, tag: selected.tag })
    };
    arrive(&whole, !tried.is_empty()).or_else(|| arrive(&reachable, true))
}

/// Sends a job by one chain. `Err` when its first fragment did not take it.
async fn send(
    gateway: &Arc<Gateway>,
    attempt: Attempt<'_>,
    sample: Bytes,
    ask: &Ask,
    until: Option<Instant>,
) -> Result<Reply, Outcome> {
    let places = &attempt.policy.places[attempt.chain];
    let first = &places[0].device;
    let job = Job {
        id: 0,
        body_size: sample.len() as u32,
        inline: false,
        notify_passed: attempt.policy.policy.epoch == Epoch::Dispatch,
        audit: attempt.audit,
        answered: false,
        answer_on_overflow: attempt.policy.policy.overflow == Overflow::AnswerWithLastExit,
        confidences: attempt.policy.hears_confidences(),
        // Set when the job is announced.
        remaining_micros: None,
        thresholds: attempt.thresholds,
        hops: places.iter().map(hop).collect(),
        traceparent: ask.traceparent.clone(),
        audits: vec![],
    };
    let link = gateway.paces.to(first);
    let sent = gateway.peers.send(job, sample, link, until).await.map_err(|error| error.outcome(first.clone()))?;
    let Some((sent, reply)) = reply(sent, attempt.turn).await else {
        let outcome = Outcome::Failed { place: first.clone(), reason: Failure::HopDied };
        return Ok(Reply { id: 0, outcome, hops: 0, away: None, wait_micros: 0, service_micros: 0 });
    };
    gateway.heard_of(places, usize::from(reply.hops), reply.away.as_deref());
    if attempt.audit {
        let gateway = Arc::clone(gateway);
        // Bounded by the jobs that devices hold; a hop that dies ends it.
        tokio::spawn(async move {
            if let Some(records) = sent.audit().await {
                gateway.ledger.audit(&records);
            }
        });
    }
    Ok(reply)
}

/// Waits for the reply; `None` when the first device died.
async fn reply(mut sent: Sent, turn: Option<Turn>) -> Option<(Sent, Reply)> {
    let Some(turn) = turn else {
        let reply = sent.reply(|| {}).await?;
        return Some((sent, reply));
    };
    // The turn is that of the first fragment: it lasts until that is done with the job, also when the client has gone.
    let waiting = tokio::spawn(async move {
        let mut turn = Some(turn);
        let reply = sent.reply(|| drop(turn.take())).await?;
        Some((sent, reply))
    });
    waiting.await.ok().flatten()
}

fn hop(place: &Place) -> Hop {
    Hop { fragment: place.fragment.clone(), device: place.device.clone(), address: place.address.clone() }
}
