//! Names of Prometheus metrics with their help, without the `_total` that counters get in the exposition.

/// A metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it says, with its unit.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($name:ident = $value:literal, $help:literal, [$($label:literal),*];)*) => {
        $(
            #[doc = $help]
            pub const $name: Metric = Metric { name: $value, help: $help, labels: &[$($label),*] };
        )*
        /// Every metric, for the generated reference.
        pub const ALL: &[Metric] = &[$($name),*];
    };
}

metrics! {
    MEMORY_BUDGET = "eenn_memory_budget_bytes", "Byte budget of a region for all jobs it holds", ["fragment"];
    MEMORY_HELD = "eenn_memory_held_bytes", "Bytes held now", ["fragment"];
    QUEUE_LENGTH = "eenn_queue_length", "Jobs waiting for a worker", ["fragment"];
    JOBS_ENTERED = "eenn_jobs_entered", "Jobs admitted", ["fragment"];
    JOBS_REFUSED = "eenn_jobs_refused", "Jobs refused before their bytes were read", ["fragment", "reason"];
    JOBS_LEFT = "eenn_jobs_left", "Jobs that left a fragment", ["fragment", "outcome"];
    WAIT = "eenn_wait_seconds", "Time from admission to the start of service", ["fragment"];
    SEGMENT_TIME = "eenn_segment_seconds", "Service time of a segment", ["fragment", "segment"];
    HEAD_TIME = "eenn_head_seconds", "Service time of an exit's head", ["fragment", "exit"];
    CONFIDENCE = "eenn_exit_confidence", "Confidence at an exit", ["fragment", "exit"];
    LATE = "eenn_late_jobs", "Jobs whose real compute took longer than the emulated device would have", ["fragment"];
    BUSY = "eenn_busy_core_seconds", "Core-seconds given to jobs since the start", [];
    ARRIVED = "eenn_jobs_arrived", "Jobs that arrived at a gateway", ["source"];
    ANSWERED = "eenn_jobs_answered", "Jobs answered", ["source", "exit", "chain"];
    LOST = "eenn_jobs_lost", "Jobs lost because memory was full", ["source", "place", "reason"];
    FAILED = "eenn_jobs_failed", "Jobs failed: deadline, disconnect, dead hop, NaN", ["source", "reason"];
    REJECTED = "eenn_requests_rejected", "Requests rejected as malformed; they are no arrivals", [];
    LATENCY = "eenn_latency_seconds", "Latency of answered jobs at the gateway", ["source"];
    IN_FLIGHT = "eenn_jobs_in_flight", "Jobs in flight", ["source"];
    ARRIVAL_RATE = "eenn_arrival_rate_per_second", "Estimated arrival rate, all attempts", ["source"];
    HANDSHAKES_FAILED = "eenn_tls_handshakes_failed", "Connections that one of the two sides refused, or that broke before they were secured", ["endpoint", "reason"];
    TLS_BEHIND = "eenn_tls_folder_bad", "1 while the folder of certificates cannot be used, and what it held before still is", [];
    POLICY_GENERATION = "eenn_policy_generation", "Generation of the policy in force", [];
}
