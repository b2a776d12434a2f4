//! Time in ticks.

use crate::network::{Arrivals, Network, Work};

/// Rounds a duration in ticks to whole ones. Above 2^51 it is left as it is.
#[inline]
pub(crate) fn whole(ticks: f64) -> f64 {
    const ROUND: f64 = (1u64 << 52) as f64;
    if ticks < ROUND / 2.0 { (ticks + ROUND) - ROUND } else { ticks }
}

impl Arrivals {
    /// Arrivals per second in the long run; `None` for runs that have an end of their own.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Arrivals::Renewal(law) => Some(1.0 / law.mean()),
            Arrivals::Mmpp2 { rates, switch } => {
                Some((rates[0] * switch[1] + rates[1] * switch[0]) / (switch[0] + switch[1]))
            }
            Arrivals::Piecewise { pieces, repeat: true, .. } => {
                let length: f64 = pieces.iter().map(|piece| piece.0).sum();
                Some(pieces.iter().map(|piece| piece.0 * piece.1).sum::<f64>() / length)
            }
            Arrivals::Trace(_) | Arrivals::Piecewise { .. } => None,
        }
    }

    /// Expected arrivals from 0 to `end` seconds.
    pub(crate) fn until(&self, end: f64) -> f64 {
        match self {
            Arrivals::Trace(times) => times.len() as f64,
            Arrivals::Piecewise { pieces, repeat: false, .. } => pieces.iter().map(|piece| piece.0 * piece.1).sum(),
            _ => self.rate().unwrap_or(0.0) * end,
        }
    }

    /// When they end, in seconds.
    fn end(&self) -> Option<f64> {
        match self {
            Arrivals::Trace(times) => times.last().copied(),
            Arrivals::Piecewise { pieces, repeat: false, .. } => Some(pieces.iter().map(|piece| piece.0).sum()),
            _ => None,
        }
    }
}

/// When a run ends by itself, in seconds: with the last of the arrivals that end.
pub(crate) fn horizon(network: &Network) -> Option<f64> {
    network.sources.iter().filter_map(|source| source.arrivals.end()).reduce(f64::max)
}

/// The same arrivals in ticks.
pub(crate) fn in_ticks(arrivals: &Arrivals, tick: f64) -> Arrivals {
    match arrivals {
        Arrivals::Renewal(law) => Arrivals::Renewal(law.scaled(1.0 / tick)),
        Arrivals::Mmpp2 { rates, switch } => {
            Arrivals::Mmpp2 { rates: rates.map(|rate| rate * tick), switch: switch.map(|rate| rate * tick) }
        }
        Arrivals::Trace(times) => Arrivals::Trace(times.iter().map(|time| whole(time / tick)).collect()),
        Arrivals::Piecewise { gaps, pieces, repeat } => Arrivals::Piecewise {
            gaps: gaps.clone(),
            pieces: pieces.iter().map(|(length, rate)| (whole(length / tick), rate * tick)).collect(),
            repeat: *repeat,
        },
    }
}

/// Seconds from the start until which the shortest mean time is exact to four digits.
pub(crate) fn exact_until(network: &Network) -> f64 {
    shortest(network) * (1u64 << 53) as f64 / 1e4
}

/// Seconds of a tick: a power of ten, at most a ten-millionth of the shortest mean time. Times with few decimals are then
/// whole numbers of ticks, and what coincides on paper coincides in the simulation.
pub(crate) fn resolution(network: &Network) -> f64 {
    let shortest = shortest(network);
    if !shortest.is_finite() {
        return 1e-9;
    }
    10f64.powf((shortest / 1e7).log10().floor())
}

/// The shortest mean time above 0; infinite when there is none.
fn shortest(network: &Network) -> f64 {
    let mut shortest = f64::INFINITY;
    let mut see = |seconds: f64| {
        if seconds > 0.0 && seconds < shortest {
            shortest = seconds;
        }
    };
    for source in &network.sources {
        match &source.arrivals {
            Arrivals::Renewal(law) => see(law.mean()),
            Arrivals::Mmpp2 { rates, .. } => rates.iter().for_each(|rate| see(1.0 / rate)),
            // Recorded times may be as close as they like; the others set the scale.
            Arrivals::Trace(times) => see(times[times.len() - 1] / times.len() as f64),
            Arrivals::Piecewise { pieces, .. } => pieces.iter().for_each(|piece| see(1.0 / piece.1)),
        }
    }
    for chain in &network.chains {
        for step in &chain.steps {
            if let Work::Law(law) = &step.work {
                see(law.mean() / network.devices[step.device].speed);
            }
        }
    }
    for model in &network.models {
        let fastest = network.devices.iter().map(|device| device.speed).fold(1e-300, f64::max);
        model.times.segments.iter().for_each(|time| see(time.mean.get() / fastest));
    }
    shortest
}
