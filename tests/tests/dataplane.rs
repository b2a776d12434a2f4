//! The data plane with real processes: jobs are answered by the rule, refused by memory, and accounted for whatever
//! happens to a device.

use hyper::{Method, StatusCode};
use serde_json::json;
use std::time::{Duration, Instant};
use system_tests::{Client, Cluster, Process, Reply, assert_balanced, build};
use tokio::task::JoinSet;
use tokio::time::sleep;
use wire::document::{EpochDocument, GatewayDocument, LinkDocument, OverflowDocument, PolicyDocument};

const TWO: &str = "two-exits";

/// Sends `jobs` jobs at once and collects their replies.
async fn flood(client: &Client, jobs: u64) -> Vec<Reply> {
    let mut all = JoinSet::new();
    for index in 0..jobs {
        let client = client.clone();
        all.spawn(async move { client.infer(TWO, &build::sample(index)).await });
    }
    all.join_all().await
}

fn count(replies: &[Reply], status: StatusCode) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

/// Waits for a condition of the running system; a condition that never holds fails the test.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn json_and_binary_requests_have_the_same_answer() {
    let cluster = system_tests::start_trivial();
    let client = cluster.client();
    let sample = build::sample(1);
    let answer = client.infer("trivial", &sample).await.answer();
    assert_eq!(answer.exit, 1);
    assert_eq!(answer.parameters["chain"], "only");
    assert_eq!(answer.parameters["policy_generation"], 1);
    for name in ["wait_microseconds", "service_microseconds", "latency_microseconds"] {
        assert!(answer.parameters[name].is_u64(), "{name}: {}", answer.parameters);
    }
    let (body, header) = system_tests::binary_request(&sample);
    let header = header.to_string();
    let path = "/v2/models/trivial/infer";
    let reply = client.send(Method::POST, path, &[("inference-header-content-length", &header)], body).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    let json_part: usize = reply.headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let binary = &reply.body[json_part..];
    // probabilities (10 × 4 bytes), class (8), exit (8), confidence (4)
    assert_eq!(binary.len(), 60);
    assert_eq!(u64::from_le_bytes(binary[40..48].try_into().unwrap()), answer.class);
    let confidence = f32::from_le_bytes(binary[56..60].try_into().unwrap());
    assert!((f64::from(confidence) - answer.confidence).abs() < 1e-6);
}

#[tokio::test]
async fn thresholds_decide_where_a_job_leaves() {
    for (threshold, exits) in [(0.0, [20, 0]), (1.0, [0, 20])] {
        let (devices, gateway) = build::near_and_far(&[threshold]);
        let cluster = Cluster::start(devices, gateway);
        let replies = flood(&cluster.client(), 20).await;
        assert_eq!(count(&replies, StatusCode::OK), 20);
        assert_eq!(cluster.books().await.exits, exits, "threshold {threshold}");
        let far = &cluster.device("far").await.fragments["two-exits-2-2"];
        assert_eq!(far.entered, exits[1], "threshold {threshold}");
    }
    // In between the confidence of each job decides, by the rule: at the median about half of them leave.
    let (devices, gateway) = build::near_and_far(&[0.0]);
    let first = Cluster::start(devices, gateway);
    let mut confidences: Vec<_> =
        flood(&first.client(), 60).await.iter().map(|reply| reply.answer().confidence).collect();
    confidences.sort_by(f64::total_cmp);
    let median = confidences[30];
    let (devices, gateway) = build::near_and_far(&[median as f32]);
    let cluster = Cluster::start(devices, gateway);
    let answers: Vec<_> = flood(&cluster.client(), 60).await.iter().map(Reply::answer).collect();
    assert!(answers.iter().all(|answer| answer.exit == 2 || answer.confidence > median));
    let books = cluster.books().await;
    assert!((25..=30).contains(&books.exits[0]), "{:?} at the median {median}", books.exits);
}

