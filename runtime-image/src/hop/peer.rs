//! Receivers by address: connects, sends jobs, and says at once when a receiver is away.

use super::connection::{Connection, Event, Open};
use super::pace::Pacing;
use super::reader::ReadError;
use crate::secure::Dialler;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant as StdInstant};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wire::frame::{AuditRecord, INLINE_LIMIT, Job, Refusal, Reply};

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection and its handshake.
    pub(crate) connect: Duration,
    /// From sending a job to its takeover, beside the time its bytes need at [`SLOWEST_LINK`]; transmission over an
    /// emulated link is not counted.
    pub(crate) takeover: Duration,
    /// Between two attempts to connect: first this, then doubled up to `retry_most`.
    pub(crate) retry_least: Duration,
    /// Longest pause between two attempts.
    pub(crate) retry_most: Duration,
    /// A connection without jobs for so long is closed.
    pub(crate) idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            takeover: Duration::from_secs(1),
            retry_least: Duration::from_millis(50),
            retry_most: Duration::from_secs(1),
            idle: Duration::from_secs(60),
        }
    }
}

/// Bytes per second (2 Mbit/s) below which a link counts as dead.
const SLOWEST_LINK: f64 = 250_000.0;

/// A receiver that was not waited for so long is not suspected at once.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);

/// Why a job was not taken over. Its tensor is still with the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    Refused(Refusal),
    Unreachable,
    /// It was in a hurry, and the receiver said nothing in the little time it had.
    Slow,
    /// Its deadline passed before it could be sent.
    Late,
}

/// All receivers of a process.
#[derive(Debug)]
pub(crate) struct Peers {
    patience: Patience,
    /// Of processes with certificates.
    dialler: Option<Dialler>,
    by_address: Mutex<HashMap<String, Arc<Peer>>>,
}

#[derive(Debug)]
struct Peer {
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone)]
enum State {
    Connecting,
    Up(Arc<Connection>),
    Down(Arc<str>),
}

/// A job that the receiver has taken over.
#[derive(Debug)]
pub(crate) struct Sent {
    open: Open,
    early: Option<Box<Reply>>,
    link: Option<Arc<Pacing>>,
}

impl Peers {
    pub(crate) fn new(patience: Patience, dialler: Option<Dialler>) -> Arc<Self> {
        Arc::new(Self { patience, dialler, by_address: Mutex::default() })
    }

    /// Sends a job to the first of its hops and waits until it is taken over or not.
    ///
    /// A receiver has half of the time that is left to take the job over, so that there is time to do something else.
    pub(crate) async fn send(
        self: &Arc<Self>,
        job: Job,
        body: Bytes,
        link: Option<Arc<Pacing>>,
        deadline: Option<StdInstant>,
    ) -> Result<Sent, SendError> {
        let sending = self.send_in_turn(job, body, link, deadline);
        match deadline {
            None => sending.await,
            Some(deadline) => timeout_at(deadline.into(), sending).await.unwrap_or(Err(SendError::Late)),
        }
    }

    async fn send_in_turn(
        self: &Arc<Self>,
        mut job: Job,
        body: Bytes,
        link: Option<Arc<Pacing>>,
        deadline: Option<StdInstant>,
    ) -> Result<Sent, SendError> {
        let address = job.hops.first().map(|hop| hop.address.clone()).ok_or(SendError::Unreachable)?;
        let turn = match &link {
            Some(link) => Some(link.turn().await),
            None => None,
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(StdInstant::now()));
        job.remaining_micros = left.map(|left| u64::try_from(left.as_micros()).unwrap_or(u64::MAX));
        let transmission = Duration::from_secs_f64(body.len() as f64 / SLOWEST_LINK);
        let patience = left.map_or(Duration::MAX, |left| left / 2).min(self.patience.takeover + transmission);
        let Some(turn) = turn else {
            let directly = async { send_directly(self.register(&address).await?, job, body).await };
            return self.patiently(&address, patience, directly).await;
        };
        // Over an emulated link a job is announced when its transmission starts, and delivered when its last byte arrives.
        let announce = async { announced(self.register(&address).await?, job).await };
        let mut open = self.patiently(&address, patience, announce).await?;
        turn.book(body.len()).wait().await;
        open.send_body(body);
        self.patiently(&address, patience, taken(open, link.clone())).await
    }

    /// Waits for a receiver that must say something soon. One that does not is not sent anything until it has.
    async fn patiently<T>(
        &self,
        address: &str,
        patience: Duration,
        word: impl Future<Output = Result<T, SendError>>,
    ) -> Result<T, SendError> {
        match timeout(patience, word).await {
            Ok(result) => result,
            Err(_) => {
                // A job in a hurry says little about the receiver, so it only asks it for a word.
                let hurried = patience < LEAST_PATIENCE;
                if let Some(connection) = self.up(address) {
                    if hurried { connection.ask() } else { connection.suspect() }
                }
                Err(if hurried { SendError::Slow } else { SendError::Unreachable })
            }
        }
    }

    fn up(&self, address: &str) -> Option<Arc<Connection>> {
        let peers = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        match &*peers.get(address)?.state.borrow() {
            State::Up(connection) => Some(Arc::clone(connection)),
            State::Connecting | State::Down(_) => None,
        }
    }

    async fn register(self: &Arc<Self>, address: &str) -> Result<Open, SendError> {
        // A second try, because an idle connection may be closed between finding and using it.
        for _ in 0..2 {
            let connection = self.connection(address).await.ok_or(SendError::Unreachable)?;
            if connection.suspected() {
                return Err(SendError::Unreachable);
            }
            connection.outbox.room().await;
            if let Some(open) = connection.register() {
                return Ok(open);
            }
        }
        Err(SendError::Unreachable)
    }

