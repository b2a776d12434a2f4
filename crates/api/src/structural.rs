//! What the API server says of an object that is not of the form that a definition asks for, for tests without one.
//!
//! Covers what our definitions use. That the words are those of the API server is held by the system tests.

use regex_lite::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Whether rules are looked at beside this line: not where a value is of the wrong type, missing, too long or no choice.
pub(crate) fn ends_the_check(line: &str) -> bool {
    ["Required value", "Unsupported value", "Too long", "Too many", "must be of type", "unknown field"]
        .iter()
        .any(|words| line.contains(words))
}

/// All that is wrong with the form of an object, a line each.
pub(crate) fn check(schema: &Value, object: &Value) -> Vec<String> {
    let mut lines = vec![];
    // Unknown fields are found when an object is decoded, and nothing else is looked at then.
    unknown(schema, object, "", &mut lines);
    if lines.is_empty() {
        value(schema, object, "", &mut lines);
    }
    lines
}

fn unknown(schema: &Value, object: &Value, path: &str, lines: &mut Vec<String>) {
    match object {
        Value::Object(fields) if schema["properties"].is_object() => {
            for (name, inner) in fields {
                let path = join(path, name);
                match &schema["properties"][name] {
                    Value::Null => lines.push(format!("unknown field {path:?}")),
                    // Kubernetes knows its own metadata.
                    _ if path == "metadata" => {}
                    schema => unknown(schema, inner, &path, lines),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown(&schema["items"], item, &format!("{path}[{index}]"), lines);
            }
        }
        _ => {}
    }
}

fn value(schema: &Value, given: &Value, path: &str, lines: &mut Vec<String>) {
    if path == "metadata" {
        return;
    }
    if let Some(want) = wrong_type(schema, given) {
        let kind = kind(given);
        choice(schema, given, path, lines);
        return lines.push(format!("{path}: Invalid value: {kind:?}: {path} in body must be of type {want}: {kind:?}"));
    }
    match given {
        Value::Object(fields) => object(schema, fields, path, lines),
        Value::Array(items) => array(schema, items, path, lines),
        Value::String(given) => text(schema, given, path, lines),
        Value::Number(_) => number(schema, given, path, lines),
        _ => {}
    }
}

/// The type that is wanted instead.
fn wrong_type<'a>(schema: &'a Value, given: &Value) -> Option<&'a str> {
    if schema["x-kubernetes-int-or-string"] == true {
        return (!given.is_i64() && !given.is_string()).then_some("integer,string");
    }
    let want = schema["type"].as_str()?;
    (want != kind(given)).then_some(want)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn object(schema: &Value, fields: &Map<String, Value>, path: &str, lines: &mut Vec<String>) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            lines.push(format!("{}: Required value", join(path, name)));
        }
    }
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| fields.len() as u64 > *most) {
        lines.push(format!("{path}: Too many: {}: must have at most {most} items", fields.len()));
    }
    for (name, given) in fields {
        let inner = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        value(inner, given, &join(path, name), lines);
    }
}

fn array(schema: &Value, items: &[Value], path: &str, lines: &mut Vec<String>) {
    let bound = |name: &str| schema[name].as_u64();
    if let Some(least) = bound("minItems").filter(|least| (items.len() as u64) < *least) {
        let given = items.len();
        lines.push(format!("{path}: Invalid value: {given}: {path} in body should have at least {least} items"));
    }
    if let Some(most) = bound("maxItems").filter(|most| (items.len() as u64) > *most) {
        lines.push(format!("{path}: Too many: {}: must have at most {most} items", items.len()));
    }
    for (index, item) in items.iter().enumerate() {
        value(&schema["items"], item, &format!("{path}[{index}]"), lines);
    }
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        if identity(schema, item).is_some_and(|identity| !seen.insert(identity.to_string())) {
            let identity = identity(schema, item).unwrap_or_default();
            lines.push(format!("{path}[{index}]: Duplicate value: {identity}"));
        }
    }
}

/// What no other item of the list may share.
fn identity(schema: &Value, item: &Value) -> Option<Value> {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(item.clone()),
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
            Some(keys.map(|key| (key.to_owned(), item[key].clone())).collect())
        }
        _ => None,
    }
}

fn text(schema: &Value, given: &str, path: &str, lines: &mut Vec<String>) {
    choice(schema, &Value::from(given), path, lines);
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| given.chars().count() as u64 > *most) {
        lines.push(format!("{path}: Too long: may not be more than {most} bytes"));
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| (given.chars().count() as u64) < *least) {
        lines.push(format!("{path}: Invalid value: {given:?}: {path} in body should be at least {least} chars long"));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).expect("a pattern of ours").is_match(given)
    {
        lines.push(format!("{path}: Invalid value: {given:?}: {path} in body should match '{pattern}'"));
    }
}

fn choice(schema: &Value, given: &Value, path: &str, lines: &mut Vec<String>) {
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.contains(given)) {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        lines.push(format!("{path}: Unsupported value: {given}: supported values: {}", values.join(", ")));
    }
}

fn number(schema: &Value, given: &Value, path: &str, lines: &mut Vec<String>) {
    let bound = |name: &str| schema[name].as_i64();
    let number = given.as_i64().unwrap_or_default();
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        lines
            .push(format!("{path}: Invalid value: {given}: {path} in body should be greater than or equal to {least}"));
    }
    if let Some(most) = bound("maximum").filter(|most| number > *most) {
        lines.push(format!("{path}: Invalid value: {given}: {path} in body should be less than or equal to {most}"));
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
