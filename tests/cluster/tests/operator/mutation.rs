//! Every field that users can set is changed, one after the other, on a service that runs. Afterwards everything must be as if it had been made so
//! from the beginning, and after the change is taken back as it was before: what a small Acto (SOSP'23) looks for.
//!
//! Bounded in time: by `EENN_MUTATION_SECONDS`, 60 unless given, in an order by `EENN_MUTATION_SEED`.

pub(crate) mod fields;

use crate::scene::{Operator, Scene};
use crate::stage::{Props, Stage, difference};
use anyhow::{Context as _, bail, ensure};
use cluster_tests::Test;
use fields::Mutation;
use serde_json::Value;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[(
    "a_change_ends_where_a_new_start_does_and_can_be_taken_back",
    a_change_ends_where_a_new_start_does_and_can_be_taken_back,
)];

/// Users' kinds, and names of their objects on a stage.
const MUTATED: [(&str, &str); 4] =
    [("eennservices", "camera"), ("qostargets", "interactive"), ("eennmodels", "fashion-mnist"), ("devicepools", "")];
const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing has changed for so long: everything has been done, plans included, whatever else the machine does.
const QUIET: Duration = Duration::from_secs(5);
const AT_A_TIME: usize = 4;

fn a_change_ends_where_a_new_start_does_and_can_be_taken_back() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let props = Props::one_chain(&scene)?;
    let mut mutations = vec![];
    for (plural, _) in MUTATED {
        let definition = scene.get(&format!("crd/{plural}.eenn.dev"))?;
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let object = props.of(plural).with_context(|| format!("the stage has {plural}"))?;
        mutations.extend(fields::mutations(plural, schema, &object["spec"]));
    }
    // What a model does not say is measured, which fake pods never come to an end with.
    let is_measured = |one: &Mutation| one.value.is_none() && ["/profile", "/exitTable"].contains(&&*one.path);
    mutations.retain(|one| !is_measured(one));
    ensure!(mutations.len() > 100, "only {} mutations", mutations.len());
    let number =
        |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise);
    let (seconds, seed) = (number("EENN_MUTATION_SECONDS", 60), number("EENN_MUTATION_SEED", 1));
    fields::shuffle(&mut mutations, seed);
    let all = mutations.len();
    let left = Mutex::new(mutations.into_iter().enumerate());
    let until = Instant::now() + Duration::from_secs(seconds);
    let next = || -> anyhow::Result<Option<(usize, Mutation)>> {
        let next = left.lock().map_err(|_| anyhow::anyhow!("a worker panicked"))?.next();
        Ok(next.filter(|_| Instant::now() < until))
    };
    let worker = |number: usize| -> anyhow::Result<(usize, usize)> {
        let running = Running::begin(&scene, &props, number)?;
        let (mut tried, mut refused) = (0, 0);
        while let Some((number, mutation)) = next()? {
            let told = || format!("seed {seed}, number {number} of {all}, {mutation}\n{}", running.operator.log());
            if running.check(number, &mutation).with_context(told)? { tried += 1 } else { refused += 1 }
        }
        running.stage.clear()?;
        Ok((tried, refused))
    };
    let worker = &worker;
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|number| scope.spawn(move || worker(number))).collect();
        let failed = || Err(anyhow::anyhow!("a worker panicked"));
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| failed()));
        ended.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let tried: usize = results.iter().map(|(tried, _)| tried).sum();
    let refused: usize = results.iter().map(|(_, refused)| refused).sum();
    println!("{tried} changes tried and taken back, {refused} refused, of {all}; seed {seed}");
    ensure!(tried >= 4, "only {tried} mutations were taken in {seconds} s, {results:?}");
    Ok(())
}

/// A stage that one change after another is made on and taken back from.
struct Running<'a> {
    props: &'a Props,
    stage: Stage<'a>,
    operator: Operator,
    /// What it comes to without any change.
    before: Value,
}

impl<'a> Running<'a> {
    fn begin(scene: &'a Scene, props: &'a Props, number: usize) -> anyhow::Result<Self> {
        let stage = Stage::set(scene, &format!("changed-{number:04}"), props)?;
        let operator = stage.operator(&[])?;
        let before = settled(&stage)?;
        Ok(Self { props, stage, operator, before })
    }

