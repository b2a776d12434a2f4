//! A thread that hands over each job at its time.
//!
//! It sleeps on its own instead of on tokio's timer, which is a millisecond coarse and late when the runtime is busy.

use super::plan::Job;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Instant;
use tokio::sync::mpsc;

/// Jobs on their way from the clock to the client. When it is full the clock waits; the jobs keep their times, so the
/// delay counts as latency.
const HANDOVER_QUEUE: usize = 4096;

/// Ends the clock early.
#[derive(Debug, Clone)]
pub(crate) struct Stopper {
    stopped: Arc<AtomicBool>,
    thread: Thread,
}

impl Stopper {
    /// No more jobs are handed over.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Starts handing over `jobs`, whose times count from `begin`. The channel closes after the last.
pub(crate) fn start(
    jobs: impl Iterator<Item = Job> + Send + 'static,
    begin: Instant,
) -> std::io::Result<(mpsc::Receiver<Job>, Stopper, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(HANDOVER_QUEUE);
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = stopped.clone();
    let handle = std::thread::Builder::new().name("load clock".to_owned()).spawn(move || {
        for job in jobs {
            if !sleep_until(begin + job.at, &flag) || sender.blocking_send(job).is_err() {
                return;
            }
        }
    })?;
    Ok((receiver, Stopper { stopped, thread: handle.thread().clone() }, handle))
}

/// Whether the time came, rather than the stop.
fn sleep_until(time: Instant, stopped: &AtomicBool) -> bool {
    loop {
        if stopped.load(Ordering::Acquire) {
            return false;
        }
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Key;
    use std::time::Duration;

    fn job(milliseconds: u64) -> Job {
        Job { key: Key { stream: 0, load: 0, phase: 0 }, number: 0, at: Duration::from_millis(milliseconds) }
    }

    #[test]
    fn no_job_is_early_and_the_channel_closes() {
        let begin = Instant::now();
        let (mut jobs, _stopper, handle) = start([job(1), job(20)].into_iter(), begin).unwrap();
        while let Some(job) = jobs.blocking_recv() {
            assert!(begin.elapsed() >= job.at);
        }
        handle.join().unwrap();
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let (mut jobs, stopper, handle) = start([job(3_600_000)].into_iter(), Instant::now()).unwrap();
        stopper.stop();
        assert_eq!(jobs.blocking_recv(), None);
        handle.join().unwrap();
    }
}
