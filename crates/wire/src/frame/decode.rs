//! Bytes to values.

use super::encode::{answered, flag, kind, outcome};
use super::types::*;
use super::{FRAME_LIMIT, INLINE_LIMIT};
use bytes::{Buf, BytesMut};

/// Why bytes are no frame. The connection cannot go on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not our protocol at all.
    #[error("the peer does not speak the EENN job protocol")]
    Magic,
    /// No version in common.
    #[error("the peer speaks no common version of the EENN job protocol")]
    Version,
    /// A length beyond the limit.
    #[error("a frame of {length} bytes is longer than {FRAME_LIMIT}")]
    TooLong {
        /// What was announced.
        length: u32,
    },
    /// A frame that ends early, goes on after its end, or holds a value that does not exist.
    #[error("a malformed {0} frame")]
    Malformed(&'static str),
    /// An inline body beyond the limit.
    #[error("an inline body of {size} bytes is longer than {INLINE_LIMIT}")]
    InlineTooLong {
        /// What was announced.
        size: u32,
    },
}

/// Takes frames off a buffer.
#[derive(Debug, Default, Clone, Copy)]
pub struct Decoder;

impl Decoder {
    /// The next frame, or `None` when more bytes are needed; `buffer` keeps what is left.
    ///
    /// Body bytes that follow a `Job` (inline) or `Body` frame stay in the buffer: the caller takes or drains them
    /// before the next call.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*prefix);
        if length as usize > FRAME_LIMIT {
            return Err(FrameError::TooLong { length });
        }
        let whole = 4 + length as usize;
        if buffer.len() < whole {
            return Ok(None);
        }
        let frame = Reader { bytes: &buffer[4..whole], name: "" }.frame()?;
        buffer.advance(whole);
        Ok(Some(frame))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    name: &'static str,
}

impl<'a> Reader<'a> {
    fn frame(mut self) -> Result<Frame, FrameError> {
        let kind = self.u8()?;
        self.name = match kind {
            kind::JOB => "job",
            kind::BODY => "body",
            kind::CANCEL => "cancel",
            kind::GRANT => "grant",
            kind::REFUSED => "refused",
            kind::TAKEN => "taken",
            kind::PASSED => "passed",
            kind::REPLY => "reply",
            kind::AUDIT => "audit",
            _ => "control",
        };
        let frame = match kind {
            kind::JOB => Frame::Job(Box::new(self.job()?)),
            kind::BODY => Frame::Body { id: self.u64()?, size: self.u32()? },
            kind::CANCEL => Frame::Cancel { id: self.u64()? },
            kind::GRANT => Frame::Grant { id: self.u64()? },
            kind::REFUSED => Frame::Refused { id: self.u64()?, reason: self.refusal()? },
            kind::TAKEN => Frame::Taken { id: self.u64()? },
            kind::PASSED => Frame::Passed { id: self.u64()? },
            kind::REPLY => Frame::Reply(Box::new(self.reply()?)),
            kind::AUDIT => Frame::Audit { id: self.u64()?, records: self.audits()? },
            kind::PING => Frame::Ping,
            kind::PONG => Frame::Pong,
            kind::DRAINING => Frame::Draining,
            _ => return self.malformed(),
        };
        if self.bytes.is_empty() { Ok(frame) } else { self.malformed() }
    }

    fn job(&mut self) -> Result<Job, FrameError> {
        let (id, body_size, flags) = (self.u64()?, self.u32()?, self.u8()?);
        let set = |flag| flags & flag != 0;
        let inline = set(flag::INLINE);
        if inline && body_size as usize > INLINE_LIMIT {
            return Err(FrameError::InlineTooLong { size: body_size });
        }
        Ok(Job {
            id,
            body_size,
            inline,
            notify_passed: set(flag::NOTIFY_PASSED),
            audit: set(flag::AUDIT),
            answered: set(flag::ANSWERED),
            answer_on_overflow: set(flag::ANSWER_ON_OVERFLOW),
            confidences: set(flag::CONFIDENCES),
            remaining_micros: if set(flag::HAS_DEADLINE) { Some(self.u64()?) } else { None },
            thresholds: self.floats()?,
            hops: self.hops()?,
            traceparent: self.text()?,
            audits: self.audits()?,
        })
    }

    fn hops(&mut self) -> Result<Vec<Hop>, FrameError> {
        // Three empty texts are the shortest hop.
        let count = self.count(6)?;
        (0..count).map(|_| Ok(Hop { fragment: self.text()?, device: self.text()?, address: self.text()? })).collect()
    }

    fn reply(&mut self) -> Result<Reply, FrameError> {
        let (id, wait_micros, service_micros) = (self.u64()?, self.u64()?, self.u64()?);
        let hops = self.u8()?;
        let away = Some(self.text()?).filter(|device| !device.is_empty());
        let outcome = match self.u8()? {
            outcome::ANSWERED => Outcome::Answered(self.answer()?),
            outcome::LOST => {
                let reason = self.refusal()?;
                Outcome::Lost { place: self.text()?, reason }
            }
            outcome::FAILED => {
                let code = self.u8()?;
                let Some(reason) = Failure::from_code(code) else { return self.malformed() };
                Outcome::Failed { place: self.text()?, reason }
            }
            _ => return self.malformed(),
        };
        Ok(Reply { id, outcome, hops, away, wait_micros, service_micros })
    }

    fn answer(&mut self) -> Result<Answer, FrameError> {
        let (exit, class, confidence, flags) = (self.u16()?, self.u16()?, self.f32()?, self.u8()?);
        Ok(Answer {
            exit,
            class,
            confidence,
            on_overflow: flags & answered::ON_OVERFLOW != 0,
            probabilities: self.floats()?,
            evaluated: if flags & answered::EVALUATED != 0 { self.confidences()? } else { vec![] },
        })
    }

    fn confidences(&mut self) -> Result<Vec<ExitConfidence>, FrameError> {
        let count = self.count(6)?;
        (0..count).map(|_| Ok(ExitConfidence { exit: self.u16()?, confidence: self.f32()? })).collect()
    }

    fn refusal(&mut self) -> Result<Refusal, FrameError> {
        let code = self.u8()?;
        Refusal::from_code(code).map_or_else(|| self.malformed(), Ok)
    }

    fn audits(&mut self) -> Result<Vec<AuditRecord>, FrameError> {
        let count = self.count(8)?;
        (0..count).map(|_| Ok(AuditRecord { exit: self.u16()?, class: self.u16()?, confidence: self.f32()? })).collect()
    }

    fn floats(&mut self) -> Result<Vec<f32>, FrameError> {
        let count = self.count(4)?;
        (0..count).map(|_| self.f32()).collect()
    }

    fn text(&mut self) -> Result<String, FrameError> {
        let length = self.count(1)?;
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        std::str::from_utf8(text).map(str::to_owned).or_else(|_| self.malformed())
    }

    /// A count of items of at least `size` bytes each: refused when the frame cannot hold them, before memory is taken.
    fn count(&mut self, size: usize) -> Result<usize, FrameError> {
        let count = usize::from(self.u16()?);
        if count * size > self.bytes.len() { self.malformed() } else { Ok(count) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        match self.bytes.split_first_chunk::<N>() {
            Some((chunk, rest)) => {
                self.bytes = rest;
                Ok(*chunk)
            }
            None => self.malformed(),
        }
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, FrameError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.take().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32, FrameError> {
        self.take().map(f32::from_le_bytes)
    }

    fn malformed<T>(&self) -> Result<T, FrameError> {
        Err(FrameError::Malformed(self.name))
    }
}
