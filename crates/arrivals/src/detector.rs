//! The rate of one source, whether it has changed, and whether what looked like a change was a burst.
//!
//! # How it works
//! * Since the last change all arrivals and all time make the **estimate**, with its interval.
//! * Four cumulative sums ([`crate::Cusum`]) look for **drift**: a rate twice or half as high, quickly, and one a quarter higher or
//!   a fifth lower, patiently. On an alarm the estimate starts anew with what came since the likeliest time of the change.
//! * The rate tested against is not the estimate but the end of an interval around it that is nearer to the alarm: a young estimate makes the tests slower instead of making them cry wolf.
//!   Tests for twice and half the rate leave out what came since the sum began to rise, which may be after a change already, and take a forecast
//!   ([`Detector::expecting`]) for twenty minutes of arrivals, as long as what was counted agrees with it.
//! * A surge or lull that **returns** to where it came from within [`DetectorOptions::burst_limit`] was a burst: the drift
//!   is withdrawn, and the source is described by two phases ([`TwoPhases`]), with the excursion as a visit to the other one.
//!   From then on the sums test likelihoods of that description, so that the next such burst is no news.
//! * Bursts that are declared ([`Detector::bursting`]) are such a description from the beginning, which the source then corrects.
//! * Bursts too short for that are found by the **test on scale** ([`crate::ScaleTest`]), and described by their moments
//!   ([`Moments`]). Where phases change faster than readings come, log-likelihood ratios are divided by the index of dispersion.
//!
//! # False alarms
//! The probability allowed per day is split over the tests by [`TESTS`] and [`SCALE_SHARE`] (their sum is one); see
//! [`crate::threshold`] for the thresholds. Stated for Poisson arrivals; for two phases they hold as far as the description does.
//!
//! # Cost
//! O(1) per reading and some 2 KiB: tens of ns for Poisson arrivals, some hundred for two phases.

mod origin;
mod regime;

use crate::bounds::RateEstimate;
use crate::cusum::{Cusum, threshold, threshold_of_readings};
use crate::moments::Moments;
use crate::phases::{FASTEST, Phase, TwoPhases};
use crate::scale::ScaleTest;
use domain::problem::Burstiness;
use origin::Origin;
use regime::Regime;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
struct Target {
    factor: f64,
    /// Share of the false alarms that it may cause.
    share: f64,
    /// Standard deviations by which the rate tested against lies off the estimate. An error of the estimate makes false
    /// alarms more frequent the more, the smaller the change that is looked for.
    caution: f64,
    /// Whether seconds count: then a forecast does, too, and what came since the sum began to rise does not.
    urgent: bool,
}

/// Doublings get most of the false alarms, since they hurt most and have a stated delay.
const TESTS: [Target; 4] = [
    Target { factor: 2.0, share: 0.6, caution: 2.0, urgent: true },
    Target { factor: 0.5, share: 0.1, caution: 2.0, urgent: true },
    Target { factor: 1.25, share: 0.1, caution: 3.0, urgent: false },
    Target { factor: 0.8, share: 0.1, caution: 3.0, urgent: false },
];
/// The same for the test on scale.
const SCALE_SHARE: f64 = 0.1;

/// Arrivals, or seconds without them, before a rate is tested against.
const FEWEST_ARRIVALS: f64 = 30.0;
const LONGEST_START: f64 = 60.0;

/// Seconds after which a return is decided even with fewer than [`FEWEST_ARRIVALS`].
const LONGEST_RETURN: f64 = 10.0;

/// Declared bursts count for as much as so many of them that were seen; and those that are faster than readings for so many windows of
/// [`Moments`], two minutes.
const DECLARED_CYCLES: f64 = 3.0;
const DECLARED_WINDOWS: f64 = 240.0;

/// What to be sure of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectorOptions {
    /// Probability of a false alarm within 24 hours of Poisson arrivals; in (0, 1).
    pub false_alarms_per_day: f64,
    /// Seconds within which a surge must return to be a burst.
    pub burst_limit: f64,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        // Ten minutes: a plan for a surge that lasts longer has paid for itself.
        Self { false_alarms_per_day: 0.01, burst_limit: 600.0 }
    }
}

