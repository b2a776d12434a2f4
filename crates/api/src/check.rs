//! Checks a YAML tree against a JSON schema made from the types: the rules that the API server applies, with a line for
//! every problem instead of the first one only.

use crate::{
    form,
    problem::Position,
    yaml::{Data, Key, Node, Scalar},
};
use serde_json::Value;

/// What is wrong at a place.
pub(crate) type Finding = (Position, String, String);

/// What to do with fields that the schema does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Refuse,
    Ignore,
}

pub(crate) struct Checker<'a> {
    root: &'a Value,
    unknown: Unknown,
    findings: Vec<Finding>,
}

/// All that is wrong with `node`.
pub(crate) fn check(node: &Node, root: &Value, unknown: Unknown) -> Vec<Finding> {
    let mut checker = Checker { root, unknown, findings: vec![] };
    checker.value(node, root, "");
    checker.findings
}

impl Checker<'_> {
    fn report(&mut self, at: Position, path: &str, message: impl Into<String>) {
        self.findings.push((at, path.to_owned(), message.into()));
    }

    fn value(&mut self, node: &Node, schema: &Value, path: &str) {
        let (schema, form) = resolve(schema, self.root);
        if schema.get("x-kubernetes-int-or-string").is_some() {
            return self.quantity(node, schema, form, path);
        }
        let Some(kind) = kind_of(schema) else { return };
        if node.is_null() {
            if self.unknown == Unknown::Refuse {
                self.report(node.at, path, "is empty; give it a value or remove the line");
            }
            return;
        }
        match (kind, &node.data) {
            ("object", Data::Mapping(entries)) => self.object(node, entries, schema, path),
            ("array", Data::Sequence(items)) => self.array(node, items, schema, path),
            ("string", Data::Scalar { text, kind: Scalar::Text }) => self.text(node, text, schema, form, path),
            ("integer", Data::Scalar { kind: Scalar::Integer(value), .. }) => self.integer(node, *value, schema, path),
            ("boolean", Data::Scalar { kind: Scalar::Bool(_), .. }) => {}
            ("string", Data::Scalar { text, .. }) if !allowed_values(schema).is_empty() => {
                self.report(node.at, path, format!("unknown value {}", unknown(text, &allowed_values(schema))));
            }
            _ => self.report(node.at, path, wrong_type(kind, node)),
        }
    }

    fn object(&mut self, node: &Node, entries: &[(Key, Node)], schema: &Value, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        for (key, value) in entries {
            let inner = join(path, &key.name);
            match (properties.and_then(|known| known.get(&key.name)), others) {
                (Some(schema), _) | (None, Some(schema)) => self.value(value, schema, &inner),
                (None, None) if self.unknown == Unknown::Ignore => {}
                (None, None) => {
                    let known: Vec<&str> = properties.into_iter().flat_map(|p| p.keys()).map(String::as_str).collect();
                    self.report(key.at, path, format!("unknown field {}", unknown(&key.name, &known)));
                }
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if node.get(name).is_none() {
                self.report(node.at, &join(path, name), "is missing");
            }
        }
        let most = schema.get("maxProperties").and_then(Value::as_u64);
        if let Some(most) = most.filter(|most| entries.len() as u64 > *most) {
            self.report(node.at, path, format!("has {} entries; allowed: at most {most}", entries.len()));
        }
    }

    fn array(&mut self, node: &Node, items: &[Node], schema: &Value, path: &str) {
        let bound = |name| schema.get(name).and_then(Value::as_u64);
        let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(u64::MAX));
        if !(least..=most).contains(&(items.len() as u64)) {
            self.report(node.at, path, format!("has {} entries; allowed: {least} to {most}", items.len()));
        }
        if let Some(inner) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(item, inner, &format!("{path}[{index}]"));
            }
        }
        for key in schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten() {
            self.distinct(items, key.as_str().unwrap_or_default(), path);
        }
        if schema.get("x-kubernetes-list-type").is_some_and(|kind| kind == "set") {
            self.distinct_texts(items, path);
        }
    }

    /// In a list that is a map by one of its fields, no two entries share that field.
    fn distinct(&mut self, items: &[Node], key: &str, path: &str) {
        let mut seen = std::collections::HashMap::new();
        for (index, node) in items.iter().enumerate().filter_map(|(index, item)| Some((index, item.get(key)?))) {
            let Some(text) = node.text() else { continue };
            if let Some(first) = seen.insert(text, index) {
                let message = format!("{:?} is already taken by {path}[{first}]", form::shorten(text));
                self.report(node.at, &format!("{path}[{index}].{key}"), message);
            }
        }
    }

    /// In a list that is a set, no two entries are equal.
    fn distinct_texts(&mut self, items: &[Node], path: &str) {
        let mut seen = std::collections::HashMap::new();
        for (index, (node, text)) in items.iter().filter_map(|item| Some((item, item.text()?))).enumerate() {
            if let Some(first) = seen.insert(text, index) {
                let message = format!("{:?} is already there as {path}[{first}]", form::shorten(text));
                self.report(node.at, &format!("{path}[{index}]"), message);
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value, form: Option<&form::Form>, path: &str) {
        if let Some(Err(error)) = form.map(|form| form.check(text)) {
            return self.report(node.at, path, error.to_string());
        }
        let allowed = allowed_values(schema);
        if !allowed.is_empty() && !allowed.contains(&text) {
            return self.report(node.at, path, format!("unknown value {}", unknown(text, &allowed)));
        }
        let most = schema.get("maxLength").and_then(Value::as_u64);
        if let Some(most) = most.filter(|most| text.chars().count() as u64 > *most) {
            self.report(node.at, path, format!("is longer than {most} characters"));
        }
        // The one minimum there is.
        if text.is_empty() && schema.get("minLength").is_some_and(|least| least == 1) {
            self.report(node.at, path, "is empty; give it a value");
        }
    }

    fn quantity(&mut self, node: &Node, schema: &Value, form: Option<&form::Form>, path: &str) {
        match &node.data {
            Data::Scalar { text, kind: kind @ (Scalar::Text | Scalar::Integer(_)) } => {
                match (form.and_then(|form| form.check(text).err()), kind) {
                    (Some(error), _) => self.report(node.at, path, error.to_string()),
                    (None, Scalar::Integer(value)) => self.integer(node, *value, schema, path),
                    (None, _) => {}
                }
            }
            _ => self.report(node.at, path, wrong_type("string", node)),
        }
    }

    fn integer(&mut self, node: &Node, value: i64, schema: &Value, path: &str) {
        let bound = |name| schema.get(name).and_then(Value::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
        if !(least..=most).contains(&value) {
            self.report(node.at, path, format!("{value} is out of range; allowed: {least} to {most}"));
        }
    }
}

/// Follows references, and drops the null that an `Option` allows. The form is that of the type referred to.
pub(crate) fn resolve<'a>(mut schema: &'a Value, root: &'a Value) -> (&'a Value, Option<&'static form::Form>) {
    let mut form = None;
    loop {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            form = form::find(name);
            schema = &root["$defs"][name];
            continue;
        }
        let some = schema.get("anyOf").and_then(Value::as_array).filter(|_| schema.get("pattern").is_none());
        match some.and_then(|any| any.iter().find(|one| one.get("type").is_none_or(|kind| kind != "null"))) {
            Some(inner) => schema = inner,
            None => return (schema, form),
        }
    }
}

