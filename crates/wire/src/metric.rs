//! Names of Prometheus metrics, without the `_total` that counters get in the exposition.

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $value;)*
        /// Every name with its help text, for the generated reference.
        pub const ALL: &[&str] = &[$($value),*];
    };
}

names! {
    /// Byte budget of a region for all jobs it holds. Labels: `fragment`.
    MEMORY_BUDGET = "eenn_memory_budget_bytes";
    /// Bytes held now. Labels: `fragment`.
    MEMORY_HELD = "eenn_memory_held_bytes";
    /// Jobs waiting for a worker. Labels: `fragment`.
    QUEUE_LENGTH = "eenn_queue_length";
    /// Jobs admitted. Labels: `fragment`.
    JOBS_ENTERED = "eenn_jobs_entered";
    /// Jobs refused before their bytes were read. Labels: `fragment`, `reason`.
    JOBS_REFUSED = "eenn_jobs_refused";
    /// Jobs that left a fragment. Labels: `fragment`, `outcome`.
    JOBS_LEFT = "eenn_jobs_left";
    /// Time from admission to the start of service. Labels: `fragment`.
    WAIT = "eenn_wait_seconds";
    /// Service time of a segment. Labels: `fragment`, `segment`.
    SEGMENT_TIME = "eenn_segment_seconds";
    /// Service time of an exit's head. Labels: `fragment`, `exit`.
    HEAD_TIME = "eenn_head_seconds";
    /// Confidence at an exit. Labels: `fragment`, `exit`.
    CONFIDENCE = "eenn_exit_confidence";
    /// Jobs whose real compute took longer than the emulated device would have. Labels: `fragment`.
    LATE = "eenn_late_jobs";
    /// Cores busy, averaged since the start. Labels: `device`.
    BUSY = "eenn_busy_core_seconds";
    /// Jobs that arrived at a gateway. Labels: `source`.
    ARRIVED = "eenn_jobs_arrived";
    /// Jobs answered. Labels: `source`, `exit`, `chain`.
    ANSWERED = "eenn_jobs_answered";
    /// Jobs lost because memory was full. Labels: `source`, `place`, `reason`.
    LOST = "eenn_jobs_lost";
    /// Jobs failed: deadline, disconnect, dead hop, NaN. Labels: `source`, `reason`.
    FAILED = "eenn_jobs_failed";
    /// Requests rejected as malformed; outside of arrivals. Labels: `reason`.
    REJECTED = "eenn_requests_rejected";
    /// Latency of answered jobs at the gateway. Labels: `source`.
    LATENCY = "eenn_latency_seconds";
    /// Jobs in flight. Labels: `source`.
    IN_FLIGHT = "eenn_jobs_in_flight";
    /// Estimated arrival rate, all attempts. Labels: `source`.
    ARRIVAL_RATE = "eenn_arrival_rate_per_second";
    /// Generation of the policy in force.
    POLICY_GENERATION = "eenn_policy_generation";
}
