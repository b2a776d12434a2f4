//! Laws of service times and arrivals.

use super::document::{Arrival, Service};
use super::error::{FormError, Place};
use super::names::{nearest, shorten};
use super::number::{at_least_one, not_negative, positive, shares, whole};
use crate::{Arrivals, Law};

/// Types of laws, and the fields each needs.
const LAWS: [(&str, &[&str]); 7] = [
    ("deterministic", &["mean"]),
    ("exponential", &["mean"]),
    ("erlang", &["mean", "phases"]),
    ("hyperexponential", &["probs", "means"]),
    ("lognormal", &["mean", "scv"]),
    ("uniform", &["low", "high"]),
    ("empirical", &["values"]),
];

/// Further types of arrivals.
const ARRIVALS: [(&str, &[&str]); 3] =
    [("mmpp2", &["rates", "switch"]), ("trace", &["times"]), ("piecewise", &["pieces", "repeat", "gaps"])];

/// The law of a time; `usual_mean` where it is not given. A service may take no time, a time between arrivals not.
pub(super) fn service(
    law: &Service,
    usual_mean: Option<f64>,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<Law, FormError> {
    let Some((_, used)) = LAWS.iter().find(|(name, _)| *name == law.r#type) else {
        return Err(unknown(&law.r#type, LAWS.iter().map(|(name, _)| *name).collect(), place));
    };
    warn_unused(&given(law), &law.r#type, used, place, warnings);
    let made = made(law, usual_mean, place)?;
    compare_means(law.mean, made.mean(), place)?;
    positive(made.mean(), &place.field("mean"))?;
    Ok(made)
}

/// When jobs arrive.
pub(super) fn arrivals(
    arrival: &Arrival,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<Arrivals, FormError> {
    let r#type = arrival.r#type.as_str();
    if LAWS.iter().any(|(name, _)| *name == r#type) {
        warn_unused(&given_of_streams(arrival), r#type, &[], place, warnings);
        return service(&as_service(arrival), None, place, warnings).map(Arrivals::Renewal);
    }
    let Some((_, used)) = ARRIVALS.iter().find(|(name, _)| *name == r#type) else {
        return Err(unknown(r#type, LAWS.iter().chain(&ARRIVALS).map(|(name, _)| *name).collect(), place));
    };
    let all = [given(&as_service(arrival)).as_slice(), &given_of_streams(arrival)].concat();
    warn_unused(&all, r#type, used, place, warnings);
    match r#type {
        "mmpp2" => mmpp2(arrival, place),
        "trace" => trace(arrival, place),
        _ => piecewise(arrival, place, warnings),
    }
}

fn made(law: &Service, usual_mean: Option<f64>, place: &Place<'_>) -> Result<Law, FormError> {
    let need = |field: &'static str, value: Option<f64>| value.ok_or_else(|| missing(&law.r#type, field, place));
    let mean = || positive(need("mean", law.mean.or(usual_mean))?, &place.field("mean"));
    Ok(match law.r#type.as_str() {
        "deterministic" => Law::Deterministic(mean()?),
        "exponential" => Law::Exponential { mean: mean()? },
        "erlang" => {
            let phases = whole(need("phases", law.phases)?, 1..=1_000_000, &place.field("phases"))?;
            Law::Erlang { mean: mean()?, phases }
        }
        "hyperexponential" => hyperexponential(law, place)?,
        "lognormal" => {
            let scv = need("scv", law.scv)?;
            if !(0.0..=1e6).contains(&scv) {
                return Err(place.field("scv").error(format!("must be from 0 to 1e6, not {scv:?}")));
            }
            Law::LogNormal { mean: mean()?, scv }
        }
        "uniform" => {
            let low = not_negative(need("low", law.low)?, &place.field("low"))?;
            let high = positive(need("high", law.high)?, &place.field("high"))?;
            if low > high {
                return Err(place.field("low").error(format!("must not be above high, {high}, but is {low}")));
            }
            Law::Uniform { low, high }
        }
        _ => {
            let values = law.values.as_deref().ok_or_else(|| missing(&law.r#type, "values", place))?;
            at_least_one(values.len(), "value", &place.field("values"))?;
            for (index, value) in values.iter().enumerate() {
                not_negative(*value, &place.field("values").index(index))?;
            }
            Law::Empirical(values.into())
        }
    })
}

fn hyperexponential(law: &Service, place: &Place<'_>) -> Result<Law, FormError> {
    let probs = law.probs.as_deref().ok_or_else(|| missing("hyperexponential", "probs", place))?;
    let means = law.means.as_deref().ok_or_else(|| missing("hyperexponential", "means", place))?;
    at_least_one(probs.len(), "probability", &place.field("probs"))?;
    if probs.len() != means.len() {
        let message = format!("must be as many as probs, {}, but are {}", probs.len(), means.len());
        return Err(place.field("means").error(message));
    }
    let probs = shares(probs, &place.field("probs"))?;
    for (index, mean) in means.iter().enumerate() {
        positive(*mean, &place.field("means").index(index))?;
    }
    Ok(Law::Hyperexponential { probs, means: means.to_vec() })
}

fn mmpp2(arrival: &Arrival, place: &Place<'_>) -> Result<Arrivals, FormError> {
    let rates = arrival.rates.ok_or_else(|| missing("mmpp2", "rates", place))?;
    let switch = arrival.switch.ok_or_else(|| missing("mmpp2", "switch", place))?;
    for index in [0, 1] {
        not_negative(rates[index], &place.field("rates").index(index))?;
        positive(switch[index], &place.field("switch").index(index))?;
    }
    let rate = (rates[0] * switch[1] + rates[1] * switch[0]) / (switch[0] + switch[1]);
    if rate <= 0.0 {
        return Err(place.field("rates").error("are all 0: nothing would ever arrive"));
    }
    compare_means(arrival.mean, 1.0 / rate, place)?;
    if switch.iter().sum::<f64>() > 1e6 * rate {
        return Err(place.field("switch").error("must not change a million times between two arrivals"));
    }
    Ok(Arrivals::Mmpp2 { rates: rates.map(f64::abs), switch })
}

fn trace(arrival: &Arrival, place: &Place<'_>) -> Result<Arrivals, FormError> {
    let times = arrival.times.as_deref().ok_or_else(|| missing("trace", "times", place))?;
    let place = place.field("times");
    at_least_one(times.len(), "arrival", &place)?;
    let mut last = 0.0;
    for (index, time) in times.iter().enumerate() {
        let place = place.index(index);
        if not_negative(*time, &place)? < last {
            return Err(place.error(format!("must not be before the one before, {last}, but is {time}")));
        }
        last = *time;
    }
    Ok(Arrivals::Trace(times.iter().map(|time| time.abs()).collect()))
}

fn piecewise(arrival: &Arrival, place: &Place<'_>, warnings: &mut Vec<String>) -> Result<Arrivals, FormError> {
    let given = arrival.pieces.as_deref().ok_or_else(|| missing("piecewise", "pieces", place))?;
    let list = place.field("pieces");
    let mut pieces = Vec::with_capacity(given.len());
    for (index, piece) in given.iter().enumerate() {
        let place = list.index(index);
        let duration = positive(piece.duration, &place.field("duration"))?;
        pieces.push((duration, not_negative(piece.rate, &place.field("rate"))?));
    }
    if !pieces.iter().any(|(_, rate)| *rate > 0.0) {
        return Err(list.error("needs a piece with a rate above 0: nothing would ever arrive"));
    }
    let jobs: f64 = pieces.iter().map(|(duration, rate)| duration * rate).sum();
    if arrival.repeat == Some(true) && jobs <= 1e-6 {
        return Err(list.error("must not repeat a million times between two arrivals"));
    }
    let gaps = match &arrival.gaps {
        None => Law::Exponential { mean: 1.0 },
        Some(law) => {
            let place = place.field("gaps");
            let gaps = service(law, Some(1.0), &place, warnings)?;
            compare_means(Some(1.0), gaps.mean(), &place)?;
            gaps.scaled(1.0 / gaps.mean())
        }
    };
    Ok(Arrivals::Piecewise { gaps, pieces, repeat: arrival.repeat.unwrap_or(false) })
}

/// A mean that is given beside what determines it.
fn compare_means(given: Option<f64>, computed: f64, place: &Place<'_>) -> Result<(), FormError> {
    match given {
        Some(given) if (given - computed).abs() > 1e-3 * computed => {
            Err(place.field("mean").error(format!("is {given}, but the other fields give {computed}")))
        }
        _ => Ok(()),
    }
}

fn missing(r#type: &str, field: &str, place: &Place<'_>) -> FormError {
    place.error(format!("type {type:?} needs the field `{field}`"))
}

fn unknown(r#type: &str, known: Vec<&str>, place: &Place<'_>) -> FormError {
    let hint = nearest(r#type, known.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
    let hint = hint.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
    place.field("type").error(format!("unknown type {:?}{hint}", shorten(r#type)))
}

fn warn_unused(given: &[(&str, bool)], r#type: &str, used: &[&str], place: &Place<'_>, warnings: &mut Vec<String>) {
    for (field, _) in given.iter().filter(|(field, is_given)| *is_given && !used.contains(field)) {
        warnings.push(format!("{place}.{field}: is not used by type {type:?}; ignored"));
    }
}

fn given(law: &Service) -> [(&'static str, bool); 7] {
    [
        ("phases", law.phases.is_some()),
        ("probs", law.probs.is_some()),
        ("means", law.means.is_some()),
        ("scv", law.scv.is_some()),
        ("low", law.low.is_some()),
        ("high", law.high.is_some()),
        ("values", law.values.is_some()),
    ]
}

fn given_of_streams(arrival: &Arrival) -> [(&'static str, bool); 6] {
    [
        ("rates", arrival.rates.is_some()),
        ("switch", arrival.switch.is_some()),
        ("times", arrival.times.is_some()),
        ("pieces", arrival.pieces.is_some()),
        ("repeat", arrival.repeat.is_some()),
        ("gaps", arrival.gaps.is_some()),
    ]
}

fn as_service(arrival: &Arrival) -> Service {
    Service {
        r#type: arrival.r#type.clone(),
        mean: arrival.mean,
        phases: arrival.phases,
        probs: arrival.probs.clone(),
        means: arrival.means.clone(),
        scv: arrival.scv,
        low: arrival.low,
        high: arrival.high,
        values: arrival.values.clone(),
    }
}
