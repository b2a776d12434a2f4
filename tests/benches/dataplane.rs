//! Throughput and latency of the data plane with real processes, load generator included.
//!
//! * the trivial network (784 values in, 10 out) through gateway and fragment, in JSON and with binary tensors;
//! * the overhead of a hop: the Fashion-MNIST network in one to three fragments, against tract in this process on the
//!   same image.
//!
//! `cargo bench -p system-tests --bench dataplane`. Numbers are of the machine it runs on.

#![expect(clippy::unwrap_used, reason = "what a benchmark unwraps ends it")]

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use runtime_image::model::{Network, read_description};
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::{Cluster, binary_request, build, json_request};
use tokio::net::TcpStream;
use wire::document::{DeviceDocument, GatewayDocument, ModelDocument};

const SECONDS: f64 = 4.0;
const WARM_UP: f64 = 1.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        trivial().await;
        overhead().await;
    });
}

/// A request ready to be sent: path, length of its JSON part if binary follows, body.
#[derive(Clone)]
struct Shot {
    path: String,
    header_length: Option<usize>,
    body: Bytes,
}

async fn trivial() {
    println!("trivial network, gateway and fragment:\n");
    println!("| request | connections | jobs/s | p50 | p99 |\n|---|---|---|---|---|");
    let cluster = system_tests::start_trivial();
    let path = "/v2/models/trivial/infer".to_owned();
    let sample = build::sample(1);
    let (binary, header) = binary_request(&sample);
    let json = Bytes::from(json_request(&sample, &serde_json::json!({})));
    let shots = [
        ("JSON", Shot { path: path.clone(), header_length: None, body: json }),
        ("binary", Shot { path, header_length: Some(header), body: binary }),
    ];
    for (name, shot) in shots {
        for connections in [1, 16] {
            drive(&cluster.gateway, &shot, connections, WARM_UP).await;
            let mut latencies = drive(&cluster.gateway, &shot, connections, SECONDS).await;
            let per_second = latencies.len() as f64 / SECONDS;
            latencies.sort();
            let micros = |q: f64| latencies[(latencies.len() as f64 * q) as usize].as_micros();
            println!("| {name} | {connections} | {per_second:.0} | {} µs | {} µs |", micros(0.5), micros(0.99));
        }
    }
}

/// Sends on so many connections, one after the other on each, and returns all latencies.
async fn drive(address: &str, shot: &Shot, connections: usize, seconds: f64) -> Vec<Duration> {
    let local = tokio::task::LocalSet::new();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (address, shot) = (address.to_owned(), shot.clone());
            local.spawn_local(async move { one_connection(&address, &shot, end).await })
        })
        .collect();
    local.await;
    let mut all = vec![];
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

async fn one_connection(address: &str, shot: &Shot, end: Instant) -> Vec<Duration> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(connection);
    let mut latencies = vec![];
    while Instant::now() < end {
        let start = Instant::now();
        let mut request = Request::post(&shot.path).header("host", address);
        if let Some(length) = shot.header_length {
            request = request.header("inference-header-content-length", length);
        }
        let response = sender.send_request(request.body(Full::new(shot.body.clone())).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        latencies.push(start.elapsed());
    }
    latencies
}

const EXITS: usize = 6;

fn fashion() -> (ModelDocument, String) {
    let exit = |number: usize| wire::document::ExitDocument {
        name: format!("exit{number}"),
        tensor: format!("exit{number}"),
        output: wire::document::ExitOutputDocument::Logits,
    };
    let model = ModelDocument {
        name: "fashion-mnist".into(),
        input: wire::document::InputDocument { name: "input".into(), shape: vec![1, 28, 28] },
        exits: (1..=EXITS).map(exit).collect(),
        cuts: (1..EXITS).map(|number| format!("cut{number}")).collect(),
        confidence: wire::document::ConfidenceDocument::MaxSoftmax,
    };
    (model, build::file("../examples/fashion-mnist/model.onnx").display().to_string())
}

