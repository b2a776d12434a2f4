//! One device whose load changes, and whose input does.

use crate::contenders::{Contender, all};
use crate::figure::{Figure, Line, Panel};
use crate::follow::{Followed, PLANNING, Pace, Wrap, follow};
use crate::joint;
use crate::models::{Distortion, Models};
use crate::output::{Csv, Output, Table, percent};
use crate::run::{self, Size};
use crate::setting::{Arrivals, LOSS_TARGET, one_device, saturation, tiers};
use anyhow::Context as _;
use domain::{Plan, Policy, Probability, Problem, Thresholds};
use policy::{Arriving, Dispatching, Outcome, Selected};
use rand::Rng;
use simulator::{Effort, Interval, Law, Network};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Length of each of the three parts, in service times of the whole network.
const PART: f64 = 1500.0;
/// The same where the input changes: minutes, so that a share of jobs that is audited is hundreds of jobs.
const LONG_PART: f64 = 15_000.0;
/// Points of each line per part.
const POINTS: f64 = 12.0;
/// Load before and after the step, and during it.
const LOADS: (f64, f64) = (1.0, 4.0);
/// Load while the input changes.
const DISTORTED_LOAD: f64 = 2.0;
/// Share of jobs that are audited where somebody listens.
const AUDITED: f64 = 0.02;
/// Loads of the parts, over three tiers that can run the whole network at load 4.
const TIER_LOADS: [f64; 3] = [1.0, 12.0, 4.0];
/// Accuracy below which a scheduler is not worth a word for losing little.
const LEAST_ACCURATE: f64 = 0.77;
/// Accuracy that tells courses apart.
const CLEARLY: f64 = 0.002;
/// What the second source is called.
const DISTORTED: &str = "distorted";

/// What happened to the jobs of one contender over time.
struct Course {
    name: &'static str,
    /// Per interval, all replications and sources together.
    intervals: Vec<Interval>,
}

pub(crate) fn run(models: &Models, short: bool, size: Size, out: &mut Output) -> anyhow::Result<()> {
    let runs = |runs: u32| NonZeroU32::new(if short { 2 } else { runs }).expect("neither is 0");
    out.say("## Changes");
    load_step(models, runs(16), size, out)?;
    for distortion in models.distortions.iter().filter(|distortion| distortion.name != "clean") {
        distorted(models, distortion, runs(8), size, out)?;
    }
    followed(models, short, size, out)
}

/// Steps of the load over three tiers, with the drift loop and without.
fn followed(models: &Models, short: bool, size: Size, out: &mut Output) -> anyhow::Result<()> {
    let replications = NonZeroU32::new(if short { 2 } else { 8 }).expect("neither is 0");
    let rate = saturation(&models.ceed);
    let part = PART / rate;
    let problem = tiers(&models.ceed, 2, TIER_LOADS[0], Arrivals::Poisson)?;
    let table = joint::plan_with_table(&joint::unscored(&problem), size);
    let fixed = Policy { rates: None, ..table.clone() };
    let exit_last = planner::schedule(&planner::Scheduler::ExitLast, &problem, 0)?;
    let courses = [
        ("planned again", &table, true),
        ("table over rates", &table, false),
        ("first plan", &fixed, false),
        ("ExitLast", &exit_last, false),
    ];
    let mut plans = 0;
    let mut course = |(name, policy, follows): (&'static str, &Policy, bool)| -> anyhow::Result<Course> {
        eprintln!("load steps over three tiers: {name}");
        let mut network = simulator::problem::network(&problem, &Plan { policies: vec![policy.clone()] });
        let pieces = TIER_LOADS.map(|load| (part, load * rate));
        network.sources[0].arrivals = pieces_of(&pieces);
        if !follows {
            return course_of(name, &network, part, replications, size);
        }
        let as_it_is: Wrap = Arc::new(|scheduler| scheduler);
        let pace = Pace { part, unit: 1.0 / rate, sees_exits: true };
        let followed = follow(&mut network, &problem, policy, pace, &as_it_is, size);
        let course = course_of(name, &network, part, replications, size);
        plans = followed.plans.load(Ordering::Relaxed);
        course
    };
    let courses = courses.into_iter().map(&mut course).collect::<anyhow::Result<Vec<Course>>>()?;
    out.say("### Steps of the load over three tiers");
    out.say(format!(
        "CEED times, gateway with near and far edge; the load factor is {}, then {}, then {}. *Planned again*: the drift loop reads counters, \
         detects the change, and has Auto plan again; *table over rates*: the gateway's own table, planned around the first \
         load, which reaches up to eight times that; *first plan*: the plan for the first load without its table. The loop counts a service of the whole network as a second, and \
         takes plans that beat the one in force {PLANNING} s after it asked for them, a thousand an hour if need be. In {replications} runs \
         {plans} new plans were made.",
        TIER_LOADS[0], TIER_LOADS[1], TIER_LOADS[2]
    ));
    out.show("tier-steps", &figure("Steps of the load over three tiers", &courses), &numbers(&courses))?;
    let says = |course: &Course| format!("{} {}", course.name, course.says(Part::Rest));
    out.say(format!(
        "Once the first twelfth of the highest load is over, loss / accuracy are: {}.",
        courses.iter().map(says).collect::<Vec<_>>().join(", ")
    ));
    out.say(parts_table(&courses).text());
    Ok(())
}

