//! The optimal table over jobs present and what is believed of the phase, where jobs arrive in bursts.
//!
//! # Problem
//! Jobs come from an MMPP(2): Poisson at λ₀ or λ₁ > λ₀, phases end at σ₀ and σ₁ per second. Phases are not seen; a gateway
//! knows p = P(burst | all arrivals until now) ([`policy::PhaseFilter`]), and p with the jobs present is all that decisions can
//! depend on. Which table over (p, jobs present) is most valuable within a loss target, over both phases together?
//!
//! # Model
//! A semi-Markov decision process as [`super::smdp`], with the state (p on a [`grid`], jobs present at the start of
//! a service). A service of known length that ends with j arrivals turns p into P(burst at its end | p, j), exactly
//! ([`queueing::PhasedArrivals`]); a silence turns it into what is believed when it ends. Beliefs between two points of the
//! grid are shared among them so that their mean stays. The losses of a service are exact given p.
//!
//! # Method
//! Policy iteration; a table is valued by first passages with a belief at each end (module `passage`). One penalty for all
//! losses is bisected to the target, and the two tables next to it are mixed.
//!
//! # What is left out, and how that is made good
//! The gateway knows *when* in a service jobs arrived, and takes the nearest row for its belief. So the loss of the model is
//! not quite that of a gateway: [`on_target`] measures it on a fixed sequence of arrivals with the gateway's filter
//! ([`Course`]), and moves the target of the model until the measured loss is on target.
//!
//! # Cost
//! O(B²·K²·(M + B)) per round of policy iteration for M modes and B = 8 beliefs, some dozens of rounds per target; the
//! measurement takes a fixed number of arrivals. 0.50 s for 24 exits and K = 100, with the frontiers given (`cargo bench -p planner
//! --bench single`, on two cores that others used, where the table for Poisson arrivals took 6.2 ms).
//!
//! # Reference
//! W. Fischer and K. Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 18 (1993);
//! K. J. Åström, "Optimal control of Markov processes with incomplete state information", J. Math. Anal. Appl. 10 (1965), for
//! beliefs as states; W. S. Lovejoy, "Computationally feasible bounds for partially observed Markov decision processes",
//! Operations Research 39 (1991), for grids.

mod belief;
mod iteration;
mod kernel;
mod measure;
mod passage;
mod target;

pub use belief::{BELIEFS, edges, grid};
pub use kernel::Phased;
pub use measure::{Course, Measured};
pub use target::{BeliefTable, OnTarget, on_target, optimum, predicted};

use queueing::{ArgumentError, map::ArrivalProcess};

/// Arrivals of two phases, at one station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Arrivals per second in each phase, the lower one first; > 0.
    pub rates: [f64; 2],
    /// Changes per second out of each phase; > 0.
    pub switch: [f64; 2],
}

impl Bursts {
    fn process(self) -> Result<ArrivalProcess, ArgumentError> {
        ArrivalProcess::mmpp(self.rates, self.switch)
    }
}
