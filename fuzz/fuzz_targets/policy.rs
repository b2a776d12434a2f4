//! Policy documents, as they are pushed to a gateway.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(document) = serde_json::from_slice::<wire::document::PolicyDocument>(data)
        && let Ok(deployed) = policy::read(&document, 3, 6)
    {
        assert_eq!(deployed.places.len(), deployed.policy.chains.len());
        // What was read can be written, read again, and run.
        policy::read(&deployed.document(), 3, 6).expect("what is written is a policy");
        policy::Gatekeeper::new(deployed.policy, 0.0).row(1.0);
    }
});