#[tokio::test]
async fn a_full_device_loses_jobs_and_says_where() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    devices[1].fragments[0].memory_budget_bytes = 3 * build::CUT_BYTES;
    build::emulate(&mut devices[1], 30.0);
    let cluster = Cluster::start(devices, gateway);
    let replies = flood(&cluster.client(), 40).await;
    let (answered, lost) = (count(&replies, StatusCode::OK), count(&replies, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(answered + lost, 40);
    assert!(answered >= 3 && lost >= 20, "{answered} answered, {lost} lost");
    let refused = replies.iter().find(|reply| reply.status == StatusCode::SERVICE_UNAVAILABLE).unwrap();
    assert_eq!(refused.headers["retry-after"], "1");
    let body = refused.json();
    assert_eq!(
        (&body["outcome"], &body["place"], &body["reason"]),
        (&json!("lost"), &json!("far"), &json!("fragment-memory-full"))
    );
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!(books.lost["far: fragment-memory-full"], lost as u64);
    let far = &cluster.device("far").await.fragments["two-exits-2-2"];
    assert_eq!((far.refused["fragment-memory-full"], far.held, far.held_bytes), (lost as u64, 0, 0));
}

#[tokio::test]
async fn overflow_is_answered_with_the_last_exit_evaluated_if_the_policy_says_so() {
    // 0.999: practically no job leaves at the first exit, but its head is computed. 1: it is closed, nothing to answer with.
    for (threshold, evaluated) in [(0.999, true), (1.0, false)] {
        let (mut devices, mut gateway) = build::near_and_far(&[threshold]);
        devices[1].fragments[0].memory_budget_bytes = 2 * build::CUT_BYTES;
        build::emulate(&mut devices[1], 30.0);
        gateway.policy.overflow = OverflowDocument::AnswerWithLastExit;
        let cluster = Cluster::start(devices, gateway);
        let replies = flood(&cluster.client(), 30).await;
        let books = cluster.books().await;
        assert_balanced(&books);
        if evaluated {
            assert_eq!(count(&replies, StatusCode::OK), 30, "{books:#?}");
            assert!(books.answered_on_overflow >= 20 && books.exits[0] >= books.answered_on_overflow, "{books:#?}");
        } else {
            assert_eq!(books.answered_on_overflow, 0);
            assert!(count(&replies, StatusCode::SERVICE_UNAVAILABLE) >= 20);
        }
    }
}

#[tokio::test]
async fn every_job_is_accounted_for_when_a_device_is_killed_and_the_route_heals() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[1], 2.0);
    let far = devices[1].clone();
    let mut cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let load = tokio::spawn({
        let client = client.clone();
        async move { flood(&client, 300).await }
    });
    eventually("half of the jobs under way", || async {
        cluster.device("far").await.fragments["two-exits-2-2"].entered > 20
    })
    .await;
    assert_balanced(&cluster.books().await);
    let address = cluster.devices["far"].ready.address.clone();
    cluster.devices.get_mut("far").unwrap().kill();
    let replies = load.await.unwrap();
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!((books.arrived, books.in_flight), (300, 0));
    assert!(books.answered > 0 && books.failed.values().sum::<u64>() > 0, "{books:#?}");
    assert!(replies.iter().all(|reply| reply.status == StatusCode::OK || reply.json()["error"].is_string()));
    assert!(books.failed.keys().all(|reason| reason == "hop-died" || reason == "unreachable"), "{books:#?}");
    // A restart at the same address: the route is used again without anybody's doing.
    let far = wire::document::DeviceDocument { listen: address, ..far };
    cluster.devices.insert("far".into(), Process::start("fragment", &far));
    eventually("the route heals", || async { client.infer(TWO, &build::sample(1)).await.status == StatusCode::OK })
        .await;
}

#[tokio::test]
async fn with_two_chains_jobs_take_the_one_that_lives() {
    let (mut devices, mut gateway) = build::near_and_far(&[1.0]);
    let model = build::two_exits_model();
    devices.push(build::device("other", vec![build::fragment(&model, 2, 2, 4 << 20)]));
    let chains = vec![
        build::chain("a", &model, &[("near", 1, 1), ("far", 2, 2)]),
        build::chain("b", &model, &[("near", 1, 1), ("other", 2, 2)]),
    ];
    gateway.policy = build::gateway(&model, chains, &[1.0]).policy;
    let mut cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    flood(&client, 40).await;
    let chains = cluster.books().await.chains;
    assert!(chains["a"] > 5 && chains["b"] > 5, "{chains:?}");
    cluster.devices.get_mut("far").unwrap().kill();
    eventually("the gateway avoids the dead device", || async {
        cluster.telemetry().await.avoided.contains_key("far")
    })
    .await;
    let replies = flood(&client, 40).await;
    assert_eq!(count(&replies, StatusCode::OK), 40, "all go by the other chain");
    cluster.devices.get_mut("near").unwrap().kill();
    eventually("the gateway is not ready", || async { !cluster.ready().await }).await;
    let reply = client.infer(TWO, &build::sample(1)).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.json()["reason"], "unreachable");
}

