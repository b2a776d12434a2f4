//! The clock of the process: what everything that waits looks at.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds since the process first asked. Only goes forward, whatever the clock on the wall does.
pub fn now() -> f64 {
    START.elapsed().as_secs_f64()
}

/// Until then; nothing if that is past.
pub fn until(then: f64) -> Duration {
    Duration::from_secs_f64((then - now()).max(0.0))
}

/// The time of day, as objects state it: UTC, whole seconds.
pub fn timestamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
