//! The table of good and bad manifests: `good/*.yaml`, which a cluster takes, and `bad/*.yaml`, which it refuses.
//!
//! Every document is a manifest as users write it. The comments above it say what it shows and what is said about it:
//!
//! ```yaml
//! # an effect that does not exist
//! # kubectl: what `kubectl apply` says, a line for every mistake; … stands for anything
//! # eenn: what `eenn` says, a line for every mistake
//! # changes: the good manifest of this title is there already
//! ```
//!
//! The text is compared in two places: offline by crate `api`, and with a real API server by the system tests.

use std::fs;
use std::path::Path;

/// A manifest and what is said about it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Its kind.
    pub(crate) kind: String,
    /// What it shows.
    pub(crate) title: String,
    /// Title of the good manifest that is there already.
    pub(crate) changes: Option<String>,
    /// What `kubectl apply` says; nothing when it is good.
    pub(crate) kubectl: Vec<String>,
    /// What `eenn` says, without file and line.
    pub(crate) eenn: Vec<String>,
    /// The manifest, without the comments.
    pub(crate) manifest: String,
}

/// All manifests of a folder, `good` or `bad`, in the order of files and lines.
pub(crate) fn read(folder: &Path) -> Vec<Case> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("a manifest can be read"));
    texts.flat_map(|text| text.split("---\n").map(case).collect::<Vec<_>>()).collect()
}

fn case(document: &str) -> Case {
    let comments: Vec<&str> = document.lines().map_while(|line| line.strip_prefix("# ")).collect();
    let said = |by: &str| comments.iter().filter_map(|line| line.strip_prefix(by)).map(str::to_owned).collect();
    let manifest: String = document.lines().skip(comments.len()).map(|line| format!("{line}\n")).collect();
    let kind = manifest.lines().find_map(|line| line.strip_prefix("kind: ")).expect("a manifest has a kind").to_owned();
    let title = (*comments.first().expect("a manifest has a title")).to_owned();
    let changes: Vec<String> = said("changes: ");
    Case {
        kind,
        title,
        changes: changes.into_iter().next(),
        kubectl: said("kubectl: "),
        eenn: said("eenn: "),
        manifest,
    }
}

/// What differs between lines that are expected and lines that were said, in any order; `None` when they are the same.
pub(crate) fn difference(expected: &[String], said: &[String]) -> Option<String> {
    let missing: Vec<_> = expected.iter().filter(|line| !said.iter().any(|said| fits(line, said))).collect();
    let more: Vec<_> = said.iter().filter(|said| !expected.iter().any(|line| fits(line, said))).collect();
    (!missing.is_empty() || !more.is_empty()).then(|| format!("not said: {missing:#?}\nsaid instead: {more:#?}"))
}

/// Whether a line is as expected, where `…` stands for anything.
fn fits(expected: &str, said: &str) -> bool {
    match expected.split_once('…') {
        None => expected == said,
        Some((begin, end)) => said.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end)),
    }
}
