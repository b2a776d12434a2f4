//! What the environment says of exporting spans, by the names that the OpenTelemetry specification gives.

use anyhow::ensure;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Where no other name is given.
const NAME: &str = "eenn-operator";

/// How spans are exported. Endpoint, headers and sampler are read by the SDK.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// A request is answered within this.
    pub(super) timeout: Duration,
    /// Authorities that are trusted besides the public ones, in PEM.
    pub(super) authorities: Option<PathBuf>,
    /// Spans that wait, at most.
    pub(super) capacity: usize,
    /// Spans of a request, at most.
    pub(super) batch: usize,
    /// Time that a span waits for others.
    pub(super) every: Duration,
}

impl Settings {
    /// `None` where no collector is named, or nothing is wanted.
    pub(super) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // The one for traces counts before the one for everything.
        let of = |what: &str| {
            let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
            names.into_iter().find_map(|name| given(&name).map(|value| (name, value)))
        };
        let off = given("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || given("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        if off || of("ENDPOINT").is_none() {
            return Ok(None);
        }
        if let Some((name, protocol)) = of("PROTOCOL") {
            ensure!(
                protocol == "http/protobuf",
                "{name} is {protocol:?}, but only http/protobuf is spoken (port 4318 of most collectors)"
            );
        }
        let number = |name: &str, default, range| number(name, given(name), default, range);
        let timeout = match of("TIMEOUT") {
            Some((name, value)) => self::number(&name, Some(value), 0, 1..=600_000)?,
            None => 10_000,
        };
        let capacity = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1..=65_536)?;
        Ok(Some(Self {
            timeout: Duration::from_millis(timeout),
            authorities: of("CERTIFICATE").map(|(_, file)| file.into()),
            capacity: usize::try_from(capacity)?,
            batch: usize::try_from(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1..=65_536)?.min(capacity))?,
            every: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 5000, 1..=600_000)?),
        }))
    }
}

fn number(name: &str, value: Option<String>, default: u64, range: RangeInclusive<u64>) -> anyhow::Result<u64> {
    let Some(value) = value else { return Ok(default) };
    let read = value.trim().parse().ok().filter(|number| range.contains(number));
    let (from, to) = (range.start(), range.end());
    read.ok_or_else(|| anyhow::anyhow!("{name} is {value:?}, but must be a whole number from {from} to {to}"))
}

/// Who tells: what the environment says of it (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`), and what it leaves out.
pub(super) fn resource(instance: &str) -> Resource {
    let known = Resource::builder().build();
    let ours =
        [("service.name", NAME), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", instance)];
    let is_missing = |name: &'static str| {
        // The SDK fills in a name of its own.
        known.get(&name.into()).is_none_or(|value| value.as_str().starts_with("unknown_service"))
    };
    let missing = ours.into_iter().filter(|(name, _)| is_missing(name));
    Resource::builder().with_attributes(missing.map(|(name, value)| KeyValue::new(name, value.to_owned()))).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> anyhow::Result<Option<Settings>> {
        let of = |name: &str| variables.iter().find(|(there, _)| *there == name).map(|(_, value)| (*value).to_owned());
        Settings::of_environment(of)
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"), ("OTEL_SDK_DISABLED", "TRUE")],
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318"), ("OTEL_TRACES_EXPORTER", "none")],
            &[("OTEL_BSP_MAX_QUEUE_SIZE", "0")],
        ] {
            assert_eq!(of(variables).unwrap(), None, "{variables:?}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_specification() {
        let settings =
            of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces")]).unwrap().unwrap();
        let (timeout, every) = (Duration::from_secs(10), Duration::from_secs(5));
        assert_eq!(settings, Settings { timeout, authorities: None, capacity: 2048, batch: 512, every });
    }

    #[test]
    fn what_is_for_traces_counts_first_and_a_batch_is_no_larger_than_the_queue() {
        let settings = of(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3000"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!((settings.timeout, settings.capacity, settings.batch), (Duration::from_secs(3), 10, 10));
        assert_eq!(settings.authorities, Some("/ca.pem".into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value, words) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only http/protobuf"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1 to 65536"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s", "a whole number"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "a whole number"),
        ] {
            let error = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"), (name, value)]).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(name) && error.contains(words), "{error}");
        }
    }

    #[test]
    fn who_tells_has_a_name_a_version_and_an_instance() {
        let resource = resource("eenn-operator-0");
        let of = |name: &'static str| resource.get(&name.into()).map(|value| value.as_str().into_owned());
        assert_eq!(of("service.name").as_deref(), Some(NAME));
        assert_eq!(of("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(of("service.instance.id").as_deref(), Some("eenn-operator-0"));
    }
}