pub(crate) fn kind_of(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        // Enums whose values have a description each.
        _ => schema.get("oneOf").map(|_| "string"),
    }
}

fn allowed_values(schema: &Value) -> Vec<&str> {
    let documented = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    documented
        .flat_map(|one| {
            one.get("const").into_iter().chain(one.get("enum").and_then(Value::as_array).into_iter().flatten())
        })
        .chain(plain)
        .filter_map(Value::as_str)
        .collect()
}

/// A word that is not among those known, with the nearest of them.
pub(crate) fn unknown(given: &str, known: &[&str]) -> String {
    let given = form::shorten(given);
    let near = |word: &&&str| strsim::damerau_levenshtein(&word.to_lowercase(), &given.to_lowercase());
    // Two slips of the finger, or one in a short word.
    let nearest = known.iter().min_by_key(near).filter(|word| near(word) <= (word.len() / 3).clamp(1, 2));
    let hint = nearest.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
    format!("{given:?}{hint}; allowed: {}", known.join(", "))
}

fn wrong_type(kind: &str, node: &Node) -> String {
    let want = match kind {
        "object" => "an object with fields",
        "array" => "a list",
        "integer" => "an integer",
        "boolean" => "true or false",
        _ => "text",
    };
    match &node.data {
        Data::Scalar { text, .. } if kind == "string" && !node.is_null() => {
            format!("must be text, not {}; put it in quotes: \"{}\"", node.what(), form::shorten(text))
        }
        Data::Scalar { text, kind: Scalar::Text } if kind == "integer" => {
            format!("must be an integer, not the text {:?}", form::shorten(text))
        }
        _ => format!("must be {want}, not {}", node.what()),
    }
}

pub(crate) fn join(path: &str, field: &str) -> String {
    let field = form::shorten(field);
    if path.is_empty() { field } else { format!("{path}.{field}") }
}
