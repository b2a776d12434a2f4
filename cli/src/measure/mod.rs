//! What happened to the jobs, as pure values.
//!
//! * [`tally`]: counters of one kind of jobs: arrived = answered + lost + failed + in flight.
//! * [`account`]: one tally per source and phase, and a window over the last seconds.
//! * [`devices`]: counters of device processes that survive their restarts.
//! * [`gateways`]: what gateways count, for runs whose clients are not ours.
//! * [`summary`]: the end of a run as a document.
//! * [`table`]: the same for people.

pub(crate) mod account;
pub(crate) mod devices;
pub(crate) mod gateways;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod tally;

pub(crate) use account::{Account, Key, Stream};
pub(crate) use devices::DeviceLog;
pub(crate) use tally::Fate;
