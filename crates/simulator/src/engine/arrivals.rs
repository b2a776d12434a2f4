//! When the next job of a source arrives.

use super::ticks::whole;
use crate::network::Arrivals;
use crate::random::{Draws, Key, Purpose};

/// Where a source is in its stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Its random numbers.
    pub(crate) key: Key,
    /// Jobs so far.
    pub(crate) jobs: u64,
    now: f64,
    /// Phase of an MMPP, or piece.
    phase: usize,
    /// Ticks left of the piece.
    left: f64,
    draws: Draws,
}

impl Stream {
    pub(crate) fn new(arrivals: &Arrivals, key: Key) -> Self {
        let mut draws = key.draws(0, Purpose::Phase);
        let (mut phase, mut left) = (0, 0.0);
        match arrivals {
            Arrivals::Mmpp2 { switch, .. } => {
                phase = usize::from(draws.uniform() * (switch[0] + switch[1]) < switch[0]);
            }
            Arrivals::Piecewise { pieces, repeat, .. } => {
                // A run without an end is seen from any moment of the period, one with an end from its start.
                let period: f64 = pieces.iter().map(|piece| piece.0).sum();
                left = whole(if *repeat { draws.uniform() * period } else { 0.0 });
                while phase + 1 < pieces.len() && left >= pieces[phase].0 {
                    left -= pieces[phase].0;
                    phase += 1;
                }
                left = (pieces[phase].0 - left).max(0.0);
            }
            Arrivals::Renewal(_) | Arrivals::Trace(_) => {}
        }
        Self { key, jobs: 0, now: 0.0, phase, left, draws }
    }

    /// The key of the next job and when it arrives; infinite when none does.
    #[inline]
    pub(crate) fn next(&mut self, arrivals: &Arrivals) -> (Key, f64) {
        let job = self.key.child(self.jobs);
        self.now = match arrivals {
            Arrivals::Renewal(law) => self.now + whole(law.draw(&mut job.draws(0, Purpose::Gap))),
            _ => self.rarer(arrivals, job),
        };
        self.jobs += 1;
        (job, self.now)
    }

    #[inline(never)]
    fn rarer(&mut self, arrivals: &Arrivals, job: Key) -> f64 {
        match arrivals {
            Arrivals::Renewal(law) => self.now + whole(law.draw(&mut job.draws(0, Purpose::Gap))),
            Arrivals::Trace(times) => times.get(self.jobs as usize).copied().unwrap_or(f64::INFINITY),
            Arrivals::Mmpp2 { rates, switch } => {
                let mut at = self.now;
                loop {
                    let (arrive, change) = (rates[self.phase], switch[self.phase]);
                    at += whole(self.draws.exponential() / (arrive + change));
                    if self.draws.uniform() * (arrive + change) < arrive {
                        return at;
                    }
                    self.phase = 1 - self.phase;
                }
            }
            Arrivals::Piecewise { gaps, pieces, repeat } => {
                let gap = gaps.draw(&mut job.draws(0, Purpose::Gap));
                self.piecewise(gap, pieces, *repeat)
            }
        }
    }

    /// Goes on until the integral of the rate is `gap`.
    fn piecewise(&mut self, mut gap: f64, pieces: &[(f64, f64)], repeat: bool) -> f64 {
        let mut at = self.now;
        loop {
            let Some(&(_, rate)) = pieces.get(self.phase) else {
                return f64::INFINITY;
            };
            let needed = whole(gap / rate);
            if rate > 0.0 && needed <= self.left {
                self.left -= needed;
                return at + needed;
            }
            gap -= self.left * rate;
            at += self.left;
            self.phase += 1;
            if repeat && self.phase == pieces.len() {
                self.phase = 0;
            }
            self.left = pieces.get(self.phase).map_or(0.0, |piece| piece.0);
            gap = gap.max(0.0);
        }
    }
}
