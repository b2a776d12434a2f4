//! Whether the exits of a service still agree with the last one as often as its exit table says: accuracy without labels.
//!
//! # Formula
//! Per exit but the last two cumulative sums ([`arrivals::Cusum`]) of the log-likelihood ratios of audits, for odds of
//! agreement twice and half as high as assumed. Each audit starts a sequential test that alarms falsely with probability ≤
//! e^−h, so h = ln(86,400 · 2(L − 1) ÷ probability) keeps false alarms within 86,400 audits (a day of 1 % of 100 jobs per second)
//! below the probability. After an alarm the next [`NEEDED`] audits of each exit say what the agreement is now; it becomes
//! what is assumed, so that a recovery is found in the same way.
//!
//! # Assumptions
//! Audits are a random share of the jobs; they evaluate all exits. An exit that is not audited is not tested.
//!
//! # Cost
//! O(exits) per reading.

use arrivals::Cusum;
use std::collections::BTreeMap;
use wire::document::AuditTelemetry;

/// Audits of each exit after an alarm before its new agreement is believed: ± 4 points at 95 % agreement and ± 8 at 50 %.
pub(crate) const NEEDED: u64 = 150;

/// Audits for which the probability of a false alarm is stated.
const HORIZON: f64 = 86_400.0;

/// Ratio of odds that is looked for.
const ODDS: f64 = 2.0;

/// Agreement of an exit with the last one, by recent audits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitAgreement {
    /// Share that agreed; NaN where nothing was audited.
    pub agreement: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
}

/// Follows the audits of one service.
#[derive(Debug, Clone)]
pub struct AccuracyTracker {
    assumed: Vec<f64>,
    sums: Vec<[Cusum; 2]>,
    /// Per exit recent audits: compared, agreed.
    recent: Vec<(f64, f64)>,
    /// Whether an alarm waits for enough audits.
    alarmed: bool,
    counters: BTreeMap<String, Vec<AuditTelemetry>>,
    threshold: f64,
}

impl AccuracyTracker {
    /// Tests against `assumed`, the agreement of each exit but the last, with at most `probability` of a false alarm.
    pub fn new(assumed: Vec<f64>, probability: f64) -> Self {
        let exits = assumed.len();
        let threshold = (HORIZON * 2.0 * exits.max(1) as f64 / probability).max(1.0).ln();
        Self {
            sums: vec![[Cusum::default(); 2]; exits],
            recent: vec![(0.0, 0.0); exits],
            assumed,
            alarmed: false,
            counters: BTreeMap::new(),
            threshold,
        }
    }

    /// Takes the counters of a gateway. The agreement of each exit (NaN where none was audited) when it has been found to
    /// be another one.
    pub fn observe(&mut self, replica: &str, audits: &[AuditTelemetry]) -> Option<Vec<f64>> {
        let before = self.counters.insert(replica.to_owned(), audits.to_vec())?;
        for (exit, now) in audits.iter().enumerate().take(self.assumed.len()) {
            let was = before.get(exit).copied().unwrap_or_default();
            let Some(compared) = now.compared.checked_sub(was.compared).filter(|count| *count > 0) else { continue };
            let Some(agreed) = now.agreed.checked_sub(was.agreed).filter(|count| *count <= compared) else { continue };
            self.count(exit, compared as f64, agreed as f64);
        }
        self.conclude()
    }

    fn count(&mut self, exit: usize, compared: f64, agreed: f64) {
        let recent = &mut self.recent[exit];
        // Remembers some 500 audits, all of them while an alarm waits.
        let keep = if self.alarmed { 1.0 } else { (-compared / 500.0).exp() };
        *recent = (recent.0 * keep + compared, recent.1 * keep + agreed);
        if self.alarmed {
            return;
        }
        let old = self.assumed[exit].clamp(0.005, 0.995);
        for (sum, odds) in self.sums[exit].iter_mut().zip([ODDS, 1.0 / ODDS]) {
            let new = old * odds / (1.0 - old + old * odds);
            let ratio = agreed * (new / old).ln() + (compared - agreed) * ((1.0 - new) / (1.0 - old)).ln();
            sum.add(ratio, compared, 0.0);
        }
        if self.sums[exit].iter().any(|sum| sum.score() > self.threshold) {
            self.alarmed = true;
            self.recent.fill((0.0, 0.0));
            self.sums.fill([Cusum::default(); 2]);
        }
    }

    fn conclude(&mut self) -> Option<Vec<f64>> {
        let most = self.recent.iter().map(|recent| recent.0).fold(0.0, f64::max);
        // Exits that get fewer audits than others for whatever reason are not waited for.
        if !self.alarmed || most < NEEDED as f64 {
            return None;
        }
        self.alarmed = false;
        let found: Vec<f64> = self.recent.iter().map(|recent| recent.1 / recent.0).collect();
        for (assumed, found) in self.assumed.iter_mut().zip(&found).filter(|(_, found)| found.is_finite()) {
            *assumed = *found;
        }
        Some(found)
    }

    /// Agreement by recent audits, with intervals (E. B. Wilson, JASA 22 (1927), pp. 209–212).
    pub fn agreement(&self) -> Vec<ExitAgreement> {
        let z = 1.96_f64;
        let of = |&(compared, agreed): &(f64, f64)| {
            let share = agreed / compared;
            let middle = (share + z * z / (2.0 * compared)) / (1.0 + z * z / compared);
            let variance = share * (1.0 - share) / compared + z * z / (4.0 * compared * compared);
            let half = z * variance.sqrt() / (1.0 + z * z / compared);
            ExitAgreement { agreement: share, low: middle - half, high: middle + half }
        };
        self.recent.iter().map(of).collect()
    }
}