/// What a reading showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// The rate is another one.
    Drift {
        /// Before.
        from: RateEstimate,
        /// Since the change; few arrivals yet.
        to: RateEstimate,
        /// Seconds from the likeliest time of the change until now.
        after: f64,
    },
    /// The rate is what it was, but arrivals come in bursts. Withdraws the drift reported for this one, if there was one.
    Burst {
        /// The rate, bursts included.
        rate: RateEstimate,
        /// How arrivals are spread.
        burstiness: Burstiness,
        /// The surge (or lull) that returned; `None` where scatter of short bursts was proven.
        surge: Option<Surge>,
    },
}

/// An excursion of the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surge {
    /// Arrivals per second in it.
    pub rate: f64,
    /// How long it lasted.
    pub seconds: f64,
}

/// Estimates the rate of a source and tests whether it changes.
#[derive(Debug, Clone)]
pub struct Detector {
    options: DetectorOptions,
    /// Arrivals per second, from elsewhere.
    forecast: Option<f64>,
    /// Bursts, from elsewhere, until the first reading.
    declared: Option<TwoPhases>,
    /// Whether the description is of declared bursts faster than readings, of which nothing has been seen yet.
    is_unproven: bool,
    /// Since the last change.
    regime: Regime,
    model: Model,
    tests: [Test; TESTS.len()],
    scale: ScaleTest,
    moments: Moments,
    /// Windows at which moments are fitted again.
    fit_at: f64,
    origin: Option<Origin>,
    /// Mean seconds between readings.
    reading: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    /// Independent counts; phases, if there are any, are too fast to be seen.
    Plain { dispersion: f64, phases: Option<TwoPhases> },
    /// Phases that last for several readings, and where they are.
    Phases { phases: TwoPhases, now: Phase },
}

/// A cumulative sum, and the phases under its two hypotheses.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Test {
    sum: Cusum,
    before: Phase,
    after: Phase,
}

const POISSON: Model = Model::Plain { dispersion: 1.0, phases: None };

impl Detector {
    /// Knows nothing yet.
    pub fn new(options: DetectorOptions) -> Self {
        Self {
            options,
            forecast: None,
            declared: None,
            is_unproven: false,
            regime: Regime::default(),
            model: POISSON,
            tests: fresh_tests(Phase(0.0)),
            scale: ScaleTest::default(),
            moments: Moments::default(),
            fit_at: 0.0,
            origin: None,
            reading: 0.0,
        }
    }

    /// With a forecast of the rate (ignored unless finite and above 0), which must not come from these arrivals: changes from it are found sooner.
    pub fn expecting(self, rate: f64) -> Self {
        Self { forecast: Some(rate).filter(|rate| *rate > 0.0 && rate.is_finite()), ..self }
    }

    /// With bursts that somebody has declared, around the rate that is expected (ignored without one): they are no news, and are believed until
    /// counts say otherwise. A quiet hour says little about bursts that come once a day.
    pub fn bursting(self, burstiness: Burstiness) -> Self {
        let declared = self.forecast.and_then(|rate| TwoPhases::declared(burstiness, rate, DECLARED_CYCLES));
        Self { declared, ..self }
    }

    /// Counts the arrivals of the next `seconds` (ignored unless finite and above 0).
    pub fn observe(&mut self, arrivals: u64, seconds: f64) -> Option<Change> {
        if !(seconds > 0.0 && seconds.is_finite()) {
            return None;
        }
        let arrivals = arrivals as f64;
        self.reading += (seconds - self.reading) * if self.reading > 0.0 { 0.05 } else { 1.0 };
        if let Some(phases) = self.declared.take() {
            self.describe(phases);
            self.is_unproven = matches!(self.model, Model::Plain { .. });
        }
        let alarm = if self.has_learned() { self.test(arrivals, seconds) } else { None };
        self.count(arrivals, seconds);
        let scattered = alarm.is_none() && self.is_scattered(arrivals, seconds);
        if let Some(test) = alarm { self.alarm(test) } else { self.returned() }
            .or_else(|| scattered.then(|| self.describe_scatter()).flatten())
    }

