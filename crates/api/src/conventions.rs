//! The schemas keep to the API conventions of Kubernetes, so that they can become custom resources as they are.

use crate::{DevicePoolSpec, EENNModelSpec, EENNServiceSpec, QoSTargetSpec, load::schema};
use serde_json::Value;

#[test]
fn schemas_keep_to_the_conventions() {
    let mut broken = vec![];
    for (kind, schema) in [
        ("EENNModel", schema::<EENNModelSpec>()),
        ("DevicePool", schema::<DevicePoolSpec>()),
        ("QoSTarget", schema::<QoSTargetSpec>()),
        ("EENNService", schema::<EENNServiceSpec>()),
    ] {
        walk(&schema, kind, &mut broken);
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn walk(schema: &Value, path: &str, broken: &mut Vec<String>) {
    let Some(fields) = schema.as_object() else { return };
    for rule in violations(schema) {
        broken.push(format!("{path}: {rule}"));
    }
    for group in ["properties", "$defs"] {
        for (name, inner) in fields.get(group).and_then(Value::as_object).into_iter().flatten() {
            if group == "properties" && inner.get("description").is_none() {
                broken.push(format!("{path}.{name}: no description"));
            }
            walk(inner, &format!("{path}.{name}"), broken);
        }
    }
    if let Some(items) = fields.get("items") {
        walk(items, &format!("{path}[]"), broken);
    }
}

fn violations(schema: &Value) -> Vec<&'static str> {
    let has = |name: &str| schema.get(name).is_some();
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let rules = [
        (kind == Some("number"), "floats are not portable; use a decimal"),
        (format.starts_with("uint"), "unsigned integers are not portable"),
        (kind == Some("boolean"), "a boolean cannot grow a third value"),
        (kind == Some("integer") && !(has("minimum") && has("maximum")), "an integer without bounds"),
        (kind == Some("array") && !(has("maxItems") && has("x-kubernetes-list-type")), "a list without bound or type"),
        (kind == Some("string") && !(has("maxLength") || has("enum") || has("const")), "text without bound"),
        (has("additionalProperties") && !has("maxProperties"), "a map without bound"),
    ];
    rules.into_iter().filter_map(|(broken, rule)| broken.then_some(rule)).collect()
}
