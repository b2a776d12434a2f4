//! What computes schedulers, for one station.
