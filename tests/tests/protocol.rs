//! A fragment against peers of all kinds: by the protocol, beside it, and hostile.

#![expect(clippy::unwrap_used, reason = "what a helper unwraps fails the test")]

use bytes::{Buf as _, BytesMut};
use system_tests::{Process, build};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wire::frame::{Decoder, Frame, Hop, Job, Outcome, PREAMBLE, Refusal, chosen_version, encode, preamble};

const TENSOR: u32 = 784 * 4;

/// A sender that is driven frame by frame.
struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Peer {
    async fn connect(process: &Process) -> Self {
        let mut stream = TcpStream::connect(&process.ready.address).await.unwrap();
        stream.write_all(&preamble()).await.unwrap();
        let mut answer = [0; PREAMBLE];
        stream.read_exact(&mut answer).await.unwrap();
        chosen_version(answer).unwrap();
        Self { stream, buffer: BytesMut::new() }
    }

    async fn send(&mut self, frame: Frame, body: &[u8]) {
        let mut bytes = BytesMut::new();
        encode(&frame, &mut bytes);
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next frame, or `None` when the fragment has closed the connection.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Decoder.next(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                assert!(!self.buffer.has_remaining());
                return None;
            }
        }
    }
}

fn fragment(budget_jobs: u64) -> Process {
    let model = build::trivial_model();
    let mut device = build::device("near", vec![build::fragment(&model, 1, 1, budget_jobs * u64::from(TENSOR))]);
    build::emulate(&mut device, 20.0);
    Process::start("fragment", &device)
}

fn job(id: u64, inline: bool) -> Job {
    Job {
        id,
        body_size: TENSOR,
        inline,
        notify_passed: false,
        audit: false,
        answered: false,
        answer_on_overflow: false,
        confidences: false,
        remaining_micros: None,
        thresholds: vec![],
        hops: vec![Hop { fragment: "trivial-1-1".into(), device: "near".into(), address: String::new() }],
        traceparent: String::new(),
        audits: vec![],
    }
}

fn announce(job: Job) -> Frame {
    Frame::Job(Box::new(job))
}

#[tokio::test]
async fn a_job_that_does_not_fit_is_refused_on_its_header_alone() {
    let process = fragment(2);
    let mut peer = Peer::connect(&process).await;
    for id in 0..3 {
        peer.send(announce(job(id, false)), &[]).await;
    }
    assert_eq!(peer.next().await, Some(Frame::Grant { id: 0 }));
    assert_eq!(peer.next().await, Some(Frame::Grant { id: 1 }));
    assert_eq!(peer.next().await, Some(Frame::Refused { id: 2, reason: Refusal::FragmentMemory }));
    // What was granted may still come, in any order.
    let body = vec![0; TENSOR as usize];
    peer.send(Frame::Body { id: 1, size: TENSOR }, &body).await;
    assert_eq!(peer.next().await, Some(Frame::Taken { id: 1 }));
    let Some(Frame::Reply(reply)) = peer.next().await else { panic!("no reply") };
    assert_eq!(reply.id, 1);
    assert!(matches!(reply.outcome, Outcome::Answered(_)));
}

#[tokio::test]
async fn a_refused_inline_body_is_drained_and_the_connection_goes_on() {
    let process = fragment(1);
    let mut peer = Peer::connect(&process).await;
    let body = vec![0; TENSOR as usize];
    peer.send(announce(job(0, true)), &body).await;
    peer.send(announce(job(1, true)), &body).await;
    peer.send(Frame::Ping, &[]).await;
    assert_eq!(peer.next().await, Some(Frame::Taken { id: 0 }));
    assert_eq!(peer.next().await, Some(Frame::Refused { id: 1, reason: Refusal::FragmentMemory }));
    assert_eq!(peer.next().await, Some(Frame::Pong));
    let Some(Frame::Reply(reply)) = peer.next().await else { panic!("no reply") };
    assert_eq!(reply.id, 0);
}

#[tokio::test]
async fn memory_granted_to_a_peer_that_goes_away_is_free_again() {
    let process = fragment(1);
    let mut gone = Peer::connect(&process).await;
    gone.send(announce(job(0, false)), &[]).await;
    assert_eq!(gone.next().await, Some(Frame::Grant { id: 0 }));
    drop(gone);
    let mut peer = Peer::connect(&process).await;
    loop {
        peer.send(announce(job(0, false)), &[]).await;
        match peer.next().await {
            Some(Frame::Grant { .. }) => break,
            Some(Frame::Refused { .. }) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn memory_of_a_job_that_is_cancelled_is_free_again() {
    let process = fragment(1);
    let mut peer = Peer::connect(&process).await;
    peer.send(announce(job(0, false)), &[]).await;
    peer.send(announce(job(1, false)), &[]).await;
    peer.send(Frame::Cancel { id: 0 }, &[]).await;
    peer.send(announce(job(2, false)), &[]).await;
    assert_eq!(peer.next().await, Some(Frame::Grant { id: 0 }));
    assert_eq!(peer.next().await, Some(Frame::Refused { id: 1, reason: Refusal::FragmentMemory }));
    assert_eq!(peer.next().await, Some(Frame::Grant { id: 2 }));
}

#[tokio::test]
async fn jobs_that_do_not_fit_the_fragment_are_refused_as_such() {
    let process = fragment(4);
    let mut peer = Peer::connect(&process).await;
    let rows = [
        (Job { body_size: 7, ..job(0, false) }, Refusal::BadJob),
        (Job { thresholds: vec![0.5], ..job(0, false) }, Refusal::BadJob),
        (Job { hops: vec![], ..job(0, false) }, Refusal::UnknownFragment),
    ];
    for (job, reason) in rows {
        peer.send(announce(job), &[]).await;
        assert_eq!(peer.next().await, Some(Frame::Refused { id: 0, reason }));
    }
}

#[tokio::test]
async fn peers_that_break_the_protocol_are_closed_and_harm_nobody() {
    let process = fragment(4);
    let hostile: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[preamble().as_slice(), &u32::MAX.to_le_bytes()].concat(),
        &[preamble().as_slice(), &[1, 0, 0, 0, 99]].concat(),
        &[preamble().as_slice(), &[13, 0, 0, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]].concat(),
        b"EENN\x09\x0c",
    ];
    for bytes in hostile {
        let mut stream = TcpStream::connect(&process.ready.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = vec![];
        // Closed, or after an answer that no version is common the peer closes itself.
        let read = stream.read_to_end(&mut rest);
        let closed = tokio::time::timeout(std::time::Duration::from_secs(2), read).await;
        assert!(closed.is_ok() || rest.ends_with(&[0, 0]), "{bytes:?}: {rest:?}");
    }
    let mut peer = Peer::connect(&process).await;
    peer.send(announce(job(0, true)), &vec![0; TENSOR as usize]).await;
    assert_eq!(peer.next().await, Some(Frame::Taken { id: 0 }));
}

#[tokio::test]
async fn a_job_with_numbers_that_are_not_finite_fails_and_says_so() {
    let process = fragment(4);
    let mut peer = Peer::connect(&process).await;
    peer.send(announce(job(0, true)), &f32::NAN.to_le_bytes().repeat(784)).await;
    assert_eq!(peer.next().await, Some(Frame::Taken { id: 0 }));
    let Some(Frame::Reply(reply)) = peer.next().await else { panic!("no reply") };
    assert!(matches!(reply.outcome, Outcome::Failed { reason: wire::frame::Failure::NotFinite, .. }), "{reply:?}");
}
