//! What has to be measured: what neither specs nor status of models say. Pure.

use api::EENNModel;

pub use deployment::known::{TABLE, brought, elsewhere, model, pool, table_name, what};

/// What planning needs of a model and nobody knows yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missing {
    /// Bytes of cuts, or where exits hang.
    pub costs: bool,
    /// Service times.
    pub times: bool,
    /// The exit table is somewhere else.
    pub table: bool,
}

impl Missing {
    /// Whether there is anything to measure.
    pub fn any(self) -> bool {
        self.costs || self.times || self.table
    }
}

/// What has to be measured of a model.
pub fn missing(model: &EENNModel) -> Missing {
    let known = self::model(model).spec;
    let hangs = known.exits.len() == known.cuts.len() + 1 || known.exits.iter().all(|exit| exit.segment.is_some());
    Missing {
        costs: !hangs || known.cuts.iter().any(|cut| cut.bytes.is_none()),
        times: known.profile.is_none(),
        table: elsewhere(&model.spec).is_some() && brought(model).is_none(),
    }
}
