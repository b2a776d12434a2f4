//! Telemetry in: what is learned from a reading, and which events it makes.

use super::DriftLoop;
use crate::tilt::{table_agreement, tilt};
use crate::{DeviceReading, Event, GatewayReading, Observation, SourceReading};
use arrivals::{Change, Detector};
use domain::problem::Samples;
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
            let detector = track.detector.get_or_insert_with(|| Detector::new(self.options.arrivals));
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
        let service = &self.base.services[index];
        let (choose, judge) = (&service.model.choose.table, &service.model.judge.table);
        let own = table_agreement(choose);
        // Twice the uncertainty of the audits behind an alarm.
        let near = |(own, found): (&f64, &f64)| {
            let half = 2.0 * (own * (1.0 - own) / crate::accuracy::NEEDED as f64).sqrt() + 0.01;
            found.is_nan() || (own - found).abs() <= half
        };
        let recovered = own.iter().zip(&found).all(near);
        let floor = self.options.min_effective_rows;
        let (mut effective_rows, mut samples) = (1.0, None);
        if !recovered {
            let (choosing, judging) = (tilt(choose, &found, floor), tilt(judge, &found, floor));
            effective_rows = choosing.effective.min(judging.effective);
            let reweighted = |table: &domain::ExitTable, weights| Arc::new(Samples::new(table.reweighted(weights)));
            samples = Some((reweighted(choose, &choosing.weights), reweighted(judge, &judging.weights)));
        }
        let judged = samples.as_ref().map_or(judge.as_ref(), |(_, judge)| judge.table.as_ref());
        let accuracy = (0..judged.exits()).map(|exit| judged.accuracy(exit)).collect();
        let service = service.name.clone();
        self.events.push(Event::AccuracyDrift { service, agreement: found, accuracy, effective_rows, recovered });
        track.samples = samples;
        track.tables_changed = true;
        self.news();
    }

    fn observe_confidences(&mut self, index: usize, gateways: &[&GatewayReading]) {
        if let Some(running) = &mut self.services[index].running {
            gateways.iter().for_each(|gateway| running.observe(gateway));
            return;
        }
        let (service, policy) = (&self.planned.services[index], self.plan.policies.get(index));
        let Some(policy) = policy else { return };
        for gateway in gateways {
            let track = &mut self.services[index].confidence;
            track.observe(gateway, service, policy, self.options.confidence_shift);
        }
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
