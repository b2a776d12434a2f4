//! `eenn model inspect`: exits and cuts of an ONNX file, and what its parts cost.

use super::Output;
use super::description::{file_name, model_name, sha256};
use super::manifest;
use crate::exit_code::{Blame, Outcome};
use crate::format::{bytes, count, percent, plain_table};
use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use runtime_image::model::{Inspection, inspect};
use std::io::Write;
use std::path::PathBuf;

/// Show where a network can leave early and where it can be split, and what its parts cost
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eenn model inspect network.onnx
  eenn model inspect network.onnx --output manifest > model.yaml")]
pub(crate) struct Options {
    /// ONNX file, float32, with one output per exit
    file: PathBuf,

    /// Form of the results
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

impl Options {
    /// Writes what was found to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let found = inspect(&self.file).blame_input()?;
        let text = match self.output {
            Output::Table => tables(&found),
            Output::Json => serde_json::to_string_pretty(&found).context("failed to write what was found")? + "\n",
            Output::Manifest => {
                let sha256 = sha256(&self.file).blame_input()?;
                manifest::of_inspection(&found, &model_name(&self.file), &file_name(&self.file), &sha256)
            }
        };
        Ok(out.write_all(text.as_bytes())?)
    }
}

fn tables(found: &Inspection) -> String {
    let shape: Vec<_> = found.input_shape.iter().map(usize::to_string).collect();
    format!(
        "input {} of [{}]\n\n{}\n\n{}\n\n{}\n\nA manifest to start from: --output manifest\n",
        found.input,
        shape.join(", "),
        exits(found).trim_fmt(),
        segments(found).trim_fmt(),
        cuts(found).trim_fmt(),
    )
}

fn exits(found: &Inspection) -> Table {
    let mut table = plain_table(
        &["exit", "holds"],
        &["classes", "after segment", "MACs of head", "weights of head", "MACs so far"],
    );
    let whole = macs_until(found, found.segments.len());
    for exit in &found.exits {
        let so_far = macs_until(found, exit.segment) + exit.macs;
        table.add_row(vec![
            exit.tensor.clone(),
            format!("{:?}", exit.output),
            exit.classes.to_string(),
            exit.segment.to_string(),
            count(exit.macs),
            bytes(exit.weight_bytes),
            percent((whole > 0).then(|| so_far as f64 / whole as f64)),
        ]);
    }
    table
}

/// Without heads: those of closed exits are not computed.
fn macs_until(found: &Inspection, segments: usize) -> u64 {
    found.segments.iter().take(segments).map(|segment| segment.macs).sum()
}

fn segments(found: &Inspection) -> Table {
    let mut table = plain_table(&["segment", "ends at"], &["MACs", "weights", "sent on"]);
    for (index, segment) in found.segments.iter().enumerate() {
        let end = found.recommended_cuts.get(index).cloned().unwrap_or_else(|| "the last exit".to_owned());
        table.add_row(vec![
            (index + 1).to_string(),
            end,
            count(segment.macs),
            bytes(segment.weight_bytes),
            bytes(segment.forward_bytes),
        ]);
    }
    table
}

fn cuts(found: &Inspection) -> Table {
    let mut table = plain_table(&["possible cut", "shape", "recommended"], &["bytes"]);
    for cut in &found.possible_cuts {
        let recommended = if found.recommended_cuts.contains(&cut.tensor) { "yes" } else { "" };
        table.add_row(vec![cut.tensor.clone(), format!("{:?}", cut.shape), recommended.to_owned(), bytes(cut.bytes)]);
    }
    table
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use runtime_image::model::{CutInspection, ExitInspection, ExitScores, SegmentInspection};

    pub(crate) fn example() -> Inspection {
        let exit = |tensor: &str, segment, macs| ExitInspection {
            tensor: tensor.to_owned(),
            output: ExitScores::Logits,
            classes: 10,
            segment,
            macs,
            weight_bytes: 2048,
        };
        let cut = |tensor: &str| CutInspection { tensor: tensor.to_owned(), shape: vec![1, 8, 4, 4], bytes: 512 };
        let segment = |macs, forward_bytes| SegmentInspection { macs, weight_bytes: 4096, forward_bytes };
        Inspection {
            input: "x".into(),
            input_shape: vec![1, 28, 28],
            exits: vec![exit("/head/Gemm: 1", 1, 1000), exit("out", 2, 0)],
            possible_cuts: vec![cut("relu_1"), cut("relu_2")],
            recommended_cuts: vec!["relu_2".into()],
            segments: vec![segment(9000, 512), segment(11_000, 0)],
        }
    }

    #[test]
    fn the_tables_look_like_this() {
        let text = tables(&example());
        crate::snapshot::check("model/testdata/inspect.txt", &text);
    }
}
