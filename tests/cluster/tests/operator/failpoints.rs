//! An operator that dies right after any one of its writes: the next one brings the service to the same end.

use crate::mutation::fields::Mutation;
use crate::scene::{Operator, Scene};
use crate::stage::{Props, Stage};
use anyhow::ensure;
use cluster_tests::Test;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    (
        "an_operator_may_die_after_every_write_that_places_a_service",
        an_operator_may_die_after_every_write_that_places_a_service,
    ),
    (
        "an_operator_may_die_after_every_write_that_moves_a_service",
        an_operator_may_die_after_every_write_that_moves_a_service,
    ),
];

const PATIENCE: Duration = Duration::from_secs(60);
/// Exit code of an operator that ended because it was told to after so many writes.
const ENDED: i32 = 86;
/// Stages at a time: two cores are kept busy, and nodes have room for so many pods.
const AT_A_TIME: usize = 4;

fn an_operator_may_die_after_every_write_that_places_a_service() -> anyhow::Result<()> {
    // Otherwise the operators did not die at all.
    every_write(None, 15)
}

/// From the box to the other device: what is new is made, and what was there goes.
fn an_operator_may_die_after_every_write_that_moves_a_service() -> anyhow::Result<()> {
    let chain = json!([{"chain": "pi", "fragments": [{"node": "pi", "firstSegment": 1, "lastSegment": 6}]}]);
    let moves = Mutation { plural: "eennservices", path: "/placement/pinned".to_owned(), value: Some(chain) };
    every_write(Some(&moves), 8)
}

/// Of a service that is made, or changed so once it is there, which takes more than `few` writes.
fn every_write(change: Option<&Mutation>, few: u64) -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let props = Props::one_chain(&scene)?;
    let undisturbed = Stage::set(&scene, "undisturbed", &props)?;
    let operator = undisturbed.operator(&[])?;
    let mut wanted = undisturbed.until_settled(PATIENCE)?;
    if let Some(change) = change {
        ensure!(undisturbed.change(change)?, "the API server refuses {change}");
        wanted = undisturbed.until_settled(PATIENCE)?;
    }
    drop(operator);
    undisturbed.clear()?;
    let (next, done) = (AtomicU64::new(1), AtomicBool::new(false));
    let worker = || -> anyhow::Result<u64> {
        loop {
            let writes = next.fetch_add(1, Ordering::SeqCst);
            if done.load(Ordering::SeqCst) || !dies_after(&scene, &props, change, writes, &wanted)? {
                done.store(true, Ordering::SeqCst);
                return Ok(writes);
            }
        }
    };
    let results: Vec<anyhow::Result<u64>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        let failed = || Err(anyhow::anyhow!("a worker panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| failed())).collect()
    });
    let ends = results.into_iter().collect::<anyhow::Result<Vec<u64>>>()?;
    let writes = ends.iter().min().copied().unwrap_or_default();
    ensure!(writes > few, "it takes more than {writes} writes");
    Ok(())
}

/// Whether an operator that dies after so many writes makes so many. Where it does, another one takes over.
fn dies_after(
    scene: &Scene,
    props: &Props,
    change: Option<&Mutation>,
    writes: u64,
    wanted: &Value,
) -> anyhow::Result<bool> {
    let stage = Stage::set(scene, &format!("dies-after-{writes:03}"), props)?;
    if let Some(change) = change {
        let operator = stage.operator(&[])?;
        stage.until_settled(PATIENCE)?;
        drop(operator);
        ensure!(stage.change(change)?, "the API server refuses {change}");
    }
    let mut first = stage.operator(&["--end-after-writes", &writes.to_string()])?;
    let died = died(&stage, &mut first, wanted)?;
    if died {
        let _second = stage.operator(&[])?;
        stage.until_like(wanted, PATIENCE)?;
    }
    stage.clear()?;
    Ok(died)
}

/// Waits until the operator has died, or has done everything and writes nothing more.
fn died(stage: &Stage<'_>, operator: &mut Operator, wanted: &Value) -> anyhow::Result<bool> {
    let (began, mut done) = (Instant::now(), None::<Instant>);
    loop {
        if let Some(status) = operator.ended() {
            ensure!(status.code() == Some(ENDED), "{}: {status}\n{}", stage.name, operator.log());
            return Ok(true);
        }
        if done.is_none() && stage.state()? == *wanted {
            done = Some(Instant::now());
        }
        if done.is_some_and(|done| done.elapsed() > Duration::from_secs(3)) {
            return Ok(false);
        }
        ensure!(began.elapsed() < PATIENCE, "{} neither ends nor comes to an end\n{}", stage.name, operator.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}
