//! Simulates cases one after the other.

use super::input::Task;
use super::progress::Line;
use crate::exit_code::{FAILURE, Failure, Outcome};
use crate::process::signals::{Interrupts, Urgency};
use anyhow::Context;
use simulator::{Arrivals, Effort, Network, Report, simulate};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

/// Points of a time series.
const INTERVALS: f64 = 60.0;

/// Reports of the cases, in order; fewer when the user has ended it.
pub(super) fn run(tasks: &[Task], effort: &Effort<'_>, wants_series: bool) -> Outcome<Vec<Report>> {
    let ended = listen().context("failed to listen for Ctrl-C")?;
    let stop = || ended.load(Ordering::Relaxed);
    let line = Line::new();
    let mut reports = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        if stop() {
            break;
        }
        line.begin(&task.case.id, index, tasks.len());
        let show = |progress| line.show(progress);
        let network = &task.case.network;
        let series = if wants_series { length(network).map(|seconds| seconds / INTERVALS) } else { None };
        let seed = network.seed(effort.seed, &task.case.id);
        let of_case = Effort { seed, stop: Some(&stop), progress: Some(&show), series, ..*effort };
        let report = simulate(network, &of_case);
        let mut report = report.map_err(|error| Failure::input(format!("{}: {error}", task.case.id)))?;
        // The one that was given, so that it can be given again.
        report.run.seed = effort.seed;
        reports.push(report);
    }
    Ok(reports)
}

/// When the last arrival of a network is due that has an end of its own.
pub(super) fn length(network: &Network) -> Option<f64> {
    let ends = network.sources.iter().filter_map(|source| match &source.arrivals {
        Arrivals::Trace(times) => times.last().copied(),
        Arrivals::Piecewise { pieces, repeat: false, .. } => Some(pieces.iter().map(|(seconds, _)| seconds).sum()),
        _ => None,
    });
    ends.max_by(f64::total_cmp).filter(|seconds| *seconds > 0.0)
}

/// What turns true with the first Ctrl-C; the second one ends the process.
fn listen() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&ended);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ready, is_ready) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        runtime.block_on(async {
            let interrupts = Interrupts::listen();
            let listening = interrupts.as_ref().map(|_| ()).map_err(|error| io::Error::from(error.kind()));
            let (Ok(()), Ok(interrupts)) = (ready.send(listening), interrupts) else { return };
            interrupts.wanted(Urgency::Orderly).await;
            heard.store(true, Ordering::Relaxed);
            interrupts.wanted(Urgency::Now).await;
            std::process::exit(i32::from(FAILURE));
        });
    });
    is_ready.recv().map_err(io::Error::other)??;
    Ok(ended)
}