    async fn connection(self: &Arc<Self>, address: &str) -> Option<Arc<Connection>> {
        let peer = self.peer(address);
        let mut state = peer.state.clone();
        let settled =
            async { state.wait_for(|state| !matches!(state, State::Connecting)).await.map(|state| state.clone()) };
        match timeout(self.patience.connect, settled).await {
            Ok(Ok(State::Up(connection))) => Some(connection),
            _ => None,
        }
    }

    fn peer(self: &Arc<Self>, address: &str) -> Arc<Peer> {
        let mut peers = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let (sender, state) = watch::channel(State::Connecting);
            tokio::spawn(keep_connected(Arc::downgrade(self), address.to_owned(), sender));
            Arc::new(Peer { state })
        };
        Arc::clone(peers.entry(address.to_owned()).or_insert_with(make))
    }

    /// Whether jobs can be sent to `address` now, as far as is known; unknown addresses are connected to.
    pub(crate) fn usable(self: &Arc<Self>, address: &str) -> bool {
        match &*self.peer(address).state.borrow() {
            State::Connecting => true,
            State::Up(connection) => !connection.draining() && !connection.suspected(),
            State::Down(_) => false,
        }
    }

    /// Why nothing can be sent to `address` now, if something is known.
    pub(crate) fn why_down(&self, address: &str) -> Option<Arc<str>> {
        let peers = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        match &*peers.get(address)?.state.borrow() {
            State::Down(why) => Some(Arc::clone(why)),
            State::Connecting | State::Up(_) => None,
        }
    }

    fn forget(&self, address: &str) {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }
}

async fn send_directly(mut open: Open, mut job: Job, body: Bytes) -> Result<Sent, SendError> {
    if body.len() <= INLINE_LIMIT {
        job.inline = true;
        open.send_job(job, Some(body));
    } else {
        open = announced(open, job).await?;
        open.send_body(body);
    }
    taken(open, None).await
}

async fn announced(mut open: Open, mut job: Job) -> Result<Open, SendError> {
    job.inline = false;
    open.send_job(job, None);
    granted(&mut open).await.map(|()| open)
}

async fn granted(open: &mut Open) -> Result<(), SendError> {
    match open.events.recv().await {
        Some(Event::Granted) => Ok(()),
        Some(Event::Refused(reason)) => {
            open.forget_body();
            Err(SendError::Refused(reason))
        }
        _ => Err(SendError::Unreachable),
    }
}

async fn taken(mut open: Open, link: Option<Arc<Pacing>>) -> Result<Sent, SendError> {
    match open.events.recv().await {
        Some(Event::Taken) => Ok(Sent { open, early: None, link }),
        Some(Event::Reply(reply)) => Ok(Sent { open, early: Some(reply), link }),
        Some(Event::Refused(reason)) => Err(SendError::Refused(reason)),
        _ => Err(SendError::Unreachable),
    }
}

impl Sent {
    /// The reply, or `None` when the receiver died. `passed` is called when the job left the receiver's fragment.
    pub(crate) async fn reply(&mut self, mut passed: impl FnMut()) -> Option<Reply> {
        let reply = match self.early.take() {
            Some(reply) => Some(*reply),
            None => loop {
                match self.open.events.recv().await {
                    Some(Event::Reply(reply)) => break Some(*reply),
                    Some(Event::Passed) => passed(),
                    Some(_) => {}
                    None => break None,
                }
            },
        };
        if let Some(link) = &self.link {
            link.return_trip().await;
        }
        reply
    }

    /// After the reply of an audit job: what the exits said, unless it was refused on the way.
    pub(crate) async fn audit(mut self) -> Option<Vec<AuditRecord>> {
        loop {
            match self.open.events.recv().await? {
                Event::Audit(records) => return Some(records),
                _ => continue,
            }
        }
    }
}

/// Connects again and again, until the peer has been idle for long or the process no longer needs it.
async fn keep_connected(peers: Weak<Peers>, address: String, state: watch::Sender<State>) {
    let Some((patience, dialler)) = peers.upgrade().map(|peers| (peers.patience, peers.dialler.clone())) else {
        return;
    };
    let mut pause = patience.retry_least;
    let mut used = Instant::now();
    while peers.upgrade().is_some() && used.elapsed() < patience.idle {
        let why = match Connection::open(&address, patience.connect, dialler.as_ref()).await {
            Ok((connection, read)) => {
                tracing::debug!(address, "connected");
                pause = patience.retry_least;
                state.send_replace(State::Up(Arc::clone(&connection)));
                tokio::select! {
                    ended = connection.run(read) => tracing::debug!(address, ?ended, "connection ended"),
                    () = idle(&connection, patience.idle) => {
                        if let Some(peers) = peers.upgrade() {
                            peers.forget(&address);
                        }
                        return connection.close();
                    }
                }
                used = Instant::now();
                "the connection ended".into()
            }
            Err(error) => {
                tracing::debug!(address, %error, "cannot connect");
                if let (Some(dialler), ReadError::Handshake(error)) = (&dialler, &error) {
                    dialler.failed(&address, error);
                }
                error.to_string().into()
            }
        };
        state.send_replace(State::Down(why));
        sleep(pause).await;
        pause = (pause * 2).min(patience.retry_most);
    }
    if let Some(peers) = peers.upgrade() {
        peers.forget(&address);
    }
}

/// Returns when the connection has had no job for `limit`.
async fn idle(connection: &Connection, limit: Duration) {
    let mut since = Instant::now();
    while since.elapsed() < limit {
        sleep(limit / 10).await;
        if connection.jobs() > 0 {
            since = Instant::now();
        }
    }
}
