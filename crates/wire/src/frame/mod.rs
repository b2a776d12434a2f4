//! The framed job protocol.
//!
//! A sender (gateway or fragment) opens one TCP connection to a receiver (the device of the next fragment) and
//! multiplexes jobs over it. After the [`preamble`] both sides exchange frames: `u32` length, `u8` kind, payload; all
//! integers little-endian. A job's bytes are **announced before they are sent**:
//!
//! ```text
//! sender                          receiver
//!   Job{id, size, route, …}  ──►    reserve size + fits?
//!                            ◄──  Grant{id}   or  Refused{id, reason}
//!   Body{id} + bytes         ──►                (or Cancel{id}: the body will not come)
//!                            ◄──  Taken{id}      the sender frees its copy
//!                            ◄──  Passed{id}     (on request) the next hop has taken the job over
//!                            ◄──  Reply{id, …}   the answer, hop by hop
//!                            ◄──  Audit{id, …}   only for audit jobs, after their answer
//! ```
//!
//! A body of at most [`INLINE_LIMIT`] bytes may follow its `Job` frame at once (`inline`); a receiver that refuses it
//! drains those bytes through a fixed buffer. Body bytes are never part of a frame's length, so a receiver can decide
//! before it reads them. [`Decoder`] checks every length against a limit before memory is reserved.

mod decode;
mod encode;
mod types;

pub use decode::{Decoder, FrameError};
pub use encode::encode;
pub use types::*;

/// Largest body that may follow its header without a grant.
pub const INLINE_LIMIT: usize = 64 * 1024;
/// Largest frame without its body: a job with 4,096 thresholds and hops of 256 byte names stays below.
pub const FRAME_LIMIT: usize = 64 * 1024;
/// Length of the preamble in both directions.
pub const PREAMBLE: usize = 6;
/// Oldest protocol version this release speaks.
pub const OLDEST_VERSION: u8 = 1;
/// Newest protocol version this release speaks.
pub const NEWEST_VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"EENN";

/// What a sender opens with: magic, oldest and newest version it speaks.
pub fn preamble() -> [u8; PREAMBLE] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, OLDEST_VERSION, NEWEST_VERSION]
}

/// What a receiver answers to a preamble: the newest version both speak, twice; 0 when there is none.
pub fn answer_preamble(theirs: [u8; PREAMBLE]) -> Result<[u8; PREAMBLE], FrameError> {
    let version = common_version(theirs)?.unwrap_or(0);
    let [a, b, c, d] = MAGIC;
    Ok([a, b, c, d, version, version])
}

/// The version a receiver has chosen, as read by the sender.
pub fn chosen_version(answer: [u8; PREAMBLE]) -> Result<u8, FrameError> {
    if answer[..4] != MAGIC {
        return Err(FrameError::Magic);
    }
    match answer[4] {
        version @ OLDEST_VERSION..=NEWEST_VERSION => Ok(version),
        _ => Err(FrameError::Version),
    }
}

fn common_version(theirs: [u8; PREAMBLE]) -> Result<Option<u8>, FrameError> {
    if theirs[..4] != MAGIC {
        return Err(FrameError::Magic);
    }
    let (oldest, newest) = (theirs[4].max(OLDEST_VERSION), theirs[5].min(NEWEST_VERSION));
    Ok((oldest <= newest).then_some(newest))
}

#[cfg(test)]
mod tests;
