//! Mistakes, and the lines about them.

use super::super::read;
use super::{extended, plain, read_value, refused};
use serde_json::{Value, json};

#[test]
fn plain_mistakes_are_named_by_place_and_reason() {
    for (pointer, new, line) in [
        (
            "/chains/0/fragments/1/device",
            Some(json!(7)),
            "chains[0].fragments[1].device: there is no device 7; there are",
        ),
        ("/chains/0/fragments/1/device", Some(json!("bex")), "there is no device \"bex\"; did you mean \"box\"?"),
        ("/chains/0/fragments/1/device", Some(json!(-1)), "chains[0].fragments[1].device (line 1, column "),
        (
            "/chains/0/fragments/0/exit_prob_after",
            Some(json!(1.5)),
            "chains[0].fragments[0].exit_prob_after: must be a",
        ),
        ("/chains/0/fragments/1/exit_prob_after", Some(json!(0.5)), "must be 1 for the last fragment, not 0.5"),
        ("/regions/0/memory", Some(json!(0)), "regions[0].memory: must be above 0"),
        ("/regions/0/memory", Some(json!(-3)), "regions[0].memory: must be from 0 to 9e12, not -3"),
        ("/devices/0/servers", Some(json!(0)), "devices[0].servers: must be a whole number from 1 to 1000000, not 0"),
        ("/devices/0/speed", Some(json!(0)), "devices[0].speed: must be from 1e-9 to 1e9, not 0"),
        ("/devices/0/speed", Some(json!("fast")), "invalid type: string \"fast\", expected a number"),
        ("/devices/0/discipline", Some(json!("lifo")), "unknown variant `lifo`, expected one of `fcfs`, `ps`, `hol`"),
        ("/chains/0/fragments", Some(json!(1_000_000_000)), "chains[0].fragments (line 1, column "),
        ("/chains/0/fragments", Some(json!([])), "chains[0].fragments: must hold at least one fragment"),
        ("/chains", Some(json!([])), "chains: must hold at least one chain"),
        ("/devices", Some(json!([])), "devices: must hold at least one device"),
        (
            "/chains/0/arrival/type",
            Some(json!("exponental")),
            "unknown type \"exponental\"; did you mean \"exponential\"?",
        ),
        ("/chains/0/arrival/mean", Some(json!(0)), "chains[0].arrival.mean: must be above 0"),
        ("/chains/0/fragments/1/service/phases", Some(json!(2.5)), "must be a whole number from 1 to 1000000, not 2.5"),
        (
            "/chains/0/fragments/1/service/type",
            Some(json!("trace")),
            "chains[0].fragments[1].service.type: unknown type",
        ),
        ("/chains/0/name", Some(json!("")), "chains[0].name: must have 1 to 200 bytes"),
        ("/devices/1/name", Some(json!("front")), "devices[1].name: device 0 has the name \"front\" already"),
        ("/regions/1/devices", Some(json!([0, 0])), "regions[1].devices[1]: names device \"front\" a second time"),
        ("/devices/0", Some(json!([1, 1, "fcfs"])), "devices[0] (line 1, column "),
        ("/overflow", Some(json!("block_after_service")), "devices[1].discipline: must be fcfs or hol"),
    ] {
        let found = refused(plain(), pointer, new);
        assert!(found.contains(line), "{pointer}: {found}");
    }
}

#[test]
fn missing_fields_are_named() {
    for (pointer, line) in [
        ("/devices", "missing field `devices`"),
        ("/chains", "missing field `chains`"),
        ("/devices/0/servers", "devices[0] (line 1, column "),
        ("/devices/0/speed", "missing field `speed`"),
        ("/devices/0/discipline", "missing field `discipline`"),
        ("/regions", "devices[1]: needs `memory`, because the case has no `regions`"),
        ("/regions/0/memory", "missing field `memory`"),
        ("/chains/0/arrival", "chains[0]: needs the field `arrival`"),
        ("/chains/0/arrival/mean", "chains[0].arrival: type \"exponential\" needs the field `mean`"),
        ("/chains/0/arrival/type", "missing field `type`"),
        ("/chains/0/fragments", "missing field `fragments`"),
        ("/chains/0/fragments/0/device", "missing field `device`"),
        ("/chains/0/fragments/0/service", "chains[0].fragments[0]: needs the field `service`"),
        ("/chains/0/fragments/1/service/phases", "type \"erlang\" needs the field `phases`"),
        ("/chains/0/fragments/0/memory", "missing field `memory`"),
        ("/chains/0/fragments/0/exit_prob_after", "chains[0].fragments[0]: needs the field `exit_prob_after`"),
    ] {
        let found = refused(plain(), pointer, None);
        assert!(found.contains(line), "{pointer}: {found}");
    }
}

