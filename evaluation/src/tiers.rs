//! Several devices: the gateway alone, with a near edge, and with a far edge behind it.

use crate::contenders::{Contender, all};
use crate::figure::{Figure, Line, Panel};
use crate::models::Models;
use crate::output::{Csv, Output, Table, percent};
use crate::run::{self, Metrics, Size};
use crate::setting::{Arrivals, LOSS_TARGET, SPEEDS, tiers};

pub(crate) const NAMES: [&str; 3] = ["gateway only", "gateway and near edge", "gateway, near and far edge"];
pub(crate) const CONTENDERS: [&str; 4] = ["Auto", "Knapsack", "AdaEE", "ExitLast"];

/// What a contender does on so many tiers.
struct Curve {
    contender: Contender,
    beyond: usize,
    metrics: Vec<Metrics>,
}

pub(crate) fn run(models: &Models, short: bool, size: Size, out: &mut Output) -> anyhow::Result<()> {
    let loads: &[f64] = if short { &[1.0, 3.0] } else { &[0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0] };
    let mut curves = vec![];
    for (beyond, name) in NAMES.iter().enumerate() {
        for contender in all().into_iter().filter(|contender| CONTENDERS.contains(&contender.name)) {
            eprintln!("{name}: {}", contender.name);
            let metrics = |&load: &f64| -> anyhow::Result<Metrics> {
                let problem = tiers(&models.ceed, beyond, load, Arrivals::Poisson)?;
                let (policy, _) = run::plan(&contender, &problem, size)?;
                run::simulate(&run::network(&contender, &problem, policy), size)
            };
            let metrics = loads.iter().map(metrics).collect::<anyhow::Result<_>>()?;
            curves.push(Curve { contender, beyond, metrics });
        }
    }
    out.say("## Several devices");
    out.say(format!(
        "CEED times at the gateway, a near edge of {} times its speed and a far edge of {} times; links of 100 Mbit/s, 1 ms and 10 ms away. \
         Chains: all on one device, or the first third of the segments on the gateway and the rest on one of the others. Load \
         factor 1 saturates the gateway alone in all three. Knapsack and AdaEE see one chain at a time; jobs are shared among chains so that \
         most could go to the last exit. Auto decides shares and thresholds together.",
        SPEEDS[1], SPEEDS[2]
    ));
    out.show("tiers", &figure(loads, &curves), &numbers(loads, &curves))?;
    out.say(words(loads, &curves));
    out.say(table(loads, &curves).text());
    Ok(())
}

fn figure(loads: &[f64], curves: &[Curve]) -> Figure {
    let panel = |beyond: usize, title: &str, range, value: &dyn Fn(&Metrics) -> f64| {
        let line = |curve: &Curve| Line {
            name: curve.contender.name.to_owned(),
            points: loads.iter().zip(&curve.metrics).map(|(&load, metrics)| (load, value(metrics))).collect(),
        };
        let here = curves.iter().filter(|curve| curve.beyond == beyond);
        let title = format!("{}: {title}", NAMES[beyond]);
        Panel {
            title,
            x: "load factor".to_owned(),
            y: "%".to_owned(),
            range: Some(range),
            lines: here.map(line).collect(),
        }
    };
    let both = |beyond| {
        [
            panel(beyond, "accuracy", (70.0, 95.0), &|metrics: &Metrics| 100.0 * metrics.accuracy),
            panel(beyond, "loss", (0.0, 70.0), &|metrics: &Metrics| 100.0 * metrics.loss),
        ]
    };
    Figure {
        title: "Three tiers, CEED times".to_owned(),
        panels: (0..NAMES.len()).flat_map(both).collect(),
        names: CONTENDERS.map(str::to_owned).to_vec(),
    }
}

fn numbers(loads: &[f64], curves: &[Curve]) -> Csv {
    let mut csv = Csv::new(&[
        "tiers",
        "scheduler",
        "load",
        "loss",
        "accuracy",
        "right_per_arrival",
        "mean_latency_s",
        "p95_latency_s",
    ]);
    for curve in curves {
        for (&load, one) in loads.iter().zip(&curve.metrics) {
            let values = [load, one.loss, one.accuracy, one.right(), one.mean_latency, one.p95_latency];
            csv.row(&[NAMES[curve.beyond], curve.contender.name], &values);
        }
    }
    csv
}

