//! Only a benchmark: `cargo bench` in this folder.
