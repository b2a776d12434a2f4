//! What is to be written to a connection: written at once by whoever has it, or by a task when the kernel takes no more.
//! On a secured connection the task writes everything: it alone may encrypt.

use super::stream::Writing;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use wire::frame::{Frame, encode};

/// Above this many unwritten bytes [`Outbox::room`] waits: a peer that sends and never reads is read no further.
const HIGH_WATER: usize = 1 << 20;
/// Slices given to one write.
const SLICES: usize = 32;

/// The writing side of a connection, for any thread. A frame is written by the thread that pushes it, so that an answer
/// does not wait until the reactor has woken up; what does not fit into the socket is left to [`Outbox::run`].
///
/// Tensors in it hold memory of a region; frames are bounded by [`HIGH_WATER`] through `room` and otherwise by the jobs
/// held.
#[derive(Debug)]
pub(crate) struct Outbox {
    pending: Mutex<Pending>,
    /// Taken by [`Outbox::run`].
    secured: Mutex<Option<Writing>>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug)]
struct Pending {
    /// `None` where only the task writes, and when nothing more will be written: the last one that holds it closes the
    /// direction.
    socket: Option<Arc<OwnedWriteHalf>>,
    chunks: VecDeque<Bytes>,
    frames: BytesMut,
    bytes: usize,
    written: u64,
    closed: bool,
}

impl Outbox {
    /// Writes to `socket`. [`Outbox::run`] must run for as long as the connection lives.
    pub(crate) fn new(socket: Writing) -> Arc<Self> {
        let (socket, secured) = match socket {
            Writing::Plain(socket) => (Some(Arc::new(socket)), None),
            secured @ Writing::Secured(_) => (None, Some(secured)),
        };
        let pending =
            Pending { socket, chunks: VecDeque::new(), frames: BytesMut::new(), bytes: 0, written: 0, closed: false };
        let (pending, secured) = (Mutex::new(pending), Mutex::new(secured));
        Arc::new(Self { pending, secured, filled: Notify::new(), drained: Notify::new() })
    }

    /// Sends a frame.
    pub(crate) fn push(&self, frame: &Frame) {
        self.push_with_body(frame, None);
    }

