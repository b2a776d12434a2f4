//! Driving load: what to send when, and the client that sends it.
//!
//! * [`grammar`]: the words after `--load`.
//! * [`arrivals`]: the times at which jobs are due.
//! * [`plan`]: to whom each job goes, and with which body.
//! * [`clock`]: a thread that hands over each job at its time.
//! * [`client`]: HTTP connections to a gateway, and how its answers read.
//! * [`driver`]: all of it together.

pub(crate) mod arrivals;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod grammar;
pub(crate) mod plan;
