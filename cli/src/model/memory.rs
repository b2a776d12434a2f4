//! Memory of idle fragments: one process for each, as a cluster would run it.

use crate::process::{Config, child, fleet::this_executable};
use anyhow::Context;
use domain::{ExitOutput, FragmentRange, Model};
use serde::Serialize;
use std::path::Path;
use wire::document::{
    ConfidenceDocument, DeviceDocument, ExitDocument, ExitOutputDocument, FragmentDocument, InputDocument,
    ModelDocument,
};

/// Memory of an idle fragment, warmed up, with an empty queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct IdleMemory {
    /// First segment, from 1.
    pub(super) first_segment: usize,
    /// Last segment.
    pub(super) last_segment: usize,
    /// Resident bytes of its process.
    pub(super) resident_bytes: u64,
}

/// Every segment alone, and the whole model.
pub(super) fn ranges(segments: usize) -> Vec<FragmentRange> {
    let whole = FragmentRange { first: 0, last: segments - 1 };
    let single = (0..segments).map(|segment| FragmentRange { first: segment, last: segment });
    if segments == 1 { vec![whole] } else { single.chain([whole]).collect() }
}

/// Starts a process with the fragment and reads its memory.
pub(super) fn measure(file: &Path, model: &Model, range: FragmentRange) -> anyhow::Result<IdleMemory> {
    let file = file.canonicalize().with_context(|| format!("failed to find {}", file.display()))?;
    let config = Config::Device(Box::new(device(&file, model, range)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resident_bytes = runtime.block_on(async {
        let running = child::start(&this_executable()?, &config).await?;
        let resident = resident(running.id().context("the fragment has ended")?);
        running.stop(std::future::pending()).await;
        resident
    })?;
    Ok(IdleMemory { first_segment: range.first + 1, last_segment: range.last + 1, resident_bytes })
}

fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("failed to read its memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.context("the kernel does not tell its memory")? * 1024)
}

fn device(file: &Path, model: &Model, range: FragmentRange) -> DeviceDocument {
    let fragment = FragmentDocument {
        name: "measured".to_owned(),
        file: file.to_string_lossy().into_owned(),
        model: document(model),
        first_segment: range.first + 1,
        last_segment: range.last + 1,
        memory_budget_bytes: 1 << 20,
        workers: 1,
        cpu_request_millis: None,
        cpu_limit_millis: None,
        profile: None,
    };
    DeviceDocument {
        device: "measured".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        metrics_listen: "127.0.0.1:0".to_owned(),
        fragments: vec![fragment],
        links: Default::default(),
        emulate: None,
        memory_budget_bytes: None,
        tls: None,
    }
}

fn document(model: &Model) -> ModelDocument {
    let exit = |exit: &domain::Exit| ExitDocument {
        name: exit.name.clone(),
        tensor: exit.tensor.clone(),
        output: match exit.output {
            ExitOutput::Logits => ExitOutputDocument::Logits,
            ExitOutput::Probabilities => ExitOutputDocument::Probabilities,
        },
    };
    ModelDocument {
        name: model.name.clone(),
        input: InputDocument { name: model.input.clone(), shape: model.input_shape.clone() },
        exits: model.exits.iter().map(exit).collect(),
        cuts: model.cuts.clone(),
        confidence: match model.confidence {
            domain::Confidence::MaxSoftmax => ConfidenceDocument::MaxSoftmax,
            domain::Confidence::NormalizedEntropy => ConfidenceDocument::NormalizedEntropy,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_measured_alone_and_together() {
        let got: Vec<_> = ranges(3).iter().map(|range| (range.first, range.last)).collect();
        assert_eq!(got, [(0, 0), (1, 1), (2, 2), (0, 2)]);
        assert_eq!(ranges(1).len(), 1);
    }
}
