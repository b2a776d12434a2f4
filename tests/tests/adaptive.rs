//! What a gateway decides by itself, with real processes: rows of a rate table, tables over jobs present, learners.

use hyper::{Method, StatusCode};
use std::time::{Duration, Instant};
use system_tests::{Client, Cluster, assert_balanced, build};
use tokio::task::JoinSet;
use tokio::time::sleep;
use wire::document::{
    AdaEEDocument, ChoiceDocument, DrawDocument, EpochDocument, LearningDocument, MeasuredDocument, RateRowDocument,
    RateTableDocument, ReactiveDocument, WindowDocument,
};

const TWO: &str = "two-exits";

async fn flood(client: &Client, jobs: u64) {
    let mut all = JoinSet::new();
    for index in 0..jobs {
        let client = client.clone();
        all.spawn(async move { drop(client.infer(TWO, &build::sample(index)).await) });
    }
    all.join_all().await;
}

async fn exit(client: &Client, sample: u64) -> u64 {
    client.infer(TWO, &build::sample(sample)).await.answer().exit
}

/// Waits for a condition of the running system; a condition that never holds fails the test.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Up to 30 jobs/s all run to the second exit, beyond that all leave at the first.
fn rates(choice: &ChoiceDocument) -> RateTableDocument {
    let row = |up_to, threshold| RateRowDocument {
        up_to,
        default: vec![ChoiceDocument { thresholds: vec![threshold], ..choice.clone() }],
        sources: [].into(),
    };
    RateTableDocument {
        forecast_per_second: 20.0,
        measured: MeasuredDocument::Window(WindowDocument { seconds: 1.0 }),
        rows: vec![row(1.5, 1.0), row(100.0, 0.0)],
    }
}

#[tokio::test]
async fn a_gateway_changes_its_thresholds_when_the_rate_doubles() {
    let (devices, mut gateway) = build::near_and_far(&[1.0]);
    gateway.policy.rates = Some(rates(&gateway.policy.default[0]));
    let cluster = Cluster::start(devices, gateway.clone());
    let client = cluster.client();
    // At most 16 per second.
    for index in 0..20 {
        assert_eq!(exit(&client, index).await, 2, "job {index}");
        sleep(Duration::from_millis(60)).await;
    }
    let row = cluster.telemetry().await.row.unwrap();
    assert_eq!((row.row, row.rows, row.up_to, row.burst_probability), (1, 2, 1.5, None));
    flood(&client, 100).await;
    assert_eq!(exit(&client, 1).await, 1);
    let row = cluster.telemetry().await.row.unwrap();
    assert!(row.row == 2 && row.measured > 30.0, "{row:?}");
    // A push goes on with what was measured …
    gateway.policy.version.generation = 2;
    let admin = Client::new(&cluster.gateway_process.ready.metrics);
    flood(&client, 100).await;
    system_tests::fill_addresses(&mut gateway, &cluster.devices);
    let policy = serde_json::to_vec(&gateway.policy).unwrap();
    let reply = admin.send(Method::PUT, "/policy", &[], policy).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    assert_eq!(exit(&client, 1).await, 1);
    // … and calm brings the first row back.
    eventually("the first row", || async { cluster.telemetry().await.row.unwrap().row == 1 }).await;
    assert_eq!(exit(&client, 1).await, 2);
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!(books.exits, books.confidences.iter().map(|one| one.count).collect::<Vec<_>>());
    assert!(books.confidences.iter().all(|one| one.sum > 0.0 && one.sum <= one.count as f64), "{books:#?}");
}

#[tokio::test]
async fn a_table_over_jobs_present_looks_at_the_queue_when_a_job_is_sent() {
    let (mut devices, mut gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[0], 10.0);
    gateway.policy.epoch = EpochDocument::Dispatch;
    let draw = |threshold| vec![DrawDocument { probability: 1.0, thresholds: vec![threshold] }];
    gateway.policy.default[0].by_present = vec![draw(1.0), draw(1.0), draw(0.0)];
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    assert_eq!(exit(&client, 0).await, 2, "alone");
    flood(&client, 30).await;
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!(books.answered, 31);
    // The last two to be sent find fewer than three; a straggler that comes when the queue is short does, too.
    assert!(books.exits[0] >= 15 && books.exits[1] >= 3, "{books:#?}");
}

#[tokio::test]
async fn reactive_leaves_earlier_after_losses_and_later_when_nobody_is_there() {
    let (mut devices, mut gateway) = build::near_and_far(&[1.0]);
    devices[1].fragments[0].memory_budget_bytes = build::CUT_BYTES;
    build::emulate(&mut devices[1], 50.0);
    // Slow enough that a flood is a queue: a job that finds nobody there would be sent to the later exit.
    build::emulate(&mut devices[0], 5.0);
    gateway.policy.epoch = EpochDocument::Dispatch;
    gateway.policy.learning = Some(LearningDocument::Reactive(ReactiveDocument {}));
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    assert_eq!(cluster.telemetry().await.reactive_exit, Some(2));
    flood(&client, 60).await;
    let books = cluster.books().await;
    assert_balanced(&books);
    let lost: u64 = books.lost.values().sum();
    assert!(lost > 0 && books.exits[0] > lost, "after the first losses jobs leave early: {books:#?}");
    // Nobody else is there: the job itself is sent to the later exit.
    assert_eq!(exit(&client, 1).await, 2);
    assert_eq!(cluster.telemetry().await.reactive_exit, Some(2));
}

#[tokio::test]
async fn a_bandit_learns_from_what_exits_on_two_devices_say() {
    // Going on gains some confidence and costs nothing, or more than there is to gain.
    for (cost, best) in [(0.0, 1), (0.9, 0)] {
        let (devices, mut gateway) = build::near_and_far(&[1.0]);
        gateway.policy.learning = Some(LearningDocument::AdaEE(AdaEEDocument {
            // 0.999: practically no job leaves at the first exit, but its head is computed.
            arms: vec![vec![0.0], vec![0.999]],
            exploration: 0.01,
            costs: vec![0.0, cost],
            room: None,
        }));
        let cluster = Cluster::start(devices, gateway);
        let client = cluster.client();
        for sample in 0..200 {
            exit(&client, sample).await;
        }
        let books = cluster.books().await;
        assert_balanced(&books);
        assert!(books.exits[best] > 120 && books.exits[1 - best] > 0, "cost {cost}: {books:#?}");
    }
}
