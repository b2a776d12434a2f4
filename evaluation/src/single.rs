//! One device: accuracy and loss against load, for every scheduler.

use crate::contenders::{Contender, all};
use crate::decisions::seconds_per_job;
use crate::figure::{Figure, Line, Panel};
use crate::models::Models;
use crate::output::{Csv, Output, Table, percent};
use crate::run::{self, Metrics, Size};
use crate::setting::{Arrivals, LOSS_TARGET, ROOM, one_device, saturation};
use domain::problem::Model;
use std::sync::Arc;

/// Loads at which the table in the text stands.
const IN_TEXT: [f64; 4] = [1.0, 2.0, 3.0, 5.0];
/// Points of accuracy that are worth a word.
const WORTH_A_WORD: f64 = 0.001;

/// What one contender does at all loads.
struct Curve {
    contender: Contender,
    /// Per load.
    metrics: Vec<Metrics>,
    /// Seconds to plan, mean over loads.
    planning: f64,
    /// Seconds per decision, mean over loads.
    deciding: f64,
}

/// A model under arrivals of a kind.
struct Sweep<'a> {
    name: &'a str,
    title: &'a str,
    model: &'a Arc<Model>,
    arrivals: Arrivals,
}

pub(crate) fn run(models: &Models, short: bool, size: Size, out: &mut Output) -> anyhow::Result<()> {
    out.say("## One device: accuracy and loss against load");
    out.say(format!(
        "One device with room for {ROOM} jobs, the one in service included. Load factor 1 is the rate at which it can run the \
         whole network for every job. Loss target {}; where a scheduler has none, it does what it does. Thresholds are chosen \
         on one half of an exit table (5,000 images), on whose other half Auto's referee compares plans, as `eenn plan` does it for all schedulers, \
         and scored on another table (10,000 images that nobody has seen). Accuracy is that of jobs answered; *right \
         per arrival* counts lost jobs as wrong.",
        percent(LOSS_TARGET)
    ));
    let sweeps = [
        Sweep {
            name: "fashion-poisson",
            title: "Fashion-MNIST, Poisson arrivals",
            model: &models.fashion,
            arrivals: Arrivals::Poisson,
        },
        Sweep {
            name: "fashion-bursts",
            title: "Fashion-MNIST, bursts (MMPP)",
            model: &models.fashion,
            arrivals: Arrivals::Bursts,
        },
        Sweep {
            name: "ceed-poisson",
            title: "CEED times, Poisson arrivals",
            model: &models.ceed,
            arrivals: Arrivals::Poisson,
        },
        Sweep {
            name: "ceed-bursts",
            title: "CEED times, bursts (MMPP)",
            model: &models.ceed,
            arrivals: Arrivals::Bursts,
        },
    ];
    let loads: &[f64] = if short { &[1.0, 3.0] } else { &[0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0] };
    let mut times: Vec<(&str, Vec<(f64, f64)>)> = vec![];
    for sweep in sweeps.into_iter().take(if short { 1 } else { 4 }) {
        let curves = sweep.curves(loads, size)?;
        sweep.report(loads, &curves, out)?;
        for (index, curve) in curves.iter().enumerate() {
            times.resize(times.len().max(index + 1), (curve.contender.name, vec![]));
            times[index].1.push((curve.planning, curve.deciding));
        }
    }
    out.say("### Time to plan, and to decide");
    out.say(
        "*To plan*: the policy for one device at the forecast rate, with its table over other rates. *To decide*: what a \
         gateway spends on a job from its arrival to the word of its end, with the row of the table, jobs present, random numbers \
         and what is learnt. Means over loads and kinds of arrivals, on one core of the machine that wrote this report.",
    );
    let mut table = Table::new(&["scheduler", "to plan, ms", "to decide, µs"]);
    for (name, seconds) in times {
        let mean = |of: fn(&(f64, f64)) -> f64| seconds.iter().map(of).sum::<f64>() / seconds.len() as f64;
        let (planning, deciding) = (mean(|times| times.0), mean(|times| times.1));
        table.row(&[name.to_owned(), format!("{:.1}", 1e3 * planning), format!("{:.2}", 1e6 * deciding)]);
    }
    out.say(table.text());
    Ok(())
}

