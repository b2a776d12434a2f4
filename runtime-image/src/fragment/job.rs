//! One job on a fragment: served, then answered or sent on; its answer is handed back to where it came from.

use super::connection::Admitted;
use super::lane::Task;
use super::metrics::Left;
use super::{Device, Hosted};
use crate::executor::Completed;
use crate::hop::{Outbox, SendError, Sent};
use crate::model::{Evaluated, Features, Run, RunError};
use bytes::Bytes;
use domain::Thresholds;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::frame::{Answer, AuditRecord, ExitConfidence, Failure, Frame, Job, Outcome, Reply};

/// Where a job came from.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) outbox: Arc<Outbox>,
    pub(super) id: u64,
}

/// Times spent on this fragment.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    waited: Duration,
    service: Duration,
}

/// A job on its way to the next fragment.
struct Onward {
    admitted: Admitted,
    features: Features,
    /// The deepest exit evaluated here, kept until the reply for when the next device is full or away.
    last: Option<Answer>,
    /// What the exits evaluated here were confident of, if the job asks for it.
    confidences: Vec<ExitConfidence>,
    spent: Spent,
}

impl Upstream {
    fn reply(&self, outcome: Outcome, hops: u8, away: Option<String>, spent: Spent) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (wait_micros, service_micros) = (micros(spent.waited), micros(spent.service));
        let reply = Reply { id: self.id, outcome, hops, away, wait_micros, service_micros };
        self.outbox.push(&Frame::Reply(Box::new(reply)));
    }
}

/// Queues a job whose bytes have arrived. The thread that computes it answers it as well; only a job that goes on to the
/// next fragment becomes a task, because only that waits for something.
pub(super) fn serve(device: &Arc<Device>, admitted: Admitted, body: Vec<u8>, upstream: Upstream) {
    let Ok(thresholds) = Thresholds::new(admitted.job.thresholds.clone()) else {
        return fail(device, admitted, &upstream, Failure::BadJob, Spent::default());
    };
    let task = Task { input: body, thresholds, evaluate_all: admitted.job.audit };
    let (lane, deadline) = (admitted.lane, admitted.deadline);
    let then = {
        let device = Arc::clone(device);
        move |completed| {
            if let Some(next) = conclude(&device, admitted, completed, &upstream) {
                let runtime = device.runtime.clone();
                runtime.spawn(async move { onward(&device, next, &upstream).await });
            }
        }
    };
    device.executor.submit(lane, task, deadline, Box::new(then));
}

/// Answers a job that ends here; gives back one that goes on.
fn conclude(
    device: &Device,
    admitted: Admitted,
    completed: Completed<Result<Run, RunError>>,
    upstream: &Upstream,
) -> Option<Onward> {
    let hosted = &device.hosted[admitted.lane];
    let (result, spent) = match completed {
        Completed::Served { result, waited, service, late } => {
            hosted.metrics.wait.observe(waited.as_secs_f64());
            if late {
                hosted.metrics.late.inc();
            }
            (result, Spent { waited, service })
        }
        Completed::Expired => {
            fail(device, admitted, upstream, Failure::Deadline, Spent::default());
            return None;
        }
        Completed::Panicked => {
            fail(device, admitted, upstream, Failure::Compute, Spent::default());
            return None;
        }
    };
    match result {
        Err(RunError::NotFinite { .. }) => fail(device, admitted, upstream, Failure::NotFinite, spent),
        Err(error) => {
            tracing::warn!(fragment = hosted.name, %error, "inference failed");
            fail(device, admitted, upstream, Failure::Compute, spent);
        }
        Ok(run) => return served(hosted, admitted, run, upstream, spent),
    }
    None
}

