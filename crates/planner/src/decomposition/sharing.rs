//! Cores that a fragment gets while others of its device are busy now and then.
//!
//! Water-filling divides cores between busy fragments in proportion to their requests, none above its cap. A fragment
//! that is busy sees each of the others busy with the share of time that one is, independently: the mean over all sets
//! of busy others, up to [`ENUMERATED`] of them; beyond, all others count with their share of time as weight and cap.
//! Independence is the approximation: fragments in a row are busy together more often than that.

/// Others whose sets are enumerated, at most.
const ENUMERATED: usize = 4;

/// A fragment as its neighbours see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sharer {
    /// CPU request.
    pub(crate) request: f64,
    /// Most cores it gets.
    pub(crate) most: f64,
    /// Share of time it is busy.
    pub(crate) busy: f64,
}

/// Mean cores that `sharers[index]` gets while it is busy, and their c².
pub(crate) fn mean_cores(cores: f64, sharers: &[Sharer], index: usize) -> (f64, f64) {
    let me = sharers[index];
    let others = || sharers.iter().enumerate().filter(move |(other, _)| *other != index).map(|(_, sharer)| *sharer);
    let count = sharers.len() - 1;
    if count == 0 {
        return (me.most.min(cores), 0.0);
    }
    if count > ENUMERATED {
        let part =
            |other: Sharer| Sharer { request: other.request * other.busy, most: other.most * other.busy, ..other };
        let mean = share(cores, me, others().map(part).filter(|other| other.busy > 0.0));
        // Many neighbours are about as busy at any time.
        return (mean, 0.0);
    }
    let (mut mean, mut second) = (0.0, 0.0);
    for set in 0u32..1 << count {
        let is_busy = |place: usize| set & (1 << place) != 0;
        let each = others().enumerate();
        let probability: f64 =
            each.map(|(place, other)| if is_busy(place) { other.busy } else { 1.0 - other.busy }).product();
        if probability > 0.0 {
            let busy = others().enumerate().filter(|(place, _)| is_busy(*place)).map(|(_, other)| other);
            let found = share(cores, me, busy);
            mean += probability * found;
            second += probability * found * found;
        }
    }
    (mean, (second / (mean * mean) - 1.0).max(0.0))
}

/// Cores of `me` beside others that are all busy.
fn share(cores: f64, me: Sharer, others: impl Iterator<Item = Sharer> + Clone) -> f64 {
    let weights: f64 = others.clone().map(|other| other.request).sum::<f64>() + me.request;
    // The level at which all cores are given away: what is capped below it leaves its rest to the others.
    let mut level = cores / weights;
    for _ in 0..=others.clone().count() + 1 {
        let (mut left, mut open) = (cores, 0.0);
        for one in others.clone().chain([me]) {
            if level * one.request >= one.most { left -= one.most } else { open += one.request }
        }
        if open <= 0.0 {
            return me.most;
        }
        let next = (left / open).max(level);
        if next <= level * (1.0 + 1e-12) {
            break;
        }
        level = next;
    }
    (level * me.request).min(me.most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharer(request: f64, most: f64, busy: f64) -> Sharer {
        Sharer { request, most, busy }
    }

    #[test]
    fn busy_neighbours_take_their_share_and_idle_ones_none() {
        let two = |busy| mean_cores(1.0, &[sharer(1.0, 1.0, 0.5), sharer(3.0, 1.0, busy)], 0).0;
        assert!((two(0.0) - 1.0).abs() < 1e-12);
        assert!((two(1.0) - 0.25).abs() < 1e-12);
        assert!((two(0.5) - 0.625).abs() < 1e-12);
    }

    #[test]
    fn what_a_capped_neighbour_leaves_goes_to_the_others() {
        let sharers = [sharer(1.0, 4.0, 1.0), sharer(1.0, 0.5, 1.0), sharer(2.0, 4.0, 1.0)];
        assert!((mean_cores(4.0, &sharers, 0).0 - 3.5 / 3.0).abs() < 1e-12);
        assert!((mean_cores(4.0, &sharers, 1).0 - 0.5).abs() < 1e-12);
    }

    #[test]
    fn many_neighbours_are_about_their_mean() {
        let many: Vec<Sharer> = (0..8).map(|_| sharer(1.0, 1.0, 0.5)).collect();
        let few: Vec<Sharer> = (0..7).map(|_| sharer(1.0, 1.0, 0.5)).collect();
        let (many, few) = (mean_cores(2.0, &many, 0).0, mean_cores(2.0, &few, 0).0);
        assert!(many < few && many > 0.8 * few, "{many} {few}");
    }
}
