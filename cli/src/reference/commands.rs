//! The page on the command line.

use super::{MADE, table};
use crate::cli::Cli;
use crate::exit_code::ALL;
use crate::kubectl;
use clap::{Command, CommandFactory};

/// As wide as help gets in a terminal.
const WIDTH: usize = 100;

pub(super) fn page() -> String {
    let mut page = format!(
        "{MADE}\n# The command line\n\nResults are on standard output, messages and progress on standard error.\n"
    );
    sections(&Cli::command, &Cli::command(), &[], &mut page);
    page.push_str("\nThe same program under the name `kubectl-eenn` is a plugin of kubectl.\n");
    sections(&kubectl::Cli::command, &kubectl::Cli::command(), &[], &mut page);
    page.push_str("\n## Exit codes\n\n");
    page.push_str(&table(
        &["code", "meaning"],
        ALL.iter().map(|(code, what)| vec![code.to_string(), (*what).to_owned()]),
    ));
    page
}

/// A command, then those below it.
fn sections(root: &dyn Fn() -> Command, command: &Command, above: &[&str], page: &mut String) {
    let path = [above, &[command.get_name()]].concat();
    // As people type it.
    let title = path.join(" ").replace("kubectl-", "kubectl ");
    page.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", help(root(), &path)));
    let visible = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    command.get_subcommands().filter(visible).for_each(|below| sections(root, below, &path, page));
}

/// What `--help` prints, whatever the terminal.
fn help(root: Command, path: &[&str]) -> String {
    let asked = root.term_width(WIDTH).try_get_matches_from([path, &["--help"]].concat());
    lines(&asked.expect_err("help is what ends the parser").to_string())
}

/// Without spaces that nobody sees.
fn lines(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_commands_are_there_and_hidden_ones_are_not() {
        let page = page();
        let model = ["eenn model", "eenn model inspect", "eenn model profile"];
        let plugin = ["kubectl eenn", "kubectl eenn status", "kubectl eenn plan", "kubectl eenn approve"];
        for name in ["eenn", "eenn up", "eenn plan", "eenn explain", "eenn simulate", "eenn completion"]
            .iter()
            .chain(&model)
            .chain(&plugin)
        {
            assert!(page.contains(&format!("\n## {name}\n")), "{name} is missing in\n{page}");
        }
        assert!(page.contains("Usage: eenn model inspect [OPTIONS] <FILE>"), "{page}");
        assert!(!page.contains("## eenn runtime") && !page.contains("## eenn reference"), "{page}");
    }
}
