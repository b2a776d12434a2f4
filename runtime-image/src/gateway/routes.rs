//! Which devices are avoided after a failure, and when they are tried again. Pure: time is an argument.
//!
//! Usable ⇒ (failure) avoided for a while ⇒ one job tries it ⇒ (success) usable, (failure) avoided for twice as long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Devices that have failed since they last worked.
#[derive(Debug, Default)]
pub(crate) struct Avoided(BTreeMap<String, Pause>);

#[derive(Debug)]
struct Pause {
    until: Instant,
    length: Duration,
    /// A job is on its way to find out.
    trying: bool,
}

impl Avoided {
    /// Whether a job may be sent by way of `device`.
    pub(crate) fn usable(&self, device: &str, now: Instant) -> bool {
        self.0.get(device).is_none_or(|pause| pause.until <= now)
    }

    /// A job is sent by way of `device`: if it has failed before, no other tries it until this one has told.
    pub(crate) fn try_again(&mut self, device: &str, now: Instant) {
        // Jobs that are sent while it is avoided, for want of a better chain, are not the one that tries.
        if let Some(pause) = self.0.get_mut(device).filter(|pause| pause.until <= now) {
            pause.trying = true;
            pause.until = now + pause.length;
        }
    }

    /// `device` could not be reached or died.
    pub(crate) fn failed(&mut self, device: &str, now: Instant) {
        let first = Pause { until: now + FIRST_PAUSE, length: FIRST_PAUSE, trying: false };
        let Some(pause) = self.0.get_mut(device) else {
            self.0.insert(device.to_owned(), first);
            return;
        };
        // Jobs that were under way together fail together: that is one failure.
        if pause.trying || pause.until <= now {
            pause.length = (pause.length * 2).min(LONGEST_PAUSE);
            pause.trying = false;
        }
        pause.until = now + pause.length;
    }

    /// The job that was to try `device` again left before it got there: the next one may try.
    pub(crate) fn not_reached(&mut self, device: &str, now: Instant) {
        if let Some(pause) = self.0.get_mut(device).filter(|pause| pause.trying) {
            pause.trying = false;
            pause.until = now;
        }
    }

    /// A job came back by way of `device`.
    pub(crate) fn worked(&mut self, device: &str) {
        self.0.remove(device);
    }

    /// Devices avoided now.
    pub(crate) fn list(&self, now: Instant) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(_, pause)| pause.until > now).map(|(device, _)| device.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_device_is_avoided_then_tried_by_one_job() {
        let (mut avoided, start) = (Avoided::default(), Instant::now());
        assert!(avoided.usable("box", start));
        avoided.failed("box", start);
        assert!(!avoided.usable("box", start) && avoided.usable("pi", start));
        let later = start + FIRST_PAUSE;
        assert!(avoided.usable("box", later));
        avoided.try_again("box", later);
        assert!(!avoided.usable("box", later), "only one tries");
        avoided.not_reached("box", later);
        assert!(avoided.usable("box", later), "the one that tried left on the way");
        avoided.try_again("box", later);
        avoided.worked("box");
        assert!(avoided.usable("box", later));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_failures_together_count_once() {
        let (mut avoided, mut now) = (Avoided::default(), Instant::now());
        let mut pauses = vec![];
        for _ in 0..7 {
            // The one that tries, and jobs that are sent by that way for want of another, fail a little later.
            avoided.try_again("box", now);
            avoided.try_again("box", now);
            now += Duration::from_millis(1);
            avoided.failed("box", now);
            avoided.failed("box", now);
            avoided.not_reached("box", now);
            let pause = avoided.0["box"].until - now;
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000]);
    }
}
