//! Networks in JSON, as a user gives them: what is read can be simulated.
#![no_main]

use simulator::{Effort, form, simulate};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(cases) = form::read(data) else { return };
    for case in cases.cases {
        let effort = Effort { events: 2_000, threads: 1, ..Effort::arrivals(1, 200) };
        case.network.check().expect("what is read can be simulated");
        // A run with an end of its own may have more arrivals than this, which is an error and no panic.
        let _ = simulate(&case.network, &effort);
    }
});
