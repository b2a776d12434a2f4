//! Regions: byte budgets that are asked before bytes are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A byte budget for the jobs of a fragment, a device or a gateway.
#[derive(Debug)]
pub(crate) struct Region {
    budget: u64,
    held: AtomicU64,
}

/// Bytes held in a region until they are dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    region: Arc<Region>,
    bytes: u64,
}

impl Region {
    /// A region of `budget` bytes.
    pub(crate) fn new(budget: u64) -> Arc<Self> {
        Arc::new(Self { budget, held: AtomicU64::new(0) })
    }

    /// Reserves `bytes`, or says at once that they do not fit.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.budget);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Reservation { region: Arc::clone(self), bytes })
    }

    /// Bytes that may be held.
    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }
}

impl Reservation {
    /// Reserves `bytes` more, or says that they do not fit.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let Some(mut more) = self.region.reserve(bytes) else { return false };
        self.bytes += std::mem::take(&mut more.bytes);
        true
    }

    /// Bytes reserved.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what exceeds `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let excess = self.bytes.saturating_sub(bytes);
        self.bytes -= excess;
        self.region.held.fetch_sub(excess, Ordering::AcqRel);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_dropped_is_free_again() {
        let region = Region::new(10);
        let mut first = region.reserve(6).unwrap();
        assert!(region.reserve(5).is_none());
        assert_eq!(region.held(), 6);
        first.shrink_to(2);
        assert!(first.grow(3) && !first.grow(6));
        assert_eq!(region.held(), 5);
        first.shrink_to(2);
        let second = region.reserve(8).unwrap();
        assert!(region.reserve(1).is_none() && region.reserve(u64::MAX).is_none());
        drop((first, second));
        assert_eq!(region.held(), 0);
    }

    #[test]
    fn many_threads_never_exceed_the_budget() {
        let region = Region::new(100);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let held = region.reserve(30);
                        assert!(region.held() <= 100);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(region.held(), 0);
    }
}
