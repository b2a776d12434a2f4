//! Which of a fixed set of slots is due first: a tournament tree.
//!
//! A slot is a station, a link, a source or the timers; each has at most one next event, so nothing is ever allocated or
//! cancelled. Slots due at the same time are taken in their order: **departures before arrivals**.

/// When a slot is due.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// The bits of a time ≥ 0, which are in the same order as the times.
    bits: u64,
    slot: u32,
}

/// Children of a node: one cache line of them.
const WIDTH: usize = 4;

/// The next event of every slot. `set` costs the logarithm of the number of slots, to base 4.
#[derive(Debug)]
pub(crate) struct Calendar {
    /// Levels from the root down, one after the other; every node is the winner of its four children.
    nodes: Vec<Due>,
    /// Where the leaves begin.
    leaves: usize,
}

impl Calendar {
    /// Slots none of which is due.
    pub(crate) fn new(slots: usize) -> Self {
        let (mut leaves, mut width) = (1, WIDTH);
        while width < slots {
            leaves += width;
            width *= WIDTH;
        }
        let never = Due { bits: f64::INFINITY.to_bits(), slot: 0 };
        let mut nodes = vec![never; leaves + width];
        nodes[leaves..].iter_mut().enumerate().for_each(|(slot, node)| node.slot = slot as u32);
        for node in (0..leaves).rev() {
            nodes[node] = nodes[WIDTH * node + 1];
        }
        Self { nodes, leaves }
    }

    /// The slot that is due first, and when; infinite when none is.
    #[inline(always)]
    pub(crate) fn first(&self) -> (u32, f64) {
        let root = self.nodes[0];
        (root.slot, f64::from_bits(root.bits))
    }

    /// When a slot is due.
    pub(crate) fn due(&self, slot: u32) -> f64 {
        f64::from_bits(self.nodes[self.leaves + slot as usize].bits)
    }

    /// A slot is now due at `time` ≥ 0.
    #[inline(always)]
    pub(crate) fn set(&mut self, slot: u32, time: f64) {
        let nodes = &mut self.nodes[..];
        let mut node = self.leaves + slot as usize;
        nodes[node].bits = time.to_bits();
        while node > 0 {
            node = (node - 1) / WIDTH;
            let children = &nodes[WIDTH * node + 1..][..WIDTH];
            nodes[node] = first_of(first_of(children[0], children[1]), first_of(children[2], children[3]));
        }
    }
}

/// The left one, whose slots come first, wins ties.
#[inline(always)]
fn first_of(left: Due, right: Due) -> Due {
    if right.bits < left.bits { right } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_of_the_earliest_is_due(
            slots in 1usize..40, sets in proptest::collection::vec((0usize..40, 0u8..5), 1..200),
        ) {
            let mut calendar = Calendar::new(slots);
            let mut times = vec![f64::INFINITY; slots];
            for (slot, time) in sets {
                let slot = slot % slots;
                times[slot] = if time == 0 { f64::INFINITY } else { f64::from(time) };
                calendar.set(slot as u32, times[slot]);
                let earliest = times.iter().copied().fold(f64::INFINITY, f64::min);
                let (first, at) = calendar.first();
                prop_assert_eq!(at, earliest);
                if earliest.is_finite() {
                    prop_assert_eq!(Some(first as usize), times.iter().position(|time| *time == earliest));
                }
            }
        }
    }
}
