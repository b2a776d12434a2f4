//! Free ports on loopback.

use crate::error::Error;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which systems give ports to outgoing connections (32768 on Linux): a port stays free while the
/// API server is away for a while.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Ports that nobody else listens on, different from each other. Somebody may take one before it is used.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], Error> {
    let mut held = Vec::with_capacity(N);
    for _ in 0..N {
        held.push(hold()?);
    }
    Ok(std::array::from_fn(|index| held[index].1))
}

fn hold() -> Result<(TcpListener, u16), Error> {
    let mut refused = None;
    for _ in 0..100 {
        let port = RANGE.start + u16::try_from(random() % RANGE.len() as u64).expect("the range is one of ports");
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => refused = Some(error),
        }
    }
    let source = refused.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into());
    Err(Error::Io { attempt: format!("find a free port in {RANGE:?} on loopback"), source })
}

/// Processes that start together should not look at the same ports in the same order.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_free() {
        let ports = free::<8>().unwrap();
        let listeners: Vec<_> = ports.iter().map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port))).collect();
        assert!(listeners.iter().all(Result::is_ok), "{ports:?}: {listeners:?}");
        assert!(ports.iter().all(|port| RANGE.contains(port)), "{ports:?}");
    }
}
