//! gRPC (tonic) against the framed protocol, for tensors of 10 kB to 1 MB over loopback.
//!
//! Both do what a hop does: send a tensor with a small header, get a small answer back, many at a time over one
//! connection; sender and receiver each have one thread. `cargo xtask bench`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc, oneshot};
use tonic::codec::{Codec, DecodeBuf, EncodeBuf};
use tonic::codegen::http::uri::PathAndQuery;
use wire::frame::{Answer, Decoder, Frame, Hop, INLINE_LIMIT, Job, Outcome, Reply, encode};

const SIZES: [usize; 4] = [10_000, 64_000, 256_000, 1_000_000];
const WARM_UP: usize = 200;

fn main() {
    println!("| tensor | protocol | p50, one at a time | p99 | jobs/s, 16 at a time |");
    println!("|---|---|---|---|---|");
    for size in SIZES {
        // Fewer of the large ones, so that a run stays below a minute.
        let jobs = (40_000_000 / size).clamp(300, 4_000);
        for (name, measured) in [("frames", frames(size, jobs)), ("gRPC", grpc(size, jobs))] {
            let Measured { p50, p99, per_second } = measured;
            println!("| {} kB | {name} | {:.0} µs | {:.0} µs | {per_second:.0} |", size / 1000, p50 * 1e6, p99 * 1e6);
        }
    }
}

struct Measured {
    p50: f64,
    p99: f64,
    per_second: f64,
}

/// Runs `send` one at a time, then sixteen at a time.
async fn measure<F, Fut>(jobs: usize, send: F) -> Measured
where
    F: Fn() -> Fut + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    for _ in 0..WARM_UP.min(jobs) {
        send().await;
    }
    let mut latencies = vec![];
    for _ in 0..jobs {
        let start = Instant::now();
        send().await;
        latencies.push(start.elapsed().as_secs_f64());
    }
    latencies.sort_by(f64::total_cmp);
    let start = Instant::now();
    let local = tokio::task::LocalSet::new();
    for _ in 0..16 {
        let send = send.clone();
        local.spawn_local(async move {
            for _ in 0..jobs / 16 {
                send().await;
            }
        });
    }
    local.await;
    let per_second = (jobs / 16 * 16) as f64 / start.elapsed().as_secs_f64();
    Measured { p50: latencies[jobs / 2], p99: latencies[jobs * 99 / 100], per_second }
}

/// Runs a server on a thread of its own and tells its port.
fn serve<Fut: Future<Output = ()>>(server: impl FnOnce(TcpListener) -> Fut + Send + 'static) -> u16 {
    let (port, bound) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port.send(listener.local_addr().unwrap().port()).unwrap();
            server(listener).await;
        });
    });
    bound.recv().unwrap()
}

fn answer(id: u64) -> Reply {
    let answer = Answer { exit: 1, class: 2, confidence: 0.5, probabilities: vec![0.1; 10], on_overflow: false, evaluated: vec![] };
    Reply { id, outcome: Outcome::Answered(answer), hops: 1, away: None, wait_micros: 0, service_micros: 0 }
}

// === Frames ===

fn frames(size: usize, jobs: usize) -> Measured {
    let port = serve(|listener| async move {
        let (stream, _) = listener.accept().await.unwrap();
        receive_frames(stream).await;
    });
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut read, mut write) = stream.into_split();
        let (outgoing, mut queue) = mpsc::channel::<(BytesMut, Bytes)>(64);
        let open: Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>> = Arc::default();
        let body = Bytes::from(vec![7; size]);
        let granted = (open.clone(), outgoing.clone(), body.clone());
        tokio::spawn(async move {
            let (open, outgoing, body) = granted;
            let mut buffer = BytesMut::new();
            while read.read_buf(&mut buffer).await.unwrap() > 0 {
                while let Some(frame) = Decoder.next(&mut buffer).unwrap() {
                    match frame {
                        Frame::Grant { id } => {
                            let mut header = BytesMut::new();
                            encode(&Frame::Body { id, size: body.len() as u32 }, &mut header);
                            outgoing.send((header, body.clone())).await.unwrap();
                        }
                        Frame::Reply(reply) => drop(open.lock().await.remove(&reply.id).unwrap().send(())),
                        _ => {}
                    }
                }
            }
        });
        tokio::spawn(async move {
            while let Some((header, body)) = queue.recv().await {
                write.write_all_buf(&mut header.freeze().chain(body)).await.unwrap();
            }
        });
        let ids = Arc::new(std::sync::atomic::AtomicU64::new(0));
        measure(jobs, move || {
            let (open, outgoing, body, ids) = (open.clone(), outgoing.clone(), body.clone(), ids.clone());
            async move {
                let id = ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let (done, answered) = oneshot::channel();
                open.lock().await.insert(id, done);
                let inline = body.len() <= INLINE_LIMIT;
                let mut header = BytesMut::new();
                encode(&Frame::Job(Box::new(job(id, body.len(), inline))), &mut header);
                outgoing.send((header, if inline { body } else { Bytes::new() })).await.unwrap();
                answered.await.unwrap();
            }
        })
        .await
    })
}