#[tokio::test]
async fn a_hop_that_hangs_is_given_up_and_its_jobs_are_answered_by_the_rule() {
    let (devices, mut gateway) = build::near_and_far(&[0.999]);
    gateway.policy.overflow = OverflowDocument::AnswerWithLastExit;
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().exit, 2);
    cluster.devices["far"].signal("STOP");
    let answer = client.infer(TWO, &build::sample(1)).await.answer();
    assert_eq!(answer.exit, 1);
    assert_eq!(answer.parameters["answered_on_overflow"], true);
    cluster.devices["far"].signal("CONT");
    eventually("the route heals", || async {
        client.infer(TWO, &build::sample(1)).await.json()["parameters"]["exit"] == 2
    })
    .await;
    assert_balanced(&cluster.books().await);
}

#[tokio::test]
async fn jobs_that_need_no_dead_device_are_answered_and_the_others_by_the_rule() {
    for (overflow, status) in [
        (OverflowDocument::AnswerWithLastExit, StatusCode::OK),
        (OverflowDocument::Drop, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let (devices, mut gateway) = build::near_and_far(&[0.999]);
        // Jobs of the source `sure` leave at the first exit, all others need the far device.
        let mut sure = gateway.policy.default.clone();
        sure[0].thresholds = vec![0.0];
        gateway.policy.sources.insert("sure".to_owned(), sure);
        gateway.policy.overflow = overflow;
        let mut cluster = Cluster::start(devices, gateway);
        let client = cluster.client();
        flood(&client, 5).await;
        cluster.devices.get_mut("far").unwrap().kill();
        let replies = flood(&client, 30).await;
        assert_eq!(count(&replies, status), 30, "{overflow:?}: {:#?}", cluster.books().await);
        for index in 0..30 {
            let reply = client.infer_with(TWO, &build::sample(index), &json!({"source": "sure"})).await;
            assert_eq!(reply.answer().exit, 1);
        }
    }
}

#[tokio::test]
async fn a_hop_that_hangs_is_noticed_before_the_deadline() {
    let (devices, mut gateway) = build::near_and_far(&[0.999]);
    gateway.policy.overflow = OverflowDocument::AnswerWithLastExit;
    for milliseconds in [800, 300] {
        gateway.policy.deadline_milliseconds = Some(milliseconds);
        let cluster = Cluster::start(devices.clone(), gateway.clone());
        let client = cluster.client();
        assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().exit, 2);
        cluster.devices["far"].signal("STOP");
        let replies = flood(&client, 20).await;
        assert!(replies.iter().all(|reply| reply.answer().exit == 1), "{:#?}", cluster.books().await);
        let reply = client.infer(TWO, &build::sample(1)).await;
        assert_eq!(reply.answer().exit, 1);
    }
}

#[tokio::test]
async fn jobs_in_a_hurry_put_no_device_under_suspicion() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[0], 2.0);
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let mut all = JoinSet::new();
    for index in 0..200 {
        let client = client.clone();
        // Every other job has 1 to 40 ms for a queue of up to 400 ms.
        let parameters = if index % 2 == 0 { json!({}) } else { json!({"timeout_milliseconds": 1 + index % 40}) };
        let hurried = index % 2 == 1;
        all.spawn(async move { (hurried, client.infer_with(TWO, &build::sample(index), &parameters).await.status) });
    }
    let statuses = all.join_all().await;
    let books = cluster.books().await;
    assert_balanced(&books);
    // Those in no hurry are all answered; of the others a few with a millisecond left are not even taken over in time.
    let patient = statuses.iter().filter(|(hurried, status)| !hurried && *status == StatusCode::OK);
    assert_eq!(patient.count(), 100, "{books:#?}");
    assert!(books.failed.keys().all(|reason| reason == "deadline" || reason == "unreachable"), "{books:#?}");
    assert!(cluster.telemetry().await.avoided.is_empty());
}

