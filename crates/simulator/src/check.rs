//! What a network must be before it is simulated.
//!
//! Whoever reads a network from a file has checked it in the terms of that file; this is for those who build one, and the
//! reason why nothing behind it can fail or run for ever.

mod chains;
mod sources;

use crate::law::Law;
use crate::network::{Device, Discipline, Link, Network, Outages};

/// What is wrong with a network, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct NetworkError {
    /// Such as `chains[0].steps[1].device`.
    pub place: String,
    /// What is wrong and what would be right.
    pub message: String,
}

type Checked = Result<(), NetworkError>;

/// Longest time that is accepted, in seconds; the shortest is one part in 10²⁴ of it.
const LONGEST: f64 = 1e12;
const SHORTEST: f64 = 1e-12;

impl Network {
    /// Says what is wrong first, if anything is. Cost: linear in the size of the network.
    pub fn check(&self) -> Result<(), NetworkError> {
        not_empty("devices", self.devices.len())?;
        not_empty("chains", self.chains.len())?;
        not_empty("sources", self.sources.len())?;
        each("devices", &self.devices, device)?;
        each("regions", &self.regions, |place, region| {
            require(region.budget > 0, &format!("{place}.budget"), "must be positive")
        })?;
        each("links", &self.links, link)?;
        self.check_models()?;
        self.check_chains()?;
        self.check_schedulers()?;
        self.check_sources()?;
        self.check_changes()
    }

    /// What happens beside arrivals must not outnumber them so much that a run would never end.
    fn check_changes(&self) -> Checked {
        let rate: f64 = self.sources.iter().filter_map(|source| source.arrivals.rate()).sum();
        // A run with an end of its own has no rate; its length is bounded by its arrivals.
        let too_often = |seconds: f64| rate > 0.0 && rate * seconds < 1e-6;
        for (index, device) in self.devices.iter().enumerate() {
            if let Outages::Random { mean_up, mean_down } = device.outages {
                let place = format!("devices[{index}].outages");
                require(!too_often(mean_up + mean_down), &place, "must not come a million times between two arrivals")?;
            }
        }
        let Some(control) = &self.control else {
            return Ok(());
        };
        time("control.every", control.every)?;
        require(!too_often(control.every), "control.every", "must not be a millionth of the time between arrivals")
    }
}

fn device(place: &str, device: &Device) -> Checked {
    let whole = device.cores.fract() == 0.0;
    let place_of = |field: &str| format!("{place}.{field}");
    require(device.cores > 0.0 && device.cores <= 1e6, &place_of("cores"), "must be above 0, at most 1,000,000")?;
    require(device.speed.is_finite() && device.speed > 0.0, &place_of("speed"), "must be above 0")?;
    require((1e-9..=1e9).contains(&device.speed), &place_of("speed"), "must be between 1e-9 and 1e9")?;
    match &device.discipline {
        Discipline::Pods(lanes) => {
            not_empty(&place_of("lanes"), lanes.len())?;
            each(&place_of("lanes"), lanes, |place, lane| {
                require(lane.workers > 0, &format!("{place}.workers"), "must be at least 1")?;
                let request = 1e-6..=1e6;
                require(
                    request.contains(&lane.request),
                    &format!("{place}.request"),
                    "must be in 0.000001 to 1,000,000",
                )?;
                require(lane.limit >= 1e-6, &format!("{place}.limit"), "must be at least 0.000001, or infinite")
            })?;
        }
        _ => require(whole, &place_of("cores"), "must be a whole number unless the discipline is pods")?,
    }
    outages(&place_of("outages"), &device.outages)
}

fn outages(place: &str, outages: &Outages) -> Checked {
    match outages {
        Outages::Never => Ok(()),
        Outages::At(windows) => {
            let mut last = 0.0;
            for (index, &(from, until)) in windows.iter().enumerate() {
                let place = format!("{place}[{index}]");
                require(
                    from >= last && until > from,
                    &place,
                    "must begin after the one before and end after it began",
                )?;
                require(until <= LONGEST, &place, "must end within 1e12 s")?;
                last = until;
            }
            Ok(())
        }
        Outages::Random { mean_up, mean_down } => {
            time(&format!("{place}.mean_up"), *mean_up)?;
            time(&format!("{place}.mean_down"), *mean_down)
        }
    }
}

fn link(place: &str, link: &Link) -> Checked {
    let fast = link.bytes_per_second > 0.0;
    require(fast, &format!("{place}.bytes_per_second"), "must be above 0; infinite for no limit")?;
    for (field, value) in [("latency", link.latency), ("return_latency", link.return_latency)] {
        require((0.0..=LONGEST).contains(&value), &format!("{place}.{field}"), "must be a time, 0 or more")?;
    }
    Ok(())
}

/// A law of times, some of which may be 0.
fn law(place: &str, law: &Law) -> Checked {
    let duration = |value: f64| value == 0.0 || (SHORTEST..=LONGEST).contains(&value);
    let ask = |holds: bool, what: &str| require(holds, place, what);
    const DURATION: &str = "must be times between 1e-12 and 1e12, or 0";
    match law {
        Law::Deterministic(mean) | Law::Exponential { mean } => ask(duration(*mean), DURATION),
        Law::Erlang { mean, phases } => {
            ask(*phases > 0, "needs at least one phase")?;
            ask(duration(*mean), DURATION)
        }
        Law::Hyperexponential { probs, means } => {
            ask(!probs.is_empty() && probs.len() == means.len(), "needs as many probabilities as means")?;
            ask(probs.iter().all(|p| (0.0..=1.0).contains(p)), "has a probability outside 0 to 1")?;
            ask((probs.iter().sum::<f64>() - 1.0).abs() < 1e-6, "has probabilities that do not sum to 1")?;
            ask(means.iter().all(|&mean| duration(mean)), DURATION)
        }
        Law::LogNormal { mean, scv } => {
            ask((0.0..=1e6).contains(scv), "must have an scv between 0 and 1,000,000")?;
            ask(duration(*mean), DURATION)
        }
        Law::Uniform { low, high } => {
            ask(low <= high, "must have its low end below its high end")?;
            ask(duration(*low) && duration(*high), DURATION)
        }
        Law::Empirical(values) => {
            ask(!values.is_empty(), "needs at least one value")?;
            ask(values.iter().all(|&value| duration(value)), DURATION)
        }
    }
}

fn require(holds: bool, place: &str, message: &str) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(NetworkError { place: place.to_owned(), message: message.to_owned() }),
    }
}

fn time(place: &str, seconds: f64) -> Checked {
    require((SHORTEST..=LONGEST).contains(&seconds), place, "must be a time between 1e-12 and 1e12")
}

fn not_empty(place: &str, len: usize) -> Checked {
    require(len > 0, place, "must not be empty")
}

fn known(place: &str, index: usize, len: usize, what: &str) -> Checked {
    require(index < len, place, &format!("names {what} {index}, but there are only {len}"))
}

fn each<T>(place: &str, items: &[T], check: impl Fn(&str, &T) -> Checked) -> Checked {
    items.iter().enumerate().try_for_each(|(index, item)| check(&format!("{place}[{index}]"), item))
}
