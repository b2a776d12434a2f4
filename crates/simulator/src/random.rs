//! Random numbers that are functions of what they are for.
//!
//! A draw depends on (seed, replication, source, job, step, purpose) only, not on what was drawn before. Two candidates
//! simulated with the same seed therefore see the same jobs with the same service times, also after one of them has lost
//! a job (common random numbers).

use rand::rand_core::{Infallible, TryRng};

/// Increment of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014): the golden
/// ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a draw is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    Gap = 1,
    Sample = 2,
    Route = 3,
    Scheduler = 4,
    Dispatch = 5,
    Service = 6,
    Exit = 7,
    Phase = 8,
    Outage = 9,
}

/// A key that names a source, a job, or a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key(u64);

/// As many numbers as a draw needs: SplitMix64 from a key.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

/// The output function of SplitMix64.
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Key {
    /// The key of a replication.
    pub(crate) fn new(seed: u64, replication: u32) -> Self {
        Key(mix(seed.wrapping_add(STEP))).child(u64::from(replication))
    }

    /// The key of a part, such as a source of a replication or a job of a source.
    #[inline]
    pub(crate) fn child(self, number: u64) -> Self {
        Key(mix(self.0.wrapping_add(STEP.wrapping_mul(number.wrapping_add(1)))))
    }

    /// The numbers for a purpose at a step. Keys of parts are at multiples of the increment; these are elsewhere.
    #[inline]
    pub(crate) fn draws(self, step: u64, purpose: Purpose) -> Draws {
        Draws(self.0 ^ (step << 4 | purpose as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }
}

impl Draws {
    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Uniform in (0, 1), never 0 or 1.
    #[inline]
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// Exponential with mean 1, by inversion: the same number for every mean.
    #[inline]
    pub(crate) fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Uniform below `bound` > 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
