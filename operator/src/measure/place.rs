//! On which node a model is measured. Pure.

use super::known;
use crate::pool::survey::{Survey, USABLE};
use api::DevicePool;
use std::sync::Arc;

/// A node to measure on.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its pool.
    pub pool: Arc<DevicePool>,
    /// Its name.
    pub node: String,
    /// Its class.
    pub class: String,
    /// Speed of the class. Times that were measured there are multiplied by it, and are those of the machine of the profile then.
    /// 1 where the class has none: it is that machine.
    pub speed_factor: f64,
}

/// Chooses a usable device that is large enough: one that is as fast as the machine of profiles, or else the fastest. Where some classes of a pool
/// have a speed, others are not measured on: nobody knows how much slower than the machine of profiles they are.
pub fn choose(
    pools: &[(Arc<DevicePool>, Survey)],
    is_large_enough: impl Fn(&str) -> bool,
    attempt: u32,
) -> Option<Place> {
    let mut places: Vec<Place> = pools.iter().flat_map(|(pool, survey)| within(pool, survey)).collect();
    places.retain(|place| is_large_enough(&place.node));
    // Stable: of equals the first one by pool, class and name.
    places.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    in_turn(&places, attempt).cloned()
}

/// The place for an attempt, from 1: what one fails on need not keep the next one from its result.
pub fn in_turn(places: &[Place], attempt: u32) -> Option<&Place> {
    let turn = usize::try_from(attempt.saturating_sub(1)).unwrap_or_default();
    places.get(turn.checked_rem(places.len())?)
}

/// The machine of profiles goes before all others.
fn rank(place: &Place) -> f64 {
    if place.speed_factor == 1.0 { f64::INFINITY } else { place.speed_factor }
}

fn within(pool: &Arc<DevicePool>, survey: &Survey) -> Vec<Place> {
    let classes = known::pool(pool).classes;
    let some_known = classes.iter().any(|class| class.speed_factor.is_some());
    let places = classes.iter().flat_map(|class| {
        let devices = survey.devices.iter().filter(move |device| device.state == USABLE);
        let here = devices.filter(|device| device.class.as_ref() == Some(&class.name));
        here.filter(|_| class.speed_factor.is_some() || !some_known).map(|device| Place {
            pool: Arc::clone(pool),
            node: device.name.to_string(),
            class: class.name.to_string(),
            speed_factor: class.speed_factor.as_ref().map_or(1.0, |speed| speed.get()),
        })
    });
    places.collect()
}
