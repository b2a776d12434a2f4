//! Every reconciler against an API server that follows a script: whatever a request is answered with, nothing panics, the failure is
//! named, nothing else is written, and users are told what they can do something about.
//!
//! * [`server`]: the script. [`scene`], [`measuring`]: what caches hold. [`peer`]: a pod.
//! * [`replacement`]: what serves while pods are replaced. [`standstill`]: policies that stay although load changes. [`news`]: events.
//! * [`statuses`]: what statuses say. [`refusals`]: every write of every reconciler. [`measurements`], [`gateways`]: what pods may do.

mod gateways;
mod measurements;
mod measuring;
mod news;
mod peer;
mod refusals;
mod replacement;
mod scene;
mod server;
mod standstill;
mod statuses;
