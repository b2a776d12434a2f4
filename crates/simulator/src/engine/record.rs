//! What is counted. Everything is a sum over the jobs of a batch of arrivals, so that batches can be added up.
//!
//! A batch is a cohort: jobs are counted in the batch in which they arrived, whenever they end.

use super::plan::Plan;
use std::collections::VecDeque;

/// Sums of a (batch, stream).
pub(crate) mod head {
    pub(crate) const ARRIVED: usize = 0;
    pub(crate) const ANSWERED: usize = 1;
    pub(crate) const RESPONSE: usize = 2;
    pub(crate) const CORRECT: usize = 3;
    pub(crate) const OVERFLOWED: usize = 4;
    pub(crate) const DEADLINE: usize = 5;
    pub(crate) const UNREACHABLE: usize = 6;
    pub(crate) const DOWN: usize = 7;
    pub(crate) const LOST: usize = 8;
    pub(crate) const LOST_AT_GATEWAY: usize = 9;
    pub(crate) const RETRIED: usize = 10;
    /// Lost at the gateway without another attempt.
    pub(crate) const GONE_AT_GATEWAY: usize = 11;
    pub(crate) const LEN: usize = 12;
}

/// Sums of a (batch, stream, step).
pub(crate) mod cell {
    pub(crate) const OFFERED: usize = 0;
    pub(crate) const SERVED: usize = 1;
    pub(crate) const RESIDENCE: usize = 2;
    pub(crate) const WORK: usize = 3;
    pub(crate) const LOST: usize = 4;
    pub(crate) const ANSWERED: usize = 5;
    /// Time at the device of jobs that were not served there.
    pub(crate) const UNSERVED: usize = 6;
    /// Time on the link to this step, jobs that came over it, and time the link was busy with them.
    pub(crate) const TRANSIT: usize = 7;
    pub(crate) const CARRIED: usize = 8;
    pub(crate) const TRANSMISSION: usize = 9;
    /// Lost without another attempt.
    pub(crate) const GONE: usize = 10;
    pub(crate) const LEN: usize = 11;
}

/// Sums of a batch that belong to no stream: per source, jobs that never got a chain.
pub(crate) const UNROUTED: usize = 0;

/// Batches that may be open at a time, and the sums of them all.
const MOST_OPEN: usize = 10_000;
const MOST_SUMS: usize = 20_000_000;

/// The sums of one group of batches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) sums: Vec<f64>,
    pub(crate) arrivals: u64,
    /// Whole runs that it is made of, where runs have an end.
    pub(crate) runs: f64,
    /// From the first arrival to that of the next batch, in ticks.
    pub(crate) ticks: f64,
}

/// Batches of a replication: those that are open, and the closed ones in groups of 2^level. The first batch may be the
/// warm-up, which does not count.
#[derive(Debug)]
pub(crate) struct Record {
    stride: usize,
    /// Sums of the open batches, one slot of `stride` after the other.
    pub(crate) sums: Vec<f64>,
    /// Open batches by slot; some slots are free.
    slots: Vec<Open>,
    free: Vec<u32>,
    /// Slots of open batches in the order in which they began; the last one takes arrivals.
    open: VecDeque<u32>,
    last: u32,
    /// Batches begun.
    begun: u32,
    batch_len: u64,
    /// Arrivals of the warm-up; 0 for none.
    warmup: u64,
    level: u32,
    pub(crate) groups: Vec<Group>,
    closed: u32,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    number: u32,
    arrivals: u64,
    /// Arrivals when it is full.
    len: u64,
    outstanding: u64,
    full: bool,
    began: f64,
    ended: f64,
}

impl Record {
    pub(crate) fn new(plan: &Plan, batch_len: u64, warmup: u64) -> Self {
        let mut record = Self {
            stride: plan.stride,
            sums: vec![],
            slots: vec![],
            free: vec![],
            open: VecDeque::with_capacity(16),
            last: 0,
            begun: 0,
            batch_len,
            warmup,
            level: 0,
            groups: vec![],
            closed: 0,
        };
        record.begin(0.0);
        record
    }

