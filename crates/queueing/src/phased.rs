//! How many jobs arrive during one service, and in which phase arrivals are then, when they come from a two-phase process.
//!
//! # Formula
//! As in [`crate::map`]: the process is watched at Poisson events (uniformization). The blocks M_{n,j}, the probabilities of j
//! arrivals in n events from phase to phase, belong to the process alone; a service only says with which probability n
//! events fall into it. So they are kept, and every further law costs a weighted sum of them. E(A − m)⁺ is the sum over the
//! time in which at least m have arrived, times the rate of the phase then: no subtraction.
//!
//! # Cost
//! 32 bytes and 16 operations per event and level, once; O(NK) per law with N events, a few times their mean.
//!
//! # Reference
//! As of [`crate::map`].

use crate::error::count;
use crate::map::{ArrivalProcess, Block, Row, ZERO, add, multiply, sum};
use crate::{ArgumentError, ArrivalCounts, Service};

/// More events than this are not followed: whatever arrives then is beyond any room.
const MOST_EVENTS: usize = 4096;
/// Probability of more events than are followed.
const CUT: f64 = 1e-16;

/// Arrivals during services of one process, up to a number that matters.
#[derive(Debug, Clone)]
pub struct PhasedArrivals {
    process: ArrivalProcess,
    capacity: usize,
    none: Block,
    one: Block,
    /// Per number of events the blocks of 0..=K arrivals, the last for K or more.
    after: Vec<Vec<Block>>,
}

/// What arrives during a service, from phase to phase.
#[derive(Debug, Clone, PartialEq)]
pub struct PhasedCounts {
    /// `exactly[j][i][k]`: the service begins in phase i, j jobs arrive, it ends in phase k; the last is for K or more.
    pub exactly: Vec<[[f64; 2]; 2]>,
    /// `overflow[m][i]` = E(A − m)⁺ of a service that begins in phase i, m = 0..=K.
    pub overflow: Vec<[f64; 2]>,
}

impl PhasedArrivals {
    /// Of `process`, up to `capacity` ≥ 1 arrivals.
    ///
    /// # Errors
    /// A capacity of 0.
    pub fn new(process: ArrivalProcess, capacity: usize) -> Result<Self, ArgumentError> {
        count("capacity", capacity)?;
        let (none, one) = process.per_event();
        let mut start = vec![ZERO; capacity + 1];
        start[0] = [[1.0, 0.0], [0.0, 1.0]];
        Ok(Self { process, capacity, none, one, after: vec![start] })
    }

    /// What arrives during one service.
    ///
    /// # Errors
    /// Rates and times that are none.
    pub fn during(&mut self, service: &Service) -> Result<PhasedCounts, ArgumentError> {
        let events = self.events(service)?;
        let steps = events.capacity();
        self.follow(steps);
        let mut exactly = vec![ZERO; self.capacity + 1];
        let mut time = vec![ZERO; self.capacity + 1];
        for (step, after) in self.after[..=steps].iter().enumerate() {
            // The last step stands for all that follow.
            let last = step == steps;
            let ends = if last { events.at_least[step] } else { events.exactly[step] };
            let goes_on = if last { events.excess } else { events.at_least[step + 1] } / events.rate;
            for (level, block) in after[..=step.min(self.capacity)].iter().enumerate() {
                add(&mut exactly[level], ends, block);
                add(&mut time[level], goes_on, block);
            }
        }
        Ok(PhasedCounts { exactly, overflow: self.overflow(&time) })
    }

    fn overflow(&self, time: &[Block]) -> Vec<Row> {
        let mut overflow = vec![[0.0; 2]; time.len()];
        let mut above = [0.0; 2];
        for (room, block) in time.iter().enumerate().rev() {
            for phase in 0..2 {
                above[phase] += (0..2).map(|now| block[phase][now] * self.process.arrival_rate(now)).sum::<f64>();
            }
            overflow[room] = above;
        }
        overflow
    }

    fn events(&self, service: &Service) -> Result<ArrivalCounts, ArgumentError> {
        let mut steps = 32;
        loop {
            let counts = ArrivalCounts::new(self.process.events(), service, steps)?;
            if counts.at_least[steps] < CUT || steps >= MOST_EVENTS {
                return Ok(counts);
            }
            steps *= 2;
        }
    }

    fn follow(&mut self, steps: usize) {
        while self.after.len() <= steps {
            let last = &self.after[self.after.len() - 1];
            let reached = self.after.len().min(self.capacity);
            let next = |level: usize| {
                let stays = multiply(&last[level], &self.none);
                let arrives = if level > 0 { multiply(&last[level - 1], &self.one) } else { ZERO };
                let beyond = if level == self.capacity { multiply(&last[level], &self.one) } else { ZERO };
                sum(&sum(&stays, &arrives), &beyond)
            };
            let mut blocks: Vec<Block> = (0..=reached).map(next).collect();
            blocks.resize(self.capacity + 1, ZERO);
            self.after.push(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Law;

    fn laws() -> Vec<Service> {
        let laws = [Law::deterministic(1.3), Law::exponential(0.7), Law::gamma(1.0, 0.2), Law::log_normal(0.9, 0.5)];
        laws.map(|law| law.unwrap().into()).to_vec()
    }

    #[test]
    fn equal_phases_count_like_poisson() {
        let mut phased = PhasedArrivals::new(ArrivalProcess::mmpp([1.7, 1.7], [0.3, 0.6]).unwrap(), 8).unwrap();
        for service in laws() {
            let (found, want) = (phased.during(&service).unwrap(), ArrivalCounts::new(1.7, &service, 8).unwrap());
            for phase in 0..2 {
                let exactly = |level: usize| found.exactly[level][phase].iter().sum::<f64>();
                (0..8).for_each(|level| assert!((exactly(level) - want.exactly()[level]).abs() < 1e-12));
                assert!((exactly(8) - want.at_least()[8]).abs() < 1e-12);
                let excess = found.overflow[8][phase];
                assert!((excess - want.excess()).abs() < 1e-10, "{excess} {}", want.excess());
            }
        }
    }

    #[test]
    fn arrivals_are_those_of_the_phases_in_their_shares() {
        let process = ArrivalProcess::mmpp([0.4, 5.0], [0.2, 0.5]).unwrap();
        let mut phased = PhasedArrivals::new(process, 5).unwrap();
        for service in laws() {
            let found = phased.during(&service).unwrap();
            let [calm, burst] = process.phases();
            let mean = calm * found.overflow[0][0] + burst * found.overflow[0][1];
            assert!((mean - process.rate() * service.mean()).abs() < 1e-10, "{mean}");
            let ends: f64 = found.exactly.iter().map(|block| calm * block[0][1] + burst * block[1][1]).sum();
            assert!((ends - burst).abs() < 1e-12, "the phase at the end is as likely as at the start: {ends}");
        }
    }
}
