//! One tally per source and phase, and a window over the last seconds for the live display.

use super::tally::{Fate, Tally};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Length of the window that the live display looks at.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);
/// Fates kept for the window; beyond it the oldest give way and the window is shorter.
const WINDOW_JOBS: usize = 50_000;

/// A service and one of its sources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stream {
    /// The service.
    pub(crate) service: String,
    /// The source.
    pub(crate) source: String,
}

/// Which tally a job belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Index of the stream.
    pub(crate) stream: usize,
    /// Index of the `--load`.
    pub(crate) load: usize,
    /// Index of the phase in it.
    pub(crate) phase: usize,
}

/// All jobs of a run.
#[derive(Debug)]
pub(crate) struct Account {
    streams: Vec<Stream>,
    exits: Vec<usize>,
    tallies: BTreeMap<Key, Tally>,
    recent: VecDeque<Recent>,
    arrivals: VecDeque<(Duration, usize)>,
}

#[derive(Debug)]
struct Recent {
    at: Duration,
    stream: usize,
    latency: Duration,
    fate: Fate,
}

/// A service in the last seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct WindowView {
    /// Jobs per second that were due.
    pub(crate) arrival_rate: f64,
    /// Share of the answers per exit.
    pub(crate) exits: Vec<f64>,
    /// Lost ÷ settled.
    pub(crate) loss_ratio: Option<f64>,
    /// Failed ÷ settled.
    pub(crate) failed_ratio: Option<f64>,
    /// Right ÷ labelled answers.
    pub(crate) accuracy: Option<f64>,
    /// Median latency in milliseconds.
    pub(crate) p50: Option<f64>,
    /// 95th percentile of the latency in milliseconds.
    pub(crate) p95: Option<f64>,
}

impl Account {
    /// Nothing yet; `exits` has the number of exits per stream.
    pub(crate) fn new(streams: Vec<Stream>, exits: Vec<usize>) -> Self {
        Self { streams, exits, tallies: BTreeMap::new(), recent: VecDeque::new(), arrivals: VecDeque::new() }
    }

    /// Counts a job that is due at `now` since any fixed start.
    pub(crate) fn arrive(&mut self, key: Key, now: Duration) {
        self.tally(key).arrived += 1;
        if self.arrivals.len() == WINDOW_JOBS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((now, key.stream));
    }

    /// Records the fate of a job.
    pub(crate) fn settle(&mut self, key: Key, fate: Fate, latency: Duration, now: Duration) {
        self.tally(key).settle(&fate, latency);
        if self.recent.len() == WINDOW_JOBS {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { at: now, stream: key.stream, latency, fate });
    }

    fn tally(&mut self, key: Key) -> &mut Tally {
        let exits = self.exits[key.stream];
        self.tallies.entry(key).or_insert_with(|| Tally::new(exits))
    }

    /// The streams, in the order of their indices.
    pub(crate) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Services in alphabetical order.
    pub(crate) fn services(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.streams.iter().map(|stream| stream.service.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The sum of all tallies that are asked for.
    pub(crate) fn sum(&self, wanted: impl Fn(&Key, &Stream) -> bool) -> Tally {
        let mut sum = Tally::new(0);
        for (key, tally) in &self.tallies {
            if wanted(key, &self.streams[key.stream]) {
                sum.add(tally);
            }
        }
        sum
    }

    /// Jobs of a service without a fate.
    pub(crate) fn in_flight(&self, service: &str) -> u64 {
        let ours = self.tallies.iter().filter(|(key, _)| self.streams[key.stream].service == service);
        ours.map(|(_, tally)| tally.in_flight().max(0) as u64).sum()
    }

    /// What a service did in the window before `now`. Forgets what is older.
    pub(crate) fn window(&mut self, service: &str, now: Duration) -> WindowView {
        let since = now.saturating_sub(WINDOW);
        while self.recent.front().is_some_and(|recent| recent.at < since) {
            self.recent.pop_front();
        }
        while self.arrivals.front().is_some_and(|(at, _)| *at < since) {
            self.arrivals.pop_front();
        }
        let ours = |stream: usize| self.streams[stream].service == service;
        let arrivals = self.arrivals.iter().filter(|(_, stream)| ours(*stream)).count();
        let covered = now.min(WINDOW).as_secs_f64();
        let mut view = view(self.recent.iter().filter(|recent| ours(recent.stream)));
        view.arrival_rate = if covered > 0.0 { arrivals as f64 / covered } else { 0.0 };
        view
    }
}

fn view<'a>(recent: impl Iterator<Item = &'a Recent>) -> WindowView {
    let mut tally = Tally::new(0);
    for job in recent {
        tally.arrived += 1;
        tally.settle(&job.fate, job.latency);
    }
    WindowView {
        arrival_rate: 0.0,
        exits: tally.exit_shares(),
        loss_ratio: tally.loss_ratio(),
        failed_ratio: (tally.arrived > 0).then(|| tally.failed() as f64 / tally.arrived as f64),
        accuracy: tally.accuracy(),
        p50: tally.latency_at(0.5),
        p95: tally.latency_at(0.95),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::tally::tests::answered;

    pub(crate) fn key(stream: usize, phase: usize) -> Key {
        Key { stream, load: 0, phase }
    }

    pub(crate) fn stream(service: &str, source: &str) -> Stream {
        Stream { service: service.into(), source: source.into() }
    }

    #[test]
    fn sums_follow_the_question() {
        let mut account = Account::new(vec![stream("a", "x"), stream("a", "y"), stream("b", "x")], vec![2, 2, 2]);
        for (stream, phase) in [(0, 0), (0, 1), (1, 1), (2, 0)] {
            account.arrive(key(stream, phase), Duration::ZERO);
            account.settle(key(stream, phase), answered(0, true), Duration::from_millis(1), Duration::ZERO);
        }
        account.arrive(key(0, 1), Duration::ZERO);
        assert_eq!(account.sum(|_, stream| stream.service == "a").arrived, 4);
        assert_eq!(account.sum(|_, stream| stream.source == "x").answered, 3);
        assert_eq!(account.sum(|key, _| key.phase == 1).arrived, 3);
        assert_eq!((account.in_flight("a"), account.in_flight("b")), (1, 0));
        assert_eq!(account.services(), ["a", "b"]);
    }

    #[test]
    fn the_window_forgets() {
        let mut account = Account::new(vec![stream("a", "x")], vec![2]);
        let second = Duration::from_secs(1);
        for i in 0..10 {
            account.arrive(key(0, 0), second * i);
            account.settle(key(0, 0), answered(usize::from(i >= 8), i < 8), second, second * i);
        }
        account.settle(key(0, 0), Fate::Lost { place: "edge".into() }, second, second * 9);
        let view = account.window("a", second * 10);
        assert_eq!(view.arrival_rate, 1.0);
        assert_eq!(view.exits, [0.6, 0.4]);
        assert_eq!(view.accuracy, Some(0.6));
        assert_eq!(view.loss_ratio, Some(1.0 / 6.0));
        assert_eq!(account.window("a", second * 60), WindowView::default());
    }
}
