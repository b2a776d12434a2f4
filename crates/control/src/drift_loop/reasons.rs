//! What speaks for a new plan.

use super::DriftLoop;
use crate::Reason;
use crate::running::RunningConfidences;
use domain::problem::Burstiness;

impl DriftLoop {
    /// How the present differs from what the plan was made for.
    pub(super) fn reasons(&self, now: f64) -> Vec<Reason> {
        let mut reasons = vec![];
        for (index, track) in self.services.iter().enumerate() {
            let (planned, name) = (&self.planned.services[index], &self.planned.services[index].name);
            for (source, sent) in &track.sources {
                let Some((detector, estimate)) = sent.learned() else { continue };
                let mut same = planned.sources.iter().filter(|one| one.name == *source).peekable();
                let bursts = same.peek().map_or(Burstiness::Poisson, |one| one.burstiness);
                let rate: f64 = same.map(|one| one.rate.get()).sum();
                let ratio = estimate.rate / rate;
                let near =
                    (1.0 / (1.0 + self.options.rate_hysteresis)..=1.0 + self.options.rate_hysteresis).contains(&ratio);
                if !near && !estimate.covers(rate) {
                    let (service, source) = (name.clone(), source.clone());
                    reasons.push(Reason::Rate { service, source, planned: rate, now: estimate.rate });
                } else if matches!(bursts, Burstiness::Poisson) != matches!(detector.burstiness(), Burstiness::Poisson)
                {
                    reasons.push(Reason::Burstiness { service: name.clone(), source: source.clone() });
                }
            }
            if track.loss.exceeded_for(now).is_some_and(|time| time >= self.options.violation_seconds) {
                reasons.push(Reason::Violation { service: name.clone(), loss: track.loss.loss() });
            }
            if track.tables_changed {
                reasons.push(Reason::Accuracy { service: name.clone() });
            }
            if let Some((exit, planned, now)) = track.running.as_ref().and_then(RunningConfidences::moved) {
                reasons.push(Reason::TrackedConfidence { service: name.clone(), exit, planned, now });
            }
            // Whose scheduler tracks confidence is made anew with what is observed: the table does not matter.
            if track.running.is_none() && track.confidence.has_shifted() {
                reasons.push(Reason::ConfidenceShift { service: name.clone() });
            }
        }
        for (track, planned) in self.devices.iter().zip(&self.planned.devices) {
            if (track.speed / planned.speed).ln().abs() > (1.0 + self.options.speed_hysteresis).ln() {
                let device = planned.name.clone();
                reasons.push(Reason::Speed { device, planned: planned.speed, now: track.speed });
            }
        }
        reasons
    }
}