#[test]
fn mistakes_in_extensions_are_named_by_place_and_reason() {
    for (pointer, new, line) in [
        ("/links/0/to", json!("front"), "links[0].to: is the device that the link starts from"),
        ("/devices/1/lanes/0/limit", json!(0), "devices[1].lanes[0].limit: must be from 1e-6 to 1e6, not 0"),
        (
            "/devices/1/outages",
            json!({"mean_up": 1e-9, "mean_down": 1e-9}),
            "devices[1].outages: must not come a million",
        ),
        ("/links/0/bandwidth", json!(0), "links[0].bandwidth: must be above 0"),
        ("/devices/0/outages", json!([[1, 3], [2, 4]]), "devices[0].outages[1]: must begin after the one before"),
        ("/devices/0/lanes", json!([{}]), "devices[0].lanes: go with the discipline \"pods\" only"),
        ("/chains/0/fragments/1/lane", json!("c"), "there is no lane \"c\""),
        ("/chains/0/fragments/1/segments", json!([1, 2]), "chains[0].fragments[1].segments: must begin with 2"),
        ("/chains/0/mixture/0/probability", json!(0.4), "chains[0].mixture: must sum to 1, not to 0.9"),
        (
            "/chains/1/thresholds",
            json!([1, 1]),
            "chains[1].thresholds: must be 1, one per exit but the last, but are 2",
        ),
        ("/chains/1/thresholds", json!([1.5]), "chains[1].thresholds[0]: must be from 0 (always leaves) to 1 (closed)"),
        ("/chains/1/gateway", json!("box"), ""),
        ("/chains/1/model", json!(null), "chains[1].fragments[0].segments: are those of a model"),
        ("/chains/1/deadline", json!(1), "chains[1].deadline: belongs to the source"),
        ("/models/0/heads", json!([0.1]), "models[0].exit_segments: is missing; the model has 1 heads and 2 segments"),
        (
            "/models/0/exit_table/confidence",
            json!([[0.5, 0.9], [0.8]]),
            "models[0].exit_table.confidence[1]: must have",
        ),
        ("/models/0/exit_table/confidence", json!([[0.5, 0.9], [0.8, 1.2]]), "confidence[1][1]: must be from 0 to 1"),
        ("/models/0/exit_table/label", json!([0, 1]), "needs either `correct`, or `prediction` and `label`"),
        ("/sources/0/chains/0/probability", json!(0.5), "sources[0].chains: must sum to 1, not to 0.75"),
        ("/sources/0/chains/1/chain", json!(0), "sources[0].chains[1].chain: is named a second time"),
        ("/sources/0/arrival/pieces", json!([{"duration": 1, "rate": 0}]), "nothing would ever arrive"),
        ("/sources/0/retry/attempts", json!(0), "sources[0].retry.attempts: must be from 1 to 1000, not 0"),
    ] {
        if line.is_empty() {
            let mut document = extended();
            *document.pointer_mut(pointer).unwrap() = new;
            assert!(read_value(&document).is_ok(), "{pointer}");
            continue;
        }
        let found = refused(extended(), pointer, Some(new));
        assert!(found.contains(line), "{pointer}: {found}");
    }
}

#[test]
fn a_chain_without_arrivals_is_refused() {
    let mut case = extended();
    case["sources"][0]["chains"] = json!([{"chain": "early"}]);
    let line = read_value(&case).unwrap_err().to_string();
    assert!(line.starts_with("chains[1]: has no arrivals: no source names it"), "{line}");
    case["sources"] = json!([]);
    assert!(read_value(&case).unwrap_err().to_string().contains("chains[0]: has no arrivals"));
}

