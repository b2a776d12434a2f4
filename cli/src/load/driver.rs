//! Sends jobs at their times, whatever the answers do, and records what becomes of them.

use super::client::{Client, fate};
use super::plan::Job;
use crate::measure::{Account, Fate};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};

/// Jobs without an answer yet, at most; one more fails as `client-saturated`. Each holds a connection, so two file
/// descriptors on this machine.
pub(crate) const MOST_IN_FLIGHT: usize = 4096;

/// Where jobs of a source are sent, ready to be copied.
#[derive(Debug)]
pub(crate) struct Target {
    /// Connections to its gateway.
    pub(crate) client: Client,
    /// Where to send.
    pub(crate) uri: Uri,
    /// `host` header.
    pub(crate) host: HeaderValue,
    /// Name of the source.
    pub(crate) source: HeaderValue,
    /// What to send.
    pub(crate) samples: Arc<Samples>,
}

/// Request bodies with one sample each, and their labels.
#[derive(Debug)]
pub(crate) struct Samples {
    header_length: HeaderValue,
    bodies: Vec<Bytes>,
    labels: Vec<Option<u16>>,
}

/// What all senders share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// One target per stream of the account.
    pub(crate) targets: Vec<Target>,
    /// What became of the jobs.
    pub(crate) account: Mutex<Account>,
    /// When time 0 was.
    pub(crate) begin: Instant,
}

const SOURCE: HeaderName = HeaderName::from_static("eenn-source");
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

impl Samples {
    /// Makes bodies in the binary tensor extension for samples of `shape` in row-major FP32.
    pub(crate) fn new<'a>(
        input: &str,
        shape: &[usize],
        samples: impl Iterator<Item = (&'a [f32], Option<u16>)>,
    ) -> Self {
        let size = shape.iter().product::<usize>() * size_of::<f32>();
        let shape: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
        let head = serde_json::json!({
            "inputs": [{"name": input, "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}}],
            "outputs": [{"name": "class"}, {"name": "exit"}],
        });
        let head = head.to_string();
        let (bodies, labels) = samples.map(|(values, label)| (body(&head, values), label)).unzip();
        Self { header_length: HeaderValue::from(head.len()), bodies, labels }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.bodies.len()
    }
}

fn body(head: &str, values: &[f32]) -> Bytes {
    let mut body = BytesMut::with_capacity(head.len() + size_of_val(values));
    body.put_slice(head.as_bytes());
    values.iter().for_each(|value| body.put_f32_le(*value));
    body.freeze()
}

impl Target {
    fn request(&self, number: usize) -> Request<Full<Bytes>> {
        let body = self.samples.bodies[number % self.samples.bodies.len()].clone();
        let mut request = Request::post(self.uri.clone()).body(Full::new(body)).expect("all parts are checked");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(JSON_LENGTH, self.samples.header_length.clone());
        headers.insert(SOURCE, self.source.clone());
        request
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn settle(&self, job: &Job, fate: Fate) {
        let now = self.now();
        let mut account = self.account.lock().expect("nothing panics under this lock");
        account.settle(job.key, fate, now.saturating_sub(job.at), now);
    }

    async fn carry(&self, job: &Job) -> Fate {
        let target = &self.targets[job.key.stream];
        match target.client.send(target.request(job.number)).await {
            Ok((status, body)) => fate(status, &body, target.samples.labels[job.number % target.samples.len()]),
            Err(error) => failed(&error),
        }
    }
}

fn failed(reason: &dyn std::fmt::Display) -> Fate {
    Fate::Failed { reason: reason.to_string() }
}

/// Sends every job that comes out of the channel. When it has closed, waits for the answers, at most `patience`; jobs
/// without one by then have failed.
pub(crate) async fn drive(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>, patience: Duration) {
    let room = Arc::new(Semaphore::new(MOST_IN_FLIGHT));
    let (give_up, given_up) = watch::channel(false);
    while let Some(job) = jobs.recv().await {
        shared.account.lock().expect("nothing panics under this lock").arrive(job.key, shared.now());
        let Ok(permit) = room.clone().try_acquire_owned() else {
            shared.settle(&job, failed(&"client-saturated"));
            continue;
        };
        let (shared, mut given_up) = (shared.clone(), given_up.clone());
        tokio::spawn(async move {
            let fate = tokio::select! {
                biased;
                fate = shared.carry(&job) => fate,
                _ = given_up.wait_for(|given_up| *given_up) => failed(&"no answer"),
            };
            shared.settle(&job, fate);
            drop(permit);
        });
    }
    let all = room.acquire_many(MOST_IN_FLIGHT as u32);
    if tokio::time::timeout(patience, all).await.is_err() {
        give_up.send_replace(true);
        let _ = room.acquire_many(MOST_IN_FLIGHT as u32).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Key, Stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn shared(address: &str) -> Shared {
        let target = Target {
            client: Client::new(address),
            uri: Uri::from_static("/v2/models/m/infer"),
            host: HeaderValue::from_str(address).unwrap(),
            source: HeaderValue::from_static("camera"),
            samples: Arc::new(Samples::new("input", &[2], [(&[1.0f32, 2.0][..], Some(3))].into_iter())),
        };
        let stream = Stream { service: "m".into(), source: "camera".into() };
        let account = Mutex::new(Account::new(vec![stream], vec![1]));
        Shared { targets: vec![target], account, begin: Instant::now() }
    }

    fn jobs(count: usize) -> mpsc::Receiver<Job> {
        let (sender, receiver) = mpsc::channel(count);
        for number in 0..count {
            let key = Key { stream: 0, load: 0, phase: 0 };
            sender.try_send(Job { key, number, at: Duration::ZERO }).unwrap();
        }
        receiver
    }

    /// Answers the first `answers` connections once each, then keeps silent.
    async fn gateway(listener: TcpListener, answers: usize) {
        let mut silent = Vec::new();
        for index in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            if index >= answers {
                silent.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..length]);
                assert!(
                    text.starts_with("POST /v2/models/m/infer HTTP/1.1") && text.contains("eenn-source: camera"),
                    "{text}"
                );
                let body = r#"{"outputs":[{"name":"class","data":[3]},{"name":"exit","data":[1]}]}"#;
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    }

    #[tokio::test]
    async fn every_job_gets_a_fate_also_when_the_gateway_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(shared(&listener.local_addr().unwrap().to_string()));
        tokio::spawn(gateway(listener, 3));
        drive(shared.clone(), jobs(5), Duration::from_millis(300)).await;
        let sum = shared.account.lock().unwrap().sum(|_, _| true);
        assert_eq!((sum.arrived, sum.answered, sum.failed_by["no answer"], sum.in_flight()), (5, 3, 2, 0));
        assert_eq!(sum.accuracy(), Some(1.0));
    }

    #[tokio::test]
    async fn nobody_listening_is_a_failure() {
        let shared = Arc::new(shared("127.0.0.1:1"));
        drive(shared.clone(), jobs(2), Duration::from_secs(5)).await;
        let sum = shared.account.lock().unwrap().sum(|_, _| true);
        assert_eq!(sum.failed_by["no connection to 127.0.0.1:1"], 2);
    }
}
