//! Frames of the job protocol: bytes from a peer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut buffer = bytes::BytesMut::from(data);
    while let Ok(Some(frame)) = wire::frame::Decoder.next(&mut buffer) {
        // What was read is written and read again as the same.
        let mut again = bytes::BytesMut::new();
        wire::frame::encode(&frame, &mut again);
        let back = wire::frame::Decoder.next(&mut again).expect("what was encoded is a frame");
        // NaN is not equal to itself; its bytes are.
        assert_eq!(format!("{back:?}"), format!("{:?}", Some(frame)));
    }
});
