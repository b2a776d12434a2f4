//! What travels between processes is safe to send, and who sends it is known.
//!
//! * [`tls`]: mutual TLS with material that may change while connections live.
//! * [`client`]: the client of gateways, fragments and measuring jobs, for whoever plans: the command line and an operator.
//!
//! Knows nothing of clusters: where material comes from, and which names are expected, is the caller's to say.

pub mod client;
pub mod tls;
