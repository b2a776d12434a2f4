//! Arrival rates from counts, with bounds, and tests whether they have changed.
//!
//! Gateways count arrivals; somebody reads the counters now and then. [`Meter`] makes one stream of increments of the
//! counters of all replicas, whatever restarts or is missing; [`Detector`] estimates the rate of that stream and says when
//! it has changed ([`Change::Drift`]) and when what looked like a change was a burst ([`Change::Burst`]).
//!
//! Time is what the increments cover: nothing here has a clock, and hours pass as fast as they can be counted.
//!
//! ```
//! use arrivals::{Change, Detector, DetectorOptions};
//! let mut detector = Detector::new(DetectorOptions::default());
//! // Twenty per second for five minutes, read twice a second, then sixty.
//! assert!((0..600).all(|_| detector.observe(10, 0.5).is_none()));
//! let polls = (1..).find(|_| matches!(detector.observe(30, 0.5), Some(Change::Drift { .. }))).unwrap();
//! assert!(polls <= 4, "{polls} polls");
//! ```

mod bounds;
mod cusum;
mod detector;
mod meter;
mod moments;
mod phases;
mod scale;

pub use bounds::{RateEstimate, normal_quantile, poisson_bounds};
pub use cusum::{Cusum, SECONDS_PER_DAY, threshold, threshold_of_readings};
pub use detector::{Change, Detector, DetectorOptions, Surge};
pub use meter::{Increment, Meter};
pub use moments::Moments;
pub use phases::TwoPhases;
pub use scale::ScaleTest;
