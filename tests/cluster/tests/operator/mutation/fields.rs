//! What can be changed in a spec, by its schema.

use serde_json::{Map, Value, json};
use std::fmt;

/// One field with another value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mutation {
    /// The kind that it is of.
    pub(crate) plural: &'static str,
    /// Where in the spec: `/runtime/workers`.
    pub(crate) path: String,
    /// What it becomes; `None`: it is taken away.
    pub(crate) value: Option<Value>,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        write!(f, "{}: spec{} becomes {value}", self.plural, self.path)
    }
}

impl Mutation {
    /// Changes a spec. Nothing is changed where the way there does not exist.
    pub(crate) fn apply(&self, spec: &mut Value) {
        let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let name = name.replace("~1", "/");
        match (spec.pointer_mut(parent), &self.value) {
            (Some(Value::Object(fields)), None) => drop(fields.remove(&name)),
            (Some(Value::Object(fields)), Some(value)) => drop(fields.insert(name, value.clone())),
            (Some(Value::Array(items)), Some(value)) if name == END => items.push(value.clone()),
            (Some(Value::Array(items)), value) => match (name.parse::<usize>(), value) {
                (Ok(index), Some(value)) if index < items.len() => items[index] = value.clone(),
                (Ok(index), None) if index < items.len() => drop(items.remove(index)),
                _ => {}
            },
            _ => {}
        }
    }
}

/// Behind the last item of a list, as JSON Patch says it.
const END: &str = "-";

/// All mutations of an object: every field set, taken away, changed, and brought to its bounds; items of lists and keys of maps taken away
/// and added. What the API server refuses is found out
/// by asking it.
pub(crate) fn mutations(plural: &'static str, schema: &Value, spec: &Value) -> Vec<Mutation> {
    let mut found = vec![];
    walk(schema, spec, "", &mut |path, value| found.push(Mutation { plural, path, value }));
    found
}

/// Enough words for a text whose meaning the schema does not tell: quantities, decimals, names.
const TEXTS: [&str; 10] = ["0", "1", "0.5", "0.001", "3", "50", "32Ki", "1Mi", "128Mi", "other"];

fn walk(schema: &Value, value: &Value, path: &str, found: &mut impl FnMut(String, Option<Value>)) {
    match schema["type"].as_str() {
        Some("object") => {
            let nothing = Map::new();
            for (name, field) in schema["properties"].as_object().unwrap_or(&nothing) {
                let (there, path) = (&value[name], format!("{path}/{name}"));
                if !there.is_null() {
                    found(path.clone(), None);
                }
                if !there.is_null() || field["type"] != "object" {
                    walk(field, there, &path, found);
                } else {
                    // Set as a whole: with its defaults, and with what has to be said.
                    found(path.clone(), Some(json!({})));
                    found(path, Some(example(field)));
                }
            }
            if schema["additionalProperties"].is_object() {
                for key in value.as_object().unwrap_or(&nothing).keys() {
                    found(format!("{path}/{}", key.replace('/', "~1")), None);
                }
                found(format!("{path}/other"), Some("other".into()));
            }
        }
        Some("array") => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            for (index, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{path}/{index}"), found);
                found(format!("{path}/{index}"), None);
            }
            match items.last() {
                Some(last) => found(format!("{path}/{END}"), Some(another(last))),
                None => found(path.to_owned(), Some(json!([example(&schema["items"])]))),
            }
        }
        Some("integer") => {
            for bound in [&schema["minimum"], &schema["maximum"]].into_iter().filter_map(Value::as_i64) {
                for near in [bound, bound + 1] {
                    found(path.to_owned(), Some(near.into()));
                }
            }
            found(path.to_owned(), Some((value.as_i64().unwrap_or(1) * 2 + 1).into()));
        }
        Some("boolean") => found(path.to_owned(), Some((value != &Value::Bool(true)).into())),
        Some("string") => {
            let words = schema["enum"].as_array().cloned().unwrap_or_else(|| TEXTS.map(Value::from).to_vec());
            words.into_iter().filter(|word| word != value).for_each(|word| found(path.to_owned(), Some(word)));
        }
        _ => {}
    }
}

/// Something that a schema takes, as short as it can be.
fn example(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let field = |name: &str| (name.to_owned(), example(&schema["properties"][name]));
            Value::Object(required.iter().filter_map(Value::as_str).map(field).collect())
        }
        Some("array") => json!([example(&schema["items"])]),
        Some("integer") => schema["minimum"].as_i64().unwrap_or(1).into(),
        Some("boolean") => true.into(),
        _ => schema["enum"].get(0).cloned().unwrap_or_else(|| "other".into()),
    }
}

/// Like an item, under another name where it has one.
fn another(item: &Value) -> Value {
    let mut item = item.clone();
    match &mut item {
        Value::Object(fields) => {
            for key in ["name", "chain"].into_iter().filter(|key| fields.contains_key(*key)).collect::<Vec<_>>() {
                fields.insert(key.to_owned(), "other".into());
            }
        }
        Value::Number(number) => item = (number.as_i64().unwrap_or(1) + 1).into(),
        _ => {}
    }
    item
}

/// Another order for every seed, the same for the same: one of Knuth's linear congruences.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for index in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(index, (state >> 33) as usize % (index + 1));
    }
}