    /// The rate since the last change; `None` before anything was counted.
    pub fn estimate(&self) -> Option<RateEstimate> {
        let (regime, dispersion) = match &self.model {
            Model::Plain { dispersion, .. } => (self.regime, *dispersion),
            Model::Phases { phases, .. } => (totals(phases), phases.dispersion()),
        };
        (regime.seconds > 0.0).then(|| regime.estimate(dispersion))
    }

    /// Whether enough was counted to test for changes.
    pub fn has_learned(&self) -> bool {
        match self.model {
            Model::Plain { .. } => self.regime.arrivals >= FEWEST_ARRIVALS || self.regime.seconds >= LONGEST_START,
            Model::Phases { .. } => true,
        }
    }

    /// How arrivals are spread.
    pub fn burstiness(&self) -> Burstiness {
        self.phases().map_or(Burstiness::Poisson, |phases| phases.burstiness())
    }

    /// The two phases of the source, where it has them.
    pub fn phases(&self) -> Option<TwoPhases> {
        match self.model {
            Model::Plain { phases, .. } => phases,
            Model::Phases { phases, .. } => Some(phases),
        }
    }

    /// Index of the test that alarms.
    fn test(&mut self, arrivals: f64, seconds: f64) -> Option<usize> {
        let budget = self.options.false_alarms_per_day;
        let mut alarm = None;
        for (index, Target { factor, share, caution, urgent }) in TESTS.into_iter().enumerate() {
            let test = &mut self.tests[index];
            let h = match &self.model {
                Model::Plain { dispersion, .. } => {
                    let since = Regime { arrivals: test.sum.arrivals(), seconds: test.sum.seconds() };
                    let known = match urgent {
                        true => self.regime.without(since).backed_by(self.forecast, *dispersion),
                        false => self.regime,
                    };
                    let rate = known.cautious(*dispersion, factor > 1.0, caution) / dispersion;
                    if rate <= 0.0 {
                        continue;
                    }
                    let ratio = arrivals / dispersion * factor.ln() - rate * (factor - 1.0) * seconds;
                    test.sum.add(ratio, arrivals, seconds);
                    // The logarithm is needed for few readings only.
                    if test.sum.score() < 2.0 {
                        continue;
                    }
                    threshold(rate, factor, self.reading, budget * share)
                }
                Model::Phases { phases, .. } => {
                    let rate = totals(phases).cautious(1.0, factor > 1.0, caution) / phases.mean();
                    if rate <= 0.0 {
                        continue;
                    }
                    let before = phases.step(&mut test.before, arrivals, seconds, rate);
                    let after = phases.step(&mut test.after, arrivals, seconds, rate * factor);
                    if !test.sum.add(after - before, arrivals, seconds) {
                        test.after = test.before;
                    }
                    // No formula for the rate of false alarms: the bound over readings alone.
                    threshold_of_readings(self.reading, budget * share)
                }
            };
            if test.sum.score() > h && alarm.is_none() {
                alarm = Some(index);
            }
        }
        alarm
    }

    fn count(&mut self, arrivals: f64, seconds: f64) {
        self.regime.add(arrivals, seconds);
        self.moments.add(arrivals, seconds);
        if let Some(origin) = &mut self.origin
            && origin.returning.is_none()
        {
            origin.away.add(arrivals, seconds);
            if origin.away.seconds > self.options.burst_limit {
                self.origin = None;
            }
        }
        let Model::Phases { phases, now } = &mut self.model else { return };
        let before = *now;
        phases.step(now, arrivals, seconds, 1.0);
        phases.learn(before, *now, arrivals, seconds);
        let whole = totals(phases);
        // Bursts that have not come back for long enough fade out of the description.
        let dispersion = phases.dispersion();
        if dispersion.is_nan() || dispersion < 1.1 {
            self.turn_into(POISSON, whole);
        }
    }

    fn turn_into(&mut self, model: Model, regime: Regime) {
        let phase = if let Model::Phases { now, .. } = &model { *now } else { Phase(0.0) };
        self.tests = fresh_tests(phase);
        self.scale.interrupt();
        self.model = model;
        self.regime = regime;
    }