impl Sweep<'_> {
    fn curves(&self, loads: &[f64], size: Size) -> anyhow::Result<Vec<Curve>> {
        let curve = |contender: Contender| -> anyhow::Result<Curve> {
            eprintln!("{}: {}", self.title, contender.name);
            let (mut metrics, mut planning, mut deciding) = (vec![], 0.0, 0.0);
            for &load in loads {
                let problem = one_device(self.model, load, self.arrivals)?;
                let (policy, seconds) = run::plan(&contender, &problem, size)?;
                planning += seconds / loads.len() as f64;
                let network = run::network(&contender, &problem, policy);
                let (rate, exits) = (load * saturation(self.model), self.model.exits());
                deciding += seconds_per_job(&network, rate, exits, ROOM as usize) / loads.len() as f64;
                metrics.push(run::simulate(&network, size)?);
            }
            Ok(Curve { contender, metrics, planning, deciding })
        };
        all().into_iter().map(curve).collect()
    }

    fn report(&self, loads: &[f64], curves: &[Curve], out: &mut Output) -> anyhow::Result<()> {
        out.say(format!("### {}", self.title));
        out.show(self.name, &self.figure(loads, curves), &numbers(loads, curves))?;
        out.say(words(loads, curves));
        out.say(table(loads, curves).text());
        Ok(())
    }

    fn figure(&self, loads: &[f64], curves: &[Curve]) -> Figure {
        let drawn = || curves.iter().filter(|curve| curve.contender.drawn);
        let panel = |title: &str, y: &str, range, value: &dyn Fn(&Metrics) -> f64| {
            let line = |curve: &Curve| Line {
                name: curve.contender.name.to_owned(),
                points: loads.iter().zip(&curve.metrics).map(|(&load, metrics)| (load, value(metrics))).collect(),
            };
            Panel {
                title: title.to_owned(),
                x: "load factor".to_owned(),
                y: y.to_owned(),
                range,
                lines: drawn().map(line).collect(),
            }
        };
        Figure {
            title: self.title.to_owned(),
            panels: vec![
                panel("Accuracy of jobs answered", "%", Some((70.0, 95.0)), &|metrics| 100.0 * metrics.accuracy),
                panel("Right answers per arrival", "%", Some((60.0, 95.0)), &|metrics| 100.0 * metrics.right()),
                panel("Loss, small part of the scale", "%", Some((0.0, 5.0)), &|metrics| 100.0 * metrics.loss),
                panel("Loss", "%", Some((0.0, 100.0)), &|metrics| 100.0 * metrics.loss),
            ],
            names: drawn().map(|curve| curve.contender.name.to_owned()).collect(),
        }
    }
}

fn numbers(loads: &[f64], curves: &[Curve]) -> Csv {
    let mut csv =
        Csv::new(&["scheduler", "load", "loss", "accuracy", "right_per_arrival", "mean_latency_s", "p95_latency_s"]);
    for curve in curves {
        for (&load, one) in loads.iter().zip(&curve.metrics) {
            csv.row(
                &[curve.contender.name],
                &[load, one.loss, one.accuracy, one.right(), one.mean_latency, one.p95_latency],
            );
        }
    }
    csv
}

fn table(loads: &[f64], curves: &[Curve]) -> Table {
    let shown: Vec<usize> = (0..loads.len()).filter(|&index| IN_TEXT.contains(&loads[index])).collect();
    let heads: Vec<String> = shown.iter().map(|&index| format!("load {}: loss / accuracy", loads[index])).collect();
    let columns: Vec<&str> = std::iter::once("scheduler").chain(heads.iter().map(String::as_str)).collect();
    let mut table = Table::new(&columns);
    for curve in curves {
        let cell = |&index: &usize| {
            let one = &curve.metrics[index];
            format!("{} / {}", percent(one.loss), percent(one.accuracy))
        };
        table.row(&std::iter::once(curve.contender.name.to_owned()).chain(shown.iter().map(cell)).collect::<Vec<_>>());
    }
    table
}

