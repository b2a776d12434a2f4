//! Plans.
use crate::controller::{Controller, Failure};
use crate::Context;
use crate::cache::Key;
use api::EENNService;
use std::sync::Arc;
use std::time::Duration;

/// Why services have no new plan.
#[derive(Debug, Default)]
pub struct Notes;
impl Notes {
    /// Why one has none.
    pub fn of(&self, _: &EENNService) -> Option<String> { None }
}
/// Plans.
pub async fn reconcile(_: &Context, _: &str, _: &Controller<Key>) -> Result<Option<Duration>, Failure> { Ok(None) }
