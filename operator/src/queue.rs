//! Which objects are to be looked at, and when. Pure: time and chance are arguments.
//!
//! An object is in here at most once, so the queue is as long as there are objects; it is never looked at twice at the
//! same time.

use std::collections::{BTreeMap, BTreeSet};

/// Seconds on a clock that only goes forward.
pub type Now = f64;

/// First wait after a failure, in seconds; it doubles with each further one.
const FIRST_WAIT: f64 = 0.25;
/// Longest wait after failures, in seconds.
const LONGEST_WAIT: f64 = 300.0;
/// Longest wait while the API server does not answer, in seconds: when it is back, users must not wait for minutes.
const LONGEST_INTERRUPTION: f64 = 30.0;

/// What came of looking at an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All is as it should be. To be looked at again after so many seconds, if a time is given.
    Done(Option<f64>),
    /// It did not work: to be tried again, later each time.
    Failed,
    /// It was not answered, or somebody else wrote at the same time: as `Failed`, but never much later.
    Interrupted,
}

/// Keys that wait, and keys that are being looked at.
#[derive(Debug, Clone)]
pub struct Queue<K> {
    waiting: BTreeMap<K, Waiting>,
    /// Since when.
    running: BTreeMap<K, Now>,
    /// Added while they were being looked at.
    again: BTreeSet<K>,
    failures: BTreeMap<K, u32>,
    /// When a key was last taken out or finished; `None` before anybody works on them.
    moved: Option<Now>,
}

