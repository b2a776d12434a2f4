//! A timer finer than the reactor's millisecond, for emulated links.

use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// A thread that wakes futures at their instants, about 0.1 ms after them.
#[derive(Debug, Clone)]
pub(crate) struct Timer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    due: Mutex<BinaryHeap<Due>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Due {
    at: Instant,
    wake: oneshot::Sender<()>,
}

impl Timer {
    /// Starts the thread. It lives as long as the process.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let timer = Self(Arc::clone(&shared));
        std::thread::Builder::new().name("timer".into()).spawn(move || run(&shared))?;
        Ok(timer)
    }

    /// Waits until `at`. Sleepers are bounded by the jobs held, which memory bounds.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        lock(&self.0.due).push(Due { at, wake });
        self.0.changed.notify_one();
        // An error means that the thread is gone, which it never is while a timer lives.
        let _ = woken.await;
    }
}

fn run(shared: &Shared) {
    let mut due = lock(&shared.due);
    loop {
        let now = Instant::now();
        while due.peek().is_some_and(|next| next.at <= now) {
            if let Some(next) = due.pop() {
                let _ = next.wake.send(());
            }
        }
        due = match due.peek().map(|next| next.at.saturating_duration_since(now)) {
            None => shared.changed.wait(due).unwrap_or_else(PoisonError::into_inner),
            Some(left) => shared.changed.wait_timeout(due, left).unwrap_or_else(PoisonError::into_inner).0,
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// The heap gives the largest first; the earliest is the largest here.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_instants() {
        let timer = Timer::start().unwrap();
        let start = Instant::now();
        let order = Arc::new(Mutex::new(vec![]));
        let sleep = |milliseconds: u64| {
            let (timer, order) = (timer.clone(), Arc::clone(&order));
            async move {
                timer.sleep_until(start + Duration::from_millis(milliseconds)).await;
                order.lock().unwrap().push(milliseconds);
            }
        };
        tokio::join!(sleep(30), sleep(10), sleep(0), sleep(20));
        assert_eq!(*order.lock().unwrap(), [0, 10, 20, 30]);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
}
