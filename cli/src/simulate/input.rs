//! What to simulate, from wherever it comes.

use super::case::Case;
use crate::exit_code::{Failure, Outcome};
use simulator::form::{self, Expected, LARGEST_FILE};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A case with what its file says beyond the network.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) case: Case,
    /// In words.
    pub(super) description: Option<String>,
    /// Known answers.
    pub(super) expected: Option<Expected>,
}

impl From<Case> for Task {
    fn from(case: Case) -> Self {
        Self { case, description: None, expected: None }
    }
}

/// Cases of a file in JSON, `-` for standard input, and what in it was ignored.
pub(super) fn read(path: &Path) -> Outcome<(Vec<Task>, Vec<String>)> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = bytes(path).map_err(|error| Failure::input(format!("failed to read {name}: {}", explain(&error))))?;
    let read = form::read(&bytes).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    let tasks = read.cases.into_iter().map(|case| Task {
        case: Case { id: case.id, network: case.network },
        description: case.description,
        expected: case.expected,
    });
    Ok((tasks.collect(), read.warnings.into_iter().map(|warning| format!("{name}: {warning}")).collect()))
}

/// One byte more than is allowed, at most: the reader refuses it.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = LARGEST_FILE as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder; give a folder of manifests with -f".to_owned(),
        _ => error.to_string(),
    }
}