/// The load is four times what was forecast for a while: what a policy does by itself, and what the drift loop adds.
fn load_step(models: &Models, replications: NonZeroU32, size: Size, out: &mut Output) -> anyhow::Result<()> {
    let rate = saturation(&models.fashion);
    let part = PART / rate;
    let problem = one_device(&models.fashion, LOADS.0, Arrivals::Poisson)?;
    let course = |contender: Contender| -> anyhow::Result<Course> {
        eprintln!("load step: {}", contender.name);
        let (policy, _) = run::plan(&contender, &problem, size)?;
        let mut network = run::network(&contender, &problem, policy);
        let pieces = [LOADS.0, LOADS.1, LOADS.0].map(|load| (part, load * rate));
        network.sources[0].arrivals = pieces_of(&pieces);
        course_of(contender.name, &network, part, replications, size)
    };
    let contenders = all().into_iter().filter(|contender| contender.drawn || contender.name.contains("confidence"));
    let mut courses: Vec<Course> = contenders.map(course).collect::<anyhow::Result<_>>()?;
    courses.push(planned_again(&problem, rate, replications, size)?);
    out.say("### A step in the load");
    out.say(format!(
        "Fashion-MNIST on one device, planned for load {}; for a third of the time the load is {}. Nobody plans again but in the last line: the gateway \
         has the policy with its table over rates, or its bandit. *{AGAIN}* has the drift loop, which counts a service of the whole network as a second and \
         takes plans that beat the one in force {PLANNING} s after it asked for them. A part lasts {PART} services of the whole network; means over {replications} runs.",
        LOADS.0, LOADS.1
    ));
    out.show("load-step", &figure("A step in the load", &courses), &numbers(&courses))?;
    out.say(words(&courses));
    out.say(why_behind(models, size)?);
    out.say(parts_table(&courses).text());
    Ok(())
}

const AGAIN: &str = "Auto, planned again";

/// Auto with the drift loop, while the load changes.
fn planned_again(problem: &Problem, rate: f64, replications: NonZeroU32, size: Size) -> anyhow::Result<Course> {
    eprintln!("load step: {AGAIN}");
    let part = PART / rate;
    let policy = joint::plan_with_table(&joint::unscored(problem), size);
    let mut network = simulator::problem::network(problem, &Plan { policies: vec![policy.clone()] });
    let pieces = [LOADS.0, LOADS.1, LOADS.0].map(|load| (part, load * rate));
    network.sources[0].arrivals = pieces_of(&pieces);
    let as_it_is: Wrap = Arc::new(|scheduler| scheduler);
    let pace = Pace { part, unit: 1.0 / rate, sees_exits: true };
    follow(&mut network, problem, &policy, pace, &as_it_is, size);
    course_of(AGAIN, &network, part, replications, size)
}

