//! Independent pieces of work on as many threads as there are cores.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// Does all of them; results are in their order. One that panics is as good as none.
pub(crate) fn each<Work: Send, Done: Send>(work: Vec<Work>, act: impl Fn(Work) -> Done + Sync) -> Vec<Done> {
    let count = work.len();
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(count);
    let waiting = Mutex::new(work.into_iter().enumerate());
    let next = || waiting.lock().ok()?.next();
    let done: Mutex<Vec<(usize, Done)>> = Mutex::new(Vec::with_capacity(count));
    let toil = || {
        while let Some((index, piece)) = next() {
            let Ok(found) = catch_unwind(AssertUnwindSafe(|| act(piece))) else { continue };
            if let Ok(mut done) = done.lock() {
                done.push((index, found));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(toil);
        }
        toil();
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_what_panics_is_left_out() {
        let found = each((0..20).collect(), |number: u32| {
            assert!(number != 7, "a defect of a test");
            10 * number
        });
        let expected: Vec<u32> = (0..20).filter(|number| *number != 7).map(|number| 10 * number).collect();
        assert_eq!(found, expected);
    }
}