/// What the figure shows, in words, also where ours loses.
fn words(loads: &[f64], curves: &[Curve]) -> String {
    let within = |metrics: &Metrics| metrics.loss <= LOSS_TARGET;
    // Among those within the target the most accurate; where nobody is, the one that loses least.
    let best = |index: usize, eligible: &dyn Fn(&str) -> bool| {
        let candidates = || curves.iter().filter(|curve| eligible(curve.contender.name));
        let inside = candidates().filter(|curve| within(&curve.metrics[index]));
        let accuracy = |curve: &&Curve| curve.metrics[index].accuracy;
        let loss = |curve: &&Curve| curve.metrics[index].loss;
        inside
            .max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)))
            .or_else(|| candidates().min_by(|a, b| loss(a).total_cmp(&loss(b))))
    };
    // SMDP is ours as well, but who has Auto does not have SMDP beside it.
    let ours = |name: &str| name == "Auto";
    let mut text = String::new();
    let is_kept = |index: &usize| curves.iter().any(|curve| within(&curve.metrics[*index]));
    let kept: Vec<usize> = (0..loads.len()).filter(is_kept).collect();
    let (mut wins, mut lines) = (0, vec![]);
    for (index, load) in loads.iter().enumerate() {
        let (Some(our), Some(their)) = (best(index, &ours), best(index, &|name| !ours(name))) else { continue };
        let (a, b) = (&our.metrics[index], &their.metrics[index]);
        let ahead = match (within(a), within(b)) {
            (true, true) => a.accuracy - b.accuracy,
            (true, false) => 1.0,
            (false, true) => -1.0,
            (false, false) => b.loss - a.loss,
        };
        wins += usize::from(ahead > -WORTH_A_WORD && kept.contains(&index));
        if ahead < -WORTH_A_WORD {
            lines.push(format!(
                "At load {load} {} does better: {} accuracy at a loss of {}, against {} at {} of {}.",
                their.contender.name,
                percent(b.accuracy),
                percent(b.loss),
                percent(a.accuracy),
                percent(a.loss),
                our.contender.name,
            ));
        }
    }
    text.push_str(&format!(
        "Somebody keeps the loss target at {} of {} loads; of those who do, Auto is the most accurate, or within 0.1 points of it, at {wins} of \
         them. ",
        kept.len(),
        loads.len()
    ));
    text.push_str(&in_vain(loads, curves, &kept));
    text.push_str(&lines.join(" "));
    text
}

/// What ours come to where nobody keeps the target.
fn in_vain(loads: &[f64], curves: &[Curve], kept: &[usize]) -> String {
    let of = |name: &str| curves.iter().find(|curve| curve.contender.name == name);
    let (Some(ours), Some(first)) = (of("Auto"), of("ExitFirst")) else { return String::new() };
    let lost: Vec<usize> = (0..loads.len()).filter(|index| !kept.contains(index)).collect();
    if lost.is_empty() {
        return String::new();
    }
    let more = lost.iter().map(|&index| ours.metrics[index].loss - first.metrics[index].loss).fold(0.0, f64::max);
    let named: Vec<String> = lost.iter().map(|&index| loads[index].to_string()).collect();
    let mean = |curve: &Curve| lost.iter().map(|&index| curve.metrics[index].right()).sum::<f64>() / lost.len() as f64;
    let most = curves.iter().max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap_or(ours);
    let right = match most.contender.name == ours.contender.name {
        true => "Nobody gives more right answers per arrival there. ".to_owned(),
        false => format!(
            "Whoever wants right answers whatever is lost is better off with {} there: {} of arrivals in the mean, against {} with Auto. ",
            most.contender.name,
            percent(mean(most)),
            percent(mean(ours)),
        ),
    };
    format!(
        "At load {} nobody does, and all that is left is to lose little: Auto loses at most {:.2} points more than ExitFirst there, and is \
         little more accurate than that. {right}",
        named.join(", "),
        100.0 * more
    )
}
