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
        match (spec.pointer_mut(parent), &self.value) {
            (Some(Value::Object(fields)), None) => drop(fields.remove(name)),
            (Some(Value::Object(fields)), Some(value)) => drop(fields.insert(name.to_owned(), value.clone())),
            (Some(Value::Array(items)), Some(value)) => {
                if let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    *item = value.clone();
                }
            }
            _ => {}
        }
    }
}

/// All mutations of an object: every field set, taken away, changed, and brought to its bounds. What the API server refuses is found out
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
                    // Set as a whole: with its defaults.
                    found(path, Some(json!({})));
                }
            }
        }
        Some("array") => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                walk(&schema["items"], item, &format!("{path}/{index}"), found);
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

/// Another order for every seed, the same for the same: one of Knuth's linear congruences.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for index in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(index, (state >> 33) as usize % (index + 1));
    }
}
