//! A decision as EENNPlan objects, one per service: immutable, with a generation.

use super::document::{PlanDocument, PredictionDocument, ServiceDocument};
use crate::deploy::{Deployment, ServicePlan};
use crate::yaml;
use domain::Plan;
use serde_json::{Value, json};

/// Objects of all services, as YAML documents behind each other. Numbers with a fraction stand in quotes, as in all objects.
pub(super) fn render(deployment: &Deployment, plan: &Plan, document: &PlanDocument) -> String {
    let mut planned = deployment.clone();
    planned.with_plan(plan);
    let objects = planned.services.iter().zip(&document.services).map(|(service, words)| object(service, words));
    objects.map(|object| yaml::render(&object)).collect::<Vec<_>>().join("---\n")
}

fn object(service: &ServicePlan, document: &ServiceDocument) -> Value {
    let generation = 1;
    json!({
        "apiVersion": api::API_VERSION,
        "kind": "EENNPlan",
        "metadata": { "name": format!("{}-{generation}", service.name) },
        "spec": {
            "serviceRef": { "name": service.name },
            "generation": generation,
            "policy": policy(service),
            "predicted": document.predicted.iter().filter(|one| one.unsupported.is_none()).map(predicted).collect::<Vec<_>>(),
            "missed": document.missed.iter().map(|miss| json!({
                "target": miss.target,
                "limit": miss.limit.to_string(),
                "predicted": miss.predicted.map(|value| value.to_string()),
            })).collect::<Vec<_>>(),
        },
    })
}

/// What gateways would be sent, without what changes from start to start.
fn policy(service: &ServicePlan) -> Value {
    let Some(gateway) = service.gateways.first() else { return Value::Null };
    let mut policy = serde_json::to_value(&gateway.policy).expect("documents have no keys but text");
    if let Some(fields) = policy.as_object_mut() {
        fields.remove("service");
        fields.remove("version");
    }
    quote(&mut policy);
    without_addresses(&mut policy);
    policy
}

/// Fractions as text: floats are not portable between readers of objects.
fn quote(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            // Thresholds are f32: 0.7 stays 0.7 and does not become 0.699999988079071.
            let exact = number.as_f64().unwrap_or_default();
            let short = exact as f32;
            let text = if f64::from(short) == exact { short.to_string() } else { exact.to_string() };
            *value = Value::String(text);
        }
        Value::Array(items) => items.iter_mut().for_each(quote),
        Value::Object(fields) => fields.values_mut().for_each(quote),
        _ => {}
    }
}

fn without_addresses(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_addresses),
        Value::Object(fields) => {
            fields.remove("address");
            fields.values_mut().for_each(without_addresses);
        }
        _ => {}
    }
}

fn predicted(one: &PredictionDocument) -> Value {
    let text = |value: Option<f64>| {
        value.map(|value| format!("{value:.6}").trim_end_matches('0').trim_end_matches('.').to_owned())
    };
    json!({
        "evaluator": one.evaluator,
        "throughput": text(one.throughput),
        "loss": text(one.loss),
        "accuracy": text(one.accuracy),
        "meanLatencyMilliseconds": text(one.mean_latency_milliseconds),
        "p95LatencyMilliseconds": text(one.p95_latency_milliseconds),
    })
}
