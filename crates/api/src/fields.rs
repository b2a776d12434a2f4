//! Every field of every kind, for the generated reference. Read off the schemas that manifests are checked against.

use crate::{
    DevicePoolSpec, EENNModelSpec, EENNServiceSpec, Node, QoSTargetSpec,
    check::{join, kind_of, resolve},
    load::schema,
};
use serde_json::Value;

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindFields {
    /// Its name.
    pub kind: &'static str,
    /// What it is.
    pub description: String,
    /// Its fields, each before those in it; of one object the required ones first.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// From the root of the object, such as `spec.exits[].name`.
    pub path: String,
    /// Its type in words, such as `list of objects`.
    pub r#type: String,
    /// Whether it must be there.
    pub required: bool,
    /// What holds when it is left out, in words.
    pub default: Option<String>,
    /// What it may hold.
    pub allowed: Allowed,
    /// What it means.
    pub description: String,
}

/// What a field may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// All of its type.
    All,
    /// What these words say.
    Words(String),
    /// One of these values, each with what it means.
    Values(Vec<(String, String)>),
}

/// Every kind, in the order in which one writes them.
pub fn kinds() -> Vec<KindFields> {
    vec![
        kind("EENNModel", &schema::<EENNModelSpec>(), "spec"),
        kind("DevicePool", &schema::<DevicePoolSpec>(), "spec"),
        kind("QoSTarget", &schema::<QoSTargetSpec>(), "spec"),
        kind("EENNService", &schema::<EENNServiceSpec>(), "spec"),
        kind("Node", &schema::<Node>(), ""),
    ]
}

fn kind(kind: &'static str, root: &Value, path: &str) -> KindFields {
    let mut fields = vec![];
    within(root, root, path, &mut fields);
    KindFields { kind, description: description(root), fields }
}

/// Lists the fields of an object.
fn within(object: &Value, root: &Value, path: &str, fields: &mut Vec<Field>) {
    let required: Vec<&str> = strings(object.get("required")).collect();
    let property = |name: &str| object.get("properties").and_then(|all| all.get(name));
    let all = object.get("properties").and_then(Value::as_object).into_iter().flat_map(|all| all.keys());
    let optional = all.map(String::as_str).filter(|name| !required.contains(name));
    for name in required.iter().copied().chain(optional) {
        let Some(schema) = property(name) else { continue };
        let path = join(path, name);
        fields.push(field(schema, root, &path, required.contains(&name)));
        let (inner, _) = resolve(schema, root);
        match inner.get("items") {
            Some(items) => within(resolve(items, root).0, root, &format!("{path}[]"), fields),
            None => within(inner, root, &path, fields),
        }
    }
}

fn field(schema: &Value, root: &Value, path: &str, required: bool) -> Field {
    let (description, default) = split_default(&description(schema));
    let default = default.or_else(|| schema.get("default").and_then(|value| in_words(value, resolve(schema, root).0)));
    let default = default.filter(|_| !required);
    Field {
        path: path.to_owned(),
        r#type: words(schema, root),
        required,
        default,
        allowed: allowed(schema, root),
        description,
    }
}

/// The default that a schema names. That of an object is in its fields.
fn in_words(default: &Value, schema: &Value) -> Option<String> {
    match default {
        Value::Object(_) => schema.get("properties").map(|_| "its fields' own".to_owned()),
        value => Some(value.to_string()),
    }
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// Takes the sentence that names the default out of a description.
fn split_default(text: &str) -> (String, Option<String>) {
    const MARK: &str = "Default: ";
    let Some((before, rest)) = text.split_once(MARK) else { return (text.to_owned(), None) };
    let (default, after) = rest.split_once(". ").unwrap_or((rest.trim_end_matches('.'), ""));
    let description = format!("{before}{after}");
    (description.trim_end().to_owned(), Some(default.to_owned()))
}

/// A type in words.
fn words(schema: &Value, root: &Value) -> String {
    let (schema, _) = resolve(schema, root);
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return "string or integer".to_owned();
    }
    let inner = |name| schema.get(name).filter(|inner| inner.is_object()).map(|inner| words(inner, root));
    match (kind_of(schema), inner("items"), inner("additionalProperties")) {
        (Some("array"), Some(inner), _) => format!("list of {inner}s"),
        (Some("object"), _, Some(inner)) => format!("map to {inner}s"),
        (kind, ..) => kind.unwrap_or("anything").to_owned(),
    }
}

