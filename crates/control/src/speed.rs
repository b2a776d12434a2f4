//! How fast a device really is, from the core-seconds it took for the jobs it served.
//!
//! # Formula
//! Work is the time that the segments and heads that were computed take on the machine of the profile; fragments add it up.
//! Over a window of at least [`JOBS`] jobs, speed = work ÷ busy core-seconds. It is off when it differs from the speed assumed by
//! more than the hysteresis and 3 ÷ √jobs together; two windows in a row that are off and differ by no more from each other
//! correct it to that of the second.
//!
//! # Assumptions
//! A job is counted when it has been computed, and its core-seconds while it is: at the edges of a window a few jobs count for
//! one of the two only. Jobs differ by at most about the mean of their work, so that windows have a relative deviation of at
//! most 1 ÷ √jobs.
//!
//! # Cost
//! O(fragments) per reading.

use crate::DeviceReading;

/// Jobs of a window.
pub(crate) const JOBS: f64 = 200.0;

/// Follows the speed of one device.
#[derive(Debug, Clone, Default)]
pub struct SpeedTracker {
    before: Option<DeviceReading>,
    work: f64,
    busy: f64,
    jobs: f64,
    /// Speed of the last window, if it was off.
    off: Option<f64>,
}

impl SpeedTracker {
    /// Takes the counters of the device. Its speed, when that has been found to be another one than `assumed`.
    pub(crate) fn observe(&mut self, reading: &DeviceReading, assumed: f64, hysteresis: f64) -> Option<f64> {
        let before = self.before.replace(reading.clone())?;
        let jobs = reading.jobs.checked_sub(before.jobs);
        let (busy, work) = (reading.busy - before.busy, reading.work - before.work);
        // A process that restarted says nothing about the time since the last reading, and without a profile nobody can.
        let (Some(jobs), true) = (jobs, busy >= 0.0 && work >= 0.0 && reading.work > 0.0) else { return None };
        self.busy += busy;
        self.work += work;
        self.jobs += jobs as f64;
        self.close(assumed, hysteresis)
    }

    fn close(&mut self, assumed: f64, hysteresis: f64) -> Option<f64> {
        if self.jobs < JOBS {
            return None;
        }
        let (speed, tolerance) = (self.work / self.busy, hysteresis + 3.0 / self.jobs.sqrt());
        (self.work, self.busy, self.jobs) = (0.0, 0.0, 0.0);
        let is_off = |speed: f64| (speed / assumed).ln().abs() > (1.0 + tolerance).ln();
        if !(speed > 0.0 && speed.is_finite() && is_off(speed)) {
            self.off = None;
            return None;
        }
        let first = self.off.replace(speed)?;
        // Within the first window the speed may still have changed; then the two differ, and the next one decides.
        if (first / speed).ln().abs() > (1.0 + tolerance).ln() {
            return None;
        }
        self.off = None;
        Some(speed)
    }
}
