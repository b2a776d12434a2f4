//! Devices that go down and come back.

use super::Engine;
use super::job::{List, State};
use super::ticks::whole;
use super::timers::Timer;
use crate::network::Outages;
use crate::random::Purpose;
use crate::report::Failure;

impl Engine<'_> {
    /// Puts the next change of a device on the timers: down if it is up, else up.
    pub(super) fn schedule_outage(&mut self, device: u32) {
        let at = match &self.plan.stations[device as usize].outages {
            Outages::Never => return,
            Outages::At(windows) => {
                let changes = self.changes[device as usize] as usize;
                let Some(&(from, until)) = windows.get(changes / 2) else {
                    return;
                };
                whole(if self.up[device as usize] { from } else { until } / self.plan.tick)
            }
            Outages::Random { mean_up, mean_down } => {
                let mean = if self.up[device as usize] { mean_up } else { mean_down };
                let key = self.key.child(u64::MAX - u64::from(device));
                let mut draws = key.draws(u64::from(self.changes[device as usize]), Purpose::Outage);
                self.now + whole(draws.exponential() * mean / self.plan.tick)
            }
        };
        self.timers.push(at, Timer::Outage { device });
    }

    /// A device goes down, and all that it holds fails; or it comes back, empty.
    pub(super) fn outage(&mut self, device: u32) {
        let goes_down = self.up[device as usize];
        self.up[device as usize] = !goes_down;
        self.changes[device as usize] += 1;
        if goes_down {
            self.fail_all(device);
        }
        self.schedule_outage(device);
    }

    fn fail_all(&mut self, device: u32) {
        let plan = self.plan;
        let at = |step: u32| plan.steps[step as usize].station == device;
        let hit = self.jobs.find(|job| match job.state {
            State::Waiting | State::Served | State::Blocked => at(job.step),
            State::Queued => !job.at_gateway && at(job.step),
            State::Transit => at(job.step) || (!job.at_gateway && at(job.step - 1)),
            State::Free | State::AtGate | State::Retrying => false,
        });
        let station = &plan.stations[device as usize];
        self.stations[device as usize].clear(&station.discipline, station.cores);
        self.calendar.set(device, f64::INFINITY);
        for queue in station.first_queue..station.first_queue + station.queues {
            self.queues[queue as usize] = List::EMPTY;
        }
        self.clear_links(device);
        for id in hit {
            match self.jobs.get(id).state {
                State::Queued => self.leave_sender(id),
                State::Transit => self.leave_link(id),
                _ => self.leave_device(id),
            }
            self.fail_or_answer(id, Failure::DeviceDown);
        }
        self.restart_links();
    }
}
