//! Every reconciler against an API server that follows a script: whatever a request is answered with, nothing panics, the failure is
//! named, nothing else is written, and users are told what they can do something about.
//!
//! * [`server`]: the script. [`scene`]: what caches hold. [`refusals`]: the tests.

mod refusals;
mod scene;
mod server;
