//! The drift loop: telemetry in, decisions out.