    /// Whether the API server takes the mutation; an error where something is not as it should be afterwards.
    fn check(&self, number: usize, mutation: &Mutation) -> anyhow::Result<bool> {
        if !self.stage.change(mutation)? {
            return Ok(false);
        }
        let mut props = self.props.clone();
        props.mutate(mutation)?;
        let fresh = Stage::set(self.stage.scene, &format!("fresh-{number:04}"), &props)?;
        let operator = fresh.operator(&[])?;
        let after = settled(&self.stage)?;
        self.stage.change_back(mutation.plural, self.props)?;
        alike("it was taken back", &self.before, &settled(&self.stage)?)?;
        let (wanted, found) = both_planned(&settled(&fresh)?, &after);
        alike("it was made so from the beginning", &wanted, &found).with_context(|| operator.log())?;
        for log in [self.operator.log(), operator.log()] {
            ensure!(!log.contains("panicked"), "{log}");
        }
        drop(operator);
        fresh.clear()?;
        Ok(true)
    }
}

/// Waits until everything has been looked at and nothing changes any more, ready or not.
fn settled(stage: &Stage<'_>) -> anyhow::Result<Value> {
    let (began, mut since, mut last) = (Instant::now(), Instant::now(), Value::Null);
    loop {
        let state = stage.state()?;
        if state != last {
            (last, since) = (state, Instant::now());
        } else if since.elapsed() > QUIET && observed(&last) {
            return Ok(comparable(&last));
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "{} comes to no end: {:#}",
            stage.name,
            last["eennservices/camera"]["status"]
        );
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Whether service and model have been looked at as they are now, and nothing is under way.
fn observed(state: &Value) -> bool {
    let of = |name: &str| {
        let object = &state[name];
        object["status"]["observedGeneration"] == object["metadata"]["generation"]
    };
    let service = state["eennservices/camera"]["status"]["conditions"].to_string();
    let under_way = ["\"Planning\"", "\"PodsNotReady\"", "\"ModelPending\""];
    of("eennservices/camera")
        && of("eennmodels/fashion-mnist")
        && !under_way.iter().any(|reason| service.contains(reason))
}

/// What runs goes on where there is no plan for it any more, which no new start comes to: then only what is said of the spec is compared.
fn both_planned(fresh: &Value, changed: &Value) -> (Value, Value) {
    if fresh["eennservices/camera"]["status"]["planRef"].is_string() || fresh["eennplans/PLAN"].is_object() {
        return (fresh.clone(), changed.clone());
    }
    let said = |state: &Value| {
        let conditions = state["eennservices/camera"]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().filter(|one| one["type"] == "Accepted" || one["type"] == "ModelReady").collect()
    };
    (said(fresh), said(changed))
}

fn alike(when: &str, wanted: &Value, found: &Value) -> anyhow::Result<()> {
    match wanted == found {
        true => Ok(()),
        false => bail!("not as if {when}:\n{}", difference(wanted, found, "").join("\n")),
    }
}

/// Without what counts changes: generations, names of plans, and plans that are not in force.
fn comparable(state: &Value) -> Value {
    let in_force = state["eennservices/camera"]["status"]["planRef"]["name"].as_str().unwrap_or("none").to_owned();
    let mut kept = serde_json::Map::new();
    for (name, object) in state.as_object().into_iter().flatten() {
        let name = match name.strip_prefix("eennplans/") {
            Some(plan) if plan != in_force => continue,
            Some(_) => "eennplans/PLAN".to_owned(),
            None => name.clone(),
        };
        let mut object = object.clone();
        if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("lastPlanGeneration");
        }
        without_counts(&mut object, &in_force);
        kept.insert(name, object);
    }
    Value::Object(kept)
}

fn without_counts(value: &mut Value, plan: &str) {
    /// What is predicted, and what is found for other rates, differs a little every time.
    const COUNTS: [&str; 6] = ["generation", "observedGeneration", "reason", "version", "predicted", "rows"];
    match value {
        Value::Object(fields) => {
            // The reason of a condition is compared, that of a plan is not.
            let is_condition = fields.contains_key("type");
            fields.retain(|name, _| !COUNTS.contains(&name.as_str()) || (name == "reason" && is_condition));
            fields.values_mut().for_each(|value| without_counts(value, plan));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without_counts(item, plan)),
        Value::String(text) => {
            if let Ok(mut document @ Value::Object(_)) = serde_json::from_str::<Value>(text) {
                without_counts(&mut document, plan);
                *value = document;
            } else if text == plan {
                "PLAN".clone_into(text);
            } else {
                *text = text.replace(&format!("EENNPlan {plan} "), "EENNPlan PLAN ");
            }
        }
        _ => {}
    }
}
