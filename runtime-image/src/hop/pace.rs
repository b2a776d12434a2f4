//! Emulated links: one first-come-first-served station per directed link, then a latency.

use crate::timer::Timer;
use domain::{Bytes, Link, Seconds};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use wire::document::LinkDocument;

/// Seconds.
const LONGEST_LATENCY: f64 = 60.0;

/// The emulated links of one process, by the device at their far end.
#[derive(Debug, Default)]
pub(crate) struct Paces(BTreeMap<String, Arc<Pacing>>);

/// One emulated link.
#[derive(Debug)]
pub(crate) struct Pacing {
    link: Link,
    timer: Timer,
    /// When the last transmission ends. Whoever holds the lock has the link; the lock is fair.
    free_at: Mutex<Instant>,
}

/// The link, held for one job until its transmission is booked.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pacing: &'a Pacing,
    free_at: MutexGuard<'a, Instant>,
    start: Instant,
}

impl Paces {
    /// Reads the links of a document; a bandwidth or latency that is none is said with its device.
    pub(crate) fn new(links: &BTreeMap<String, LinkDocument>) -> anyhow::Result<Self> {
        if links.is_empty() {
            return Ok(Self::default());
        }
        let timer = Timer::start()?;
        let pace = |(device, link): (&String, &LinkDocument)| -> anyhow::Result<_> {
            let bytes_per_second = link.bytes_per_second.unwrap_or(f64::INFINITY);
            // Slower than a byte a second is a mistake, and would overflow durations.
            anyhow::ensure!(
                bytes_per_second >= 1.0,
                "link to {device}: bytesPerSecond must be at least 1, not {bytes_per_second}"
            );
            let latency = Seconds::new(link.latency_microseconds / 1e6)
                .map_err(|error| anyhow::anyhow!("link to {device}: {error}"))?;
            anyhow::ensure!(
                latency.get() <= LONGEST_LATENCY,
                "link to {device}: a latency above {LONGEST_LATENCY} s is a mistake"
            );
            let pacing = Pacing {
                link: Link { bytes_per_second, latency },
                timer: timer.clone(),
                free_at: Mutex::new(Instant::now()),
            };
            Ok((device.clone(), Arc::new(pacing)))
        };
        Ok(Self(links.iter().map(pace).collect::<anyhow::Result<_>>()?))
    }

    /// The link to a device, if it is emulated.
    pub(crate) fn to(&self, device: &str) -> Option<Arc<Pacing>> {
        self.0.get(device).cloned()
    }
}

impl Pacing {
    /// Waits until the link is free.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let free_at = self.free_at.lock().await;
        // A link that was idle starts now; a busy one starts when it was free, not when this thread woke up.
        let start = (*free_at).max(Instant::now());
        self.timer.sleep_until(start).await;
        Turn { pacing: self, free_at, start }
    }

    /// How long an answer takes on its way back; answers are small, their bandwidth is not counted.
    pub(crate) async fn return_trip(&self) {
        self.timer.sleep_until(Instant::now() + self.latency()).await;
    }

    fn latency(&self) -> Duration {
        Duration::from_secs_f64(self.link.latency.get())
    }
}

impl Turn<'_> {
    /// Books the transmission of `size` bytes, frees the link for the next and returns when the last byte arrives.
    pub(crate) fn book(mut self, size: usize) -> Arrival {
        let transmission = Duration::from_secs_f64(self.pacing.link.transmission(Bytes(size as u64)).get());
        *self.free_at = self.start + transmission;
        Arrival { timer: self.pacing.timer.clone(), at: self.start + transmission + self.pacing.latency() }
    }
}

/// When the last byte of a job arrives.
#[derive(Debug)]
pub(crate) struct Arrival {
    timer: Timer,
    at: Instant,
}

impl Arrival {
    pub(crate) async fn wait(self) {
        self.timer.sleep_until(self.at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacing(bytes_per_second: f64, latency_microseconds: f64) -> Arc<Pacing> {
        let link = LinkDocument { bytes_per_second: Some(bytes_per_second), latency_microseconds };
        Paces::new(&BTreeMap::from([("far".to_owned(), link)])).unwrap().to("far").unwrap()
    }

    #[tokio::test]
    async fn a_link_carries_no_more_than_its_bandwidth() {
        let pacing = pacing(1e6, 5_000.0);
        let start = Instant::now();
        let mut arrivals = vec![];
        for _ in 0..50 {
            arrivals.push(pacing.turn().await.book(1_000));
        }
        for arrival in arrivals {
            arrival.wait().await;
        }
        // 50 transmissions of 1 ms, then one latency of 5 ms.
        let took = start.elapsed().as_secs_f64();
        assert!(took >= 0.0549, "{took}");
    }

    #[tokio::test]
    async fn a_refused_job_does_not_occupy_the_link() {
        let pacing = pacing(1.0, 0.0);
        for _ in 0..5 {
            drop(pacing.turn().await);
        }
    }

    #[test]
    fn links_that_cannot_be_are_refused_with_their_device() {
        for (bytes_per_second, latency_microseconds) in
            [(Some(0.0), 0.0), (Some(f64::NAN), 0.0), (None, -1.0), (None, 1e300)]
        {
            let link = LinkDocument { bytes_per_second, latency_microseconds };
            let error = Paces::new(&BTreeMap::from([("box".to_owned(), link)])).unwrap_err();
            assert!(error.to_string().contains("link to box"), "{error}");
        }
    }
}
