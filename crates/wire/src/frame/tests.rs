use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

fn job() -> Job {
    Job {
        id: 7,
        body_size: 3136,
        inline: true,
        notify_passed: false,
        audit: true,
        answered: false,
        answer_on_overflow: true,
        confidences: true,
        remaining_micros: Some(1_000_000),
        thresholds: vec![0.5, 1.0],
        hops: vec![Hop { fragment: "f-1-2".into(), device: "pi".into(), address: "127.0.0.1:9000".into() }],
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        audits: vec![AuditRecord { exit: 0, class: 3, confidence: 0.25 }],
    }
}

fn every_frame() -> Vec<Frame> {
    let evaluated = vec![ExitConfidence { exit: 0, confidence: 0.5 }, ExitConfidence { exit: 1, confidence: 0.75 }];
    let answer =
        Answer { exit: 1, class: 9, confidence: 0.75, probabilities: vec![0.25, 0.75], on_overflow: true, evaluated };
    let reply = |outcome| {
        Frame::Reply(Box::new(Reply {
            id: 3,
            outcome,
            hops: 2,
            away: Some("box".into()),
            wait_micros: 5,
            service_micros: 6,
        }))
    };
    vec![
        Frame::Job(Box::new(job())),
        Frame::Body { id: 1, size: 9 },
        Frame::Cancel { id: 8 },
        Frame::Grant { id: u64::MAX },
        Frame::Refused { id: 2, reason: Refusal::FragmentMemory },
        Frame::Taken { id: 0 },
        Frame::Passed { id: 4 },
        reply(Outcome::Answered(answer.clone())),
        reply(Outcome::Lost { place: "pi-1".into(), reason: Refusal::DeviceMemory }),
        reply(Outcome::Failed { place: "gerät".into(), reason: Failure::HopDied }),
        Frame::Audit { id: 5, records: vec![AuditRecord { exit: 5, class: 1, confidence: 1.0 }] },
        Frame::Ping,
        Frame::Pong,
        Frame::Draining,
        reply(Outcome::Answered(Answer { evaluated: vec![], on_overflow: false, ..answer })),
    ]
}

#[test]
fn every_frame_survives_the_trip_with_bytes_behind_it() {
    for frame in every_frame() {
        let mut buffer = BytesMut::new();
        encode(&frame, &mut buffer);
        buffer.extend_from_slice(b"behind");
        assert_eq!(Decoder.next(&mut buffer).unwrap(), Some(frame));
        assert_eq!(&buffer[..], b"behind");
    }
}

#[test]
fn confidences_cost_a_job_that_does_not_ask_for_them_nothing() {
    let length = |frame: Frame| {
        let mut buffer = BytesMut::new();
        encode(&frame, &mut buffer);
        buffer.len()
    };
    let [asked, plain] = [true, false].map(|confidences| length(Frame::Job(Box::new(Job { confidences, ..job() }))));
    assert_eq!(asked, plain);
    let frames = every_frame();
    assert_eq!(length(frames[7].clone()) - length(frames[14].clone()), 2 + 2 * 6);
}

#[test]
fn frames_arrive_one_byte_at_a_time() {
    let mut all = BytesMut::new();
    for frame in every_frame() {
        encode(&frame, &mut all);
    }
    let (mut buffer, mut seen) = (BytesMut::new(), vec![]);
    for byte in all {
        buffer.extend_from_slice(&[byte]);
        seen.extend(Decoder.next(&mut buffer).unwrap());
    }
    assert_eq!(seen, every_frame());
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
    let mut buffer = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    assert_eq!(Decoder.next(&mut buffer), Err(FrameError::TooLong { length: u32::MAX }));
}

#[test]
fn an_inline_body_beyond_the_limit_is_refused() {
    let mut buffer = BytesMut::new();
    encode(&Frame::Job(Box::new(Job { body_size: 65_537, ..job() })), &mut buffer);
    assert_eq!(Decoder.next(&mut buffer), Err(FrameError::InlineTooLong { size: 65_537 }));
}

#[test]
fn codes_come_back_as_they_went() {
    assert!(Refusal::ALL.iter().all(|&reason| Refusal::from_code(reason.code()) == Some(reason)));
    assert!(Failure::ALL.iter().all(|&reason| Failure::from_code(reason.code()) == Some(reason)));
}

#[test]
fn versions_are_negotiated_and_foreign_bytes_refused() {
    let [a, b, c, d] = MAGIC;
    let rows = [
        ([a, b, c, d, 1, 1], Ok(1)),
        ([a, b, c, d, 1, 9], Ok(NEWEST_VERSION)),
        ([a, b, c, d, 9, 12], Ok(0)),
        (*b"GET / ", Err(FrameError::Magic)),
    ];
    for (theirs, want) in rows {
        assert_eq!(answer_preamble(theirs).map(|answer| answer[4]), want, "{theirs:?}");
    }
    assert_eq!(chosen_version(answer_preamble(preamble()).unwrap()), Ok(NEWEST_VERSION));
    assert_eq!(chosen_version([a, b, c, d, 0, 0]), Err(FrameError::Version));
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = Decoder.next(&mut buffer) {}
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_frame(which in 0usize..15, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut buffer = BytesMut::new();
        encode(&every_frame()[which], &mut buffer);
        let at = at.index(buffer.len());
        buffer[at] = byte;
        let _ = Decoder.next(&mut buffer);
    }

    #[test]
    fn a_frame_cut_short_inside_is_malformed(which in 0usize..11, cut in 1usize..20) {
        let mut buffer = BytesMut::new();
        encode(&every_frame()[which], &mut buffer);
        let length = buffer.len() - 4;
        prop_assume!(cut < length);
        buffer.truncate(4 + length - cut);
        let shorter = (length - cut) as u32;
        buffer[..4].copy_from_slice(&shorter.to_le_bytes());
        prop_assert!(Decoder.next(&mut buffer).is_err());
    }
}
