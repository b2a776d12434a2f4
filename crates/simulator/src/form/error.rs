//! What is wrong with a file, and where.

use std::fmt;

/// What is wrong with a file, and where. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FormError {
    /// Such as `cases[0].chains[1].fragments[0].device`; empty for the whole file.
    pub place: String,
    /// Line and column, both from 1, where the text itself is at fault.
    pub position: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place.as_str(), self.position) {
            ("", None) => {}
            ("", Some((line, column))) => write!(f, "line {line}, column {column}: ")?,
            (place, None) => write!(f, "{place}: ")?,
            (place, Some((line, column))) => write!(f, "{place} (line {line}, column {column}): ")?,
        }
        f.write_str(&self.message)
    }
}

/// The way to a value, made into words only when something is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    part: Part<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The top of the file.
    pub(super) const ROOT: Place<'static> = Place { above: None, part: Part::Field("") };

    pub(super) fn field(&'a self, name: &'a str) -> Place<'a> {
        Place { above: Some(self), part: Part::Field(name) }
    }

    pub(super) fn index(&'a self, index: usize) -> Place<'a> {
        Place { above: Some(self), part: Part::Index(index) }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> FormError {
        FormError { place: self.to_string(), position: None, message: message.into() }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        above.fmt(f)?;
        match self.part {
            Part::Index(index) => write!(f, "[{index}]"),
            Part::Field(name) if above.above.is_none() => f.write_str(name),
            Part::Field(name) => write!(f, ".{name}"),
        }
    }
}