    fn alarm(&mut self, test: usize) -> Option<Change> {
        let sum = self.tests[test].sum;
        let (from, before) = (self.estimate()?, self.model);
        let since = Regime { arrivals: sum.arrivals(), seconds: sum.seconds() };
        let old = match &before {
            Model::Plain { .. } => self.regime,
            Model::Phases { phases, .. } => totals(phases),
        };
        let old = old.without(since);
        self.turn_into(POISSON, since);
        self.moments = Moments::default();
        self.fit_at = 0.0;
        self.is_unproven = false;
        let to = since.estimate(1.0);
        let drift = Change::Drift { from, to, after: since.seconds };
        match &mut self.origin {
            Some(Origin { returning: Some((from, _)), .. }) => {
                // Not back where it came from, but somewhere else again.
                let drift = Change::Drift { from: *from, to, after: since.seconds };
                self.origin = None;
                Some(drift)
            }
            Some(origin) if origin.could_be_back(since) => {
                origin.away = origin.away.without(since);
                origin.returning = Some((from, since));
                None
            }
            Some(_) => Some(drift),
            None => {
                if old.seconds > 0.0 {
                    self.origin = Some(Origin { regime: old, model: before, away: since, returning: None });
                }
                Some(drift)
            }
        }
    }

    /// Decides whether an excursion is over, once there is enough to see.
    fn returned(&mut self) -> Option<Change> {
        let origin = self.origin?;
        let (from, noticed) = origin.returning?;
        let back = self.regime.without(noticed);
        if back.arrivals < FEWEST_ARRIVALS && back.seconds < LONGEST_RETURN {
            return None;
        }
        self.origin = None;
        if !origin.was_burst(back) {
            self.regime = back;
            return Some(Change::Drift { from, to: back.estimate(1.0), after: back.seconds });
        }
        let phases = origin.with_visit(back);
        self.describe(phases);
        let surge = Some(Surge { rate: origin.away.rate(), seconds: origin.away.seconds });
        self.burst(surge)
    }

    fn is_scattered(&mut self, arrivals: f64, seconds: f64) -> bool {
        let Model::Plain { dispersion, phases } = self.model else { return false };
        let probability = self.options.false_alarms_per_day * SCALE_SHARE;
        let proven = self.scale.add(arrivals, seconds, probability);
        if self.is_unproven {
            self.prove(proven);
            return proven;
        }
        let known = dispersion > 1.0 || phases.is_some();
        if known { self.moments.windows() >= self.fit_at } else { proven }
    }

    /// Believes in declared bursts for a while, and from then on in what was seen.
    fn prove(&mut self, proven: bool) {
        let is_over = self.moments.windows() >= DECLARED_WINDOWS;
        self.is_unproven = !proven && !is_over;
        if !proven && is_over {
            self.turn_into(POISSON, self.regime);
        }
    }

    /// Describes scatter; a change where it was not known before.
    fn describe_scatter(&mut self) -> Option<Change> {
        let known = self.phases().is_some();
        // Twice as many windows make the next fit worth its cost.
        self.fit_at = 2.0 * self.moments.windows();
        if let Some(phases) = self.moments.fit() {
            self.describe(phases);
            return if known { None } else { self.burst(None) };
        }
        // Scatter without memory, as of many jobs per request.
        let dispersion = self.moments.dispersions().next().map_or(1.0, |(_, dispersion)| dispersion.max(1.0));
        self.turn_into(Model::Plain { dispersion, phases: None }, self.regime);
        None
    }

    fn describe(&mut self, phases: TwoPhases) {
        let model = if phases.decay() * self.reading > FASTEST {
            Model::Plain { dispersion: phases.dispersion(), phases: Some(phases) }
        } else {
            Model::Phases { phases, now: phases.start() }
        };
        self.turn_into(model, self.regime);
    }

    fn burst(&self, surge: Option<Surge>) -> Option<Change> {
        Some(Change::Burst { rate: self.estimate()?, burstiness: self.burstiness(), surge })
    }
}

fn totals(phases: &TwoPhases) -> Regime {
    Regime { arrivals: phases.arrivals(), seconds: phases.seconds() }
}

fn fresh_tests(phase: Phase) -> [Test; TESTS.len()] {
    [Test { sum: Cusum::default(), before: phase, after: phase }; TESTS.len()]
}

#[cfg(test)]
mod tests;