fn job(id: u64, size: usize, inline: bool) -> Job {
    Job {
        id,
        body_size: size as u32,
        inline,
        notify_passed: false,
        audit: false,
        answered: false,
        answer_on_overflow: true,
        confidences: false,
        remaining_micros: Some(1_000_000),
        thresholds: vec![0.5; 5],
        hops: vec![Hop { fragment: "fashion-1-2".into(), device: "box".into(), address: "127.0.0.1:9000".into() }],
        traceparent: String::new(),
        audits: vec![],
    }
}

async fn receive_frames(stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let (mut read, mut write) = stream.into_split();
    let (mut buffer, mut out) = (BytesMut::new(), BytesMut::new());
    loop {
        while let Some(frame) = Decoder.next(&mut buffer).unwrap() {
            let (id, size) = match frame {
                Frame::Job(job) if job.inline => (job.id, job.body_size as usize),
                Frame::Job(job) => {
                    encode(&Frame::Grant { id: job.id }, &mut out);
                    continue;
                }
                Frame::Body { id, size } => (id, size as usize),
                other => panic!("{other:?}"),
            };
            let ahead = buffer.len().min(size);
            let mut body = Vec::with_capacity(size);
            body.extend_from_slice(&buffer[..ahead]);
            buffer.advance(ahead);
            (&mut read).take((size - ahead) as u64).read_to_end(&mut body).await.unwrap();
            std::hint::black_box(body);
            encode(&Frame::Taken { id }, &mut out);
            encode(&Frame::Reply(Box::new(answer(id))), &mut out);
        }
        write.write_all_buf(&mut out).await.unwrap();
        buffer.reserve(64 * 1024);
        if read.read_buf(&mut buffer).await.unwrap() == 0 {
            return;
        }
    }
}

// === gRPC ===

/// Bytes as they are: the least that a gRPC message can cost.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put(item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}

#[derive(Clone)]
struct Serve;

impl tonic::server::UnaryService<Bytes> for Serve {
    type Response = Bytes;
    type Future = std::future::Ready<Result<tonic::Response<Bytes>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        std::hint::black_box(request.into_inner());
        let mut bytes = BytesMut::new();
        encode(&Frame::Reply(Box::new(answer(1))), &mut bytes);
        std::future::ready(Ok(tonic::Response::new(bytes.freeze())))
    }
}

impl tonic::server::NamedService for Serve {
    const NAME: &'static str = "eenn.Hop";
}

impl tonic::codegen::Service<tonic::codegen::http::Request<tonic::body::Body>> for Serve {
    type Response = tonic::codegen::http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::codegen::http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut server = tonic::server::Grpc::new(Raw).apply_max_message_size_config(Some(8 << 20), None);
            Ok(server.unary(Serve, request).await)
        })
    }
}

fn grpc(size: usize, jobs: usize) -> Measured {
    let port = serve(|listener| async move {
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(64 << 20)
            .add_service(Serve);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        let channel = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5)).connect().await.unwrap();
        let mut header = BytesMut::new();
        encode(&Frame::Job(Box::new(job(1, size, true))), &mut header);
        header.put_bytes(7, size);
        let message = header.freeze();
        measure(jobs, move || {
            let (channel, message) = (channel.clone(), message.clone());
            async move {
                let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(8 << 20);
                client.ready().await.unwrap();
                let path = PathAndQuery::from_static("/eenn.Hop/Send");
                client.unary(tonic::Request::new(message), path, Raw).await.unwrap();
            }
        })
        .await
    })
}
