//! What the numbers say, in sentences.

use super::document::{CaseDocument, FatesDocument, RunDocument};
use crate::format::{count, percent};
use std::collections::BTreeMap;

/// How much was simulated, and why no more.
pub(super) fn how_it_ended(run: &RunDocument) -> String {
    let jobs = format!("{} arrivals in {}", count(run.arrivals), replications(run));
    let ended = match run.ended {
        "precise" => "as precise as asked for",
        "arrivals" => "LESS PRECISE than asked for: the limit of arrivals or replications is reached",
        "events" => {
            "LESS PRECISE than asked for: too many events; some jobs take very long beside the time between arrivals"
        }
        "unstable" => "NOT STABLE: jobs arrive faster than they are served, and no memory bounds those that wait",
        "stopped" => "ended by Ctrl-C; intervals are as wide as they are",
        _ => "complete",
    };
    format!("{jobs}, seed {}; {ended}. ± is the 99 % confidence interval.", run.seed)
}

fn replications(run: &RunDocument) -> String {
    let what = if run.transient { "replication" } else { "batch" };
    let number = if run.transient { run.replications } else { run.batches };
    let plural = match (number, run.transient) {
        (1, _) => "",
        (_, true) => "s",
        (_, false) => "es",
    };
    format!("{} {what}{plural}", count(u64::from(number)))
}

/// A share of lost jobs that is not worth a reason.
const NEXT_TO_NOTHING: f64 = 5e-4;

/// What limits the network.
pub(super) fn limit(case: &CaseDocument) -> Option<String> {
    let Some((place, lost)) = most_lost(case) else {
        return busiest(case).map(|busiest| format!("Nothing is lost{}. {busiest}", because(on_overflow(case))));
    };
    if lost < NEXT_TO_NOTHING {
        let busiest = busiest(case).unwrap_or_default();
        return Some(format!("Next to nothing is lost{}. {busiest}", because(on_overflow(case))));
    }
    let what = format!("Most is lost at {place}: {} of all arrivals.", percent(Some(lost)));
    Some(match asked(case, &place) {
        Some(asked) if asked > 1.02 => {
            let asked = percent(Some(asked));
            format!("{what} Its cores are asked for {asked} of what they can do: memory alone would not help.")
        }
        Some(asked) if asked < 0.98 => {
            let asked = percent(Some(asked));
            format!("{what} Its cores are asked for {asked} of what they can do: more memory would help.")
        }
        Some(_) => format!("{what} Its cores are asked for all that they can do."),
        None => format!("{what} {}", busiest(case).unwrap_or_default()),
    })
}

/// Share of all arrivals that were answered because there was no memory to go on.
fn on_overflow(case: &CaseDocument) -> f64 {
    let rate = |fates: &FatesDocument| fates.arrival_rate.value.unwrap_or(0.0);
    let all: f64 = case.sources.iter().map(|source| rate(&source.fates)).sum();
    let answered = |fates: &FatesDocument| fates.answered_on_overflow.value.unwrap_or(0.0) * rate(fates);
    case.sources.iter().map(|source| answered(&source.fates)).sum::<f64>() / all
}

fn because(on_overflow: f64) -> String {
    if on_overflow > 0.0 {
        format!(", but {} are answered early because memory is full", percent(Some(on_overflow)))
    } else {
        String::new()
    }
}

fn busiest(case: &CaseDocument) -> Option<String> {
    let devices = case.devices.iter().map(|device| (&device.name, device.utilization.value));
    let links = case.links.iter().map(|link| (&link.name, link.utilization.value));
    let busy = devices.chain(links).filter_map(|(name, busy)| Some((name, busy?)));
    let (name, busy) = busy.max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(format!("The busiest is {name}: {} of the time.", percent(Some(busy))))
}

/// The place where most jobs are lost, with their share of all arrivals.
fn most_lost(case: &CaseDocument) -> Option<(String, f64)> {
    let rate = |fates: &FatesDocument| fates.arrival_rate.value.unwrap_or(0.0);
    let all: f64 = case.sources.iter().map(|source| rate(&source.fates)).sum();
    let mut places = BTreeMap::<&str, f64>::new();
    for source in &case.sources {
        for (place, lost) in &source.fates.lost_at {
            *places.entry(place).or_default() += lost.value.unwrap_or(0.0) * rate(&source.fates) / all;
        }
    }
    let most = places.into_iter().max_by(|one, other| one.1.total_cmp(&other.1));
    most.filter(|(_, lost)| *lost > 0.0).map(|(place, lost)| (place.to_owned(), lost))
}

/// Work that comes to a device ÷ work that it can do, if nothing were lost there. Not where its load changes over time:
/// the mean says little then.
fn asked(case: &CaseDocument, device: &str) -> Option<f64> {
    if case.run.transient {
        return None;
    }
    let busy = case.devices.iter().find(|one| one.name == device)?.utilization.value?;
    let here = || case.chains.iter().flat_map(|chain| &chain.fragments).filter(|one| one.device == device);
    let offered: f64 = here().filter_map(|one| one.offered_rate.value).sum();
    let served: f64 = here().filter_map(|one| one.served_rate.value).sum();
    (served > 0.0).then(|| busy * offered / served)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::example;

    #[test]
    fn the_limit_is_memory_or_cores() {
        for (busy, words) in [(0.5, "more memory would help."), (0.99, "memory alone would not help.")] {
            let mut case = example::document().cases.remove(0);
            case.devices[1].utilization.value = Some(busy);
            case.chains[1].fragments[0].offered_rate.value = Some(0.6);
            let sentence = limit(&case).expect("there are devices");
            assert!(sentence.starts_with("Most is lost at box: 1.6 % of all arrivals."), "{sentence}");
            assert!(sentence.ends_with(words), "{sentence}");
        }
    }

    #[test]
    fn where_nothing_is_lost_the_busiest_is_named() {
        let mut case = example::document().cases.remove(0);
        case.sources[0].fates.lost_at.clear();
        assert_eq!(limit(&case).as_deref(), Some("Nothing is lost. The busiest is box: 98.4 % of the time."));
        case.sources[0].fates.answered_on_overflow.value = Some(0.25);
        let sentence = limit(&case).expect("there are devices");
        assert!(sentence.starts_with("Nothing is lost, but 25.0 % are answered early because memory is full."));
    }
}
