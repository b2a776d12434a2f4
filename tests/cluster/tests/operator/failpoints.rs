//! An operator that dies right after any one of its writes: the next one brings everything to the same end.

mod tales;

use crate::kubelet::{self, Kubelet};
use crate::scene::{Operator, Scene};
use crate::stage::{Props, Stage, whole};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tales::Tale;

pub(crate) const TESTS: &[Test] = &[
    ("an_operator_may_die_after_every_write_that_places_a_service", || every_write(&tales::PLACED)),
    ("an_operator_may_die_after_every_write_that_moves_a_service", || every_write(&tales::MOVED)),
    ("an_operator_may_die_after_every_write_that_follows_an_approval", || every_write(&tales::APPROVED)),
    ("an_operator_may_die_after_every_write_that_does_without_a_lost_node", || every_write(&tales::LOST)),
    ("an_operator_may_die_after_every_write_that_measures_a_model", || every_write(&tales::MEASURED)),
    ("an_operator_may_die_after_every_write_that_measures_a_class", || every_write(&tales::CALIBRATED)),
    ("an_operator_may_die_after_every_write_that_renews_certificates", || every_write(&tales::CERTIFIED)),
];

const PATIENCE: Duration = Duration::from_secs(60);
/// Exit code of an operator that ended because it was told to after so many writes.
const ENDED: i32 = 86;
/// Between two looks.
const MOMENT: Duration = Duration::from_millis(200);
/// Stages at a time: two cores are kept busy, and nodes have room for so many pods.
const AT_A_TIME: usize = 4;

/// Tells a tale once undisturbed, and then with an operator that dies after the first write of it, the second, and so on to its end.
fn every_write(tale: &Tale) -> anyhow::Result<()> {
    let scene = Scene::new()?;
    kubelet::add_node(&scene)?;
    let props = (tale.props)(&scene)?;
    let wanted = undisturbed(&scene, &props, tale)?;
    let (next, done, over) = (AtomicU64::new(1), AtomicBool::new(false), AtomicBool::new(false));
    let worker = || -> anyhow::Result<u64> {
        loop {
            let writes = next.fetch_add(1, Ordering::SeqCst);
            if done.load(Ordering::SeqCst) || !dies_after(&scene, &props, tale, writes, &wanted)? {
                done.store(true, Ordering::SeqCst);
                return Ok(writes);
            }
        }
    };
    let results: Vec<anyhow::Result<u64>> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for moment in 1.. {
                // A node that is not well for one moment is well again in the next.
                let _ = if moment % 50 == 0 { kubelet::beat(&scene) } else { Ok(()) };
                if over.load(Ordering::SeqCst) {
                    return;
                }
                std::thread::sleep(MOMENT);
            }
        });
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        let failed = || Err(anyhow::anyhow!("a worker panicked"));
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| failed())).collect();
        over.store(true, Ordering::SeqCst);
        ended
    });
    let ends = results.into_iter().collect::<anyhow::Result<Vec<u64>>>()?;
    let writes = ends.iter().min().copied().unwrap_or_default();
    // Otherwise the operators did not die at all.
    ensure!(writes > tale.few, "it takes no more than {writes} writes");
    Ok(())
}

/// How everything is at the end of the tale.
fn undisturbed(scene: &Scene, props: &Props, tale: &Tale) -> anyhow::Result<Value> {
    let stage = Stage::set(scene, "undisturbed", props)?;
    let wanted = with_kubelet(&stage, || {
        before(&stage, tale)?;
        let operator = operator(&stage, &[])?;
        (tale.end)(&stage).with_context(|| operator.log())?;
        stage.until_settled(tale.view, PATIENCE).with_context(|| operator.log())
    })?;
    stage.clear()?;
    Ok(wanted)
}

/// Whether an operator that dies after so many writes makes so many. Where it does, another one takes over.
fn dies_after(scene: &Scene, props: &Props, tale: &Tale, writes: u64, wanted: &Value) -> anyhow::Result<bool> {
    let stage = Stage::set(scene, &format!("dies-after-{writes:03}"), props)?;
    let died = with_kubelet(&stage, || {
        before(&stage, tale)?;
        let mut first = operator(&stage, &["--end-after-writes", &writes.to_string()])?;
        let died = died(&stage, tale, &mut first, wanted)?;
        if died {
            let second = operator(&stage, &[])?;
            let same = stage.until_like(tale.view, wanted, PATIENCE);
            same.with_context(|| format!("the first said\n{}the second\n{}", first.log(), second.log()))?;
        }
        Ok(died)
    })?;
    stage.clear()?;
    Ok(died)
}

/// Where the tale begins: brought there by an operator that lives, and without one.
fn before(stage: &Stage<'_>, tale: &Tale) -> anyhow::Result<()> {
    if tale.before.is_empty() {
        return Ok(());
    }
    let operator = operator(stage, &[])?;
    for step in tale.before {
        step(stage).with_context(|| operator.log())?;
        stage.until_settled(whole, PATIENCE).with_context(|| operator.log())?;
    }
    drop(operator);
    (tale.begins)(stage)
}

fn operator(stage: &Stage<'_>, arguments: &[&str]) -> anyhow::Result<Operator> {
    let book = stage.book().display().to_string();
    stage.operator(&[&["--pod-addresses", &book], arguments].concat())
}

/// Does something while pods of Jobs are looked after.
fn with_kubelet<T>(stage: &Stage<'_>, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| -> anyhow::Result<()> {
            let mut kubelet = Kubelet::of(stage);
            while !over.load(Ordering::SeqCst) {
                kubelet.look()?;
                std::thread::sleep(MOMENT);
            }
            Ok(())
        });
        let done = act();
        over.store(true, Ordering::SeqCst);
        looks.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the kubelet panicked")))?;
        done
    })
}

/// Waits until the operator has died, or has done everything and writes nothing more.
fn died(stage: &Stage<'_>, tale: &Tale, operator: &mut Operator, wanted: &Value) -> anyhow::Result<bool> {
    let (began, mut done) = (Instant::now(), None::<Instant>);
    loop {
        if let Some(status) = operator.ended() {
            ensure!(status.code() == Some(ENDED), "{}: {status}\n{}", stage.name, operator.log());
            return Ok(true);
        }
        if done.is_none() && (tale.view)(stage)? == *wanted {
            done = Some(Instant::now());
        }
        if done.is_some_and(|done| done.elapsed() > Duration::from_secs(3)) {
            return Ok(false);
        }
        ensure!(began.elapsed() < PATIENCE, "{} neither ends nor comes to an end\n{}", stage.name, operator.log());
        std::thread::sleep(MOMENT);
    }
}
