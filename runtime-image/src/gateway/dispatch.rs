//! Queues of first fragments, for policies that decide when a job is sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One queue per first fragment. What waits in it holds memory of the gateway's region, which bounds it.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<HashMap<(String, String, usize), Arc<Queue>>>);

/// Jobs that wait for, or are at, one first fragment. The semaphore serves in order of arrival.
#[derive(Debug)]
struct Queue {
    workers: Arc<Semaphore>,
    present: AtomicUsize,
}

/// A job's place in a queue.
#[derive(Debug)]
pub(crate) struct Place(Arc<Queue>);

/// A worker of the first fragment, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _place: Place,
    /// Jobs queued or outstanding when the turn came, this one included.
    pub(crate) present: usize,
}

impl Queues {
    /// Joins the queue of a first fragment with so many workers.
    pub(crate) fn join(&self, address: &str, fragment: &str, workers: usize) -> Place {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Queues of a former policy go once they are empty.
        queues.retain(|_, queue| queue.present.load(Ordering::Relaxed) > 0);
        let key = (address.to_owned(), fragment.to_owned(), workers);
        let make = || Arc::new(Queue { workers: Arc::new(Semaphore::new(workers)), present: AtomicUsize::new(0) });
        let queue = Arc::clone(queues.entry(key).or_insert_with(make));
        queue.present.fetch_add(1, Ordering::Relaxed);
        Place(queue)
    }
}

impl Place {
    /// Waits until a worker is free.
    pub(crate) async fn turn(self) -> Turn {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.0.workers).acquire_owned().await.ok();
        let present = self.0.present.load(Ordering::Relaxed);
        Turn { _permit: permit, _place: self, present }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_as_many_as_there_are_workers_have_a_turn() {
        let queues = Queues::default();
        let join = || queues.join("a:1", "f", 2);
        let (first, second, third) = (join().turn().await, join().turn().await, join());
        assert_eq!((first.present, second.present), (1, 2));
        let mut third = tokio_test(third.turn());
        assert!(third.poll().is_none(), "both workers are busy");
        drop(first);
        assert_eq!(third.poll().expect("a worker is free").present, 2);
        drop(second);
    }

    /// Polls a future by hand, so that a test can say exactly when it waits.
    struct ByHand<F>(std::pin::Pin<Box<F>>);

    fn tokio_test<F: Future>(future: F) -> ByHand<F> {
        ByHand(Box::pin(future))
    }

    impl<F: Future> ByHand<F> {
        fn poll(&mut self) -> Option<F::Output> {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match self.0.as_mut().poll(&mut context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            }
        }
    }
}
