//! What a shell offers behind the tab key: kubectl starts `kubectl_complete-eenn` with the words so far, the last of which is
//! the one to complete, and reads candidates in lines.

use super::Cli;
use super::cluster::ClusterOptions;
use crate::exit_code::Outcome;
use api::EENNService;
use clap::{Arg, ArgAction, Command, CommandFactory};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Who presses a key waits no longer for names.
const PATIENCE: Duration = Duration::from_secs(2);

/// What kubectl is told besides candidates: that files are none, or are.
const NO_FILES: &str = ":4";
const FILES: &str = ":0";

/// Names that only the cluster or the kubeconfig knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Services,
    Namespaces,
    Contexts,
}

/// What may stand in the place of the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Candidates {
    /// These words, each with what it means.
    Words(Vec<(String, String)>),
    /// Names that have to be asked for.
    Names(Names),
    /// Files.
    Files,
}

/// Prints candidates for the last of the words.
pub(crate) fn print(words: &[String], out: &mut dyn Write) -> Outcome {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let candidates = match candidates(before, last) {
        Candidates::Files => return Ok(writeln!(out, "{FILES}")?),
        Candidates::Words(words) => words,
        Candidates::Names(names) => ask(names, &given(before)).into_iter().map(|name| (name, String::new())).collect(),
    };
    for (word, meaning) in candidates.iter().filter(|(word, _)| word.starts_with(last)) {
        match meaning.is_empty() {
            true => writeln!(out, "{word}")?,
            false => writeln!(out, "{word}\t{meaning}")?,
        }
    }
    Ok(writeln!(out, "{NO_FILES}")?)
}

fn candidates(before: &[String], last: &str) -> Candidates {
    let root = Cli::command();
    let Some(command) = before.iter().find_map(|word| root.find_subcommand(word)) else {
        let all = root.get_subcommands().map(|one| described(one.get_name(), one.get_about()));
        return Candidates::Words(all.collect());
    };
    if let Some(option) = before.last().and_then(|word| option(command, word)).filter(|option| takes_value(option)) {
        return values(option);
    }
    if last.starts_with('-') {
        let options = command.get_arguments().filter_map(|one| Some((one.get_long()?, one.get_help())));
        return Candidates::Words(options.map(|(name, help)| described(&format!("--{name}"), help)).collect());
    }
    match wants_service(command, before) {
        true => Candidates::Names(Names::Services),
        false => Candidates::Words(vec![]),
    }
}

fn described(word: &str, meaning: Option<&clap::builder::StyledStr>) -> (String, String) {
    let meaning = meaning.map(ToString::to_string).unwrap_or_default();
    (word.to_owned(), meaning.lines().next().unwrap_or_default().to_owned())
}

fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|one| {
        let long = one.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        long || one.get_short().is_some_and(|short| word == format!("-{short}"))
    })
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

fn values(option: &Arg) -> Candidates {
    match option.get_id().as_str() {
        "namespace" => Candidates::Names(Names::Namespaces),
        "context" => Candidates::Names(Names::Contexts),
        "kubeconfig" => Candidates::Files,
        _ => {
            let values = option.get_possible_values();
            Candidates::Words(values.iter().map(|one| described(one.get_name(), one.get_help())).collect())
        }
    }
}

/// Whether the name of a service is still missing.
fn wants_service(command: &Command, before: &[String]) -> bool {
    let mut given = 0;
    let mut words = before.iter().skip_while(|word| *word != command.get_name()).skip(1);
    while let Some(word) = words.next() {
        match option(command, word) {
            Some(option) if takes_value(option) => drop(words.next()),
            Some(_) => {}
            None if word.starts_with('-') => {}
            None => given += 1,
        }
    }
    given == 0 && command.get_positionals().next().is_some()
}

/// The cluster that the words so far name.
fn given(before: &[String]) -> ClusterOptions {
    let value = |names: [&str; 2]| {
        let at = before.iter().rposition(|word| names.contains(&word.as_str()))?;
        before.get(at + 1).cloned()
    };
    ClusterOptions {
        namespace: value(["--namespace", "-n"]),
        context: value(["--context", "--context"]),
        kubeconfig: value(["--kubeconfig", "--kubeconfig"]).map(PathBuf::from),
    }
}

/// Names, or none where nobody answers: a key that does nothing is better than a message in the middle of a line.
fn ask(names: Names, options: &ClusterOptions) -> Vec<String> {
    if names == Names::Contexts {
        return options.contexts();
    }
    let Ok(cluster) = options.connect_within(PATIENCE) else { return vec![] };
    match names {
        Names::Services => {
            let found = cluster.list_if_allowed::<EENNService>(Some(&cluster.namespace), "").items;
            found.iter().map(ResourceExt::name_any).collect()
        }
        _ => cluster.list_if_allowed::<Namespace>(None, "").items.iter().map(ResourceExt::name_any).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Candidates {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let (last, before) = words.split_last().unwrap();
        candidates(before, last)
    }

    fn names(candidates: Candidates) -> Vec<String> {
        match candidates {
            Candidates::Words(words) => words.into_iter().map(|(word, _)| word).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn subcommands_options_and_their_values_are_offered() {
        assert_eq!(names(of(&[""])), ["status", "plan", "explain", "approve"]);
        let options = names(of(&["approve", "camera", "--"]));
        assert!(options.contains(&"--yes".to_owned()) && options.contains(&"--namespace".to_owned()), "{options:?}");
        assert_eq!(names(of(&["status", "-o", ""])), ["table", "json", "yaml"]);
        assert_eq!(of(&["status", "--kubeconfig", ""]), Candidates::Files);
    }

    #[test]
    fn names_are_asked_for_once() {
        assert_eq!(of(&["plan", ""]), Candidates::Names(Names::Services));
        assert_eq!(of(&["plan", "-n", "edge", "--wide", ""]), Candidates::Names(Names::Services));
        assert_eq!(of(&["plan", "-n", "edge", "camera", ""]), Candidates::Words(vec![]));
        assert_eq!(of(&["plan", "camera", "-n", ""]), Candidates::Names(Names::Namespaces));
        assert_eq!(of(&["plan", "--context", ""]), Candidates::Names(Names::Contexts));
    }

    #[test]
    fn candidates_are_lines_with_their_meaning() {
        let mut out = vec![];
        print(&["st".to_owned()], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "status\tShow how services are, what is wrong with them, and what helps\n:4\n");
    }
}