#[tokio::test]
async fn a_first_device_that_hangs_keeps_no_job_for_long() {
    let (devices, gateway) = build::near_and_far(&[1.0]);
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    flood(&client, 5).await;
    cluster.devices["near"].signal("STOP");
    // More than outbox and sockets take.
    let sent = flood(&client, 3_000);
    let replies = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("every wait is bounded");
    assert_eq!(count(&replies, StatusCode::SERVICE_UNAVAILABLE), 3_000);
    assert_balanced(&cluster.books().await);
    cluster.devices["near"].signal("CONT");
    eventually("the route heals", || async { client.infer(TWO, &build::sample(1)).await.status == StatusCode::OK })
        .await;
}

#[tokio::test]
async fn with_another_chain_no_job_is_lost_when_a_device_is_terminated_under_load() {
    let (mut devices, mut gateway) = build::near_and_far(&[1.0]);
    let model = build::two_exits_model();
    devices.push(build::device("other", vec![build::fragment(&model, 2, 2, 4 << 20)]));
    let chains = vec![
        build::chain("a", &model, &[("near", 1, 1), ("far", 2, 2)]),
        build::chain("b", &model, &[("near", 1, 1), ("other", 2, 2)]),
    ];
    gateway.policy = build::gateway(&model, chains, &[1.0]).policy;
    let mut cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let load = tokio::spawn(async move {
        let mut replies = vec![];
        for _ in 0..60 {
            replies.extend(flood(&client, 10).await);
            sleep(Duration::from_millis(5)).await;
        }
        replies
    });
    eventually("jobs at the far device", || async {
        cluster.device("far").await.fragments["two-exits-2-2"].entered > 20
    })
    .await;
    let far = cluster.devices.get_mut("far").unwrap();
    far.signal("TERM");
    assert!(far.wait(Duration::from_secs(10)).success());
    let replies = load.await.unwrap();
    assert_eq!(count(&replies, StatusCode::OK), 600, "{:#?}", cluster.books().await);
}

#[tokio::test]
async fn a_terminated_device_finishes_its_jobs() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[1], 10.0);
    let mut cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let load = tokio::spawn(async move { flood(&client, 30).await });
    eventually("all jobs at the far device", || async {
        cluster.device("far").await.fragments["two-exits-2-2"].entered == 30
    })
    .await;
    let far = cluster.devices.get_mut("far").unwrap();
    far.signal("TERM");
    assert!(far.wait(Duration::from_secs(10)).success());
    assert_eq!(count(&load.await.unwrap(), StatusCode::OK), 30, "{:#?}", cluster.books().await);
}

#[tokio::test]
async fn a_terminated_gateway_answers_what_it_has() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[1], 10.0);
    let mut cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let load = tokio::spawn(async move { flood(&client, 30).await });
    eventually("all jobs at the gateway", || async { cluster.books().await.arrived == 30 }).await;
    cluster.gateway_process.signal("TERM");
    assert_eq!(count(&load.await.unwrap(), StatusCode::OK), 30);
    assert!(cluster.gateway_process.wait(Duration::from_secs(10)).success());
}

#[tokio::test]
async fn a_gateway_that_is_to_stop_takes_last_requests_from_whoever_has_not_heard_of_it() {
    let (devices, mut gateway) = build::near_and_far(&[1.0]);
    gateway.last_requests_milliseconds = 3_000;
    let mut cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let closes = |reply: &Reply| reply.headers.get("connection").is_some_and(|value| value == "close");
    assert!(!closes(&client.infer(TWO, &build::sample(1)).await));
    cluster.gateway_process.signal("TERM");
    let ready = async || client.send(Method::GET, "/v2/health/ready", &[], Vec::new()).await.unwrap();
    eventually("it says that it is not ready", || async { ready().await.status == StatusCode::SERVICE_UNAVAILABLE })
        .await;
    let last = client.infer(TWO, &build::sample(2)).await;
    assert_eq!((last.status, closes(&last)), (StatusCode::OK, true), "{:?}", last.body);
    assert!(cluster.gateway_process.wait(Duration::from_secs(10)).success());
}