fn table(loads: &[f64], curves: &[Curve]) -> Table {
    let shown: Vec<usize> = (0..loads.len()).filter(|&index| loads[index].fract() == 0.0).collect();
    let heads: Vec<String> = shown.iter().map(|&index| format!("load {}: loss / accuracy", loads[index])).collect();
    let columns: Vec<&str> = std::iter::once("tiers, scheduler").chain(heads.iter().map(String::as_str)).collect();
    let mut table = Table::new(&columns);
    for curve in curves {
        let cell = |&index: &usize| {
            let one = &curve.metrics[index];
            format!("{} / {}", percent(one.loss), percent(one.accuracy))
        };
        let name = format!("{}, {}", NAMES[curve.beyond], curve.contender.name);
        table.row(&std::iter::once(name).chain(shown.iter().map(cell)).collect::<Vec<_>>());
    }
    table
}

/// What the figure shows, in words, also where ours loses.
fn words(loads: &[f64], curves: &[Curve]) -> String {
    let mut lines = vec![];
    for (beyond, name) in NAMES.iter().enumerate() {
        let of =
            |contender: &str| curves.iter().find(|curve| curve.beyond == beyond && curve.contender.name == contender);
        let Some(ours) = of("Auto") else { continue };
        let met = |curve: &Curve| curve.metrics.iter().filter(|metrics| metrics.loss <= LOSS_TARGET).count();
        let mean = |curve: &Curve| curve.metrics.iter().map(Metrics::right).sum::<f64>() / loads.len() as f64;
        let others = CONTENDERS[1..]
            .iter()
            .filter_map(|&other| of(other))
            .map(|other| format!("{} {} at {} loads", other.contender.name, percent(mean(other)), met(other)));
        lines.push(format!(
            "With {name} Auto gives the right answer to {} of arrivals (mean over loads) and keeps loss within the target at {} of {} loads; {}.",
            percent(mean(ours)),
            met(ours),
            loads.len(),
            others.collect::<Vec<_>>().join(", "),
        ));
        let behind = loads.iter().enumerate().filter_map(|(index, load)| {
            let (our, better) = (&ours.metrics[index], CONTENDERS[1..].iter().filter_map(|&other| of(other)));
            let better = better.filter(|other| {
                other.metrics[index].loss <= our.loss.max(LOSS_TARGET)
                    && other.metrics[index].accuracy > our.accuracy + 0.001
            });
            let names: Vec<&str> = better.map(|other| other.contender.name).collect();
            (!names.is_empty())
                .then(|| format!("At load {load} ours is less accurate than {} at no less loss.", names.join(" and ")))
        });
        lines.extend(behind);
        let others: Vec<&Curve> = CONTENDERS[1..].iter().filter_map(|&other| of(other)).collect();
        lines.extend(loads.iter().enumerate().filter_map(|(index, load)| costs(*load, index, ours, &others)));
    }
    lines.join(" ")
}

/// Where another one that keeps the target gives more right answers to arrivals, or as many much sooner: losses within the
/// target and latencies without one are free for ours, which may spend them on next to nothing.
fn costs(load: f64, index: usize, ours: &Curve, others: &[&Curve]) -> Option<String> {
    let our = &ours.metrics[index];
    let is_better = |other: &&&Curve| {
        let their = &other.metrics[index];
        let (more, sooner) = (their.right() - our.right(), their.p95_latency < our.p95_latency / 1.5);
        their.loss <= LOSS_TARGET && (more > 0.001 || more > -0.001 && sooner)
    };
    let better = others
        .iter()
        .filter(is_better)
        .max_by(|one, other| one.metrics[index].right().total_cmp(&other.metrics[index].right()))?;
    let their = &better.metrics[index];
    Some(format!(
        "At load {load} {} gives the right answer to {} of arrivals with a p95 of {:.1} s, ours to {} with {:.1} s.",
        better.contender.name,
        percent(their.right()),
        their.p95_latency,
        percent(our.right()),
        our.p95_latency,
    ))
}
