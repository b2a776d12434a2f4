//! Files of the report: text, pictures, and the numbers behind them.

use crate::figure::Figure;
use anyhow::Context;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where the report goes: `evaluation.md` and a folder of the same name beside it.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
    text: String,
}

impl Output {
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let files = folder.join("evaluation");
        std::fs::create_dir_all(&files).with_context(|| format!("failed to make {}", files.display()))?;
        Ok(Self { folder: folder.to_owned(), text: String::new() })
    }

    /// A paragraph, a heading, a table: followed by an empty line.
    pub(crate) fn say(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref().trim_end());
        self.text.push_str("\n\n");
    }

    /// A picture and the numbers behind it.
    pub(crate) fn show(&mut self, name: &str, figure: &Figure, numbers: &Csv) -> anyhow::Result<()> {
        self.write(&format!("{name}.svg"), &figure.draw()?)?;
        self.write(&format!("{name}.csv"), &numbers.0)?;
        self.say(format!(
            "![{}](evaluation/{name}.svg)\n\nNumbers: [evaluation/{name}.csv](evaluation/{name}.csv)",
            figure.title
        ));
        Ok(())
    }

    /// Numbers without a picture.
    pub(crate) fn list(&mut self, name: &str, numbers: &Csv) -> anyhow::Result<()> {
        self.write(&format!("{name}.csv"), &numbers.0)?;
        self.say(format!("Numbers: [evaluation/{name}.csv](evaluation/{name}.csv)"));
        Ok(())
    }

    pub(crate) fn finish(self) -> anyhow::Result<PathBuf> {
        let file = self.folder.join("evaluation.md");
        let text = format!("{}\n", self.text.trim_end());
        std::fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
        Ok(file)
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let file = self.folder.join("evaluation").join(name);
        std::fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))
    }
}

/// Rows of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Csv(String);

impl Csv {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self(columns.join(",") + "\n")
    }

    /// A row: words first, then numbers.
    pub(crate) fn row(&mut self, words: &[&str], numbers: &[f64]) {
        let words =
            words.iter().map(|word| if word.contains(',') { format!("\"{word}\"") } else { (*word).to_owned() });
        let numbers =
            numbers.iter().map(|number| if number.is_finite() { format!("{number:.6}") } else { String::new() });
        self.0.push_str(&words.chain(numbers).collect::<Vec<_>>().join(","));
        self.0.push('\n');
    }
}

/// A table in Markdown.
#[derive(Debug, Clone)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let ruler: Vec<&str> =
            columns.iter().enumerate().map(|(index, _)| if index == 0 { "---" } else { "---:" }).collect();
        Self(format!("| {} |\n| {} |\n", columns.join(" | "), ruler.join(" | ")))
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    if share.is_nan() { "–".to_owned() } else { format!("{:.2} %", share * 100.0) }
}
