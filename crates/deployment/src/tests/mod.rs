mod decisions;
mod left;
mod outlines;
mod places;
mod processes;
