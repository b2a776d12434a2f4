//! Arrival rates from counts, with bounds, and tests whether they have changed.
