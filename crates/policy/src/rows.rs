//! Which row of a rate table is in force.
//!
//! A row is the first one that reaches up to the arrivals of now ÷ forecast. Over a window the forecast is believed as long
//! as chance explains what is counted ([`crate::memory`]): its row was planned for the rate that is most likely, and noise
//! must not cost accuracy all the time. What chance does not explain moves the row at once, as far as was counted, because
//! too many jobs are lost sooner than too few leave late. Away from the forecast a row falls only when the ratio is below
//! the middle of the next lower row, or two deviations above the count are still within that row: half a row of hysteresis,
//! but no more than noise asks for, so that noise at a boundary does not make a gateway change its thresholds with every
//! job and a rate that is well known is not served by a row for twice of it. Under [`Measured::Phases`] the ratio is that of the likelier phase, under
//! [`Measured::Belief`] the mean over both by what is believed of them; there rows follow at once, up and down, because a
//! belief is no noise.
//!
//! Cost: a look at a hundred counters or one exponential, and a search among the rows, per decision.

use crate::memory::Memory;
use crate::phases::PhaseFilter;
use domain::{Measured, PerSecond, Probability, RateTable, Seconds};
use std::time::Duration;

/// The row of a rate table that a gateway uses now, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowInForce {
    /// Its number, from 0.
    pub row: usize,
    /// How far it reaches, as a rate ÷ forecast.
    pub up_to: f64,
    /// Arrivals per second of all sources together, over the longest time in which they seem to have been constant; under
    /// phases the mean over what is believed of them.
    pub rate: PerSecond,
    /// Under phases: the probability of the one with the higher rate.
    pub burst: Option<Probability>,
}

/// Measures the rate and keeps the row.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    meter: Meter,
    row: usize,
    /// Another policy is in force, to which arrivals go: the row stays.
    retired: bool,
}

#[derive(Debug, Clone)]
enum Meter {
    Window { length: Seconds, memory: Box<Memory> },
    Phases(PhaseFilter),
}

impl Rows {
    /// Begins with the row of the forecast.
    pub(crate) fn new(table: &RateTable, now: f64) -> Self {
        let meter = match table.measured {
            Measured::Window(length) => {
                Meter::Window { length, memory: Box::new(Memory::new(time(length.get()), time(now))) }
            }
            Measured::Phases { rates, switch } | Measured::Belief { rates, switch } => {
                let forecast = table.forecast.get();
                Meter::Phases(PhaseFilter::new(rates.map(|rate| rate * forecast), switch, now))
            }
        };
        Self { meter, row: reaching(table, 1.0), retired: false }
    }

    /// Rows of a new table that goes on with what was measured for the one before.
    pub(crate) fn after(before: &Self, table: &RateTable, now: f64) -> Self {
        let mut rows = Self::new(table, now);
        match (&mut rows.meter, &before.meter) {
            (Meter::Window { length, memory }, Meter::Window { length: same, memory: counted }) if length == same => {
                *memory = counted.clone();
            }
            (Meter::Phases(filter), Meter::Phases(believed)) => *filter = filter.believing(believed),
            _ => {}
        }
        let (ratio, _) = rows.ratio(table, now);
        rows.row = reaching(table, ratio);
        rows
    }

    /// A job arrives: the row for it. A window does not count the job that looks at it, because the mean that arrivals
    /// find is the mean over time only without themselves; a filter learns from it.
    pub(crate) fn arrive(&mut self, table: &RateTable, now: f64) -> usize {
        if let Meter::Phases(filter) = &mut self.meter {
            filter.arrive(now);
        }
        let row = self.row(table, now);
        if let Meter::Window { memory, .. } = &mut self.meter {
            memory.arrive(time(now));
        }
        row
    }

    /// Stays with the row that it has, because it no longer hears of arrivals.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// The row that was found last.
    pub(crate) fn last(&self) -> usize {
        self.row
    }

    /// The row in force at `now`.
    pub(crate) fn row(&mut self, table: &RateTable, now: f64) -> usize {
        if !self.retired {
            let (ratio, at_most) = self.ratio(table, now);
            let stays = at_most.is_some_and(|at_most| {
                let is_sure = reaching(table, at_most) < self.row;
                ratio <= table.rows[self.row].up_to && ratio > falls_at(table, self.row) && !is_sure
            });
            if !stays {
                self.row = reaching(table, ratio);
            }
        }
        self.row
    }