/// `parts` devices in a row, each with an equal share of the segments; every exit but the last is closed.
fn chained(parts: usize) -> (Vec<DeviceDocument>, GatewayDocument) {
    let (model, file) = fashion();
    let length = EXITS / parts;
    let ranges: Vec<(usize, usize)> = (0..parts).map(|part| (part * length + 1, (part + 1) * length)).collect();
    let names: Vec<String> = (0..parts).map(|part| format!("device-{part}")).collect();
    let device = |(name, (first, last)): (&String, &(usize, usize))| {
        let mut fragment = build::fragment(&model, *first, *last, 16 << 20);
        fragment.file.clone_from(&file);
        build::device(name, vec![fragment])
    };
    let devices = names.iter().zip(&ranges).map(device).collect();
    let hops: Vec<_> = names.iter().zip(&ranges).map(|(name, (first, last))| (name.as_str(), *first, *last)).collect();
    let gateway = build::gateway(&model, vec![build::chain("all", &model, &hops)], &[1.0; EXITS - 1]);
    (devices, gateway)
}

async fn overhead() {
    println!("\nFashion-MNIST network, all segments, one job at a time, binary tensors:\n");
    println!("| | p50 | of it service | everything else, per hop |\n|---|---|---|---|");
    let alone = in_process();
    println!("| tract in this process | {} µs | {} µs | |", alone.as_micros(), alone.as_micros());
    let image = vec![0.5_f32; 784];
    let size = size_of_val(&image[..]);
    let input = serde_json::json!({"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "parameters": {"binary_data_size": size}});
    let mut body = serde_json::json!({"inputs": [input]}).to_string().into_bytes();
    let header = body.len();
    body.extend(image.iter().flat_map(|value| value.to_le_bytes()));
    let shot = Shot { path: "/v2/models/fashion-mnist/infer".into(), header_length: Some(header), body: body.into() };
    for parts in [1, 2, 3] {
        let (devices, gateway) = chained(parts);
        let cluster = Cluster::start(devices, gateway);
        drive(&cluster.gateway, &shot, 1, WARM_UP).await;
        let mut latencies = drive(&cluster.gateway, &shot, 1, SECONDS).await;
        latencies.sort();
        let p50 = latencies[latencies.len() / 2];
        let service = median_service(&cluster, &shot).await;
        // Client to gateway is a hop as well as gateway to fragment and fragment to fragment.
        let hops = parts as u32 + 1;
        let per_hop = p50.saturating_sub(service) / hops;
        let [p50, service, per_hop] = [p50, service, per_hop].map(|time| time.as_micros());
        println!("| gateway and {parts} fragments | {p50} µs | {service} µs | {per_hop} µs |");
    }
}

/// What the fragments say that serving took: inference, and waking the thread that does it. It grows with the number of
/// fragments, because each of them finds its caches cold.
async fn median_service(cluster: &Cluster, shot: &Shot) -> Duration {
    let client = cluster.client();
    let header = shot.header_length.unwrap_or(0).to_string();
    let mut all = vec![];
    for _ in 0..2_000 {
        let headers = [("inference-header-content-length", header.as_str())];
        let reply = client.send(hyper::Method::POST, &shot.path, &headers, shot.body.clone()).await.unwrap();
        all.push(reply.answer().parameters["service_microseconds"].as_u64().unwrap());
    }
    all.sort_unstable();
    Duration::from_micros(all[all.len() / 2])
}

/// Median time of the whole network through the same slicing, without processes.
fn in_process() -> Duration {
    let (model, file) = fashion();
    let network = Network::load(Path::new(&file), &read_description(model).unwrap()).unwrap();
    let fragment = network.undivided().unwrap();
    let mut worker = fragment.worker().unwrap();
    let thresholds = domain::Thresholds::exit_last(EXITS);
    let image = vec![0.5_f32; 784];
    let mut times: Vec<Duration> = (0..2_000)
        .map(|_| {
            let start = Instant::now();
            let input = fragment.input_from_values(&image).unwrap();
            worker.run(input, &thresholds, false).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
