//! Quantiles from counts in bins.

/// Bins per octave. Inside a bin values are taken as evenly spread, which makes quantiles good to about 0.1 %.
const PER_OCTAVE: u32 = 64;
/// Bits of the mantissa that tell bins apart.
const MANTISSA_BITS: u32 = PER_OCTAVE.trailing_zeros();
/// Octaves from 1 tick on; whatever is shorter is in the first bin.
const OCTAVES: usize = 56;

/// Counts of durations in ticks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    /// Empty until the first value.
    counts: Vec<u32>,
    total: u64,
}

impl Histogram {
    #[inline]
    pub(crate) fn record(&mut self, ticks: f64) {
        if self.counts.is_empty() {
            self.counts = vec![0; OCTAVES * PER_OCTAVE as usize];
        }
        let count = &mut self.counts[bin(ticks)];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Histogram) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            let pairs = self.counts.iter_mut().zip(&other.counts);
            pairs.for_each(|(count, more)| *count = count.saturating_add(*more));
        }
        self.total += other.total;
    }

    /// The value below which a share of the recorded ones lies; NaN when there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        if self.total == 0 {
            return f64::NAN;
        }
        let wanted = share * self.total as f64;
        let mut before = 0.0;
        for (bin, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(count);
            if before + count >= wanted {
                let (low, high) = (lower(bin), lower(bin + 1));
                return low + (high - low) * ((wanted - before) / count);
            }
            before += count;
        }
        lower(self.counts.len())
    }
}

#[inline]
fn bin(ticks: f64) -> usize {
    let bits = ticks.max(1.0).to_bits() >> (52 - MANTISSA_BITS);
    let first = 1f64.to_bits() >> (52 - MANTISSA_BITS);
    ((bits - first) as usize).min(OCTAVES * PER_OCTAVE as usize - 1)
}

fn lower(bin: usize) -> f64 {
    let octave = (bin / PER_OCTAVE as usize) as i32;
    2f64.powi(octave) * (1.0 + (bin % PER_OCTAVE as usize) as f64 / f64::from(PER_OCTAVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_evenly_spread_values() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|value| histogram.record(f64::from(value)));
        for share in [0.01, 0.5, 0.95, 0.99] {
            let (quantile, want) = (histogram.quantile(share), share * 1e5);
            assert!((quantile / want - 1.0).abs() < 2e-3, "{quantile} for {want}");
        }
    }

    #[test]
    fn bins_contain_their_values() {
        for value in [1.0, 1.01, 2.0, 1e6, 123_456.7, 9e15] {
            let bin = bin(value);
            assert!(lower(bin) <= value && value < lower(bin + 1), "{value}");
        }
        assert_eq!((bin(0.0), bin(0.5)), (0, 0));
        assert!(Histogram::default().quantile(0.5).is_nan());
    }
}
