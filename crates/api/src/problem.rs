//! What is wrong with manifests: one line per problem, with file, place and what would be right.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Line and column in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, empty for what did not come from one.
    pub file: PathBuf,
    /// Where in the file, when that is known.
    pub position: Option<Position>,
    /// Field, such as `spec.exits[2].name`; empty for the whole document or file.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// All problems of a set of manifests, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors(Vec<Problem>);

/// Where an object was written, so that problems found later still name the line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The file; empty for objects that did not come from one.
    pub file: PathBuf,
    /// Kind and name, such as `EENNService/camera`: names the object where there is no file.
    pub object: String,
    /// Position of every field.
    pub(crate) positions: BTreeMap<String, Position>,
    /// Fields that something else than the file has set, and what: `spec.scheduler`, `--scheduler`.
    overridden: Vec<(String, String)>,
}

impl LoadErrors {
    /// `Ok` when there are none.
    pub fn none_or(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        problems.dedup();
        Err(Self(problems))
    }

    /// The problems; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl std::error::Error for LoadErrors {}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More than a screen of them helps nobody.
        const SHOWN: usize = 40;
        let lines: Vec<String> = self.0.iter().take(SHOWN).map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.file.as_os_str().is_empty() {
            parts.push(match self.position {
                Some(Position { line, column }) => format!("{}:{line}:{column}", self.file.display()),
                None => self.file.display().to_string(),
            });
        }
        if !self.path.is_empty() {
            parts.push(self.path.clone());
        }
        parts.push(self.message.clone());
        // Names of files and keys may hold anything; one problem stays one line.
        f.write_str(&parts.join(": ").replace(|c: char| c.is_control(), "�"))
    }
}

impl Origin {
    /// An object whose fields are at `positions` in `file`.
    pub(crate) fn new(file: PathBuf, object: String, positions: BTreeMap<String, Position>) -> Self {
        Self { file, object, positions, overridden: vec![] }
    }

    /// Problems of the field and of those below it are from now on reported as those of `by`.
    pub fn override_field(&mut self, path: &str, by: &str) {
        self.overridden.push((path.to_owned(), by.to_owned()));
    }

    /// A problem at a field, or at the nearest field around it that was written.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        if let Some((_, by)) = self.overridden.iter().find(|(overridden, _)| path.starts_with(overridden)) {
            let path = format!("{by} (for {})", self.object);
            return Problem { file: PathBuf::new(), position: None, path, message: message.into() };
        }
        let shown = match (self.file.as_os_str().is_empty(), path.is_empty()) {
            (true, true) => self.object.clone(),
            (true, false) => format!("{}: {path}", self.object),
            (false, _) => path.to_owned(),
        };
        Problem { file: self.file.clone(), position: self.position(path), path: shown, message: message.into() }
    }

    fn position(&self, mut path: &str) -> Option<Position> {
        loop {
            if let Some(position) = self.positions.get(path) {
                return Some(*position);
            }
            if path.is_empty() {
                return None;
            }
            path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
        }
    }
}
