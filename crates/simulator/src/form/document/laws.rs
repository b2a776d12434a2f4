//! Laws of services and arrivals.

use super::super::object::Object;
use schemars::JsonSchema;
use serde::Deserialize;

/// The law of a service time. Each type needs its own fields; `mean` may be given in addition and is then compared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(in super::super) struct Service {
    /// deterministic (mean), exponential (mean), erlang (mean, phases), hyperexponential (probs, means), lognormal (mean,
    /// scv), uniform (low, high); extension: empirical (values).
    pub(in super::super) r#type: String,
    /// Mean.
    pub(in super::super) mean: Option<f64>,
    /// Phases of erlang.
    pub(in super::super) phases: Option<f64>,
    /// Probability of each branch of hyperexponential.
    pub(in super::super) probs: Option<Vec<f64>>,
    /// Mean of each branch of hyperexponential.
    pub(in super::super) means: Option<Vec<f64>>,
    /// Squared coefficient of variation of lognormal.
    pub(in super::super) scv: Option<f64>,
    /// Smallest value of uniform.
    pub(in super::super) low: Option<f64>,
    /// Largest value of uniform.
    pub(in super::super) high: Option<f64>,
    /// Values of empirical, all alike.
    pub(in super::super) values: Option<Vec<f64>>,
}

/// When jobs arrive. Each type needs its own fields; `mean`, the mean time between arrivals, may be given in addition and
/// is then compared.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Arrival {
    /// Independent times between arrivals: deterministic (mean), exponential (mean; Poisson arrivals), erlang (mean,
    /// phases), hyperexponential (probs, means); extension: lognormal (mean, scv), uniform (low, high), empirical (values).
    /// Others: mmpp2 (rates, switch); extension: trace (times), piecewise (pieces, repeat, gaps).
    pub(in super::super) r#type: String,
    /// Mean time between arrivals.
    pub(in super::super) mean: Option<f64>,
    /// Phases of erlang.
    pub(in super::super) phases: Option<f64>,
    /// Probability of each branch of hyperexponential.
    pub(in super::super) probs: Option<Vec<f64>>,
    /// Mean of each branch of hyperexponential.
    pub(in super::super) means: Option<Vec<f64>>,
    /// Squared coefficient of variation of lognormal.
    pub(in super::super) scv: Option<f64>,
    /// Smallest value of uniform.
    pub(in super::super) low: Option<f64>,
    /// Largest value of uniform.
    pub(in super::super) high: Option<f64>,
    /// Values of empirical, all alike.
    pub(in super::super) values: Option<Vec<f64>>,
    /// mmpp2: arrivals per unit of time in each of two phases.
    pub(in super::super) rates: Option<[f64; 2]>,
    /// mmpp2: rate at which phase 0 changes to 1, and phase 1 to 0.
    pub(in super::super) switch: Option<[f64; 2]>,
    /// trace: times of arrivals, in order. The run ends with them.
    pub(in super::super) times: Option<Vec<f64>>,
    /// piecewise: rates one after the other. The run ends with the last, unless it repeats.
    pub(in super::super) pieces: Option<Vec<Object<Piece>>>,
    /// piecewise: whether it starts again at the end. Default: false.
    pub(in super::super) repeat: Option<bool>,
    /// piecewise: law of the times between arrivals at a rate of 1. Its mean is 1 where none is given. Default:
    /// exponential.
    pub(in super::super) gaps: Option<Object<Service>>,
}

/// A rate for some time.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Piece {
    /// How long.
    pub(in super::super) duration: f64,
    /// Arrivals per unit of time; may be 0.
    pub(in super::super) rate: f64,
}