fn served(hosted: &Hosted, mut admitted: Admitted, mut run: Run, upstream: &Upstream, spent: Spent) -> Option<Onward> {
    observe(hosted, &run);
    let confidences = confidences(&admitted.job, &run);
    if let Some(left) = run.left.filter(|_| !admitted.job.audit) {
        // Whoever reads the answer may send the next job at once: memory and books are in order by then.
        let Admitted { memory, entry, open: _open, .. } = admitted;
        drop(memory);
        entry.leave(Left::Answered);
        upstream.reply(Outcome::Answered(answer(run.evaluated.swap_remove(left), confidences, false)), 1, None, spent);
        return None;
    }
    let job = &mut admitted.job;
    if job.audit {
        job.audits.extend(run.evaluated.iter().map(audit_record));
    }
    if let Some(left) = run.left.filter(|_| !job.answered) {
        let answer = answer(run.evaluated[left].clone(), confidences.clone(), false);
        upstream.reply(Outcome::Answered(answer), 1, None, spent);
        job.answered = true;
    }
    match run.forward.take() {
        // An answered job ends here, unless it is an audit.
        Some(features) if job.audit || !job.answered => {
            // An audit evaluates closed exits too; those are no answer.
            let last = run.evaluated.into_iter().rfind(|evaluated| is_open(job, evaluated));
            let last = last.map(|evaluated| answer(evaluated, confidences.clone(), true));
            Some(Onward { admitted, features, last, confidences, spent })
        }
        _ => {
            let Admitted { job, entry, .. } = admitted;
            entry.leave(Left::Answered);
            if job.audit {
                upstream.outbox.push(&Frame::Audit { id: upstream.id, records: job.audits });
            }
            None
        }
    }
}

/// Sends a job to the next fragment and hands back what comes.
async fn onward(device: &Arc<Device>, onward: Onward, upstream: &Upstream) {
    let Admitted { job, deadline, mut memory, entry, open: _open, .. } = onward.admitted;
    for reservation in &mut memory {
        reservation.shrink_to(onward.features.as_bytes().len() as u64);
    }
    let (answered, audit, notify) = (job.answered, job.audit, job.notify_passed);
    let overflow = job.answer_on_overflow;
    let next = job.hops[1].device.clone();
    let (outcome, away) = match send(device, job, deadline, onward.features).await {
        Ok(mut sent) => {
            drop(memory);
            entry.leave(Left::Forwarded);
            if notify {
                upstream.outbox.push(&Frame::Passed { id: upstream.id });
            }
            if answered {
                return hand_back_audit(sent, upstream).await;
            }
            match sent.reply(|| {}).await {
                Some(reply) => {
                    let outcome = keep_last(after_ours(onward.confidences, reply.outcome), onward.last, overflow);
                    let away = reply.away;
                    let spent = Spent {
                        waited: onward.spent.waited + Duration::from_micros(reply.wait_micros),
                        service: onward.spent.service + Duration::from_micros(reply.service_micros),
                    };
                    upstream.reply(outcome, reply.hops.saturating_add(1), away, spent);
                    if audit {
                        hand_back_audit(sent, upstream).await;
                    }
                    return;
                }
                None => (Outcome::Failed { place: next.clone(), reason: Failure::HopDied }, Some(next)),
            }
        }
        Err(error) => {
            drop(memory);
            entry.leave(Left::Dropped);
            (error.outcome(next.clone()), error.is_away().then_some(next))
        }
    };
    if !answered {
        upstream.reply(keep_last(outcome, onward.last, overflow), 1, away, onward.spent);
    }
    // An audit that goes no further is over, so that nobody waits for it; that is no loss.
    if audit {
        upstream.outbox.push(&Frame::Audit { id: upstream.id, records: vec![] });
    }
}

async fn send(
    device: &Arc<Device>,
    mut job: Job,
    deadline: Option<Instant>,
    features: Features,
) -> Result<Sent, SendError> {
    let body = Bytes::from_owner(FeatureBytes(features));
    job.hops.remove(0);
    job.body_size = body.len() as u32;
    // Only the gateway asks for that, about its first fragment.
    job.notify_passed = false;
    let link = device.paces.to(&job.hops[0].device);
    device.peers.send(job, body, link, deadline).await
}

/// Features that are written to the socket from where they were computed.
struct FeatureBytes(Features);

impl AsRef<[u8]> for FeatureBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl SendError {
    /// Whether the device is away for other jobs, too.
    fn is_away(self) -> bool {
        use wire::frame::Refusal;
        matches!(self, SendError::Unreachable | SendError::Refused(Refusal::Draining | Refusal::UnknownFragment))
    }

