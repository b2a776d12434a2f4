//! Names, and what refers to them.

use super::error::{FormError, Place};
use super::object::Reference;
use std::collections::HashMap;

/// Names of one kind of thing, all different.
#[derive(Debug)]
pub(super) struct Names {
    /// Such as `device`.
    what: &'static str,
    all: Vec<String>,
    index: HashMap<String, usize>,
}

impl Names {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, all: Vec::new(), index: HashMap::new() }
    }

    /// Adds a name, or a made-up one where none is given. Refuses one that is taken.
    pub(super) fn add(&mut self, given: Option<&str>, made_up: &str, place: &Place<'_>) -> Result<String, FormError> {
        let name = given.unwrap_or(made_up);
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            return Err(place.field("name").error("must have 1 to 200 bytes, none of them a control character"));
        }
        if let Some(first) = self.index.insert(name.to_owned(), self.all.len()) {
            let message = format!("{} {first} has the name {name:?} already", self.what);
            return Err(place.field("name").error(message));
        }
        self.all.push(name.to_owned());
        Ok(name.to_owned())
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn name(&self, index: usize) -> &str {
        &self.all[index]
    }

    /// The index that is meant.
    pub(super) fn find(&self, reference: &Reference, place: &Place<'_>) -> Result<usize, FormError> {
        let found = match reference {
            Reference::Index(index) => usize::try_from(*index).ok().filter(|index| *index < self.all.len()),
            Reference::Name(name) => self.index.get(name).copied(),
        };
        found.ok_or_else(|| place.error(self.missing(reference)))
    }

    fn missing(&self, reference: &Reference) -> String {
        let what = self.what;
        match (reference, self.all.len()) {
            (_, 0) => format!("there is no {what} at all"),
            (Reference::Index(index), 1) => format!("there is no {what} {index}; there is only {what} 0"),
            (Reference::Index(index), count) => {
                format!("there is no {what} {index}; there are {what}s 0 to {}", count - 1)
            }
            (Reference::Name(name), _) => format!("there is no {what} {:?}{}", shorten(name), self.hint(name)),
        }
    }

    fn hint(&self, name: &str) -> String {
        match nearest(name, self.all.iter().map(String::as_str)) {
            Some(near) => format!("; did you mean {near:?}?"),
            None if self.all.len() <= 10 => format!("; there are {}", self.all.join(", ")),
            None => String::new(),
        }
    }
}

/// What was probably meant.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > 100 {
        return None;
    }
    let most = (given.chars().count() / 3).clamp(1, 3);
    let near = known.filter(|name| name.len() <= 100).map(|name| (strsim::osa_distance(given, name), name));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// Text of the user for one line of ours.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
