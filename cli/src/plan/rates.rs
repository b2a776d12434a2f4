//! `--rate`: other arrival rates than those of the manifests.

use crate::exit_code::{Failure, Outcome};
use api::Unplaced;
use domain::{PerSecond, Problem};
use std::str::FromStr;

/// Far above what any gateway takes: simulations of so many arrivals would be over before the first jobs are.
const MOST: f64 = 1e6;

/// `[SOURCE:]RATE`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rate {
    /// One source, or all together, in proportion to what they expect.
    source: Option<String>,
    rate: PerSecond,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, rate) = match text.rsplit_once(':') {
            Some((source, rate)) => (Some(source.trim().to_owned()), rate),
            None => (None, text),
        };
        let number = rate.trim().trim_end_matches("/s").parse::<f64>().ok();
        let rate = number.filter(|rate| *rate > 0.0 && *rate <= MOST).and_then(|rate| PerSecond::new(rate).ok());
        let rate = rate.ok_or("write jobs per second up to 1000000, such as 120, 120/s or camera:120")?;
        Ok(Self { source, rate })
    }
}

/// The problem with these rates; later ones go over earlier ones.
pub(crate) fn with_rates(problem: &Problem, rates: &[Rate]) -> Result<Problem, String> {
    let mut changed = problem.clone();
    let services = problem.services.iter();
    let streams = services.flat_map(|service| service.sources.iter().map(|one| (&*service.name, &*one.name, one.rate)));
    let found = changed_rates(&streams.collect::<Vec<_>>(), rates)?;
    let sources = changed.services.iter_mut().flat_map(|service| &mut service.sources);
    sources.zip(found).for_each(|(source, rate)| source.rate = rate);
    Ok(changed)
}

/// The same for services that have no chains yet.
pub(crate) fn rates_of(unplaced: &mut Unplaced, rates: &[Rate]) -> Outcome {
    let services = unplaced.services.iter();
    let streams = services
        .flat_map(|service| service.sources.iter().map(|source| (&*service.name, &*source.name, source.expected_rate)));
    let found = changed_rates(&streams.collect::<Vec<_>>(), rates).map_err(Failure::input)?;
    let sources = unplaced.services.iter_mut().flat_map(|service| &mut service.sources);
    sources.zip(found).for_each(|(source, rate)| source.expected_rate = rate);
    Ok(())
}

/// Names of service and source, and its rate.
type Stream<'a> = (&'a str, &'a str, PerSecond);

fn changed_rates(streams: &[Stream<'_>], rates: &[Rate]) -> Result<Vec<PerSecond>, String> {
    let mut found: Vec<PerSecond> = streams.iter().map(|stream| stream.2).collect();
    for rate in rates {
        match &rate.source {
            None => all(&mut found, rate.rate),
            Some(source) => found[position(streams, source)?] = rate.rate,
        }
    }
    Ok(found)
}

fn all(found: &mut [PerSecond], rate: PerSecond) {
    let total: f64 = found.iter().map(|one| one.get()).sum();
    for one in found {
        *one = PerSecond::new(one.get() * (rate.get() / total)).expect("a rate times a finite factor is one");
    }
}

/// Sources are named by themselves, or as `service/source` where several services have one of that name.
fn position(streams: &[Stream<'_>], name: &str) -> Result<usize, String> {
    let full: Vec<String> = streams.iter().map(|(service, source, _)| format!("{service}/{source}")).collect();
    let fits: Vec<usize> = (0..streams.len()).filter(|&at| streams[at].1 == name || full[at] == name).collect();
    match fits[..] {
        [at] => Ok(at),
        [] => Err(format!("--rate {name}: there is no such source; there are {}", full.join(", "))),
        _ => Err(format!("--rate {name}: several services have such a source; write one of {}", full.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::example;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn rates_are_read_with_and_without_source_and_unit() {
        let per_second = |rate| PerSecond::new(rate).expect("a rate");
        for (text, source, want) in [("120", None, 120.0), ("0.5/s", None, 0.5), ("a/b: 7/s", Some("a/b"), 7.0)] {
            assert_eq!(rate(text), Rate { source: source.map(str::to_owned), rate: per_second(want) }, "{text}");
        }
        for bad in ["", "0", "-1", "inf", "NaN", "camera:", "camera", "10/m"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_is_split_in_proportion_or_belongs_to_a_source() {
        let problem = example::problem();
        let rates = |given: &[&str]| -> Result<Vec<f64>, String> {
            let given: Vec<Rate> = given.iter().map(|text| rate(text)).collect();
            let changed = with_rates(&problem, &given)?;
            Ok(changed.services[0].sources.iter().map(|source| source.rate.get()).collect())
        };
        assert_eq!(rates(&["200"]), Ok(vec![150.0, 50.0]));
        assert_eq!(rates(&["200", "door:10"]), Ok(vec![150.0, 10.0]));
        assert_eq!(rates(&["faces/street:10"]), Ok(vec![10.0, 25.0]));
        let error = rates(&["gate:10"]).expect_err("there is no gate");
        assert_eq!(error, "--rate gate: there is no such source; there are faces/street, faces/door");
    }
}
