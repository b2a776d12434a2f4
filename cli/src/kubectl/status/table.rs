//! A status for people. Pure.

use super::super::words::{age, milliseconds, share};
use super::document::{PodLine, ServiceLine, StatusDocument};
use super::things::{ModelLine, PoolLine};
use crate::format::{digits, percent, plain_table};
use api::status::{ConditionStatus, Metrics};
use comfy_table::Table;
use jiff::Timestamp;
use std::fmt::Write;

/// All services with their pools and models; `namespace`: the one that is looked at, `None` for all.
pub(super) fn overview(document: &StatusDocument, namespace: Option<&str>) -> String {
    let mut text = String::new();
    let wide = namespace.is_none();
    if document.services.is_empty() {
        let _ = match namespace {
            Some(name) => writeln!(text, "There is no EENNService in namespace {name}; -A looks in all of them."),
            None => writeln!(text, "There is no EENNService in any namespace."),
        };
    } else {
        let _ = writeln!(text, "{}", services(&document.services, wide).trim_fmt());
        lines(&mut text, document.services.iter().flat_map(|one| troubles(one, wide)));
        if document.services.iter().any(|service| !service.chains.is_empty()) {
            let _ = writeln!(text, "\n{}", chains(&document.services, wide).trim_fmt());
        }
    }
    things(document, wide, &mut text);
    text
}

/// One service in detail.
pub(super) fn detail(document: &StatusDocument, now: Timestamp) -> String {
    let mut text = String::new();
    for service in &document.services {
        let _ = writeln!(text, "{} in namespace {}: {}", service.name, service.namespace, service.state);
        let target = service.target.as_ref().map_or("no target".to_owned(), |name| format!("target {name}"));
        let _ = writeln!(
            text,
            "Model {}, pool {}, {target}, scheduler {}, planning {}",
            service.model, service.pool, service.scheduler, service.planning
        );
        if let Some(plan) = &service.plan {
            let made = plan.created.as_deref().map(|time| format!(", made {} ago", age(time, now))).unwrap_or_default();
            let _ = writeln!(text, "Plan {} is in force{made}, because {}", plan.name, plan.reason);
        }
        lines(&mut text, service.trouble.iter().cloned());
        let _ = writeln!(text, "\n{}", conditions(service, now).trim_fmt());
        let _ = writeln!(text, "\n{}", numbers(service).trim_fmt());
        let alone = std::slice::from_ref(service);
        if !service.chains.is_empty() {
            let _ = writeln!(text, "\n{}", chains(alone, false).trim_fmt());
        }
        let _ = writeln!(text, "\n{}", sources(service).trim_fmt());
        if !service.processes.is_empty() {
            let _ = writeln!(text, "\n{}", pods(&service.processes).trim_fmt());
        }
        lines(&mut text, service.rejected_devices.iter().map(|one| format!("left out: {}: {}", one.name, one.reason)));
    }
    things(document, false, &mut text);
    text
}

fn lines(text: &mut String, lines: impl Iterator<Item = String>) {
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

fn troubles(service: &ServiceLine, wide: bool) -> Vec<String> {
    let name = name(&service.namespace, &service.name, wide);
    service.trouble.iter().map(|line| format!("{name}: {line}")).collect()
}

fn name(namespace: &str, name: &str, wide: bool) -> String {
    if wide { format!("{namespace}/{name}") } else { name.to_owned() }
}

/// Columns of words with the namespace in front where there are several.
fn heads<'a>(wide: bool, words: &[&'a str]) -> Vec<&'a str> {
    wide.then_some("namespace").into_iter().chain(words.iter().copied()).collect()
}

fn cells(wide: bool, namespace: &str, words: &[&str]) -> Vec<String> {
    let words = words.iter().map(|&word| word.to_owned());
    wide.then(|| namespace.to_owned()).into_iter().chain(words).collect()
}

/// What is predicted, above what it is held against.
fn services(all: &[ServiceLine], wide: bool) -> Table {
    let words = heads(wide, &["service", "state", "plan"]);
    let mut table = plain_table(&words, &["pods", "loss", "accuracy", "mean ms", "p95 ms"]);
    for service in all {
        let plan = service.plan.as_ref().map_or("–", |plan| plan.name.as_str());
        let words = cells(wide, &service.namespace, &[&service.name, &service.state, plan]);
        let pods = match service.pods.all {
            0 => "–".to_owned(),
            all => format!("{} of {all}", service.pods.ready),
        };
        table.add_row(words.into_iter().chain([pods]).chain(predicted(service.predicted.as_ref())));
        if service.target.is_some() {
            let words = cells(wide, "", &["", "target", "", ""]);
            table.add_row(words.into_iter().chain(limits(service)));
        }
    }
    table
}

fn predicted(metrics: Option<&Metrics>) -> [String; 4] {
    let metrics = metrics.cloned().unwrap_or_default();
    [
        share(metrics.loss_ratio.as_ref()),
        share(metrics.accuracy.as_ref()),
        milliseconds(metrics.mean_latency_milliseconds),
        milliseconds(metrics.p95_latency_milliseconds),
    ]
}

