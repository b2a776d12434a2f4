//! Child processes of local mode: `eenn` itself, as devices and gateways.
//!
//! * [`config`]: what a child is started with.
//! * [`child`]: one process from its start to its end.
//! * [`fleet`]: several of them, started again when they die by themselves.
//! * [`signals`]: Ctrl-C and its relatives.

pub(crate) mod child;
pub(crate) mod config;
pub(crate) mod fleet;
pub(crate) mod signals;

pub(crate) use config::Config;
pub(crate) use fleet::{Fleet, News, Started};
pub(crate) use signals::{Interrupts, Urgency};
