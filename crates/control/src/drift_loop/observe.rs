//! Telemetry in: what is learned from a reading, and which events it makes.

use super::DriftLoop;
use crate::shares::{Judgement, Leaving};
use crate::tilt::{table_agreement, tilt};
use crate::{DeviceReading, Event, GatewayReading, Observation, SourceReading};
use arrivals::{Change, Detector};
use domain::problem::{Burstiness, Samples};
use std::sync::Arc;

impl DriftLoop {
    /// Takes telemetry that was read at `now`. Documents of unknown services, sources and devices are ignored.
    pub fn observe(&mut self, now: f64, observation: &Observation) {
        if !now.is_finite() {
            return;
        }
        for index in 0..self.services.len() {
            let name = &self.base.services[index].name;
            let gateways: Vec<&GatewayReading> =
                observation.gateways.iter().filter(|gateway| gateway.service == *name).collect();
            if !gateways.is_empty() {
                self.heard = Some(now);
            }
            self.observe_sources(index, now, &gateways);
            self.observe_losses(index, now, &gateways);
            self.observe_audits(index, &gateways);
            self.observe_confidences(index, &gateways);
            self.observe_exits(index, now, &gateways);
        }
        observation.devices.iter().for_each(|reading| self.observe_device(reading));
        let silent = self.heard.is_some_and(|heard| now - heard > self.options.stale);
        if silent != self.silent {
            self.silent = silent;
            self.events.push(Event::Telemetry { present: !silent });
        }
    }

    fn observe_sources(&mut self, index: usize, now: f64, gateways: &[&GatewayReading]) {
        let service = &self.base.services[index].name;
        let mut news = false;
        for (name, track) in &mut self.services[index].sources {
            let counters = gateways
                .iter()
                .filter_map(|gateway| Some((gateway.replica.as_str(), gateway.sources.get(name)?.arrived)));
            let Some(increment) = track.meter.read(now, counters) else { continue };
            let planned = || self.planned.services[index].sources.iter().filter(|source| source.name == *name);
            let forecast: f64 = planned().map(|source| source.rate.get()).sum();
            let bursts = planned().next().map_or(Burstiness::Poisson, |source| source.burstiness);
            // Once there is a detector, plans follow what it says: they are no news to it.
            let new = || Detector::new(self.options.arrivals).expecting(forecast).bursting(bursts);
            let detector = track.detector.get_or_insert_with(new);
            let Some(change) = detector.observe(increment.count, increment.seconds) else { continue };
            news = true;
            self.events.push(event_of(service, name, change));
        }
        if news {
            self.news();
        }
    }

    fn observe_losses(&mut self, index: usize, now: f64, gateways: &[&GatewayReading]) {
        let service = &self.base.services[index];
        let Some(limit) = service.targets.max_loss else { return };
        let track = &mut self.services[index];
        let sum = |gateway: &GatewayReading, of: fn(&SourceReading) -> u64| {
            gateway.sources.values().fold(0, |sum: u64, source| sum.saturating_add(of(source)))
        };
        let counters = |of: fn(&SourceReading) -> u64| {
            gateways.iter().map(move |gateway| (gateway.replica.as_str(), sum(gateway, of)))
        };
        let arrived = track.arrived.read(now, counters(|source| source.arrived));
        let lost = track.lost.read(now, counters(|source| source.unanswered));
        let (Some(lost), Some(arrived)) = (lost, arrived) else { return };
        let arrived = arrived.count as f64;
        let was = track.loss.exceeded_for(now).is_some_and(|time| time >= self.options.violation_seconds);
        track.loss.add(now, lost.seconds, arrived.max(lost.count as f64), lost.count as f64, limit.get());
        let is = track.loss.exceeded_for(now).is_some_and(|time| time >= self.options.violation_seconds);
        if is && !was {
            let (service, loss) = (service.name.clone(), track.loss.loss());
            self.events.push(Event::ViolationObserved { service, loss, limit: limit.get() });
        }
    }

    fn observe_audits(&mut self, index: usize, gateways: &[&GatewayReading]) {
        let track = &mut self.services[index];
        let found =
            gateways.iter().filter_map(|gateway| track.accuracy.observe(&gateway.replica, &gateway.audits)).last();
        let Some(found) = found else { return };
        let own = table_agreement(&self.base.services[index].model.choose.table);
        // Twice the uncertainty of the audits behind an alarm.
        let near = |(own, found): (&f64, &f64)| {
            let half = 2.0 * (own * (1.0 - own) / crate::accuracy::NEEDED as f64).sqrt() + 0.01;
            found.is_nan() || (own - found).abs() <= half
        };
        let recovered = own.iter().zip(&found).all(near);
        self.services[index].found.agreement = if recovered { vec![] } else { found.clone() };
        let (accuracy, effective_rows) = self.reweigh(index);
        let service = self.base.services[index].name.clone();
        self.events.push(Event::AccuracyDrift { service, agreement: found, accuracy, effective_rows, recovered });
    }

