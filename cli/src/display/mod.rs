//! What a user sees while a run goes on.
//!
//! * [`view`]: the state of a run at one moment.
//! * [`frame`]: a view as lines of text.
//! * [`screen`]: draws frames and messages on a terminal, or prints plain lines.

pub(crate) mod frame;
pub(crate) mod screen;
pub(crate) mod view;

pub(crate) use screen::Screen;
pub(crate) use view::{DeviceView, ServiceView, View};
