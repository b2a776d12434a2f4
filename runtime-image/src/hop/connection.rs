//! One connection to a receiver: open jobs and the frames that come back for them.

use super::outbox::Outbox;
use super::reader::{FrameReader, ReadError};
use super::stream::{Reading, Stream};
use crate::secure::Dialler;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval, timeout};
use transport::tls::HandshakeError;
use wire::frame::{AuditRecord, Frame, Job, PREAMBLE, Refusal, Reply, chosen_version, preamble};

/// A job sees at most a grant, a takeover, a passing on, a reply and an audit.
const EVENTS: usize = 5;
/// How often a silent connection with open jobs is asked whether it lives.
const PING_EVERY: Duration = Duration::from_millis(500);
/// A receiver that is asked for a word has so long.
const ANSWER: Duration = Duration::from_millis(500);
/// A connection with open jobs that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(5);

/// What the receiver says about a job. A closed channel means that the connection died.
#[derive(Debug)]
pub(crate) enum Event {
    Granted,
    Refused(Refusal),
    Taken,
    Passed,
    Reply(Box<Reply>),
    Audit(Vec<AuditRecord>),
}

/// A live connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) outbox: Arc<Outbox>,
    open: Mutex<Option<HashMap<u64, mpsc::Sender<Event>>>>,
    next_id: AtomicU64,
    draining: AtomicBool,
    /// It did not say in time what it should have said, and has said nothing since.
    suspected: AtomicBool,
    /// Since when a job in a hurry has waited in vain, if nothing was said since.
    asked: Mutex<Option<Instant>>,
    writing: AbortHandle,
}

/// An open job; dropping it forgets the job, whatever still comes for it.
#[derive(Debug)]
pub(crate) struct Open {
    id: u64,
    pub(crate) events: mpsc::Receiver<Event>,
    /// The job is announced and its body has not followed: the receiver may hold memory for it.
    owes_body: bool,
    connection: Arc<Connection>,
}

