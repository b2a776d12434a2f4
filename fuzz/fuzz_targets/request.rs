//! Bodies of inference requests, plain and compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oip::fuzz_decode(data));
