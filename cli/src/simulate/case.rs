//! What one command simulates.

/// A network with the name that its results carry.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Its name in results.
    pub(crate) id: String,
    /// What is simulated.
    pub(crate) network: simulator::Network,
}
