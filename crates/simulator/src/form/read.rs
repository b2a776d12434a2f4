//! From bytes to cases: syntax, types, unknown fields; what numbers mean is checked in [`network`](super::network).

use super::document::{Case as CaseDocument, File};
use super::error::{FormError, Place};
use super::names::{nearest, shorten};
use super::network;
use super::number::{at_least_one, at_most};
use super::object::Object;
use super::{Case, Cases, schema};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_ignored::Path as IgnoredPath;
use std::collections::BTreeSet;

/// Bytes of the largest file that is read.
pub const LARGEST_FILE: usize = 64 << 20;

const MOST_CASES: usize = 10_000;
/// More warnings than anybody reads.
const MOST_WARNINGS: usize = 20;

/// Reads a file of cases, or one case by itself.
pub fn read(bytes: &[u8]) -> Result<Cases, FormError> {
    if bytes.len() > LARGEST_FILE {
        return Err(Place::ROOT.error(format!("is larger than {} MiB", LARGEST_FILE >> 20)));
    }
    let text = text(bytes)?;
    let mut warnings = Warnings::default();
    let cases = if has_cases(text)? {
        file(parse(text, &mut warnings)?, &mut warnings)?
    } else {
        let document: Object<CaseDocument> = parse(text, &mut warnings)?;
        vec![network::case(document.0, "case 1", &Place::ROOT, &mut warnings.lines)?]
    };
    Ok(Cases { cases, warnings: warnings.finish() })
}

fn file(document: Object<File>, warnings: &mut Warnings) -> Result<Vec<Case>, FormError> {
    let place = Place::ROOT.field("cases");
    let cases = document.0.cases;
    at_least_one(cases.len(), "case", &place)?;
    at_most(MOST_CASES, cases.len(), "cases", &place)?;
    let made = cases.into_iter().enumerate().map(|(index, case)| {
        let id = format!("case {}", index + 1);
        network::case(case.0, &id, &place.index(index), &mut warnings.lines)
    });
    made.collect()
}

fn text(bytes: &[u8]) -> Result<&str, FormError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Place::ROOT.error(format!("is no UTF-8 text; the first bad byte is in line {line}"))
    })
}

/// Whether the text is a file of cases. What is no JSON at all is left to the reader that knows places.
fn has_cases(text: &str) -> Result<bool, FormError> {
    #[derive(Deserialize)]
    struct Peek {
        cases: Option<IgnoredAny>,
        devices: Option<IgnoredAny>,
        chains: Option<IgnoredAny>,
    }
    let Ok(Object(peek)) = serde_json::from_str::<Object<Peek>>(text) else {
        return Ok(text.contains("\"cases\""));
    };
    match (peek.cases, peek.devices.is_some() || peek.chains.is_some()) {
        (Some(_), true) => Err(Place::ROOT.error("has both `cases` and a case of its own; leave one of them out")),
        (None, false) => {
            Err(Place::ROOT.error("has neither `cases`, nor `devices` and `chains`; one case has the latter"))
        }
        (cases, _) => Ok(cases.is_some()),
    }
}

fn parse<T: DeserializeOwned>(text: &str, warnings: &mut Warnings) -> Result<T, FormError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| warnings.unknown(&path));
    let failed = |error: serde_json::Error, place: String| {
        let place = if place == "." { String::new() } else { place };
        let position = (error.line() > 0).then(|| (error.line(), error.column()));
        FormError { place, position, message: explain(&error, text) }
    };
    let value = read.map_err(|error| failed(error, track.path().to_string()))?;
    json.end().map_err(|error| failed(error, String::new()))?;
    Ok(value)
}

/// What serde says, in words of JSON.
fn explain(error: &serde_json::Error, text: &str) -> String {
    if error.is_syntax() && near(text, error.line(), error.column()).contains("nan") {
        return "NaN is no number in JSON".to_owned();
    }
    if error.is_syntax() && near(text, error.line(), error.column()).contains("inf") {
        return "infinity is no number in JSON".to_owned();
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let words = [
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected u32", "expected a whole number"),
        ("expected u16", "expected a whole number"),
        ("expected a sequence", "expected a list"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: object"),
        ("expected an array of length", "expected a list of length"),
    ];
    let plain = words.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to));
    one_line(&plain)
}

/// Texts of the user may be long and hold line breaks.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Some letters around a position, in lower case.
fn near(text: &str, line: usize, column: usize) -> String {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().as_bytes();
    let end = (column + 2).min(line.len());
    let start = column.saturating_sub(4).min(end);
    String::from_utf8_lossy(&line[start..end]).to_lowercase()
}

/// What was ignored.
#[derive(Debug, Default)]
struct Warnings {
    lines: Vec<String>,
    left_out: usize,
    fields: Option<BTreeSet<String>>,
}

impl Warnings {
    fn unknown(&mut self, path: &IgnoredPath<'_>) {
        if self.lines.len() >= MOST_WARNINGS {
            self.left_out += 1;
            return;
        }
        let IgnoredPath::Map { key, .. } = path else { return };
        if self.is_known_to_be_fine(path, key) {
            return;
        }
        let known = self.fields.get_or_insert_with(|| fields(&schema()));
        let hint = nearest(key, known.iter().map(String::as_str).filter(|field| *field != key));
        let hint = hint.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        self.lines.push(format!("{}: unknown field, ignored{hint}", place(path)));
    }

    /// Comments, in any of the ways in which people write them into JSON.
    fn is_known_to_be_fine(&self, _path: &IgnoredPath<'_>, key: &str) -> bool {
        ["$schema", "comment", "_comment", "//"].contains(&key)
    }

    fn finish(mut self) -> Vec<String> {
        let left_out = self.left_out + self.lines.len().saturating_sub(MOST_WARNINGS);
        self.lines.truncate(MOST_WARNINGS);
        if left_out > 0 {
            self.lines.push(format!("and {left_out} more"));
        }
        self.lines
    }
}

fn place(path: &IgnoredPath<'_>) -> String {
    match path {
        IgnoredPath::Root => String::new(),
        IgnoredPath::Seq { parent, index } => format!("{}[{index}]", place(parent)),
        IgnoredPath::Map { parent, key } => {
            let (above, key) = (place(parent), one_line(&shorten(key)));
            if above.is_empty() { key } else { format!("{above}.{key}") }
        }
        IgnoredPath::Some { parent }
        | IgnoredPath::NewtypeStruct { parent }
        | IgnoredPath::NewtypeVariant { parent } => place(parent),
    }
}

/// Every field of the schema.
fn fields(schema: &serde_json::Value) -> BTreeSet<String> {
    let definitions = schema.get("$defs").and_then(serde_json::Value::as_object);
    let properties = definitions.into_iter().flat_map(|all| all.values()).filter_map(|one| one.get("properties"));
    properties.filter_map(serde_json::Value::as_object).flat_map(|fields| fields.keys().cloned()).collect()
}
