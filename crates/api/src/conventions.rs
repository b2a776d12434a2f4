//! The definitions keep to the API conventions of Kubernetes: the rules of kube-api-linter that can be told from a definition.

use crate::crd;
use regex_lite::Regex;
use serde_json::Value;

#[test]
fn definitions_keep_to_the_conventions() {
    let broken: Vec<String> = crd::all().iter().flat_map(broken).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// That every rule can fail: a definition that is spoilt in one place is found out.
#[test]
fn what_breaks_a_rule_is_found() {
    let spoilt: [(&str, Value, &str); 16] = [
        ("/spec/properties/a", serde_json::json!({"type": "number", "description": "A."}), "nofloats"),
        ("/spec/properties/a", integer(r#"{"format": "uint32"}"#), "integers"),
        ("/spec/properties/a", integer(r#"{"maximum": 9007199254740993}"#), "integers"),
        ("/spec/properties/a", integer(r#"{"maximum": null}"#), "bounds"),
        ("/spec/properties/a", serde_json::json!({"type": "boolean", "description": "A."}), "nobools"),
        ("/spec/properties/timeoutDuration", text(r#"{}"#), "nodurations"),
        ("/spec/properties/latency", integer("{}"), "units"),
        ("/spec/properties/startTimestamp", text("{}"), "notimestamp"),
        ("/spec/properties/phase", text("{}"), "nophase"),
        ("/spec/properties/modelReference", text("{}"), "noreferences"),
        ("/spec/properties/Upper", text("{}"), "namingconventions"),
        ("/spec/properties/a", text(r#"{"nullable": true}"#), "nonullable"),
        ("/spec/properties/a", text(r#"{"maxLength": null}"#), "maxlength"),
        ("/spec/properties/a", text(r#"{"description": null}"#), "commentstart"),
        ("/spec/properties/a", text(r#"{"enum": ["lower"]}"#), "enums"),
        (
            "/spec/properties/a",
            serde_json::json!({"type": "array", "items": {"type": "string", "maxLength": 1}, "maxItems": 2, "description": "A."}),
            "ssatags",
        ),
    ];
    for (path, field, rule) in spoilt {
        let mut crd = crd::of_kind("QoSTarget").unwrap();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let schema = "/spec/versions/0/schema/openAPIV3Schema/properties";
        crd.pointer_mut(&format!("{schema}{parent}")).unwrap()[name] = field;
        let found = broken(&crd);
        assert!(found.iter().any(|line| line.contains(&format!("{rule}:"))), "{path} should break {rule}: {found:?}");
    }
}

fn integer(change: &str) -> Value {
    changed(
        serde_json::json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 9, "description": "A."}),
        change,
    )
}

fn text(change: &str) -> Value {
    changed(serde_json::json!({"type": "string", "maxLength": 9, "description": "A."}), change)
}

/// With other values for some fields; null takes one away.
fn changed(mut schema: Value, change: &str) -> Value {
    for (name, value) in serde_json::from_str::<serde_json::Map<String, Value>>(change).unwrap() {
        schema[name.as_str()] = value;
    }
    schema.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    schema
}

fn broken(crd: &Value) -> Vec<String> {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
    let mut broken = vec![];
    let version = &crd["spec"]["versions"][0];
    if version["subresources"]["status"].is_null() {
        broken.push(format!("{kind}: statussubresource: there is none"));
    }
    if crd["spec"]["names"]["shortNames"][0].is_null() || crd["spec"]["names"]["categories"][0] != "eenn" {
        broken.push(format!("{kind}: names: a short name and the category eenn"));
    }
    let root = &version["schema"]["openAPIV3Schema"];
    let status = &root["properties"]["status"];
    // The whole of it has one, for what nobody has looked at yet.
    let parts = ["properties", "items"].iter().map(|part| status[part].to_string());
    if parts.into_iter().any(|part| part.contains("\"default\":")) {
        broken.push(format!("{kind}: defaults: in the status"));
    }
    let conditions = &status["properties"]["conditions"];
    if conditions["x-kubernetes-list-map-keys"][0] != "type" {
        broken.push(format!("{kind}: conditions: not a map by type"));
    }
    walk(&root["properties"]["spec"], &format!("{kind}.spec"), &mut broken);
    walk(status, &format!("{kind}.status"), &mut broken);
    broken
}

fn walk(schema: &Value, path: &str, broken: &mut Vec<String>) {
    broken.extend(violations(schema).into_iter().map(|rule| format!("{path}: {rule}")));
    let required: Vec<&str> = texts(&schema["required"]);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        broken.extend(
            field_violations(name, inner, required.contains(&name.as_str())).map(|rule| format!("{path}: {rule}")),
        );
        walk(inner, &path, broken);
    }
    for group in ["items", "additionalProperties"] {
        if schema[group].is_object() {
            walk(&schema[group], &format!("{path}[]"), broken);
        }
    }
}

/// Rules about a value, whatever it is called.
fn violations(schema: &Value) -> Vec<&'static str> {
    let has = |name: &str| schema.get(name).is_some();
    let kind = schema["type"].as_str().unwrap_or_default();
    let format = schema["format"].as_str().unwrap_or_default();
    let whole = ["minimum", "maximum"].iter().all(|bound| schema.get(bound).is_none_or(Value::is_i64));
    const LARGEST: i64 = (1 << 53) - 1;
    let portable = schema["maximum"].as_i64().is_none_or(|most| most <= LARGEST);
    let typed = has("properties") || has("x-kubernetes-int-or-string") || !kind.is_empty();
    let structs = schema["items"]["type"] != "object" || has("x-kubernetes-list-type");
    [
        (!typed, "types: there is none"),
        (kind == "number", "nofloats: floats are not portable; use a decimal as text"),
        (kind == "boolean", "nobools: a boolean cannot grow a third value"),
        (
            kind == "integer" && (!matches!(format, "int32" | "int64") || !portable),
            "integers: int32, or int64 below 2^53",
        ),
        (kind == "integer" && !(has("minimum") && has("maximum") && whole), "bounds: an integer has two, both whole"),
        (kind == "string" && !(has("maxLength") || has("enum")), "maxlength: text without bound"),
        (
            !format.is_empty() && !matches!(format, "int32" | "int64" | "date-time"),
            "format: the API server does not know it",
        ),
        (kind == "array" && !has("maxItems"), "maxlength: a list without bound"),
        (kind == "array" && !(has("x-kubernetes-list-type") && structs), "ssatags: a list without type"),
        (has("additionalProperties") && !has("maxProperties"), "maxlength: a map without bound"),
        (has("nullable"), "nonullable: a field may be left out, not null"),
        (!texts(&schema["enum"]).iter().all(|value| camel_case(value)), "enums: values are words in CamelCase"),
        (
            schema["enum"].as_array().is_some_and(|values| values.iter().any(Value::is_null)),
            "nonullable: null is a value",
        ),
    ]
    .into_iter()
    .filter_map(|(broken, rule)| broken.then_some(rule))
    .collect()
}

/// Rules about a field and its name.
fn field_violations(name: &str, schema: &Value, required: bool) -> impl Iterator<Item = &'static str> {
    let lower = name.to_lowercase();
    let description = schema["description"].as_str().unwrap_or_default();
    let unit = ["Microseconds", "Milliseconds", "Seconds"].iter().any(|unit| name.ends_with(unit));
    let is_time = ["latency", "interval", "deadline", "timeout", "delay"].iter().any(|word| lower.contains(word));
    let camel = Regex::new("^[a-z][A-Za-z0-9]*$").unwrap().is_match(name);
    [
        (!camel, "namingconventions: camelCase"),
        (!description.ends_with(['.', ':']), "commentstart: no description in sentences"),
        (lower.ends_with("duration"), "nodurations: a number with its unit in the name"),
        (is_time && schema["type"] == "integer" && !unit, "units: a time has its unit in the name"),
        (lower.contains("timestamp"), "notimestamp: call it …Time"),
        (lower == "phase", "nophase: conditions say more"),
        (lower.ends_with("reference") || lower.ends_with("references"), "noreferences: call it …Ref"),
        (required && schema.get("default").is_some(), "defaultorrequired: required and defaulted"),
    ]
    .into_iter()
    .filter_map(|(broken, rule)| broken.then_some(rule))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// As constants of an API are written; names of published methods are words too.
fn camel_case(word: &str) -> bool {
    Regex::new("^[A-Z][A-Za-z0-9]*$").unwrap().is_match(word)
}