#[tokio::test]
async fn jobs_of_clients_that_go_away_are_failed_and_leave_no_memory_behind() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[1], 20.0);
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let load = tokio::spawn(async move { flood(&client, 30).await });
    eventually("all jobs at the gateway", || async { cluster.books().await.arrived == 30 }).await;
    load.abort();
    eventually("nothing is in flight", || async { cluster.books().await.in_flight == 0 }).await;
    let books = cluster.books().await;
    assert_balanced(&books);
    assert!(books.failed["client-disconnect"] > 10, "{books:#?}");
    eventually("the far device is empty", || async {
        let far = cluster.device("far").await.fragments.remove("two-exits-2-2").unwrap_or_default();
        far.entered > 0 && far.held == 0 && far.held_bytes == 0
    })
    .await;
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_504_and_spares_the_devices() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[1], 40.0);
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let mut all = JoinSet::new();
    for index in 0..10 {
        let client = client.clone();
        all.spawn(
            async move { client.infer_with(TWO, &build::sample(index), &json!({"timeout_milliseconds": 100})).await },
        );
    }
    let replies = all.join_all().await;
    let late: Vec<_> = replies.iter().filter(|reply| reply.status == StatusCode::GATEWAY_TIMEOUT).collect();
    assert!((6..10).contains(&late.len()), "{} of 10 are late: 100 ms hold 2 services of 40 ms", late.len());
    assert_eq!(late[0].json()["reason"], "deadline");
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!(books.failed["deadline"], late.len() as u64);
    eventually("the far device is empty", || async {
        cluster.device("far").await.fragments["two-exits-2-2"].held == 0
    })
    .await;
    let busy = cluster.device("far").await.busy_core_seconds;
    assert!(busy < 0.2, "expired jobs were computed: {busy} s");
}

#[tokio::test]
async fn a_new_policy_is_swapped_in_and_an_old_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (devices, mut gateway) = build::near_and_far(&[1.0]);
    gateway.policy_file = Some(folder.path().join("policy.json").display().to_string());
    let mut cluster = Cluster::start(devices, gateway.clone());
    system_tests::fill_addresses(&mut gateway, &cluster.devices);
    let client = cluster.client();
    assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().exit, 2);
    let with = |generation: u64, threshold: f32| {
        let mut policy = gateway.policy.clone();
        policy.version.generation = generation;
        policy.default[0].thresholds = vec![threshold];
        policy
    };
    let admin = Client::new(&cluster.gateway_process.ready.metrics);
    let put = async |policy: PolicyDocument| {
        admin.send(Method::PUT, "/policy", &[], serde_json::to_vec(&policy).unwrap()).await.unwrap()
    };
    assert_eq!(put(with(2, 0.0)).await.status, StatusCode::OK);
    assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().exit, 1);
    let stale = put(with(2, 1.0)).await;
    assert_eq!((stale.status, &stale.json()["version"]["generation"]), (StatusCode::CONFLICT, &json!(2)));
    let bad = put(with(3, 7.0)).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(bad.json()["error"].as_str().unwrap().contains("threshold 0 must be between 0"), "{:?}", bad.body);
    assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().parameters["policy_generation"], 2);
    // The last good policy outlives the gateway.
    cluster.gateway_process.kill();
    cluster.gateway_process = Process::start("gateway", &gateway);
    let client = Client::new(&cluster.gateway_process.ready.address);
    assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().parameters["policy_generation"], 2);
}

#[tokio::test]
async fn audit_jobs_are_answered_at_their_exit_and_go_on_to_the_last() {
    let (devices, mut gateway) = build::near_and_far(&[0.0]);
    gateway.policy.audit_share = 1.0;
    let cluster = Cluster::start(devices, gateway);
    let replies = flood(&cluster.client(), 50).await;
    assert!(replies.iter().all(|reply| reply.answer().exit == 1));
    eventually("all audits are in", || async { cluster.telemetry().await.audits[0].compared == 50 }).await;
    let audits = cluster.telemetry().await.audits;
    assert_eq!((audits[1].compared, audits[1].agreed), (50, 50), "the last exit agrees with itself");
    assert!(audits[0].agreed < 50, "the two exits have different weights");
}

