//! Regenerates docs/evaluation.md: every scheduler against every other, on measured models.

mod contenders;
mod decisions;
mod figure;
mod follow;
mod joint;
mod local;
mod manifests;
mod models;
mod output;
mod run;
mod setting;
mod single;
mod steps;
mod tiers;

use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Regenerates docs/evaluation.md with its pictures and numbers")]
struct Options {
    /// A quick pass over everything, to see that it works: few loads, few jobs
    #[arg(long)]
    short: bool,
    /// Folder for evaluation.md and its files [default: docs; with --short a folder that is removed afterwards]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One device, every scheduler, over the load
    Single,
    /// One device: a step in the load, and distorted images
    Steps,
    /// Several devices over the load
    Tiers,
    /// Processes on this machine beside predictions
    Local,
}

fn main() -> ExitCode {
    match exec(&Options::parse()) {
        Ok(file) => {
            eprintln!("wrote {}", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn exec(options: &Options) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("evaluation is a folder of the repository");
    let size = run::Size {
        seed: options.seed,
        arrivals: if options.short { 20_000 } else { 200_000 },
        evaluations: if options.short { 500 } else { 5_000 },
    };
    // A quick pass must not replace what a long one has found.
    let scratch = options.short.then(tempfile::tempdir).transpose()?;
    let folder = match (&options.out, &scratch) {
        (Some(out), _) => out.clone(),
        (None, Some(scratch)) => scratch.path().to_owned(),
        (None, None) => root.join("docs"),
    };
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let began = std::time::Instant::now();
    let mut out = output::Output::new(&folder)?;
    introduce(&mut out);
    let models = models::Models::read(root)?;
    if wanted(Part::Single) {
        single::run(&models, options.short, size, &mut out)?;
    }
    if wanted(Part::Steps) {
        steps::run(&models, options.short, size, &mut out)?;
    }
    if wanted(Part::Tiers) {
        tiers::run(&models, options.short, size, &mut out)?;
    }
    if wanted(Part::Local) {
        local::run(root, &models, options.short, &mut out)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    out.say(format!("All of this took {:.0} s on {cores} cores.", began.elapsed().as_secs_f64()));
    out.finish()
}

fn introduce(out: &mut output::Output) {
    out.say("# Evaluation");
    out.say(
        "Written by `cargo xtask evaluate`; the numbers behind each figure lie beside it as CSV. All but the last part is simulated, with \
         common random numbers for all schedulers.",
    );
    out.say(format!(
        "**Fashion-MNIST**: the example of this repository, six exits, its measured times and exit tables. **CEED times**: the times of a \
         ResNet-50 on a Raspberry-Pi-class machine as published with CEED, of whose nine exits six are kept (numbers {:?}); CEED publishes \
         no accuracies, so exits are as accurate and as confident as those of our Fashion-MNIST model. These are not the accuracies of a \
         ResNet-50 on CIFAR-10, and figures on CEED times say nothing about that network.",
        models::CEED_GATES
    ));
    out.say(
        "*Auto* is the planner of this project; *SMDP* the optimal table over jobs present, with threshold vectors as actions. *Knapsack*, \
         *QueueingLP* and *DataDriven* follow Casale and Roveri, *AdaEE* the bandit of that name, each without the mistakes of published \
         code; *AdaEE* chooses among points of the accuracy–time frontier instead of published grids of thresholds, and what time costs \
         follows from the queue ([design/schedulers.md](design/schedulers.md)).",
    );
}