/// Since when a key waits, and until when.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Waiting {
    due: Now,
    since: Now,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            again: BTreeSet::new(),
            failures: BTreeMap::new(),
            moved: None,
        }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// Something about an object has changed.
    pub fn add(&mut self, key: K, now: Now) {
        if self.running.contains_key(&key) {
            self.again.insert(key);
            return;
        }
        // News end the wait after a failure, not its length: an object that fails by itself must not run in circles.
        let wait = if self.failures.contains_key(&key) { FIRST_WAIT } else { 0.0 };
        self.wait(key, now + wait, now);
    }

    /// The key that is due for the longest time, which is then being looked at, and how long it was due.
    pub fn pop(&mut self, now: Now) -> Option<(K, f64)> {
        let (key, waiting) = self.waiting.iter().min_by(|a, b| a.1.due.total_cmp(&b.1.due))?;
        if waiting.due > now {
            return None;
        }
        let (key, waited) = (key.clone(), now - waiting.due.max(waiting.since));
        self.waiting.remove(&key);
        self.running.insert(key.clone(), now);
        self.moved = Some(now);
        Some((key, waited))
    }

    /// When the next key is due.
    pub fn next(&self) -> Option<Now> {
        self.waiting.values().map(|waiting| waiting.due).min_by(f64::total_cmp)
    }

    /// A key has been looked at. `chance` from 0 to 1 spreads what failed together.
    pub fn finish(&mut self, key: K, outcome: Outcome, now: Now, chance: f64) {
        self.running.remove(&key);
        self.moved = Some(now);
        let again = self.again.remove(&key);
        match outcome {
            Outcome::Failed | Outcome::Interrupted => {
                let longest = if outcome == Outcome::Failed { LONGEST_WAIT } else { LONGEST_INTERRUPTION };
                let failures = self.failures.entry(key.clone()).or_insert(0);
                let wait = (FIRST_WAIT * 2f64.powi((*failures).min(20) as i32)).min(longest);
                *failures = failures.saturating_add(1);
                // News that came meanwhile are as good as those that come afterwards.
                let wait = if again { FIRST_WAIT } else { wait * (0.5 + 0.5 * chance) };
                self.wait(key, now + wait, now);
            }
            Outcome::Done(later) => {
                self.failures.remove(&key);
                if again {
                    self.wait(key, now, now);
                } else if let Some(seconds) = later {
                    self.wait(key, now + seconds, now);
                }
            }
        }
    }

    /// From now on somebody works on keys.
    pub fn start(&mut self, now: Now) {
        self.moved = Some(now);
    }

    /// For how long nothing has moved although something should have: a key is being looked at, or is due while none is taken out.
    pub fn standstill(&self, now: Now) -> f64 {
        let Some(moved) = self.moved else { return 0.0 };
        let looked_at = self.running.values().map(|since| now - since);
        let not_taken = self.next().map(|due| now - due.max(moved));
        looked_at.chain(not_taken).fold(0.0, f64::max)
    }

    /// Keys that wait.
    pub fn len(&self, now: Now) -> usize {
        self.waiting.values().filter(|waiting| waiting.due <= now).count()
    }

    /// Keys that are being looked at.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sooner if it waits already.
    fn wait(&mut self, key: K, due: Now, now: Now) {
        let waiting = self.waiting.entry(key).or_insert(Waiting { due, since: now });
        waiting.due = waiting.due.min(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(queue: &mut Queue<&'static str>, now: Now) -> Option<&'static str> {
        queue.pop(now).map(|(key, _)| key)
    }

    #[test]
    fn a_key_is_there_once_and_first_come_is_first_served() {
        let mut queue = Queue::default();
        for (key, now) in [("b", 0.0), ("a", 1.0), ("b", 2.0)] {
            queue.add(key, now);
        }
        assert_eq!(queue.len(2.0), 2);
        assert_eq!(queue.pop(3.0), Some(("b", 3.0)));
        assert_eq!(queue.pop(3.0), Some(("a", 2.0)));
        assert_eq!(queue.pop(3.0), None);
    }

    #[test]
    fn what_changes_while_it_is_looked_at_is_looked_at_again_afterwards() {
        let mut queue = Queue::default();
        queue.add("a", 0.0);
        assert_eq!(popped(&mut queue, 0.0), Some("a"));
        queue.add("a", 1.0);
        assert_eq!(popped(&mut queue, 1.0), None, "never twice at the same time");
        queue.finish("a", Outcome::Done(Some(60.0)), 2.0, 0.0);
        assert_eq!(popped(&mut queue, 2.0), Some("a"));
        queue.finish("a", Outcome::Done(Some(60.0)), 3.0, 0.0);
        assert_eq!((popped(&mut queue, 62.0), queue.next()), (None, Some(63.0)));
        assert_eq!(popped(&mut queue, 63.0), Some("a"));
    }

    #[test]
    fn failures_wait_twice_as_long_each_time_until_one_works() {
        let mut queue = Queue::default();
        queue.add("a", 0.0);
        let mut waits = vec![];
        let mut now = 0.0;
        for _ in 0..14 {
            assert_eq!(popped(&mut queue, now), Some("a"));
            queue.finish("a", Outcome::Failed, now, 1.0);
            let next = queue.next().expect("it waits");
            waits.push(next - now);
            now = next;
        }
        assert_eq!((waits[..3].to_vec(), waits[13]), (vec![0.25, 0.5, 1.0], 300.0));
        assert_eq!(popped(&mut queue, now), Some("a"));
        queue.finish("a", Outcome::Interrupted, now, 1.0);
        let next = queue.next().expect("it waits");
        assert_eq!(next - now, 30.0, "an API server that is back is not waited for");
        now = next;
        assert_eq!(popped(&mut queue, now), Some("a"));
        queue.finish("a", Outcome::Done(None), now, 1.0);
        queue.add("a", now);
        assert_eq!(queue.next(), Some(now), "all is forgotten");
    }

    #[test]
    fn only_what_should_move_stands_still() {
        let mut queue = Queue::default();
        queue.add("a", 0.0);
        assert_eq!(queue.standstill(900.0), 0.0, "nobody works on it yet");
        queue.start(1000.0);
        assert_eq!(queue.standstill(1010.0), 10.0, "due, and not taken out");
        assert_eq!(popped(&mut queue, 1010.0), Some("a"));
        assert_eq!(queue.standstill(1030.0), 20.0, "being looked at");
        queue.finish("a", Outcome::Done(Some(600.0)), 1030.0, 0.0);
        assert_eq!(queue.standstill(1600.0), 0.0, "waits until it is due");
        queue.add("b", 1600.0);
        queue.add("c", 1600.0);
        assert_eq!(popped(&mut queue, 1700.0), Some("b"));
        queue.finish("b", Outcome::Done(None), 1790.0, 0.0);
        assert_eq!(queue.standstill(1800.0), 10.0, "the queue is long, but moves");
        assert_eq!(Queue::<&str>::default().standstill(1e9), 0.0);
    }

    #[test]
    fn news_end_the_wait_after_a_failure() {
        let mut queue = Queue::default();
        queue.add("a", 0.0);
        for now in [0.0, 1.0, 2.0, 4.0, 8.0] {
            assert_eq!(popped(&mut queue, now), Some("a"));
            queue.finish("a", Outcome::Failed, now, 1.0);
        }
        assert_eq!(queue.next(), Some(12.0));
        queue.add("a", 9.0);
        assert_eq!(queue.next(), Some(9.25));
        // Also those that come while it is looked at, which may have been too late for that.
        assert_eq!(popped(&mut queue, 10.0), Some("a"));
        queue.add("a", 10.5);
        queue.finish("a", Outcome::Failed, 11.0, 1.0);
        assert_eq!(queue.next(), Some(11.25));
    }
}
