//! The receiving side of a connection: admits jobs before their bytes are read, and hands them on to be served.

use super::Device;
use super::job::{Upstream, serve};
use super::metrics::Entry;
use crate::hop::{FrameReader, Outbox, ReadError, Reading, Stream};
use crate::memory::Reservation;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use wire::frame::{Frame, Job, PREAMBLE, Refusal, answer_preamble};

/// A peer that says nothing for so long after connecting is none.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A job that has been let in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) job: Job,
    pub(super) lane: usize,
    pub(super) deadline: Option<Instant>,
    /// Of the fragment, and of the device if that has a budget.
    pub(super) memory: Vec<Reservation>,
    /// In the books of the fragment.
    pub(super) entry: Entry,
    /// Counts the job as open until it is dropped.
    pub(super) open: Arc<()>,
}

/// Serves a connection until it ends. Errors are the peer's; they end this connection only.
pub(super) async fn run(device: Arc<Device>, stream: Stream) -> Result<(), ReadError> {
    let (mut read, mut write) = stream.into_split();
    let mut theirs = [0; PREAMBLE];
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    timeout(HANDSHAKE, read.read_exact(&mut theirs)).await.map_err(late)??;
    write.write_all(&answer_preamble(theirs)?).await?;
    let outbox = Outbox::new(write);
    device.outboxes.add(&outbox);
    let mut writing = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move { outbox.run().await }
    });
    let result = tokio::select! {
        result = receive(&device, FrameReader::new(read), &outbox) => result,
        // Nothing can be answered any more.
        _ = &mut writing => {
            outbox.close();
            return Ok(());
        }
    };
    // Answers of jobs still served would go to nobody: their sender counts them as failed.
    outbox.close();
    let _ = writing.await;
    result
}

async fn receive(
    device: &Arc<Device>,
    mut reader: FrameReader<Reading>,
    outbox: &Arc<Outbox>,
) -> Result<(), ReadError> {
    // Jobs that were let in and whose bodies have not come.
    let mut granted: HashMap<u64, Admitted> = HashMap::new();
    loop {
        outbox.room().await;
        match reader.next().await? {
            None => return Ok(()),
            Some(Frame::Job(job)) => {
                let (id, size, inline) = (job.id, job.body_size as usize, job.inline);
                match admit(device, *job) {
                    Err(reason) => {
                        outbox.push(&Frame::Refused { id, reason });
                        if inline {
                            reader.drain(size).await?;
                        }
                    }
                    Ok(admitted) if inline => take(device, admitted, reader.body(size).await?, outbox),
                    Ok(admitted) => {
                        outbox.push(&Frame::Grant { id });
                        granted.insert(id, admitted);
                    }
                }
            }
            Some(Frame::Body { id, size }) => {
                // Bytes that were not granted as such end the connection: its frames can no longer be trusted.
                let admitted = granted.remove(&id).filter(|admitted| admitted.job.body_size == size);
                let admitted = admitted.ok_or(std::io::Error::from(std::io::ErrorKind::InvalidData))?;
                let body = reader.body(size as usize).await?;
                take(device, admitted, body, outbox);
            }
            Some(Frame::Cancel { id }) => drop(granted.remove(&id)),
            Some(Frame::Ping) => outbox.push(&Frame::Pong),
            Some(_) => return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into()),
        }
    }
}

/// Decides on the header alone; what is let in has its memory reserved.
fn admit(device: &Device, job: Job) -> Result<Admitted, Refusal> {
    let arrived = Instant::now();
    let named = |hosted: &super::Hosted| job.hops.first().is_some_and(|hop| hop.fragment == hosted.name);
    let lane = device.hosted.iter().position(named).ok_or(Refusal::UnknownFragment)?;
    let hosted = &device.hosted[lane];
    let checked = || {
        if device.draining() {
            return Err(Refusal::Draining);
        }
        let last = hosted.output_bytes == 0;
        let fits_model = u64::from(job.body_size) == hosted.input_bytes && job.thresholds.len() + 1 == hosted.exits;
        if !fits_model || (!last && job.hops.len() < 2) {
            return Err(Refusal::BadJob);
        }
        let mut memory = vec![hosted.region.reserve(hosted.job_bytes()).ok_or(Refusal::FragmentMemory)?];
        if let Some(region) = &device.region {
            memory.push(region.reserve(hosted.job_bytes()).ok_or(Refusal::DeviceMemory)?);
        }
        Ok(memory)
    };
    match checked() {
        Ok(memory) => {
            let deadline = job.remaining_micros.and_then(|micros| arrived.checked_add(Duration::from_micros(micros)));
            let entry = Entry::new(&hosted.metrics);
            Ok(Admitted { job, lane, deadline, memory, entry, open: device.open.enter() })
        }
        Err(reason) => {
            hosted.metrics.refuse(reason);
            Err(reason)
        }
    }
}

fn take(device: &Arc<Device>, admitted: Admitted, body: Vec<u8>, outbox: &Arc<Outbox>) {
    let id = admitted.job.id;
    outbox.push(&Frame::Taken { id });
    let upstream = Upstream { outbox: Arc::clone(outbox), id };
    serve(device, admitted, body, upstream);
}