    /// The row in force at `now`, with its reasons.
    pub(crate) fn in_force(&mut self, table: &RateTable, now: f64) -> RowInForce {
        let row = self.row(table, now);
        let forecast = table.forecast.get();
        let (rate, burst) = match (&mut self.meter, table.measured) {
            (Meter::Phases(filter), Measured::Phases { rates, .. } | Measured::Belief { rates, .. }) => {
                let burst = filter.burst_at(now);
                (forecast * (rates[0] + burst * (rates[1] - rates[0])), Some(burst))
            }
            (Meter::Window { memory, .. }, _) => (forecast * memory.recent(time(now), forecast).ratio, None),
            (Meter::Phases(_), Measured::Window(_)) => unreachable!("the meter is that of the table"),
        };
        RowInForce {
            row,
            up_to: table.rows[row].up_to,
            rate: PerSecond::new(rate).unwrap_or(table.forecast),
            burst: burst.and_then(|burst| Probability::new(burst).ok()),
        }
    }

    /// Arrivals of now ÷ forecast and, where that is subject to noise, what it is hardly ever above: a phase has one of two
    /// rates, and the forecast is what it is.
    fn ratio(&mut self, table: &RateTable, now: f64) -> (f64, Option<f64>) {
        match (&mut self.meter, table.measured) {
            (Meter::Phases(filter), Measured::Phases { rates, .. }) => {
                (rates[usize::from(filter.burst_at(now) > 0.5)], None)
            }
            (Meter::Phases(filter), Measured::Belief { rates, .. }) => {
                (rates[0] + filter.burst_at(now) * (rates[1] - rates[0]), None)
            }
            (Meter::Window { memory, .. }, _) => {
                let recent = memory.recent(time(now), table.forecast.get());
                if recent.is_as_forecast() { (1.0, None) } else { (recent.up_to, Some(recent.at_most)) }
            }
            (Meter::Phases(_), Measured::Window(_)) => unreachable!("the meter is that of the table"),
        }
    }
}

/// The first row that reaches up to a ratio; the last one for all higher ratios.
fn reaching(table: &RateTable, ratio: f64) -> usize {
    table.rows.partition_point(|row| row.up_to < ratio).min(table.rows.len().saturating_sub(1))
}

/// The ratio down to which a row stays in force: the middle of the next lower one.
fn falls_at(table: &RateTable, row: usize) -> f64 {
    match row {
        0 => f64::NEG_INFINITY,
        1 => table.rows[0].up_to / 2.0,
        _ => f64::midpoint(table.rows[row - 2].up_to, table.rows[row - 1].up_to),
    }
}

fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Choice, Mixture, RateRow, Thresholds};

    fn table(measured: Measured, rows: &[f64]) -> RateTable {
        let choice = Choice::new(Probability::new(1.0).unwrap(), 0, Thresholds::exit_last(2));
        let default = Mixture::new(vec![choice], "a test").unwrap();
        let rows = rows.iter().map(|&up_to| RateRow { up_to, default: default.clone(), sources: vec![] });
        RateTable { forecast: PerSecond::new(20.0).unwrap(), measured, rows: rows.collect() }
    }

    fn window() -> RateTable {
        table(Measured::Window(Seconds::new(1.0).unwrap()), &[0.5, 1.0, 1.5, 2.0])
    }

    #[test]
    fn rows_for_beliefs_follow_how_sure_the_filter_is() {
        let belief = |rates, rows: &[f64]| table(Measured::Belief { rates, switch: [0.1, 0.4] }, rows);
        let table = belief([0.5, 5.0], &[1.0, 2.0, 4.0, 5.0]);
        let mut rows = Rows::new(&table, 0.0);
        // A fifth of the time in bursts: 0.5 + 0.2 · 4.5.
        assert_eq!(rows.row(&table, 0.0), 1);
        let volley: Vec<usize> = (1..40).map(|job| rows.arrive(&table, f64::from(job) * 0.005)).collect();
        assert!(volley.is_sorted() && volley.contains(&2) && volley[38] == 3, "{volley:?}");
        let found = rows.in_force(&table, 0.195);
        let burst = found.burst.unwrap().get();
        assert!((found.rate.get() - 20.0 * (0.5 + burst * 4.5)).abs() < 1e-9 && burst > 0.9, "{found:?}");
        let silence: Vec<usize> = (0..40).map(|step| rows.row(&table, 0.2 + f64::from(step) * 0.02)).collect();
        assert!(silence.is_sorted_by(|a, b| a >= b) && silence[39] == 0, "{silence:?}");
    }

    /// Arrivals at an even pace; the row after each.
    fn rows_at(rows: &mut Rows, table: &RateTable, now: &mut f64, ratio: f64, seconds: f64) -> Vec<usize> {
        let gap = 1.0 / (20.0 * ratio);
        let end = *now + seconds;
        let mut found = vec![];
        while *now < end {
            *now += gap;
            found.push(rows.arrive(table, *now));
        }
        found
    }

    #[test]
    fn it_begins_with_the_forecast_and_rises_at_once() {
        let table = window();
        let (mut rows, mut now) = (Rows::new(&table, 5.0), 5.0);
        assert_eq!(rows.row(&table, now), 1);
        assert!(rows_at(&mut rows, &table, &mut now, 0.9, 3.0).iter().all(|&row| row == 1));
        let rise = rows_at(&mut rows, &table, &mut now, 1.9, 2.0);
        assert!(rise.is_sorted() && rise.last() == Some(&3), "{rise:?}");
    }

    #[test]
    fn away_from_the_forecast_it_falls_half_a_row_later_or_when_it_is_sure() {
        let table = table(Measured::Window(Seconds::new(1.0).unwrap()), &[0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        let (mut rows, mut now) = (Rows::new(&table, 0.0), 0.0);
        assert_eq!(rows_at(&mut rows, &table, &mut now, 2.8, 100.0).last(), Some(&5));
        // The last row begins at 2.5 and falls at 2.25.
        assert_eq!((falls_at(&table, 5), falls_at(&table, 1)), (2.25, 0.25));
        assert_eq!(rows_at(&mut rows, &table, &mut now, 2.35, 1.0).last(), Some(&5), "it may still be 2.5");
        assert_eq!(rows_at(&mut rows, &table, &mut now, 2.35, 100.0).last(), Some(&4), "it is not");
        assert_eq!(rows_at(&mut rows, &table, &mut now, 2.8, 100.0).last(), Some(&5));
        assert_eq!(rows_at(&mut rows, &table, &mut now, 1.9, 100.0).last(), Some(&3), "below 2");
        assert_eq!(rows.row(&table, now + 600.0), 0, "silence is the lowest rate");
    }

    #[test]
    fn the_row_of_the_forecast_is_back_as_soon_as_chance_explains_the_count() {
        let table = table(Measured::Window(Seconds::new(1.0).unwrap()), &[0.95, 1.0, 1.05, 2.0, 4.0]);
        let (mut rows, mut now) = (Rows::new(&table, 0.0), 0.0);
        assert_eq!(rows_at(&mut rows, &table, &mut now, 3.0, 20.0).last(), Some(&4));
        let back = rows_at(&mut rows, &table, &mut now, 0.99, 1.0);
        assert_eq!(back.last(), Some(&1), "without hysteresis, which 0.99 would not overcome: {back:?}");
    }

    #[test]
    fn a_rate_at_a_boundary_does_not_flap() {
        let table = window();
        let (mut rows, mut now) = (Rows::new(&table, 0.0), 0.0);
        // In turns a little above and below the end of the third row, for a minute.
        let mut found = vec![];
        for turn in 0..60 {
            found.extend(rows_at(&mut rows, &table, &mut now, if turn % 2 == 0 { 1.6 } else { 1.4 }, 1.0));
        }
        let changes = found[30..].windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 6, "{changes} in 60 turns");
    }

    #[test]
    fn phases_take_the_row_of_the_likelier_one() {
        let phases = Measured::Phases { rates: [0.5, 2.0], switch: [0.05, 0.2] };
        let table = table(phases, &[0.5, 1.0, 1.5, 2.0]);
        let mut rows = Rows::new(&table, 0.0);
        assert_eq!(rows.row(&table, 0.0), 0, "calm is likelier in the long run");
        let mut now = 0.0;
        let burst = rows_at(&mut rows, &table, &mut now, 2.5, 1.0);
        assert_eq!(burst.last(), Some(&3), "{burst:?}");
        let in_force = rows.in_force(&table, now);
        assert!(in_force.burst.unwrap().get() > 0.5 && in_force.rate.get() > 20.0, "{in_force:?}");
        assert_eq!(rows.row(&table, now + 5.0), 0, "silence ends the burst without an arrival");
    }

    #[test]
    fn a_new_table_goes_on_with_what_was_measured() {
        let table = window();
        let (mut rows, mut now) = (Rows::new(&table, 0.0), 0.0);
        rows_at(&mut rows, &table, &mut now, 1.9, 3.0);
        let mut doubled = table.clone();
        doubled.forecast = PerSecond::new(40.0).unwrap();
        let mut next = Rows::after(&rows, &doubled, now);
        rows.retire();
        assert_eq!(next.row(&doubled, now), 1, "1.9 of the old forecast is 0.95 of the new");
        assert_eq!(rows.row(&table, now + 9.0), 3, "jobs that are left under the old table are sent by its last row");
        let mut longer = table.clone();
        longer.measured = Measured::Window(Seconds::new(7.0).unwrap());
        assert_eq!(Rows::after(&rows, &longer, now).row(&longer, now), 1, "another window begins with the forecast");
    }
}