#[test]
fn places_in_a_file_begin_with_the_case() {
    let mut file = json!({"cases": [plain(), extended()]});
    file["cases"][1]["chains"][1]["thresholds"] = json!([2]);
    let line = read_value(&file).unwrap_err().to_string();
    assert!(line.starts_with("cases[1].chains[1].thresholds[0]: "), "{line}");
    file["cases"][1]["devices"][0]["servers"] = json!({});
    let line = read_value(&file).unwrap_err().to_string();
    assert!(line.starts_with("cases[1].devices[0].servers (line 1, column "), "{line}");
}

#[test]
fn a_mean_beside_what_determines_it_is_compared() {
    let law = |mean: f64| json!({"type": "hyperexponential", "probs": [0.5, 0.5], "means": [1, 3], "mean": mean});
    let mut case = plain();
    case["chains"][0]["fragments"][0]["service"] = law(2.001);
    assert!(read_value(&case).is_ok());
    let line = refused(case, "/chains/0/fragments/0/service", Some(law(2.1)));
    assert_eq!(line, "chains[0].fragments[0].service.mean: is 2.1, but the other fields give 2");
    let mmpp = json!({"type": "mmpp2", "rates": [1.6, 0.1], "switch": [0.05, 0.075], "mean": 1.1});
    let line = refused(plain(), "/chains/0/arrival", Some(mmpp));
    assert!(line.starts_with("chains[0].arrival.mean: is 1.1, but the other fields give "), "{line}");
}

#[test]
fn what_is_no_json_is_named_by_line_and_column() {
    for (text, line) in [
        ("{\"devices\": [{\"servers\": NaN}]}", "devices[0].servers (line 1, column 26): NaN is no number in JSON"),
        ("{\"devices\": [{\"servers\": -Infinity}]}", "infinity is no number in JSON"),
        ("{\"devices\": [{\"servers\": 1e999}]}", "devices[0].servers (line 1, column 30): number out of range"),
        ("{\"cases\": [\n{\"devices\": [}]}", "cases[0].devices[0] (line 2, column 14): expected value"),
        ("", "line 1, column 0: EOF while parsing a value"),
        ("[]", "invalid type: list, expected an object"),
        ("{}", "has neither `cases`, nor `devices` and `chains`"),
        ("{\"cases\": []}", "cases: must hold at least one case"),
        ("{\"cases\": [], \"devices\": []}", "has both `cases` and a case of its own"),
        ("{\"devices\": [], \"devices\": []}", "duplicate field `devices`"),
    ] {
        let found = read(text.as_bytes()).unwrap_err().to_string();
        assert!(found.contains(line), "{text}: {found}");
    }
    let line = read(format!("{} x", plain()).as_bytes()).unwrap_err().to_string();
    assert!(line.contains("trailing characters"), "{line}");
    assert!(read(b"{\n\xff").unwrap_err().to_string().contains("the first bad byte is in line 2"));
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let deep = |open: &str| format!("{{\"devices\": {}", open.repeat(1_000_000));
    for text in [deep("["), deep("{\"a\":"), format!("{{\"cases\": {}", "[".repeat(1_000_000))] {
        assert!(read(text.as_bytes()).is_err());
    }
    let ignored = format!("{{\"about\": {}{}, \"cases\": []}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(ignored.as_bytes()).is_err());
}

#[test]
fn blocking_is_for_what_cannot_deadlock() {
    let mut case = plain();
    case["overflow"] = json!("block_after_service");
    case["devices"][1]["discipline"] = json!("hol");
    case["chains"][0]["fragments"][1]["memory"] = json!(1);
    assert!(read_value(&case).is_ok());
    let change = |pointer: &str, new: Value| refused(case.clone(), pointer, Some(new));
    let line = change("/chains/0/fragments/1/memory", json!(2));
    assert_eq!(line, "chains[0].fragments[1].memory: must be 1 for block_after_service, not 2");
    let line = change("/chains/0/fragments/1/device", json!(0));
    assert!(line.starts_with("chains: lead in a circle to device \"front\""), "{line}");
    let line = change("/regions", json!([{"devices": [0, 1], "memory": 5}]));
    assert!(line.contains("must have one region of its own"), "{line}");
    assert!(change("/handover", json!("reserve_first")).starts_with("handover: must be release_first"));
    let line = change("/links", json!([{"from": 0, "to": 1}]));
    assert!(line.starts_with("links: do not go with"), "{line}");
}