    /// A job arrives. Gives the slot of its batch, the number of the batch, and where its sums are.
    #[inline(always)]
    pub(crate) fn arrive(&mut self, now: f64) -> (u32, u32, u32) {
        if self.slots[self.last as usize].arrivals == self.slots[self.last as usize].len {
            self.end_batch(now);
        }
        let slot = self.last;
        let batch = &mut self.slots[slot as usize];
        batch.arrivals += 1;
        batch.outstanding += 1;
        (slot, batch.number, slot * self.stride as u32)
    }

    #[cold]
    fn end_batch(&mut self, now: f64) {
        let last = &mut self.slots[self.last as usize];
        last.full = true;
        last.ended = now;
        self.begin(now);
        self.close();
    }

    /// The last job of the replication has ended.
    pub(crate) fn finish(&mut self, now: f64) {
        self.end_batch(now);
    }

    /// A batch waits for one more job, which did not arrive: an audit that goes on after its answer.
    pub(crate) fn hold(&mut self, slot: u32) {
        self.slots[slot as usize].outstanding += 1;
    }

    #[inline(always)]
    pub(crate) fn leave(&mut self, slot: u32) {
        let batch = &mut self.slots[slot as usize];
        batch.outstanding -= 1;
        if batch.outstanding == 0 && batch.full {
            self.close();
        }
    }

    /// Batches whose jobs have all ended, but the warm-up.
    pub(crate) fn closed(&self) -> u32 {
        self.closed
    }

    /// Groups whose batches are all closed.
    pub(crate) fn measured(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().take((self.closed >> self.level) as usize)
    }

    /// Whether batches cannot be closed because some job never ends: it waits behind others for ever.
    pub(crate) fn is_stuck(&self) -> bool {
        self.open.len() > MOST_OPEN || (self.open.len() > 2 && self.sums.len() > MOST_SUMS)
    }

    /// Jobs that have not ended, of all batches.
    pub(crate) fn outstanding(&self) -> u64 {
        self.open.iter().map(|&slot| self.slots[slot as usize].outstanding).sum()
    }

    /// How many batches make up a group.
    pub(crate) fn group_len(&self) -> u32 {
        1 << self.level
    }

    /// Groups become twice as long, and half as many.
    pub(crate) fn double(&mut self) {
        self.level += 1;
        let old = std::mem::take(&mut self.groups);
        for (index, group) in old.into_iter().enumerate() {
            if index % 2 == 0 {
                self.groups.push(group);
            } else if let Some(last) = self.groups.last_mut() {
                last.add(&group);
            }
        }
    }

    fn begin(&mut self, now: f64) {
        let is_warmup = self.warmup > 0 && self.begun == 0;
        let len = if is_warmup { self.warmup } else { self.batch_len };
        let batch = Open { number: self.begun, arrivals: 0, len, outstanding: 0, full: false, began: now, ended: now };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.sums.resize(self.sums.len() + self.stride, 0.0);
                self.slots.push(batch);
                self.slots.len() as u32 - 1
            }
        };
        self.slots[slot as usize] = batch;
        self.open.push_back(slot);
        self.last = slot;
        self.begun += 1;
    }

    #[cold]
    fn close(&mut self) {
        while let Some(&slot) = self.open.front() {
            let batch = self.slots[slot as usize];
            if !batch.full || batch.outstanding > 0 {
                return;
            }
            self.open.pop_front();
            let sums = &mut self.sums[slot as usize * self.stride..][..self.stride];
            if self.warmup == 0 || batch.number > 0 {
                let group = (self.closed >> self.level) as usize;
                if group == self.groups.len() {
                    self.groups.push(Group { sums: vec![0.0; self.stride], arrivals: 0, runs: 0.0, ticks: 0.0 });
                }
                let ticks = batch.ended - batch.began;
                self.groups[group].add_batch(sums, batch.arrivals, ticks);
                self.closed += 1;
            }
            sums.fill(0.0);
            self.free.push(slot);
        }
    }
}

impl Group {
    pub(crate) fn add(&mut self, other: &Group) {
        self.add_batch(&other.sums, other.arrivals, other.ticks);
        self.runs += other.runs - 1.0;
    }

    fn add_batch(&mut self, sums: &[f64], arrivals: u64, ticks: f64) {
        self.runs += 1.0;
        self.sums.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
        self.arrivals += arrivals;
        self.ticks += ticks;
    }
}
