//! The CustomResourceDefinitions, made from the types.
//!
//! What the derive macro writes is not good enough as it is: every optional field may be null, bounds are floats, quantities
//! have lost their types. [`all`] mends that, so that the API server has nothing to warn of.

use crate::rules;
use crate::{DevicePool, EENNModel, EENNPlan, EENNService, QoSTarget};
use kube_core::CustomResourceExt;
use serde_json::{Map, Value, json};

/// All definitions, in the order of their names, ready to be applied.
pub fn all() -> Vec<Value> {
    [DevicePool::crd(), EENNModel::crd(), EENNPlan::crd(), EENNService::crd(), QoSTarget::crd()]
        .into_iter()
        .map(|crd| finished(serde_json::to_value(crd).expect("definitions have no keys but text")))
        .collect()
}

/// The definition of a kind; `None` for a kind that there is not.
pub fn of_kind(kind: &str) -> Option<Value> {
    all().into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind)
}

fn finished(mut crd: Value) -> Value {
    let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let root = &mut version["schema"]["openAPIV3Schema"];
        if let Some(rules) = rules::of_name(&kind) {
            root["x-kubernetes-validations"] = rules;
        }
        mend(root);
        let properties = &mut root["properties"];
        properties["spec"]["description"] = json!("What is wanted.");
        properties["status"]["description"] = json!("What is. Written by the operator.");
        without_defaults(&mut properties["status"]);
        properties["status"]["default"] = unseen(&kind);
        // Those of every object, in the words of Kubernetes.
        properties["apiVersion"] = json!({ "type": "string", "description": "Version of this form of the object." });
        properties["kind"] = json!({ "type": "string", "description": "Kind of the object." });
        properties["metadata"] = json!({ "type": "object" });
    }
    crd
}

/// A schema and all in it.
fn mend(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    // Optional means that a field may be left out, not that it may be null.
    fields.remove("nullable");
    fields.remove("title");
    if let Some(values) = fields.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    if fields.contains_key("x-kubernetes-int-or-string") {
        fields.insert("anyOf".to_owned(), json!([{ "type": "integer" }, { "type": "string" }]));
    }
    if let Some(Value::String(description)) = fields.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    for bound in ["minimum", "maximum"] {
        whole(fields, bound);
    }
    for group in ["properties", "items", "additionalProperties"] {
        match fields.get_mut(group) {
            Some(Value::Object(inner)) if group == "properties" => inner.values_mut().for_each(mend),
            Some(inner) => mend(inner),
            None => {}
        }
    }
}

/// Bounds of integers are integers.
fn whole(fields: &mut Map<String, Value>, bound: &str) {
    // Exact: bounds are below 2^53.
    if let Some(value) = fields.get(bound).and_then(Value::as_f64) {
        fields.insert(bound.to_owned(), json!(value as i64));
    }
}

/// The status of what nobody has looked at, as Gateway API has it: without one, kstatus takes an object for ready before an operator has
/// seen it.
fn unseen(kind: &str) -> Value {
    let summary = match kind {
        "QoSTarget" => "Accepted",
        "EENNPlan" => "InForce",
        _ => "Ready",
    };
    json!({
        "observedGeneration": 0,
        "conditions": [{
            "type": summary, "status": "Unknown", "reason": "Pending", "message": "nothing is said of it yet: an operator is at work on it, or none runs that should",
            "lastTransitionTime": "1970-01-01T00:00:00Z", "observedGeneration": 0,
        }],
    })
}

/// A status is written whole: there is nothing to fill in.
fn without_defaults(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("default");
    for (name, inner) in fields {
        match name.as_str() {
            "properties" => {
                inner.as_object_mut().into_iter().flat_map(|all| all.values_mut()).for_each(without_defaults);
            }
            "items" => without_defaults(inner),
            _ => {}
        }
    }
}
