//! The sending side of a hop: connections to the devices that hold next fragments.
//!
//! [`Peers`] keeps one connection per address and multiplexes jobs over it. A job is *sent* when the receiver has taken
//! it over; from then on only its reply is awaited. Every wait is bounded: for the takeover by [`Patience::takeover`],
//! for the reply by the life of the connection, which is pinged while jobs are open.
//! Where the process has certificates, a connection is secured before its first frame, and only peers of the same service are
//! sent jobs.

mod connection;
mod outbox;
mod pace;
mod peer;
mod reader;
mod stream;

pub(crate) use outbox::Outbox;
pub(crate) use pace::Paces;
pub(crate) use peer::{Patience, Peers, SendError, Sent};
pub(crate) use reader::{FrameReader, ReadError};
pub(crate) use stream::{Reading, Stream};