/// What Auto gives away during the step by knowing only the rows of its table, in words.
fn why_behind(models: &Models, size: Size) -> anyhow::Result<String> {
    let auto = all().into_iter().find(|contender| contender.name == "Auto").expect("it is one of them");
    let planned_for = |load: f64| -> anyhow::Result<String> {
        let (policy, _) = run::plan(&auto, &one_device(&models.fashion, load, Arrivals::Poisson)?, size)?;
        let by_present = policy.default.choices().iter().any(|choice| !choice.by_present.is_empty());
        let how = if by_present { "looking at jobs present" } else { "the same whoever is present" };
        let there = one_device(&models.fashion, LOADS.1, Arrivals::Poisson)?;
        let found = run::simulate(&run::network(&auto, &there, Policy { rates: None, ..policy }), size)?;
        Ok(format!("{} / {} ({how})", percent(found.loss), percent(found.accuracy)))
    };
    let (policy, _) = run::plan(&auto, &one_device(&models.fashion, LOADS.0, Arrivals::Poisson)?, size)?;
    let table = policy.rates.context("Auto has a table over rates")?;
    let row = table.rows.iter().find(|row| LOADS.0 * row.up_to >= LOADS.1).context("the table reaches so far")?;
    let kind = match row.default.choices().iter().any(|choice| !choice.by_present.is_empty()) {
        true => "which looks at jobs present",
        false => "which is the same whoever is present",
    };
    Ok(format!(
        "Auto takes the row of its table for {:.2} times the forecast then, the next one that is not too low, {kind}. Planned \
         for that load it comes to {} here, and planned for the load of the step itself to {}. What is between it gives away until there is a new plan, which needs the drift loop.",
        row.up_to,
        planned_for(LOADS.0 * row.up_to)?,
        planned_for(LOADS.1)?,
    ))
}

/// The images are distorted for a while, at a load that does not change.
fn distorted(
    models: &Models,
    distortion: &Distortion,
    replications: NonZeroU32,
    size: Size,
    out: &mut Output,
) -> anyhow::Result<()> {
    let rate = DISTORTED_LOAD * saturation(&models.fashion);
    let part = LONG_PART / saturation(&models.fashion);
    let problem = one_device(&models.fashion, DISTORTED_LOAD, Arrivals::Poisson)?;
    let clean = models.distortions.iter().find(|one| one.name == "clean").expect("the images as they are come first");
    let course = |contender: Contender| -> anyhow::Result<Course> {
        eprintln!("{} input: {}", distortion.name, contender.name);
        let (policy, _) = run::plan(&contender, &problem, size)?;
        let mut network = run::network(&contender, &problem, policy);
        add_source(&mut network, clean, distortion);
        let [pieces, others] = distorted_for_a_while(part, rate);
        (network.sources[0].arrivals, network.sources[1].arrivals) = (pieces, others);
        course_of(contender.name, &network, part, replications, size)
    };
    let contenders = all().into_iter().filter(|contender| contender.drawn || contender.name.contains("confidence"));
    let mut courses: Vec<Course> = contenders.map(course).collect::<anyhow::Result<_>>()?;
    let mut followed = vec![];
    for sees_exits in [true, false] {
        let (course, counts) = audited(models, clean, distortion, sees_exits, replications, size)?;
        courses.push(course);
        followed.push(counts);
    }
    let title = format!("{} images for a while", capital(distortion.name));
    out.say(format!("### {title}"));
    out.say(format!(
        "The first 1,000 test images at load {DISTORTED_LOAD}; in the middle third they are {}. Thresholds were chosen on clean images. A part lasts \
         {LONG_PART} services of the whole network, some five minutes; means over {replications} runs. *{AUDITS}* has a loop that sees how often exits agree with \
         the last one and at which exits jobs leave, and plans again: {} % of jobs go on to the last exit for it (1 % unless asked for), and it takes plans that beat the \
         one in force {PLANNING} s after it asked for them, a thousand an hour if need be (unless a manifest says otherwise it is {} an hour at most). *{AUDITS_ONLY}* does not look at where jobs leave. {}",
        distortion.name,
        100.0 * AUDITED,
        api::Reoptimization::default().maximum_changes_per_hour,
        counted(&followed),
    ));
    out.show(&format!("{}-input", distortion.name), &figure(&title, &courses), &numbers(&courses))?;
    out.say(words(&courses));
    out.say(parts_table(&courses).text());
    Ok(())
}