#[tokio::test]
async fn an_audit_that_does_not_fit_is_no_loss() {
    let (mut devices, mut gateway) = build::near_and_far(&[0.0]);
    devices[1].fragments[0].memory_budget_bytes = build::CUT_BYTES;
    build::emulate(&mut devices[1], 30.0);
    gateway.policy.audit_share = 1.0;
    let cluster = Cluster::start(devices, gateway);
    let replies = flood(&cluster.client(), 20).await;
    assert_eq!(count(&replies, StatusCode::OK), 20);
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!(books.answered, 20);
    eventually("audits are refused", || async {
        let far = cluster.device("far").await.fragments.remove("two-exits-2-2").unwrap_or_default();
        far.refused.get("fragment-memory-full").is_some_and(|refused| *refused > 3)
    })
    .await;
}

#[tokio::test]
async fn a_dispatch_policy_keeps_the_queue_at_the_gateway() {
    let (mut devices, mut gateway) = build::near_and_far(&[1.0]);
    build::emulate(&mut devices[0], 5.0);
    devices[0].fragments[0].memory_budget_bytes = 2 * build::CUT_BYTES;
    gateway.policy.epoch = EpochDocument::Dispatch;
    let cluster = Cluster::start(devices, gateway);
    // An arrival policy would lose most of these at the first device.
    let replies = flood(&cluster.client(), 40).await;
    assert_eq!(count(&replies, StatusCode::OK), 40, "{:#?}", cluster.books().await);
}

#[tokio::test]
async fn an_emulated_link_takes_its_time() {
    let (mut devices, gateway) = build::near_and_far(&[1.0]);
    // 16,384 bytes at 1 MB/s are 16.4 ms, then 20 ms there and 20 ms back.
    let link = LinkDocument { bytes_per_second: Some(1e6), latency_microseconds: 20_000.0 };
    devices[0].links.insert("far".into(), link);
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    let latency =
        client.infer(TWO, &build::sample(1)).await.answer().parameters["latency_microseconds"].as_f64().unwrap();
    assert!(latency >= 56_000.0, "{latency}");
    let start = Instant::now();
    flood(&client, 10).await;
    assert!(start.elapsed() > Duration::from_millis(10 * 16 + 40), "one job at a time is on the link");
}