    /// What a job becomes whose next device did not take it.
    pub(crate) fn outcome(self, place: String) -> Outcome {
        use wire::frame::Refusal;
        match self {
            SendError::Late => Outcome::Failed { place, reason: Failure::Deadline },
            SendError::Refused(reason) if reason.is_memory() => Outcome::Lost { place, reason },
            SendError::Refused(Refusal::BadJob) => Outcome::Failed { place, reason: Failure::BadJob },
            // A device that drains or does not know the fragment (any more) is as good as away.
            SendError::Refused(_) | SendError::Unreachable | SendError::Slow => {
                Outcome::Failed { place, reason: Failure::Unreachable }
            }
        }
    }
}

async fn hand_back_audit(sent: Sent, upstream: &Upstream) {
    let records = sent.audit().await.unwrap_or_default();
    upstream.outbox.push(&Frame::Audit { id: upstream.id, records });
}

/// Answers with the last exit evaluated where the policy says so and the next device was full or away.
fn keep_last(outcome: Outcome, last: Option<Answer>, answer_on_overflow: bool) -> Outcome {
    let elsewhere = match &outcome {
        Outcome::Lost { .. } => true,
        Outcome::Failed { reason, .. } => matches!(reason, Failure::Unreachable | Failure::HopDied),
        Outcome::Answered(_) => false,
    };
    match last {
        Some(last) if answer_on_overflow && elsewhere => Outcome::Answered(last),
        _ => outcome,
    }
}

fn fail(device: &Device, admitted: Admitted, upstream: &Upstream, reason: Failure, spent: Spent) {
    let Admitted { job, entry, memory, .. } = admitted;
    drop(memory);
    entry.leave(Left::Dropped);
    if !job.answered {
        upstream.reply(Outcome::Failed { place: device.name.clone(), reason }, 1, None, spent);
    }
    if job.audit {
        upstream.outbox.push(&Frame::Audit { id: upstream.id, records: vec![] });
    }
}

fn observe(hosted: &Hosted, run: &Run) {
    for (histogram, time) in hosted.metrics.segments.iter().zip(&run.segment_times) {
        histogram.observe(time.as_secs_f64());
    }
    for evaluated in &run.evaluated {
        hosted.metrics.exit(evaluated.exit, evaluated.head_time.as_secs_f64(), evaluated.softmax.confidence);
    }
}

fn is_open(job: &Job, evaluated: &Evaluated) -> bool {
    job.thresholds.get(evaluated.exit).is_none_or(|threshold| *threshold < 1.0)
}

/// What the exits were confident of that this fragment evaluated for the answer of a job, if it asks for that. An audit
/// evaluates more of them.
fn confidences(job: &Job, run: &Run) -> Vec<ExitConfidence> {
    if !job.confidences || job.answered {
        return vec![];
    }
    let until = run.left.map_or(run.evaluated.len(), |left| left + 1);
    let open = run.evaluated[..until].iter().filter(|evaluated| is_open(job, evaluated));
    open.map(|one| ExitConfidence { exit: one.exit as u16, confidence: one.softmax.confidence }).collect()
}

/// An answer from behind this fragment, with the exits evaluated here before those evaluated there.
fn after_ours(mut ours: Vec<ExitConfidence>, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Answered(mut answer) if !ours.is_empty() => {
            ours.append(&mut answer.evaluated);
            answer.evaluated = ours;
            Outcome::Answered(answer)
        }
        outcome => outcome,
    }
}

fn answer(evaluated: Evaluated, confidences: Vec<ExitConfidence>, on_overflow: bool) -> Answer {
    let Evaluated { exit, softmax, .. } = evaluated;
    Answer {
        exit: exit as u16,
        class: softmax.class,
        confidence: softmax.confidence,
        probabilities: softmax.probabilities,
        on_overflow,
        evaluated: confidences,
    }
}

fn audit_record(evaluated: &Evaluated) -> AuditRecord {
    let Evaluated { exit, softmax, .. } = evaluated;
    AuditRecord { exit: *exit as u16, class: softmax.class, confidence: softmax.confidence }
}