fn limits(service: &ServiceLine) -> [String; 4] {
    let targets = &service.targets;
    let limit = |sign: &str, text: Option<String>| text.map_or(String::new(), |text| format!("{sign} {text}"));
    [
        limit("≤", targets.max_loss.map(|limit| percent(Some(limit)))),
        limit("≥", targets.min_accuracy.map(|limit| percent(Some(limit)))),
        limit("≤", targets.max_mean_latency_milliseconds.map(digits)),
        limit("≤", targets.max_p95_latency_milliseconds.map(digits)),
    ]
}

fn chains(all: &[ServiceLine], wide: bool) -> Table {
    let mut table = plain_table(&heads(wide, &["service", "chain", "device and segments"]), &["share"]);
    for service in all {
        for (index, chain) in service.chains.iter().enumerate() {
            let (namespace, name) =
                if index == 0 { (service.namespace.as_str(), service.name.as_str()) } else { ("", "") };
            let words = cells(wide, namespace, &[name, &chain.name, &chain.way]);
            table.add_row(words.into_iter().chain([percent(Some(chain.share))]));
        }
    }
    table
}

fn conditions(service: &ServiceLine, now: Timestamp) -> Table {
    let mut table = plain_table(&["condition", "holds", "since", "why"], &[]);
    for one in &service.conditions {
        let holds = match one.status {
            ConditionStatus::True => "yes",
            ConditionStatus::False => "no",
            ConditionStatus::Unknown => "not known yet",
        };
        table.add_row([one.r#type.clone(), holds.to_owned(), age(&one.last_transition_time, now), one.message.clone()]);
    }
    table
}

/// Targets, what is predicted, and what was seen.
fn numbers(service: &ServiceLine) -> Table {
    let mut table = plain_table(&[""], &["loss", "accuracy", "mean ms", "p95 ms"]);
    let mut row = |what: String, numbers: [String; 4]| {
        table.add_row([what].into_iter().chain(numbers));
    };
    let limits = limits(service);
    if limits.iter().any(|limit| !limit.is_empty()) {
        row("target".to_owned(), limits);
    }
    if let Some(metrics) = &service.predicted {
        let by = metrics.evaluator.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
        row(format!("predicted{by}"), predicted(Some(metrics)));
    }
    if let Some(metrics) = &service.observed {
        row("observed".to_owned(), predicted(Some(metrics)));
    }
    table
}

fn sources(service: &ServiceLine) -> Table {
    let mut table = plain_table(&["source", "node", "takes jobs at"], &["expected/s"]);
    for source in &service.sources {
        let url = source.url.clone().unwrap_or_else(|| "–".to_owned());
        table.add_row([source.name.clone(), source.node.clone(), url, digits(source.expected_rate)]);
    }
    table
}

fn pods(all: &[PodLine]) -> Table {
    let mut table = plain_table(&["pod", "role", "node", "ready", "restarts", "why not"], &[]);
    for pod in all {
        let ready = if pod.is_ready { "yes" } else { "no" };
        let node = pod.node.clone().unwrap_or_else(|| "–".to_owned());
        let why = pod.trouble.clone().unwrap_or_default();
        table.add_row([pod.name.clone(), pod.role.clone(), node, ready.to_owned(), pod.restarts.to_string(), why]);
    }
    table
}

/// Pools and models, and what could not be read.
fn things(document: &StatusDocument, wide: bool, text: &mut String) {
    if !document.pools.is_empty() {
        let _ = writeln!(text, "\n{}", pools(&document.pools).trim_fmt());
        for pool in &document.pools {
            lines(text, pool.trouble.iter().map(|why| format!("{}: {why}", pool.name)));
            // Without any usable device the condition has said it.
            let left_out = if pool.trouble.is_none() { &pool.left_out[..] } else { &[] };
            lines(text, left_out.iter().map(|why| format!("{} leaves out a device: {why}", pool.name)));
        }
    }
    if !document.models.is_empty() {
        let _ = writeln!(text, "\n{}", models(&document.models, wide).trim_fmt());
        for model in &document.models {
            let name = name(&model.namespace, &model.name, wide);
            lines(text, model.trouble.iter().map(|why| format!("{name}: {why}")));
        }
    }
    if !document.notes.is_empty() {
        let _ = writeln!(text);
        lines(text, document.notes.iter().map(|note| format!("Not shown: {note}")));
    }
}

fn pools(all: &[PoolLine]) -> Table {
    let mut table = plain_table(&["pool", "state"], &["devices", "services"]);
    for pool in all {
        let state = if pool.is_ready { "ready" } else { "not ready" };
        let devices = format!("{} of {}", pool.devices.ready, pool.devices.all);
        table.add_row([pool.name.clone(), state.to_owned(), devices, pool.services.to_string()]);
    }
    table
}

fn models(all: &[ModelLine], wide: bool) -> Table {
    let mut table = plain_table(&heads(wide, &["model", "state"]), &["exits", "segments"]);
    for model in all {
        let state = if model.is_ready { "ready" } else { "not ready" };
        let words = cells(wide, &model.namespace, &[&model.name, state]);
        table.add_row(words.into_iter().chain([model.exits.to_string(), model.segments.to_string()]));
    }
    table
}