#[tokio::test]
async fn malformed_requests_are_told_what_was_expected_and_are_no_arrivals() {
    let (devices, gateway) = build::trivial();
    let cluster = Cluster::start(devices, GatewayDocument { max_body_bytes: 20_000, ..gateway });
    let client = cluster.client();
    let path = "/v2/models/trivial/infer";
    let input = |name: &str, shape: &[usize], datatype: &str, data: serde_json::Value| {
        json!({"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}]}).to_string()
    };
    let data = json!(build::sample(1));
    let rows = [
        ("{".to_owned(), StatusCode::BAD_REQUEST, "JSON"),
        (input("image", &[1, 784], "FP32", data.clone()), StatusCode::BAD_REQUEST, "input"),
        (input("input", &[784], "FP32", data.clone()), StatusCode::BAD_REQUEST, "expected [N,784]"),
        (input("input", &[1, 784], "BYTES", data.clone()), StatusCode::BAD_REQUEST, "expected FP32"),
        (input("input", &[1, 784], "FP32", json!([1.0])), StatusCode::BAD_REQUEST, "784"),
        (" ".repeat(20_001), StatusCode::PAYLOAD_TOO_LARGE, "larger than"),
    ];
    for (body, status, message) in rows {
        let shown: String = body.chars().take(60).collect();
        let reply = client.send(Method::POST, path, &[], body).await.unwrap();
        assert_eq!(reply.status, status, "{shown}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(message), "{shown}: {error}");
    }
    for path in ["/v2/models/other/infer", "/v2/models/trivial/versions/7/infer", "/nowhere"] {
        let reply = client.send(Method::POST, path, &[], "{}").await.unwrap();
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.json()["error"].is_string());
    }
    let telemetry = cluster.telemetry().await;
    assert_eq!(telemetry.rejected, 8, "unknown paths are not counted");
    assert_eq!(telemetry.sources.get(build::SOURCE).map_or(0, |books| books.arrived), 0);
}

#[tokio::test]
async fn a_gateway_without_memory_refuses_before_it_reads() {
    let (devices, gateway) = build::trivial();
    let cluster = Cluster::start(devices, GatewayDocument { memory_budget_bytes: 1000, ..gateway });
    let reply = cluster.client().infer("trivial", &build::sample(1)).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.json()["reason"], "gateway-memory-full");
    let books = cluster.books().await;
    assert_balanced(&books);
    assert_eq!(books.lost["gateway: gateway-memory-full"], 1);
}

#[tokio::test]
async fn a_batch_is_as_many_jobs_and_is_answered_in_order() {
    let cluster = system_tests::start_trivial();
    let client = cluster.client();
    let samples: Vec<Vec<f32>> = (0..5).map(build::sample).collect();
    let data: Vec<f32> = samples.concat();
    let body = json!({"inputs": [{"name": "input", "shape": [5, 784], "datatype": "FP32", "data": data}]}).to_string();
    let reply = client.send(Method::POST, "/v2/models/trivial/infer", &[], body).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    let outputs = reply.json()["outputs"].clone();
    let classes = outputs.as_array().unwrap().iter().find(|output| output["name"] == "class").unwrap()["data"].clone();
    let mut alone = vec![];
    for sample in &samples {
        alone.push(client.infer("trivial", sample).await.answer().class);
    }
    assert_eq!(classes, json!(alone));
    assert_eq!(cluster.books().await.arrived, 10);
}

#[tokio::test]
async fn sources_are_told_apart() {
    let cluster = system_tests::start_trivial();
    let body = system_tests::json_request(&build::sample(1), &json!({}));
    for _ in 0..3 {
        let headers = [("eenn-source", "door")];
        cluster.client().send(Method::POST, "/v2/models/trivial/infer", &headers, body.clone()).await.unwrap();
    }
    let telemetry = cluster.telemetry().await;
    assert_eq!(telemetry.sources["door"].answered, 3);
    assert!(telemetry.sources["door"].arrival_rate > 0.0);
}

#[tokio::test]
async fn metrics_are_exposed_under_their_names() {
    let (devices, gateway) = build::near_and_far(&[0.3]);
    let cluster = Cluster::start(devices, gateway);
    flood(&cluster.client(), 20).await;
    let text = async |address: &str| {
        let reply = Client::new(address).send(Method::GET, "/metrics", &[], "").await.unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    };
    let near = text(&cluster.devices["near"].ready.metrics).await;
    let gateway = text(&cluster.gateway_process.ready.metrics).await;
    let both = format!("{near}{gateway}");
    // Nothing was lost and nothing failed: families without any series are not exposed.
    let without_series = [wire::metric::LOST, wire::metric::FAILED];
    // And nobody has certificates.
    let without_tls = [wire::metric::HANDSHAKES_FAILED, wire::metric::TLS_BEHIND];
    let absent = [without_series, without_tls].concat();
    for metric in wire::metric::ALL.iter().filter(|metric| !absent.contains(metric)) {
        let help = format!("# HELP {} {}.", metric.name, metric.help);
        assert!(both.contains(&help), "{help:?} is missing");
    }
    for line in [
        "eenn_jobs_entered_total{fragment=\"two-exits-1-1\"} 20",
        "eenn_wait_seconds_count{fragment=\"two-exits-1-1\"} 20",
        "eenn_segment_seconds_count{fragment=\"two-exits-1-1\",segment=\"1\"} 20",
        "eenn_exit_confidence_count{fragment=\"two-exits-1-1\",exit=\"1\"} 20",
        "eenn_jobs_arrived_total{source=\"camera\"} 20",
        "eenn_policy_generation 1",
    ] {
        assert!(both.contains(line), "{line} is missing in\n{both}");
    }
}

#[tokio::test]
async fn large_batches_stay_within_the_memory_of_the_gateway() {
    let (devices, mut gateway) = build::trivial();
    const BUDGET: u64 = 16 << 20;
    gateway.memory_budget_bytes = BUDGET;
    gateway.max_body_bytes = BUDGET / 8;
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    client.infer("trivial", &build::sample(1)).await.answer();
    let idle = cluster.gateway_process.memory().1;
    cluster.gateway_process.reset_peak();
    let data = vec![0; 1024 * build::INPUT];
    let input = json!({"name": "input", "shape": [1024, build::INPUT], "datatype": "FP32", "data": data});
    let body = bytes::Bytes::from(json!({"inputs": [input]}).to_string());
    let mut all = JoinSet::new();
    // One byte a value, which becomes four.
    let input = json!({"name": "input", "shape": [1024, build::INPUT], "datatype": "UINT8",
        "parameters": {"binary_data_size": 1024 * build::INPUT}});
    let mut small = json!({"inputs": [input]}).to_string().into_bytes();
    let header = small.len().to_string();
    small.resize(small.len() + 1024 * build::INPUT, 1);
    let small = bytes::Bytes::from(small);
    for _ in 0..12 {
        let (client, small, header) = (client.clone(), small.clone(), header.clone());
        all.spawn(async move {
            let headers = [("inference-header-content-length", header.as_str())];
            client.send(Method::POST, "/v2/models/trivial/infer", &headers, small).await.map(|reply| reply.status)
        });
    }
    for _ in 0..12 {
        let (client, body) = (client.clone(), body.clone());
        all.spawn(async move {
            client.send(Method::POST, "/v2/models/trivial/infer", &[], body).await.map(|reply| reply.status)
        });
    }
    let statuses = all.join_all().await;
    let statuses: Vec<StatusCode> = statuses.into_iter().map(|status| status.expect("all are answered")).collect();
    assert!(statuses.contains(&StatusCode::OK), "{statuses:?}");
    let peak = cluster.gateway_process.memory().0;
    assert!(peak <= idle + BUDGET + (20 << 20), "idle {idle}, peak {peak}: {statuses:?}");
}

/// A refusal comes before the body has been sent, and must not be lost with the connection.
#[tokio::test]
async fn clients_that_are_still_sending_get_their_refusal() {
    let (devices, mut gateway) = build::trivial();
    gateway.memory_budget_bytes = 8 << 20;
    gateway.max_body_bytes = 4 << 20;
    let cluster = Cluster::start(devices, gateway);
    let body = bytes::Bytes::from(vec![b' '; 32 << 20]);
    for (path, want) in [
        ("/v2/models/trivial/infer", StatusCode::PAYLOAD_TOO_LARGE),
        ("/v2/models/another/infer", StatusCode::NOT_FOUND),
        ("/v2/nowhere", StatusCode::NOT_FOUND),
    ] {
        for _ in 0..10 {
            let reply = cluster.client().send(Method::POST, path, &[], body.clone()).await.expect("it is answered");
            assert_eq!(reply.status, want, "{path}");
        }
    }
}

#[tokio::test]
async fn a_process_ends_with_its_parent() {
    let (devices, _) = build::trivial();
    let mut process = Process::start("fragment", &devices[0]);
    process.close_stdin();
    assert!(process.wait(Duration::from_secs(5)).success());
}

#[tokio::test]
async fn memory_stays_within_the_budget_and_a_margin_under_overload() {
    const MARGIN: u64 = 20 << 20;
    // Each of the flood's requests has a connection; what those read ahead is the gateway's alone.
    const CONNECTIONS: u64 = 1_500;
    const CONNECTION: u64 = 64 << 10;
    const BUDGET: u64 = 8 << 20;
    let (mut devices, mut gateway) = build::near_and_far(&[1.0]);
    for device in &mut devices {
        device.fragments[0].memory_budget_bytes = BUDGET;
        build::emulate(device, 1.0);
    }
    gateway.memory_budget_bytes = BUDGET;
    let cluster = Cluster::start(devices, gateway);
    let client = cluster.client();
    flood(&client, 10).await;
    let processes = || cluster.devices.iter().map(|(name, process)| (name.as_str(), process));
    let all: Vec<_> = processes().chain([("gateway", &cluster.gateway_process)]).collect();
    let idle: Vec<u64> = all.iter().map(|(_, process)| process.memory().1).collect();
    for (_, process) in &all {
        process.reset_peak();
    }
    for _ in 0..6 {
        flood(&client, CONNECTIONS).await;
    }
    assert_balanced(&cluster.books().await);
    assert!(cluster.books().await.lost.values().sum::<u64>() > 1_000, "no overload: {:#?}", cluster.books().await);
    for ((name, process), idle) in all.iter().zip(idle) {
        let peak = process.memory().0;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        eprintln!("{name}: idle {:.1} MiB, budget {:.0}, peak {:.1}", mib(idle), mib(BUDGET), mib(peak));
        let connections = if *name == "gateway" { CONNECTIONS * CONNECTION } else { 0 };
        assert!(peak <= idle + BUDGET + MARGIN + connections, "{name}: idle {idle}, peak {peak}");
    }
}
