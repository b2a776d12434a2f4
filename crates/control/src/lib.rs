//! The drift loop: telemetry in, decisions out.
//!
//! [`DriftLoop`] takes what gateways and devices count ([`Observation`]), keeps estimates of what the plan in force was made
//! for (arrival rates and their bursts, speeds of devices, agreement of exits), and decides whether a new plan is worth
//! making ([`DriftLoop::decide`]). It does not plan: whoever drives it calls the planner with the problem it hands out, and
//! says what became of it ([`DriftLoop::accept`], [`DriftLoop::retuned`], [`DriftLoop::reject`]). No clock, no randomness, no input and output:
//! local mode and an operator drive the same loop, and tests drive it through hours in milliseconds.
//!
//! How fast it finds what, and how rarely it is wrong: `docs/design/drift.md`.

mod accuracy;
mod confidence;
mod drift_loop;
mod event;
mod gate;
mod observation;
mod options;
mod running;
mod shares;
mod speed;
mod tilt;
mod violation;

pub use accuracy::{AccuracyTracker, ExitAgreement};
pub use drift_loop::{Accepted, Decision, DriftLoop};
pub use event::{Event, Held, Reason};
pub use gate::Gate;
pub use observation::{DeviceReading, GatewayReading, Observation, SourceReading};
pub use options::LoopOptions;
pub use speed::SpeedTracker;
pub use violation::LossTracker;
