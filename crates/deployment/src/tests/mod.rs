mod decisions;
mod left;
mod outlines;
mod places;
pub(crate) mod processes;