    /// Weighs the rows of the exit tables of a service anew by all that was found; per exit the accuracy under the weights, and
    /// the share of rows that carry them.
    fn reweigh(&mut self, index: usize) -> (Vec<f64>, f64) {
        let (model, track) = (&self.base.services[index].model, &mut self.services[index]);
        let (choose, judge) = (&model.choose.table, &model.judge.table);
        let (mut effective_rows, mut samples) = (1.0, None);
        if !track.found.agreement.is_empty() || track.found.leaving.is_some() {
            let floor = self.options.min_effective_rows;
            let (choosing, judging) = (tilt(choose, &track.found, floor), tilt(judge, &track.found, floor));
            effective_rows = choosing.effective.min(judging.effective);
            let reweighted = |table: &domain::ExitTable, weights| Arc::new(Samples::new(table.reweighted(weights)));
            samples = Some((reweighted(choose, &choosing.weights), reweighted(judge, &judging.weights)));
        }
        let judged = samples.as_ref().map_or(judge.as_ref(), |(_, judge)| judge.table.as_ref());
        let accuracy = (0..judged.exits()).map(|exit| judged.accuracy(exit)).collect();
        track.samples = samples;
        let believed = track.samples.as_ref().map_or(&model.choose, |(choose, _)| choose);
        track.leaving.reweighed(believed, track.found.leaving.as_ref());
        track.tables_changed = true;
        self.news();
        (accuracy, effective_rows)
    }

    /// How sure gateways answered.
    fn observe_confidences(&mut self, index: usize, gateways: &[&GatewayReading]) {
        if let Some(running) = &mut self.services[index].running {
            gateways.iter().for_each(|gateway| running.observe(gateway));
            return;
        }
        let Some(policy) = self.plan.policies.get(index) else { return };
        let (service, track) = (&self.planned.services[index], &mut self.services[index]);
        for gateway in gateways {
            let Some(answers) = track.answers.read(gateway) else { continue };
            track.confidence.observe(&answers, service, policy, self.options.confidence_shift);
        }
    }

    /// At which exits gateways answered.
    fn observe_exits(&mut self, index: usize, now: f64, gateways: &[&GatewayReading]) {
        let Some(policy) = self.plan.policies.get(index) else { return };
        let (service, track) = (&self.planned.services[index], &mut self.services[index]);
        // Whoever tracks confidence does not plan by the table.
        if track.running.is_some() {
            return;
        }
        let own = &self.base.services[index].model.choose;
        let judgement = Judgement {
            service,
            believed: track.samples.as_ref().map_or(own, |(choose, _)| choose),
            policy,
            version: self.version,
            shift: self.options.exit_share_shift,
            is_in_trouble: track.loss.exceeded_for(now).is_some_and(|time| time >= self.options.violation_seconds),
        };
        let found = gateways.iter().filter_map(|gateway| track.leaving.observe(gateway, judgement)).last();
        let is_too_old = track.found.leaving.is_some() && track.leaving.is_too_old();
        if let Some(leaving) = found {
            let recovered = leaving.is_that_of(own, self.options.exit_share_shift);
            self.leave(index, leaving, recovered);
        } else if is_too_old {
            track.found.leaving = None;
            self.reweigh(index);
        }
    }

    fn leave(&mut self, index: usize, leaving: Leaving, recovered: bool) {
        let (service, shares) = (self.base.services[index].name.clone(), leaving.shares.clone());
        self.services[index].found.leaving = (!recovered).then_some(leaving);
        let (_, effective_rows) = self.reweigh(index);
        self.events.push(Event::ExitSharesDrift { service, shares, effective_rows, recovered });
    }

    fn observe_device(&mut self, reading: &DeviceReading) {
        let Some(index) = self.base.devices.iter().position(|device| device.name == reading.device) else { return };
        let track = &mut self.devices[index];
        let hysteresis = self.options.speed_hysteresis;
        let Some(speed) = track.tracker.observe(reading, track.speed, hysteresis) else { return };
        let from = std::mem::replace(&mut track.speed, speed);
        self.events.push(Event::SpeedCorrected { device: reading.device.clone(), from, to: speed });
        self.news();
    }

    fn news(&mut self) {
        self.weighed = None;
        self.held = None;
        self.gate.news();
    }
}

fn event_of(service: &str, source: &str, change: Change) -> Event {
    let (service, source) = (service.to_owned(), source.to_owned());
    match change {
        Change::Drift { from, to, after } => Event::DriftDetected { service, source, from, to, after },
        Change::Burst { rate, burstiness, surge } => {
            let surge = surge.map(|surge| (surge.rate, surge.seconds));
            Event::BurstRecognised { service, source, rate, burstiness, surge }
        }
    }
}
