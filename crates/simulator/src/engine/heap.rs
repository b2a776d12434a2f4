//! Running jobs in the order in which they end.

/// A job that is being served by a core of its own, or that shares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    /// When it ends: in ticks, or in the virtual time of those it shares with.
    pub(crate) ends: f64,
    pub(crate) job: u32,
    /// Core time it needs, in ticks.
    pub(crate) work: f64,
}

/// A small set of running jobs, the one that ends first on top: a binary heap, first come first among equals.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    items: Vec<(Running, u64)>,
    pushed: u64,
}

impl Heap {
    #[inline]
    pub(crate) fn next_end(&self) -> f64 {
        self.items.first().map_or(f64::INFINITY, |(running, _)| running.ends)
    }

    pub(crate) fn push(&mut self, running: Running) {
        self.pushed += 1;
        self.items.push((running, self.pushed));
        let mut child = self.items.len() - 1;
        while child > 0 && self.before(child, (child - 1) / 2) {
            self.items.swap(child, (child - 1) / 2);
            child = (child - 1) / 2;
        }
    }

    pub(crate) fn pop(&mut self) -> Running {
        let (top, _) = self.items.swap_remove(0);
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            let mut first = parent;
            if left < self.items.len() && self.before(left, first) {
                first = left;
            }
            if right < self.items.len() && self.before(right, first) {
                first = right;
            }
            if first == parent {
                return top;
            }
            self.items.swap(parent, first);
            parent = first;
        }
    }

    fn before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.items[a], &self.items[b]);
        a.0.ends < b.0.ends || (a.0.ends == b.0.ends && a.1 < b.1)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }
}
