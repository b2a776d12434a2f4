//! Who leads, and who does not any more.

use crate::SERVICE;
use crate::scene::{NAMESPACE, Scene};
use anyhow::ensure;
use cluster_tests::Test;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("a_leader_that_dies_is_followed", a_leader_that_dies_is_followed),
    ("a_leader_that_was_frozen_writes_nothing_any_more", a_leader_that_was_frozen_writes_nothing_any_more),
];

fn a_leader_that_dies_is_followed() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let quick = ["--lease-seconds", "3", "--lease-retry-seconds", "1"];
    let mut first = scene.operator("first", &quick)?;
    scene.until("the first leads", || first.log().contains("leading"))?;
    let second = scene.operator("second", &quick)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    ensure!(scene.writes_of("second")?.is_empty(), "a standby writes nothing");
    first.kill();
    scene.until("the second leads", || second.log().contains("leading"))?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    scene.until("they are there again", || scene.names("deployments").is_ok_and(|names| names.len() == 5))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // Asked to stop, it gives the lease up: the next one need not wait for it to run out.
    let third = scene.operator("third", &["--lease-seconds", "600", "--lease-retry-seconds", "1"])?;
    std::thread::sleep(Duration::from_secs(3));
    second.signal("TERM")?;
    scene.until("the third leads", || third.log().contains("leading"))
}

fn a_leader_that_was_frozen_writes_nothing_any_more() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let quick = ["--lease-seconds", "3", "--lease-retry-seconds", "1"];
    let mut first = scene.operator("first", &quick)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    first.signal("STOP")?;
    let second = scene.operator("second", &quick)?;
    scene.until("the second leads", || second.log().contains("leading"))?;
    let written = scene.writes_of("first")?.len();
    // News for the first, as soon as it wakes.
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    first.signal("CONT")?;
    scene.until("the first has ended", || first.ended().is_some())?;
    let writes = scene.writes_of("first")?;
    ensure!(writes.len() == written, "written after it had lost the lease: {:?}", &writes[written..]);
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}
