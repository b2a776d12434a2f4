//! What the bandit AdaEE chooses from, and what going on costs.
//!
//! The bandit itself runs in the gateway ([`domain::AdaEE`]): the reward of an arm is the confidence gained behind the
//! exits that were passed, less a cost, and the arm with the largest upper confidence bound is taken. The cost decides
//! everything: as published, times are divided by the longest time, which has nothing to do with confidence, and the
//! learned policy collapses to the first exit.
//!
//! # Scale of costs
//! Time is worth what a second of it buys in confidence when the loss is on target: the slope μ between the two modes
//! that the optimal mixture mixes ([`super::mixture::Mixed::price`], with confidence as the value, over the frontier).
//! It is the dual price of the loss-constrained problem; the cost of leaving at exit l is μ·(t_l − t_1), t_l being the
//! mean time of a job that passes all heads up to l. At light loads the target does not bind and going on costs
//! nothing; at heavy loads μ is the steep slope among early exits. It is right for the forecast rate; a change of rate
//! needs a new plan, or the buffer-aware form, which multiplies costs as memory fills.
//!
//! # Arms
//! [`arms`]: points of the frontier, which are few and ordered. Published code spreads thousands of vectors over
//! all of [0, 1]^(L−1), of which a gateway would have to try each one first.
//!
//! # Reference
//! AdaEE, IEEE ICC 2023, for one exit; the form for several exits of the code published with CEED, INFOCOM 2025.

use super::mixture;
use super::modes::Server;
use super::{Mode, Station};
use domain::problem::Model;
use domain::{AdaEE, Thresholds};
use queueing::ArgumentError;

/// Weight of exploration. Rewards are gains in confidence, most of them below 0.2: a fifth of the √2 that rewards over
/// all of [0, 1] would need, rounded.
pub const EXPLORATION: f64 = 0.3;
/// Arms that are taken from a frontier.
pub const ARMS: usize = 16;

/// The bandit for a station at a rate: `frontier` are modes valued by confidence. `room`: jobs there is room for, for
/// the buffer-aware form.
///
/// # Errors
/// Rates and capacities that are none.
pub fn bandit(
    model: &Model,
    server: Server,
    frontier: &[Mode],
    (capacity, rate): (usize, f64),
    target: f64,
    buffer_aware: bool,
) -> Result<AdaEE, ArgumentError> {
    let station = Station { capacity, modes: frontier.to_vec() };
    let price = mixture::best(&station.at(rate)?, target).price;
    let room = buffer_aware.then(|| u32::try_from(capacity).unwrap_or(u32::MAX));
    Ok(AdaEE { arms: arms(frontier), exploration: EXPLORATION, costs: costs(model, server, price), room })
}

/// At most [`ARMS`] points of a frontier, spread evenly over it, both ends included.
pub fn arms(frontier: &[Mode]) -> Vec<Thresholds> {
    let count = frontier.len().min(ARMS);
    let at = |index: usize| index * (frontier.len() - 1) / (count - 1).max(1);
    (0..count).map(|index| frontier[at(index)].thresholds.clone()).collect()
}

/// Per exit the price of the time that leaving there takes longer than leaving at the first, with all heads on the way: what
/// an arm saves by closed heads is not told apart.
pub fn costs(model: &Model, server: Server, price: f64) -> Vec<f64> {
    let mut time = 0.0;
    let steps = server.steps(model);
    let mut costs = vec![];
    for step in &steps {
        time += step.segments.0 + step.head.0;
        // The price is that of a second of the mean job, of which audits are a part whatever an arm does.
        costs.push(price * (1.0 - server.audit) * time);
    }
    let first = costs[0];
    costs.iter().map(|cost| cost - first).collect()
}
