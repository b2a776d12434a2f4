//! Bytes of weights per segment, from the file of a model.

use crate::exit_code::{Blame, Outcome};
use anyhow::Context;
use domain::Model;
use runtime_image::model::{Inspection, inspect};
use std::path::Path;

/// Weights of each segment with its heads. They are known where the network is cut right behind its exits; otherwise the file
/// is taken as spread evenly.
pub(super) fn of(file: &Path, model: &Model) -> Outcome<Vec<u64>> {
    let found = inspect(file).blame_input()?;
    match known(&found, model) {
        Some(weights) => Ok(weights),
        None => {
            let size = file.metadata().with_context(|| format!("failed to look at {}", file.display()))?.len();
            let segments = model.segments();
            Ok(vec![size.div_ceil(segments as u64); segments])
        }
    }
}

fn known(found: &Inspection, model: &Model) -> Option<Vec<u64>> {
    if found.recommended_cuts != model.cuts || found.segments.len() != model.segments() {
        return None;
    }
    let mut weights: Vec<u64> = found.segments.iter().map(|segment| segment.weight_bytes).collect();
    for exit in &found.exits {
        *weights.get_mut(exit.segment.checked_sub(1)?)? += exit.weight_bytes;
    }
    Some(weights)
}
