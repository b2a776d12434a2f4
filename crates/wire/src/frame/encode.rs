//! Values to bytes.

use super::types::*;
use bytes::{BufMut, BytesMut};

pub(super) mod kind {
    pub(crate) const JOB: u8 = 1;
    pub(crate) const BODY: u8 = 2;
    pub(crate) const GRANT: u8 = 3;
    pub(crate) const REFUSED: u8 = 4;
    pub(crate) const TAKEN: u8 = 5;
    pub(crate) const PASSED: u8 = 6;
    pub(crate) const REPLY: u8 = 7;
    pub(crate) const AUDIT: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
    pub(crate) const DRAINING: u8 = 11;
    pub(crate) const CANCEL: u8 = 12;
}

pub(super) mod flag {
    pub(crate) const INLINE: u8 = 1;
    pub(crate) const NOTIFY_PASSED: u8 = 2;
    pub(crate) const AUDIT: u8 = 4;
    pub(crate) const ANSWERED: u8 = 8;
    pub(crate) const ANSWER_ON_OVERFLOW: u8 = 16;
    pub(crate) const HAS_DEADLINE: u8 = 32;
    pub(crate) const CONFIDENCES: u8 = 64;
}

/// Flags of an answer. The first is what the byte meant before there were others.
pub(super) mod answered {
    pub(crate) const ON_OVERFLOW: u8 = 1;
    pub(crate) const EVALUATED: u8 = 2;
}

pub(super) mod outcome {
    pub(crate) const ANSWERED: u8 = 1;
    pub(crate) const LOST: u8 = 2;
    pub(crate) const FAILED: u8 = 3;
}

/// Appends a frame. Lists and strings longer than their `u16` length can say are cut: both are bounded far below by
/// the documents they come from.
pub fn encode(frame: &Frame, to: &mut BytesMut) {
    let start = to.len();
    to.put_u32_le(0);
    match frame {
        Frame::Job(job) => put_job(job, to),
        Frame::Body { id, size } => {
            put_id(kind::BODY, *id, to);
            to.put_u32_le(*size);
        }
        Frame::Cancel { id } => put_id(kind::CANCEL, *id, to),
        Frame::Grant { id } => put_id(kind::GRANT, *id, to),
        Frame::Refused { id, reason } => {
            put_id(kind::REFUSED, *id, to);
            to.put_u8(reason.code());
        }
        Frame::Taken { id } => put_id(kind::TAKEN, *id, to),
        Frame::Passed { id } => put_id(kind::PASSED, *id, to),
        Frame::Reply(reply) => put_reply(reply, to),
        Frame::Audit { id, records } => {
            put_id(kind::AUDIT, *id, to);
            put_audits(records, to);
        }
        Frame::Ping => to.put_u8(kind::PING),
        Frame::Pong => to.put_u8(kind::PONG),
        Frame::Draining => to.put_u8(kind::DRAINING),
    }
    let length = (to.len() - start - 4) as u32;
    to[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn put_id(kind: u8, id: u64, to: &mut BytesMut) {
    to.put_u8(kind);
    to.put_u64_le(id);
}

fn put_job(job: &Job, to: &mut BytesMut) {
    put_id(kind::JOB, job.id, to);
    to.put_u32_le(job.body_size);
    let flags = [
        (job.inline, flag::INLINE),
        (job.notify_passed, flag::NOTIFY_PASSED),
        (job.audit, flag::AUDIT),
        (job.answered, flag::ANSWERED),
        (job.answer_on_overflow, flag::ANSWER_ON_OVERFLOW),
        (job.remaining_micros.is_some(), flag::HAS_DEADLINE),
        (job.confidences, flag::CONFIDENCES),
    ];
    to.put_u8(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
    if let Some(remaining) = job.remaining_micros {
        to.put_u64_le(remaining);
    }
    put_floats(&job.thresholds, to);
    let hops = &job.hops[..job.hops.len().min(usize::from(u16::MAX))];
    to.put_u16_le(hops.len() as u16);
    for hop in hops {
        put_text(&hop.fragment, to);
        put_text(&hop.device, to);
        put_text(&hop.address, to);
    }
    put_text(&job.traceparent, to);
    put_audits(&job.audits, to);
}

fn put_reply(reply: &Reply, to: &mut BytesMut) {
    put_id(kind::REPLY, reply.id, to);
    to.put_u64_le(reply.wait_micros);
    to.put_u64_le(reply.service_micros);
    to.put_u8(reply.hops);
    put_text(reply.away.as_deref().unwrap_or_default(), to);
    match &reply.outcome {
        Outcome::Answered(answer) => {
            to.put_u8(outcome::ANSWERED);
            to.put_u16_le(answer.exit);
            to.put_u16_le(answer.class);
            to.put_f32_le(answer.confidence);
            let evaluated = if answer.evaluated.is_empty() { 0 } else { answered::EVALUATED };
            to.put_u8(evaluated | if answer.on_overflow { answered::ON_OVERFLOW } else { 0 });
            put_floats(&answer.probabilities, to);
            if evaluated > 0 {
                put_confidences(&answer.evaluated, to);
            }
        }
        Outcome::Lost { place, reason } => {
            to.put_u8(outcome::LOST);
            to.put_u8(reason.code());
            put_text(place, to);
        }
        Outcome::Failed { place, reason } => {
            to.put_u8(outcome::FAILED);
            to.put_u8(reason.code());
            put_text(place, to);
        }
    }
}

fn put_floats(values: &[f32], to: &mut BytesMut) {
    let values = &values[..values.len().min(usize::from(u16::MAX))];
    to.put_u16_le(values.len() as u16);
    for value in values {
        to.put_f32_le(*value);
    }
}

fn put_confidences(values: &[ExitConfidence], to: &mut BytesMut) {
    let values = &values[..values.len().min(usize::from(u16::MAX))];
    to.put_u16_le(values.len() as u16);
    for value in values {
        to.put_u16_le(value.exit);
        to.put_f32_le(value.confidence);
    }
}

fn put_audits(records: &[AuditRecord], to: &mut BytesMut) {
    let records = &records[..records.len().min(usize::from(u16::MAX))];
    to.put_u16_le(records.len() as u16);
    for record in records {
        to.put_u16_le(record.exit);
        to.put_u16_le(record.class);
        to.put_f32_le(record.confidence);
    }
}

fn put_text(text: &str, to: &mut BytesMut) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    to.put_u16_le(end as u16);
    to.put_slice(&text.as_bytes()[..end]);
}