const AUDITS: &str = "Auto with audits";
const AUDITS_ONLY: &str = "Auto with audits alone";

/// What loops with and without a look at exits have done, in words.
fn counted(followed: &[Arc<Followed>]) -> String {
    let of = |(one, name): (&Arc<Followed>, &str)| {
        let [plans, by_audits, by_exits] =
            [&one.plans, &one.by_audits, &one.by_exits].map(|counter| counter.load(Ordering::Relaxed));
        format!(
            "In all runs of {name} together exit tables were re-weighted {by_audits} times by audits and {by_exits} times by exits, and {plans} new plans were made."
        )
    };
    followed.iter().zip([AUDITS, AUDITS_ONLY]).map(of).collect::<Vec<_>>().join(" ")
}

/// Arrivals of images as they are, and of distorted ones.
fn distorted_for_a_while(part: f64, rate: f64) -> [simulator::Arrivals; 2] {
    [[(part, rate), (part, 0.0), (part, rate)], [(part, 0.0), (part, rate), (part, 0.0)]].map(|parts| pieces_of(&parts))
}

/// Auto with audits and the drift loop: exit tables are re-weighted by how often exits agree with the last one, and by where jobs
/// leave.
fn audited(
    models: &Models,
    clean: &Distortion,
    distortion: &Distortion,
    sees_exits: bool,
    replications: NonZeroU32,
    size: Size,
) -> anyhow::Result<(Course, Arc<Followed>)> {
    let name = if sees_exits { AUDITS } else { AUDITS_ONLY };
    eprintln!("{} input: {name}", distortion.name);
    let rate = DISTORTED_LOAD * saturation(&models.fashion);
    let part = LONG_PART / saturation(&models.fashion);
    let mut problem = one_device(&models.fashion, DISTORTED_LOAD, Arrivals::Poisson)?;
    problem.services[0].audit = Probability::new(AUDITED)?;
    let policy = joint::plan_with_table(&joint::unscored(&problem), size);
    let mut network = simulator::problem::network(&problem, &Plan { policies: vec![policy.clone()] });
    let blind = add_source(&mut network, clean, distortion);
    let [pieces, others] = distorted_for_a_while(part, rate);
    (network.sources[0].arrivals, network.sources[1].arrivals) = (pieces, others);
    let followed = follow(&mut network, &problem, &policy, Pace { part, unit: 1.0, sees_exits }, &blind, size);
    Ok((course_of(name, &network, part, replications, size)?, followed))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn pieces_of(pieces: &[(f64, f64)]) -> simulator::Arrivals {
    simulator::Arrivals::Piecewise { gaps: Law::Exponential { mean: 1.0 }, pieces: pieces.to_vec(), repeat: false }
}

/// A second source whose jobs are other samples; the scheduler does not know that they are. Gives what makes others as blind.
fn add_source(network: &mut Network, clean: &Distortion, distorted: &Distortion) -> Wrap {
    network.models[0].table = Arc::new(clean.table.clone());
    let mut model = network.models[0].clone();
    model.table = Arc::new(distorted.table.clone());
    network.models.push(model);
    let chains = network.chains.len();
    for chain in 0..chains {
        let mut twin = network.chains[chain].clone();
        twin.name.push_str(" (distorted)");
        twin.model = Some(1);
        network.chains.push(twin);
    }
    let mut source = network.sources[0].clone();
    let name = std::mem::replace(&mut source.name, DISTORTED.to_owned());
    network.sources.push(source);
    let scheduling = &mut network.schedulers[0];
    let (make, own) = (scheduling.make.clone(), scheduling.chains.len());
    let twins: Vec<usize> = scheduling.chains.iter().map(|chain| chain + chains).collect();
    scheduling.chains.extend(twins);
    let blind: Wrap = Arc::new(move |inner| Box::new(Blind { inner, source: name.clone(), chains: own }));
    let wrap = blind.clone();
    scheduling.make = Arc::new(move |replication| wrap(make(replication)));
    blind
}

/// A scheduler that takes the second source for the first.
struct Blind {
    inner: Box<dyn policy::Scheduler>,
    source: String,
    chains: usize,
}

impl policy::Scheduler for Blind {
    fn arrive(&mut self, arriving: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>> {
        if arriving.source != DISTORTED {
            return self.inner.arrive(arriving, rng);
        }
        let chains = self.chains;
        let usable = |chain: usize| (arriving.usable)(chain + chains);
        let seen = Arriving { source: &self.source, usable: &usable, ..*arriving };
        self.inner.arrive(&seen, rng).map(|selected| Selected { chain: selected.chain + chains, ..selected })
    }

    fn dispatch(&mut self, dispatching: &Dispatching<'_>, rng: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        let seen = Dispatching { source: &self.source, chain: dispatching.chain % self.chains, ..*dispatching };
        self.inner.dispatch(&seen, rng)
    }

    fn ended(&mut self, outcome: &Outcome<'_>) {
        self.inner.ended(&Outcome { source: &self.source, ..*outcome });
    }
}

fn course_of(
    name: &'static str,
    network: &Network,
    part: f64,
    replications: NonZeroU32,
    size: Size,
) -> anyhow::Result<Course> {
    let effort = Effort {
        seed: size.seed,
        replications: Some(replications),
        precision: None,
        series: Some(part / POINTS),
        ..Effort::default()
    };
    let report = simulator::simulate(network, &effort)?;
    let series = report.series.expect("it was asked for");
    let mut intervals = vec![Interval::default(); (3.0 * POINTS) as usize];
    for source in &series.sources {
        for (sum, one) in intervals.iter_mut().zip(source) {
            sum.arrived += one.arrived;
            sum.answered += one.answered;
            sum.lost += one.lost;
            sum.correct += one.correct;
            sum.latency_sum += one.latency_sum;
        }
    }
    Ok(Course { name, intervals })
}

fn figure(title: &str, courses: &[Course]) -> Figure {
    let panel = |title: &str, range, value: &dyn Fn(&Interval) -> f64| {
        let at = |index: usize| (index as f64 + 0.5) / POINTS;
        let line = |course: &Course| Line {
            name: course.name.to_owned(),
            points: course.intervals.iter().enumerate().map(|(index, one)| (at(index), 100.0 * value(one))).collect(),
        };
        let (x, y) = ("part of the run".to_owned(), "%".to_owned());
        Panel { title: title.to_owned(), x, y, range: Some(range), lines: courses.iter().map(line).collect() }
    };
    Figure {
        title: title.to_owned(),
        panels: vec![panel("Accuracy of jobs answered", (60.0, 95.0), &accuracy), panel("Loss", (0.0, 30.0), &loss)],
        names: courses.iter().map(|course| course.name.to_owned()).collect(),
    }
}

fn accuracy(interval: &Interval) -> f64 {
    interval.correct / interval.answered
}

fn loss(interval: &Interval) -> f64 {
    interval.lost / interval.arrived
}

fn numbers(courses: &[Course]) -> Csv {
    let mut csv = Csv::new(&["scheduler", "part", "loss", "accuracy", "mean_latency_s"]);
    for course in courses {
        for (index, one) in course.intervals.iter().enumerate() {
            let at = (index as f64 + 0.5) / POINTS;
            csv.row(&[course.name], &[at, loss(one), accuracy(one), one.latency_sum / one.answered]);
        }
    }
    csv
}

/// Parts of a course that are told apart.
#[derive(Debug, Clone, Copy)]
enum Part {
    Before,
    /// The first twelfth of the change.
    First,
    /// All the others.
    Rest,
    After,
}

const PARTS: [Part; 4] = [Part::Before, Part::First, Part::Rest, Part::After];

impl Course {
    /// Loss and accuracy.
    fn part(&self, part: Part) -> (f64, f64) {
        let points = POINTS as usize;
        let range = match part {
            Part::Before => 0..points,
            Part::First => points..points + 1,
            Part::Rest => points + 1..2 * points,
            Part::After => 2 * points..3 * points,
        };
        let sum = self.intervals[range].iter().fold(Interval::default(), |mut sum, one| {
            (sum.arrived, sum.answered) = (sum.arrived + one.arrived, sum.answered + one.answered);
            (sum.lost, sum.correct) = (sum.lost + one.lost, sum.correct + one.correct);
            sum
        });
        (loss(&sum), accuracy(&sum))
    }

    /// Both in words.
    fn says(&self, part: Part) -> String {
        let (loss, accuracy) = self.part(part);
        format!("{} / {}", percent(loss), percent(accuracy))
    }
}

fn parts_table(courses: &[Course]) -> Table {
    let mut table =
        Table::new(&["scheduler", "before: loss / accuracy", "first twelfth of the change", "rest of it", "after"]);
    for course in courses {
        let cells = PARTS.map(|part| course.says(part));
        table.row(&std::iter::once(course.name.to_owned()).chain(cells).collect::<Vec<_>>());
    }
    table
}

/// What the figure shows, in words, also where ours loses.
/// Who is ahead of Auto, where that keeps the plan that it has.
fn ahead_of_auto(courses: &[Course]) -> Option<String> {
    let rest = |course: &Course| course.part(Part::Rest);
    let auto = rest(courses.iter().find(|course| course.name == "Auto")?);
    let keeps = |course: &&Course| rest(course).0 <= LOSS_TARGET;
    let ahead = courses.iter().filter(keeps).filter(|course| rest(course).1 > auto.1 + CLEARLY);
    let ahead = ahead.filter(|course| !course.name.starts_with("Auto"));
    let names: Vec<String> = ahead.map(|course| format!("{} ({})", course.name, percent(rest(course).1))).collect();
    let plan = "with the plan that it has";
    Some(match names.is_empty() {
        true => format!("Auto, {plan}, is behind no other that keeps the target."),
        false => format!("Auto, {plan}, is behind {} there, which keep the target.", names.join(", ")),
    })
}

fn words(courses: &[Course]) -> String {
    let mut lines = vec![];
    let ours = |course: &&Course| course.name.starts_with("Auto") || course.name == "SMDP";
    for course in courses.iter().filter(ours) {
        lines.push(format!(
            "{} goes from {} (loss / accuracy) before to {} in the first twelfth of the change and {} in the rest of it, and is \
             at {} after.",
            course.name,
            course.says(Part::Before),
            course.says(Part::First),
            course.says(Part::Rest),
            course.says(Part::After),
        ));
    }
    let keeps = |course: &&Course| course.part(Part::Rest).0 <= LOSS_TARGET;
    let best = |of: &dyn Fn(&&Course) -> bool| {
        let accuracy = |course: &&Course| course.part(Part::Rest).1;
        courses.iter().filter(|course| of(course)).max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)))
    };
    if let Some(first) = best(&keeps) {
        let of_ours = best(&|course| ours(course) && keeps(course));
        let beside = match of_ours {
            Some(same) if same.name == first.name => ", one of ours".to_owned(),
            Some(other) => format!("; of ours it is {} with {}", other.name, percent(other.part(Part::Rest).1)),
            None => "; none of ours keeps it".to_owned(),
        };
        lines.push(format!(
            "Of those that keep the loss target in the rest of the change the most accurate is {} with {}{beside}.",
            first.name,
            percent(first.part(Part::Rest).1),
        ));
    }
    lines.extend(ahead_of_auto(courses));
    let quick = courses.iter().filter(|course| course.part(Part::Rest).1 > LEAST_ACCURATE);
    if let Some(quick) = quick.min_by(|a, b| a.part(Part::First).0.total_cmp(&b.part(Part::First).0)) {
        let loss = percent(quick.part(Part::First).0);
        lines.push(format!("Least is lost in the first twelfth by {} ({loss}), ExitFirst apart.", quick.name));
    }
    let learns = |course: &&Course| course.name.contains("AdaEE") || course.name.contains("confidence");
    let learners: Vec<String> =
        courses.iter().filter(learns).map(|course| format!("{} {}", course.name, course.says(Part::Rest))).collect();
    if !learners.is_empty() {
        lines.push(format!("Those that learn while they serve, in the rest of the change: {}.", learners.join(", ")));
    }
    lines.join(" ")
}