impl Connection {
    /// Connects, makes sure of the peer if there are certificates, and agrees on a version.
    pub(crate) async fn open(
        address: &str,
        patience: Duration,
        dialler: Option<&Dialler>,
    ) -> Result<(Arc<Self>, Reading), ReadError> {
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        let stream = timeout(patience, TcpStream::connect(address)).await.map_err(late)??;
        stream.set_nodelay(true)?;
        let stream = match dialler {
            None => Stream::Plain(stream),
            Some(dialler) => timeout(patience, dialler.secure(stream)).await.map_err(late)??,
        };
        let (mut read, mut write) = stream.into_split();
        write.write_all(&preamble()).await?;
        let mut answer = [0; PREAMBLE];
        // A peer that refuses this process says so here.
        let refused = |error| HandshakeError::of_tls(&error).map_or(ReadError::Io(error), ReadError::Handshake);
        timeout(patience, read.read_exact(&mut answer)).await.map_err(late)?.map_err(refused)?;
        chosen_version(answer)?;
        let outbox = Outbox::new(write);
        let writing = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.run().await }
        });
        let connection = Arc::new(Self {
            outbox,
            open: Mutex::new(Some(HashMap::new())),
            next_id: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            suspected: AtomicBool::new(false),
            asked: Mutex::new(None),
            writing: writing.abort_handle(),
        });
        Ok((connection, read))
    }

    /// Registers a job. `None` when the connection has died meanwhile.
    pub(crate) fn register(self: &Arc<Self>) -> Option<Open> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(EVENTS);
        self.lock().as_mut()?.insert(id, sender);
        Some(Open { id, events, owes_body: false, connection: Arc::clone(self) })
    }

    /// Whether the receiver has said that it drains.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Nothing is sent any more until the receiver says something; it is asked to.
    pub(crate) fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
        self.outbox.push(&Frame::Ping);
    }

    /// Asks the receiver for a word; it is suspected if none comes.
    pub(crate) fn ask(&self) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_none() {
            *asked = Some(Instant::now());
            self.outbox.push(&Frame::Ping);
        }
    }

    fn said_something(&self) {
        self.suspected.store(false, Ordering::Relaxed);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn asked_in_vain(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|since| since.elapsed() > ANSWER)
    }

    /// Whether the receiver owes a word.
    pub(crate) fn suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    /// Jobs open.
    pub(crate) fn jobs(&self) -> usize {
        self.lock().as_ref().map_or(0, HashMap::len)
    }

    /// Hands out what comes back until the connection ends; then all open jobs learn that it died.
    pub(crate) async fn run(&self, read: Reading) -> Result<(), ReadError> {
        let result = self.dispatch(FrameReader::new(read)).await;
        self.close();
        result
    }

    /// Tells all open jobs that the connection died, and takes no more.
    pub(crate) fn close(&self) {
        *self.lock() = None;
        self.outbox.close();
        // What is unwritten is for jobs that are over.
        self.writing.abort();
    }

    async fn dispatch(&self, mut reader: FrameReader<Reading>) -> Result<(), ReadError> {
        let mut ping = interval(PING_EVERY);
        let (mut heard, mut written) = (Instant::now(), 0);
        loop {
            tokio::select! {
                frame = reader.next() => {
                    let Some(frame) = frame? else { return Ok(()) };
                    heard = Instant::now();
                    self.said_something();
                    self.receive(frame);
                }
                _ = ping.tick() => {
                    if self.asked_in_vain() {
                        self.suspect();
                    }
                    let unwritten = !self.outbox.is_empty();
                    let idle = self.jobs() == 0 && !unwritten && !self.suspected();
                    // A slow link that still takes bytes lives, although its answer waits behind them.
                    let progress = unwritten && self.outbox.written() != written;
                    written = self.outbox.written();
                    if idle || progress {
                        heard = Instant::now();
                    } else if heard.elapsed() > SILENCE {
                        return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
                    } else if heard.elapsed() > PING_EVERY {
                        self.outbox.push(&Frame::Ping);
                    }
                }
            }
        }
    }

    fn receive(&self, frame: Frame) {
        let (id, event) = match frame {
            Frame::Grant { id } => (id, Event::Granted),
            Frame::Refused { id, reason } => (id, Event::Refused(reason)),
            Frame::Taken { id } => (id, Event::Taken),
            Frame::Passed { id } => (id, Event::Passed),
            Frame::Reply(reply) => (reply.id, Event::Reply(reply)),
            Frame::Audit { id, records } => (id, Event::Audit(records)),
            Frame::Draining => return self.draining.store(true, Ordering::Relaxed),
            Frame::Ping | Frame::Pong | Frame::Job(_) | Frame::Body { .. } | Frame::Cancel { .. } => return,
        };
        if let Some(job) = self.lock().as_ref().and_then(|open| open.get(&id)) {
            // Full only if the receiver repeats itself; a job listens to each word once.
            let _ = job.try_send(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::Sender<Event>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Announces the job; a body given with it follows at once.
    pub(crate) fn send_job(&mut self, mut job: Job, body: Option<Bytes>) {
        job.id = self.id;
        self.owes_body = body.is_none();
        self.connection.outbox.push_with_body(&Frame::Job(Box::new(job)), body);
    }

    /// Sends the body that was granted.
    pub(crate) fn send_body(&mut self, body: Bytes) {
        self.owes_body = false;
        let frame = Frame::Body { id: self.id, size: body.len() as u32 };
        self.connection.outbox.push_with_body(&frame, Some(body));
    }

    /// The job was refused: no body will be missed.
    pub(crate) fn forget_body(&mut self) {
        self.owes_body = false;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.owes_body {
            self.connection.outbox.push(&Frame::Cancel { id: self.id });
        }
        if let Some(open) = self.connection.lock().as_mut() {
            open.remove(&self.id);
        }
    }
}
