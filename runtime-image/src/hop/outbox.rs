//! What is to be written to a connection: frames pile up and leave in as few writes as possible.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use wire::frame::{Frame, encode};

/// Above this many unwritten bytes [`Outbox::room`] waits: a peer that sends and never reads is read no further.
const HIGH_WATER: usize = 1 << 20;
/// Slices given to one write.
const SLICES: usize = 32;

/// Chunks waiting to be written. Tensors in it hold memory of a region; frames are bounded by [`HIGH_WATER`] through
/// `room` and otherwise by the jobs held.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pending: Mutex<Pending>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    chunks: VecDeque<Bytes>,
    frames: BytesMut,
    bytes: usize,
    written: u64,
    closed: bool,
}

impl Outbox {
    /// Queues a frame.
    pub(crate) fn push(&self, frame: &Frame) {
        self.push_with_body(frame, None);
    }

    /// Queues a frame and the bytes that belong behind it, which are not copied.
    pub(crate) fn push_with_body(&self, frame: &Frame, body: Option<Bytes>) {
        let mut pending = self.lock();
        if pending.closed {
            return;
        }
        let before = pending.frames.len();
        encode(frame, &mut pending.frames);
        pending.bytes += pending.frames.len() - before;
        if let Some(body) = body {
            let frames = pending.frames.split().freeze();
            pending.bytes += body.len();
            pending.chunks.extend([frames, body]);
        }
        drop(pending);
        self.filled.notify_one();
    }

    /// No more frames; what is queued is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written
    }

    /// Whether everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().bytes == 0
    }

    /// Waits until little enough is unwritten to take on more work.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let pending = self.lock();
                if pending.closed || pending.bytes < HIGH_WATER {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Writes until the outbox is closed and empty, or the peer is gone.
    pub(crate) async fn write_to(&self, mut stream: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        loop {
            let Some(mut chunks) = self.take().await else { return stream.shutdown().await };
            while !chunks.is_empty() {
                let slices: Vec<IoSlice<'_>> = chunks.iter().take(SLICES).map(|chunk| IoSlice::new(chunk)).collect();
                let written = stream.write_vectored(&slices).await?;
                if written == 0 {
                    return Err(std::io::ErrorKind::WriteZero.into());
                }
                advance(&mut chunks, written);
                let mut pending = self.lock();
                pending.bytes -= written;
                pending.written += written as u64;
            }
            self.drained.notify_waiters();
        }
    }

    async fn take(&self) -> Option<VecDeque<Bytes>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut pending = self.lock();
                let mut chunks = std::mem::take(&mut pending.chunks);
                if !pending.frames.is_empty() {
                    chunks.push_back(pending.frames.split().freeze());
                }
                if !chunks.is_empty() {
                    return Some(chunks);
                }
                if pending.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn advance(chunks: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = chunks.front_mut() {
        if written < first.len() {
            bytes::Buf::advance(first, written);
            return;
        }
        written -= first.len();
        chunks.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn frames_and_bodies_leave_in_order() {
        let outbox = Outbox::default();
        let (near, mut far) = tokio::io::duplex(7);
        outbox.push(&Frame::Ping);
        outbox.push_with_body(&Frame::Body { id: 1, size: 100 }, Some(Bytes::from(vec![7; 100])));
        outbox.push(&Frame::Pong);
        outbox.close();
        outbox.push(&Frame::Ping);
        let mut all = vec![];
        let (written, read) = tokio::join!(outbox.write_to(near), far.read_to_end(&mut all));
        written.unwrap();
        read.unwrap();
        let mut want = BytesMut::new();
        encode(&Frame::Ping, &mut want);
        encode(&Frame::Body { id: 1, size: 100 }, &mut want);
        want.extend_from_slice(&[7; 100]);
        encode(&Frame::Pong, &mut want);
        assert_eq!(all, want, "what is pushed after the close is not sent");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_stops_the_work() {
        let outbox = Outbox::default();
        outbox.push_with_body(&Frame::Body { id: 1, size: 0 }, Some(Bytes::from(vec![0; HIGH_WATER])));
        let waits = tokio::time::timeout(std::time::Duration::from_millis(10), outbox.room()).await;
        assert!(waits.is_err());
        outbox.close();
        outbox.room().await;
    }
}