fn allowed(schema: &Value, root: &Value) -> Allowed {
    let (schema, form) = resolve(schema, root);
    let values: Vec<_> = documented(schema).collect();
    if !values.is_empty() {
        return Allowed::Values(values);
    }
    let inner = ["items", "additionalProperties"].into_iter().find_map(|name| schema.get(name));
    let inner = inner.map(|inner| allowed(inner, root));
    let own = form.map(|form| form.allowed.to_owned()).or_else(|| bounds(schema));
    match (own, inner) {
        (Some(own), Some(Allowed::Words(inner))) => Allowed::Words(format!("{own}, each {inner}")),
        (Some(words), _) | (None, Some(Allowed::Words(words))) => Allowed::Words(words),
        (None, Some(values)) => values,
        (None, None) => Allowed::All,
    }
}

fn bounds(schema: &Value) -> Option<String> {
    let bound = |name| schema.get(name).and_then(Value::as_i64);
    match (bound("minimum"), bound("maximum"), bound("minItems"), bound("maxItems")) {
        (Some(least), Some(most), ..) => return Some(format!("{least} to {most}")),
        (_, _, Some(least), Some(most)) => return Some(format!("{least} to {most} entries")),
        (_, _, None, Some(most)) => return Some(format!("at most {most} entries")),
        _ => {}
    }
    let entries = bound("maxProperties").map(|most| format!("at most {most} entries"));
    entries.or_else(|| bound("maxLength").map(|most| format!("up to {most} characters")))
}

/// Values of an enum with what they mean. Neighbours without a description share one entry of the schema.
fn documented(schema: &Value) -> impl Iterator<Item = (String, String)> {
    let groups = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().chain([schema]);
    groups.flat_map(|group| {
        let meaning = if group.get("const").is_some() { description(group) } else { String::new() };
        let values = group.get("const").and_then(Value::as_str).into_iter().chain(strings(group.get("enum")));
        values.map(move |value| (value.to_owned(), meaning.clone()))
    })
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(kind: &str, path: &str) -> Field {
        let kinds = kinds();
        let fields = &kinds.iter().find(|one| one.kind == kind).unwrap().fields;
        let found = fields.iter().find(|field| field.path == path);
        found.unwrap_or_else(|| panic!("{path} is not among {fields:#?}")).clone()
    }

    #[test]
    fn a_field_is_described_as_its_type_says() {
        let field = find("EENNService", "spec.placement.pinned[].fragments[].firstSegment");
        assert_eq!((field.r#type.as_str(), field.required, field.default), ("integer", true, None));
        assert_eq!(field.allowed, Allowed::Words("1 to 256".into()));
        let field = find("DevicePool", "spec.classes[].speedFactor");
        assert_eq!(
            (field.default.as_deref(), field.required),
            (Some("measured in clusters, \"1\" until then and elsewhere"), false)
        );
        assert!(!field.description.contains("Default"), "{}", field.description);
        let field = find("DevicePool", "spec.classes[].matchLabels");
        assert_eq!(field.r#type, "map to strings");
        let field = find("EENNModel", "spec.input.shape");
        assert_eq!(field.r#type, "list of integers");
        assert_eq!(field.allowed, Allowed::Words("1 to 8 entries, each 1 to 65536".into()));
        assert_eq!(find("Node", "metadata.name").r#type, "string");
    }

    #[test]
    fn values_come_with_their_meaning() {
        let Allowed::Values(values) = find("EENNService", "spec.overflow").allowed else { panic!() };
        assert_eq!(values[0], ("Drop".into(), "It is lost.".into()));
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn the_sentence_about_the_default_is_found_anywhere() {
        for (text, description, default) in [
            ("How long. Default: 1 s. More is worse.", "How long. More is worse.", Some("1 s")),
            ("How long. Default: none, for ever.", "How long.", Some("none, for ever")),
            ("Share. Default: \"0.5\".", "Share.", Some("\"0.5\"")),
            ("How long.", "How long.", None),
        ] {
            assert_eq!(split_default(text), (description.to_owned(), default.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn every_value_that_can_be_chosen_is_explained() {
        for field in kinds().into_iter().flat_map(|kind| kind.fields) {
            if let Allowed::Values(values) = &field.allowed {
                assert!(values.iter().all(|(_, meaning)| !meaning.is_empty()), "{field:?}");
            }
        }
    }
}
