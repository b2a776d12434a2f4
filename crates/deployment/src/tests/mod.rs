mod decisions;
mod outlines;
mod places;
mod processes;
