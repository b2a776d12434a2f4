//! YAML as a tree in which every value knows its line. Neither nesting nor aliases can blow it up.

use crate::problem::Position;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use std::{borrow::Cow, collections::HashMap};

/// Deeper than any manifest; keeps recursion over the tree off the end of the stack.
const DEEPEST: usize = 64;
/// Values that aliases may copy, all together: enough for people, too little for an alias bomb.
const MOST_COPIED: usize = 10_000;

/// A value and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Scalar { text: String, kind: Scalar },
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// What a scalar means where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    Float,
    Text,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) at: Position,
    pub(crate) name: String,
}

/// Why text is no YAML, or too much of it.
#[derive(Debug, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) at: Position,
    pub(crate) message: String,
}

/// The documents of a text up to the first error.
pub(crate) fn parse(text: &str) -> (Vec<Node>, Option<YamlError>) {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(YamlError {
                at: position(*error.marker()),
                message: format!("is no YAML: {}", plain(error.info())),
            }),
        };
        if let Err(error) = outcome {
            return (builder.documents, Some(error));
        }
    }
    (builder.documents, None)
}

/// The parser's words for the mistakes that newcomers make most say little; these say what to do.
fn plain(info: &str) -> String {
    if info.contains("tab") && !info.contains("table") {
        return "there is a tab; indent with spaces".to_owned();
    }
    info.to_owned()
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    copied: usize,
}

/// A collection that has not ended yet.
struct Open {
    at: Position,
    anchor: usize,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>, Option<Key>),
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let at = position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = kind(&text, style, tag);
                self.value(anchor, Node { at, data: Data::Scalar { text: text.into_owned(), kind } })
            }
            Event::SequenceStart(anchor, _) => self.open(Open { at, anchor, items: Items::Sequence(vec![]) }),
            Event::MappingStart(anchor, _) => self.open(Open { at, anchor, items: Items::Mapping(vec![], None) }),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| error(at, "an alias stands inside of what it repeats"))?;
                self.copy(&node)?;
                self.value(0, node)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), YamlError> {
        if self.open.len() == DEEPEST {
            return Err(error(open.at, &format!("is nested more than {DEEPEST} deep")));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(Open { at, anchor, items }) = self.open.pop() else { return Ok(()) };
        let data = match items {
            Items::Sequence(items) => Data::Sequence(items),
            Items::Mapping(entries, _) => Data::Mapping(entries),
        };
        self.value(anchor, Node { at, data })
    }

    fn value(&mut self, anchor: usize, node: Node) -> Result<(), YamlError> {
        if anchor > 0 {
            self.copy(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.documents.push(node),
            Some(Items::Sequence(items)) => items.push(node),
            Some(Items::Mapping(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(key_of(node)?),
            },
        }
        Ok(())
    }

    fn copy(&mut self, node: &Node) -> Result<(), YamlError> {
        self.copied += node.size();
        if self.copied > MOST_COPIED {
            return Err(error(node.at, &format!("anchors and aliases repeat more than {MOST_COPIED} values")));
        }
        Ok(())
    }
}

fn error(at: Position, message: &str) -> YamlError {
    YamlError { at, message: message.to_owned() }
}

fn key_of(node: Node) -> Result<Key, YamlError> {
    match node.data {
        Data::Scalar { text, .. } => Ok(Key { at: node.at, name: text }),
        _ => Err(error(node.at, "a key must be text, not a list or an object")),
    }
}

impl Node {
    fn size(&self) -> usize {
        1 + match &self.data {
            Data::Scalar { .. } => 0,
            Data::Sequence(items) => items.iter().map(Self::size).sum(),
            Data::Mapping(entries) => entries.iter().map(|(_, value)| value.size()).sum(),
        }
    }

    /// A field of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        let Data::Mapping(entries) = &self.data else { return None };
        entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, kind } if *kind != Scalar::Null => Some(text),
            _ => None,
        }
    }

    /// Whether nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.data, Data::Scalar { kind: Scalar::Null, .. })
    }

    /// What it is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match &self.data {
            Data::Scalar { kind, .. } => match kind {
                Scalar::Null => "empty",
                Scalar::Bool(_) => "true or false",
                Scalar::Integer(_) => "an integer",
                Scalar::Float => "a number",
                Scalar::Text => "text",
            },
            Data::Sequence(_) => "a list",
            Data::Mapping(_) => "an object",
        }
    }

    /// As JSON, without what is empty, as the API server prunes it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.data {
            Data::Scalar { kind: Scalar::Null, .. } => Value::Null,
            Data::Scalar { kind: Scalar::Bool(value), .. } => Value::Bool(*value),
            Data::Scalar { kind: Scalar::Integer(value), .. } => Value::from(*value),
            Data::Scalar { text, .. } => Value::String(text.clone()),
            Data::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Mapping(entries) => {
                let written = entries.iter().filter(|(_, value)| !value.is_null());
                Value::Object(written.map(|(key, value)| (key.name.clone(), value.to_json())).collect())
            }
        }
    }
}

/// What a scalar means. `yes`, `on` and so on are booleans, because they are to Kubernetes' own YAML reader: text that
/// happens to be one of these words needs quotes in both places.
fn kind(text: &str, style: ScalarStyle, tag: Option<Cow<'_, Tag>>) -> Scalar {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str") {
        return Scalar::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Scalar::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        _ => number(text),
    }
}

fn number(text: &str) -> Scalar {
    let digits = text.trim_start_matches(['-', '+']);
    // A word such as "inf" reads as a float to Rust, but not to YAML.
    if text.len() > digits.len() + 1 || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Scalar::Text;
    }
    // Leading zeros are octal to some readers and decimal to others: no integer here.
    let leading_zero = digits.len() > 1 && digits.bytes().all(|b| b.is_ascii_digit()) && digits.starts_with('0');
    match text.parse() {
        Ok(integer) if !leading_zero => Scalar::Integer(integer),
        _ if digits.parse::<f64>().is_ok() => Scalar::Float,
        _ => Scalar::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_kubernetes_takes_them_for() {
        for (text, want) in [
            ("12", Scalar::Integer(12)),
            ("-3", Scalar::Integer(-3)),
            ("0.5", Scalar::Float),
            ("007", Scalar::Float),
            ("1e3", Scalar::Float),
            ("yes", Scalar::Bool(true)),
            ("~", Scalar::Null),
            ("inf", Scalar::Text),
            ("--1", Scalar::Text),
            ("64Mi", Scalar::Text),
            ("99999999999999999999", Scalar::Float),
        ] {
            assert_eq!(kind(text, ScalarStyle::Plain, None), want, "{text}");
            assert_eq!(kind(text, ScalarStyle::DoubleQuoted, None), Scalar::Text, "{text}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        for deep in ["[".repeat(100), "- ".repeat(100_000), "{a: ".repeat(100)] {
            assert_eq!(parse(&deep).1.unwrap().message, "is nested more than 64 deep");
        }
        assert!(parse(&"[".repeat(1_000_000)).1.is_some());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..20 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        assert_eq!(parse(&bomb).1.unwrap().message, "anchors and aliases repeat more than 10000 values");
        assert_eq!(parse("a: &a [*a]").1.unwrap().message, "an alias stands inside of what it repeats");
    }

    #[test]
    fn aliases_repeat_values() {
        let (documents, error) = parse("a: &a {b: 1}\nc: *a\n---\nd: 2\n");
        assert_eq!(error, None);
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].get("c").unwrap().get("b").unwrap().text(), Some("1"));
    }
}