    /// Sends a frame and the bytes that belong behind it, which are not copied.
    pub(crate) fn push_with_body(&self, frame: &Frame, body: Option<Bytes>) {
        let mut pending = self.lock();
        if pending.closed {
            return;
        }
        encode(frame, &mut pending.frames);
        let frames = pending.frames.split().freeze();
        for chunk in [Some(frames), body].into_iter().flatten() {
            pending.bytes += chunk.len();
            pending.chunks.push_back(chunk);
        }
        // An error is the task's to see: it ends the connection.
        let all_written = matches!(pending.write(), Ok(())) && pending.bytes == 0;
        drop(pending);
        if !all_written {
            self.filled.notify_one();
        }
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

    /// Writes what was left over until the outbox is closed and empty, or the peer is gone.
    pub(crate) async fn run(&self) -> io::Result<()> {
        let secured = self.secured.lock().unwrap_or_else(PoisonError::into_inner).take();
        let result = match secured {
            Some(Writing::Secured(stream)) => self.write_all_of_it(stream).await,
            Some(Writing::Plain(_)) | None => self.write_leftovers().await,
        };
        self.close();
        drop(self.lock().socket.take());
        result
    }

    async fn write_leftovers(&self) -> io::Result<()> {
        let Some(socket) = self.lock().socket.clone() else { return Ok(()) };
        loop {
            let filled = self.filled.notified();
            let (empty, closed) = {
                let pending = self.lock();
                (pending.bytes == 0, pending.closed)
            };
            match (empty, closed) {
                (true, true) => return Ok(()),
                (true, false) => filled.await,
                (false, _) => {
                    socket.writable().await?;
                    self.lock().write()?;
                    self.drained.notify_waiters();
                }
            }
        }
    }

    async fn write_all_of_it(&self, mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
        loop {
            let filled = self.filled.notified();
            let (chunks, closed) = {
                let pending = self.lock();
                (pending.chunks.iter().take(SLICES).cloned().collect::<Vec<_>>(), pending.closed)
            };
            match (chunks.is_empty(), closed) {
                (true, true) => return stream.shutdown().await,
                (true, false) => filled.await,
                (false, _) => {
                    let slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
                    let written = stream.write_vectored(&slices).await?;
                    if written == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    // Written is what the kernel has, not what is encrypted.
                    stream.flush().await?;
                    self.lock().remove(written);
                    self.drained.notify_waiters();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Writes as much as the socket takes now.
    fn write(&mut self) -> io::Result<()> {
        let Some(socket) = self.socket.clone() else { return Ok(()) };
        while !self.chunks.is_empty() {
            let slices: Vec<IoSlice<'_>> = self.chunks.iter().take(SLICES).map(|chunk| IoSlice::new(chunk)).collect();
            let written = match socket.try_write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.remove(written);
        }
        Ok(())
    }

    fn remove(&mut self, written: usize) {
        advance(&mut self.chunks, written);
        self.bytes -= written;
        self.written += written as u64;
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
    use crate::hop::Stream;
    use std::time::Duration;
    use tokio::io::{AsyncRead, AsyncReadExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use transport::tls::{Pem, Tls};

    async fn connected() -> (Arc<Outbox>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (Outbox::new(Writing::Plain(near.into_split().1)), far)
    }

    /// As [`connected`], with a certificate that both sides show.
    async fn secured() -> (Arc<Outbox>, impl AsyncRead + Unpin) {
        let own = rcgen::generate_simple_self_signed(["peer.a".to_owned()]).unwrap();
        let certificate = own.cert.pem().into_bytes();
        let key = own.signing_key.serialize_pem().into_bytes();
        let tls = Tls::of(&Pem { authorities: certificate.clone(), certificate, key }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let (connector, acceptor) = (tls.connector("peer.a").unwrap(), tls.acceptor(&["peer.a"]));
        let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far, Duration::from_secs(5)));
        let (_, write) = Stream::Secured(Box::new(near.unwrap().into())).into_split();
        (Outbox::new(write), far.unwrap())
    }

    #[tokio::test]
    async fn frames_and_bodies_leave_in_order_whatever_the_socket_takes_at_once() {
        let (outbox, far) = connected().await;
        check_order(outbox, far).await;
        let (outbox, far) = secured().await;
        check_order(outbox, far).await;
    }

    async fn check_order(outbox: Arc<Outbox>, mut far: impl AsyncRead + Unpin) {
        const LARGE: usize = 20 << 20;
        outbox.push(&Frame::Ping);
        outbox.push_with_body(&Frame::Body { id: 1, size: LARGE as u32 }, Some(Bytes::from(vec![7; LARGE])));
        outbox.push(&Frame::Pong);
        assert!(!outbox.is_empty(), "no socket takes that much at once");
        outbox.close();
        outbox.push(&Frame::Ping);
        let mut all = vec![];
        let (written, read) = tokio::join!(outbox.run(), far.read_to_end(&mut all));
        written.unwrap();
        read.unwrap();
        let mut want = BytesMut::new();
        encode(&Frame::Ping, &mut want);
        encode(&Frame::Body { id: 1, size: LARGE as u32 }, &mut want);
        want.resize(want.len() + LARGE, 7);
        encode(&Frame::Pong, &mut want);
        assert!(all == want, "what is pushed after the close is not sent, all else is");
    }

    #[tokio::test]
    async fn threads_may_push_at_the_same_time() {
        let (outbox, mut far) = connected().await;
        let running = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.run().await }
        });
        let reading = tokio::spawn(async move {
            let mut all = vec![];
            far.read_to_end(&mut all).await.map(|_| all)
        });
        let pushing = tokio::task::spawn_blocking({
            let outbox = Arc::clone(&outbox);
            move || {
                std::thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| (0..5_000).for_each(|id| outbox.push(&Frame::Taken { id })));
                    }
                });
            }
        });
        pushing.await.unwrap();
        outbox.close();
        running.await.unwrap().unwrap();
        let mut all = BytesMut::from(&reading.await.unwrap().unwrap()[..]);
        let mut frames = 0;
        while let Some(frame) = wire::frame::Decoder.next(&mut all).unwrap() {
            assert!(matches!(frame, Frame::Taken { .. }));
            frames += 1;
        }
        assert_eq!((frames, all.len()), (20_000, 0));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_stops_the_work_until_the_end() {
        let (outbox, far) = connected().await;
        outbox.push_with_body(&Frame::Body { id: 1, size: 0 }, Some(Bytes::from(vec![0; 20 << 20])));
        let waits = tokio::time::timeout(Duration::from_millis(10), outbox.room()).await;
        assert!(waits.is_err());
        drop(far);
        assert!(outbox.run().await.is_err());
        outbox.room().await;
    }
}
