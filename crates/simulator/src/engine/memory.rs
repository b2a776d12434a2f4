//! Memory: whether a job fits, and who waits until one does.

use super::Engine;
use super::job::{NONE as NO_JOB, State};
use super::plan::NONE;
use super::record::cell;

impl Engine<'_> {
    /// Whether all regions of a step have room for one more job.
    #[inline(always)]
    pub(super) fn fits(&self, step: u32) -> bool {
        let step = &self.plan.steps[step as usize];
        let room = |region: u32| {
            let region = &self.regions[region as usize];
            region.budget - region.used >= step.memory
        };
        (step.region == NONE || room(step.region)) && step.more_regions.iter().all(|&region| room(region))
    }

    /// Whether a step has room for a job that still holds what it has at another: in regions of both only the difference
    /// is asked for.
    pub(super) fn fits_beside(&self, step: u32, held: u32) -> bool {
        let (step, held) = (&self.plan.steps[step as usize], &self.plan.steps[held as usize]);
        step.regions().all(|region| {
            let there = if held.regions().any(|other| other == region) { held.memory_after } else { 0 };
            let state = &self.regions[region as usize];
            state.budget - state.used >= step.memory.saturating_sub(there)
        })
    }

    /// Reserves at a step what a job does not hold already in the same regions, at the one that it comes from.
    pub(super) fn reserve_beside(&mut self, step: u32, held: u32) {
        let (step, held) = (&self.plan.steps[step as usize], &self.plan.steps[held as usize]);
        for region in step.regions() {
            let there = if held.regions().any(|other| other == region) { held.memory_after } else { 0 };
            self.regions[region as usize].used += step.memory.saturating_sub(there);
        }
    }

    /// Gives back what a job holds at the step that it comes from and does not need at the next, for which it has reserved.
    pub(super) fn release_beside(&mut self, held: u32, step: u32) {
        let (step, held) = (&self.plan.steps[step as usize], &self.plan.steps[held as usize]);
        for region in held.regions() {
            let kept = if step.regions().any(|other| other == region) { step.memory } else { 0 };
            self.give_back_to(region, held.memory_after.saturating_sub(kept));
        }
    }

    #[inline(always)]
    pub(super) fn reserve(&mut self, step: u32) {
        let step = &self.plan.steps[step as usize];
        if step.region != NONE {
            self.regions[step.region as usize].used += step.memory;
        }
        for &region in &step.more_regions {
            self.regions[region as usize].used += step.memory;
        }
    }

    /// Gives back what a job holds at a step, or a part of it.
    #[inline(always)]
    pub(super) fn release(&mut self, step: u32, amount: u64) {
        let step = &self.plan.steps[step as usize];
        if step.region != NONE {
            self.give_back_to(step.region, amount);
        }
        for &region in &step.more_regions {
            self.give_back_to(region, amount);
        }
    }

    #[inline(always)]
    pub(super) fn give_back_to(&mut self, region: u32, amount: u64) {
        let state = &mut self.regions[region as usize];
        state.used -= amount;
        if state.blocked.first() != NO_JOB {
            self.freed.push(region);
        }
    }

    pub(super) fn block(&mut self, id: u32) {
        let job = self.jobs.get_mut(id);
        job.state = State::Blocked;
        let next = &self.plan.steps[job.step as usize + 1];
        // Served is counted when it leaves, together with the time it was blocked.
        let cell = (job.cell - cell::LEN as u32) as usize;
        self.record.sums[cell + cell::SERVED] -= 1.0;
        self.record.sums[cell + cell::RESIDENCE] -= self.now - job.entered;
        self.regions[next.region as usize].blocked.push(&mut self.jobs, id);
    }

    /// Lets jobs go on that wait for memory in a region, in the order in which they were blocked.
    pub(super) fn unblock(&mut self, region: u32) {
        loop {
            let id = self.regions[region as usize].blocked.first();
            if id == NO_JOB || !self.fits(self.jobs.get(id).step + 1) {
                return;
            }
            self.regions[region as usize].blocked.pop(&self.jobs);
            let job = *self.jobs.get(id);
            let step = &self.plan.steps[job.step as usize];
            let cell = (job.cell - cell::LEN as u32) as usize;
            self.record.sums[cell + cell::SERVED] += 1.0;
            self.record.sums[cell + cell::RESIDENCE] += self.now - job.entered;
            self.stations[step.station as usize].unblock();
            self.hand_over(id);
            self.begin_next(step.station, step.lane);
        }
    }
}
