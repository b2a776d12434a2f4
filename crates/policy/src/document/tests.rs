use super::*;
use proptest::prelude::*;

const GOOD: &str = r#"{
    "service": "s", "version": {"transitions": 0, "generation": 1},
    "chains": [{"name": "a", "hops": [
        {"fragment": "f", "device": "d", "address": "127.0.0.1:1", "firstSegment": 1, "lastSegment": 2},
        {"fragment": "g", "device": "e", "address": "127.0.0.1:2", "firstSegment": 3, "lastSegment": 6}]}],
    "default": [{"probability": 1, "chain": "a", "thresholds": [0.5, 1]}]
}"#;

/// Everything that a document may have.
const FULL: &str = r#"{
    "service": "s", "version": {"transitions": 3, "generation": 1}, "epoch": "Dispatch", "overflow": "AnswerWithLastExit",
    "chains": [
        {"name": "a", "hops": [
            {"fragment": "f", "device": "d", "address": "h:1", "firstSegment": 1, "lastSegment": 2, "workers": 2},
            {"fragment": "g", "device": "e", "address": "h:2", "firstSegment": 3, "lastSegment": 6}]},
        {"name": "b", "hops": [{"fragment": "w", "device": "e", "address": "h:2", "firstSegment": 1, "lastSegment": 6}]}],
    "default": [{"probability": 0.25, "chain": "b", "thresholds": [0.5, 1]},
        {"probability": 0.75, "chain": "a", "thresholds": [0.3, 0.1], "byPresent": [
            [{"probability": 1, "thresholds": [0.9, 0.9]}],
            [{"probability": 0.5, "thresholds": [0, 1]}, {"probability": 0.5, "thresholds": [1, 0]}]]}],
    "sources": {"camera": [{"probability": 1, "chain": "a", "thresholds": [0.25, 1]}]},
    "rates": {"forecastPerSecond": 20, "measured": {"window": {"seconds": 5}}, "rows": [
        {"upTo": 1, "default": [{"probability": 1, "chain": "a", "thresholds": [0.5, 1]}]},
        {"upTo": 2.5, "default": [{"probability": 1, "chain": "b", "thresholds": [0, 1]}],
            "sources": {"camera": [{"probability": 1, "chain": "b", "thresholds": [0.75, 1]}]}}]},
    "learning": {"adaEE": {"arms": [[0.5, 0.5], [1, 0]], "exploration": 1.5, "costs": [0, 0.1, 0.3], "room": 7}},
    "auditShare": 0.01, "deadlineMilliseconds": 250
}"#;

fn read_text(text: &str) -> Result<Deployed, String> {
    let document = serde_json::from_str::<PolicyDocument>(text).map_err(|error| error.to_string())?;
    read(&document, 3, 6).map_err(|error| error.to_string())
}

fn check_in(good: &str, from: &str, to: &str, want: &str) {
    assert!(good.contains(from), "{from}");
    match read_text(&good.replace(from, to)) {
        Ok(_) => assert_eq!(want, "", "{to} was accepted"),
        Err(error) => assert!(!want.is_empty() && error.contains(want), "{to}: {error}"),
    }
}

#[test]
fn a_bad_document_says_what_is_wrong() {
    let check = |from, to, want| check_in(GOOD, from, to, want);
    check("", "", "");
    check("\"chain\": \"a\"", "\"chain\": \"b\"", "names chain \"b\"; there are \"a\"");
    check("\"probability\": 1", "\"probability\": 0.5", "sum to 0.5, not to 1");
    check(
        "\"probability\": 1",
        "\"probability\": -1",
        "a choice of the default: probability must be between 0 and 1, not -1",
    );
    check("[0.5, 1]", "[0.5]", "thresholds for 2 exits, the model has 3");
    check("[0.5, 1]", "[0.5, 2]", "threshold 1 must be between 0");
    check("\"firstSegment\": 3", "\"firstSegment\": 4", "does not hold segments 1 to 6");
    check("\"firstSegment\": 1", "\"firstSegment\": 0", "count from 1");
    check("\"lastSegment\": 6", "\"lastSegment\": 6, \"workers\": 0", "0 workers");
    check("\"service\"", "\"servant\"", "unknown field `servant`");
}

#[test]
fn tables_and_learners_say_what_is_wrong() {
    let check = |from, to, want| check_in(FULL, from, to, want);
    check("", "", "");
    check("\"Dispatch\"", "\"Arrival\"", "needs the epoch Dispatch");
    check("[0.9, 0.9]}]", "[0.9, 0.9]}, {\"probability\": 0.5, \"thresholds\": [1, 1]}]", "with 1 present sum to 1.5");
    check("[0.9, 0.9]", "[0.9]", "thresholds for 2 exits");
    check("[0.9, 0.9]", "[0.9, 7]", "with 1 present: threshold 1 must be");
    check(
        "\"forecastPerSecond\": 20",
        "\"forecastPerSecond\": 0",
        "forecast of the rate table is 0, but must be above 0",
    );
    check("\"forecastPerSecond\": 20", "\"forecastPerSecond\": -1", "forecast of the rate table");
    check("\"seconds\": 5", "\"seconds\": 0", "window of the rate table is 0");
    check("\"seconds\"", "\"minutes\"", "unknown field `minutes`");
    check("\"upTo\": 2.5", "\"upTo\": 1", "above the row before");
    check("[0.75, 1]", "[0.75]", "source \"camera\" in row 2.5");
    check("\"window\"", "\"median\"", "unknown variant `median`");
    check(
        "{\"window\": {\"seconds\": 5}}",
        "{\"phases\": {\"rates\": [2, 1], \"switchPerSecond\": [1, 1]}}",
        "lower one",
    );
    check("{\"window\": {\"seconds\": 5}}", "{\"phases\": {\"rates\": [1, 2], \"switchPerSecond\": [1, 1]}}", "");
    check("[0.5, 0.5], [1, 0]", "[0.5, 0.5], [1]", "of AdaEE has thresholds for 2 exits");
    check("[0.5, 0.5], [1, 0]", "[0.5, 0.5], [1, 3]", "arm 2: threshold 1 must be");
    check("[0.5, 0.5], [1, 0]", "", "number of arms is 0");
    check("[0, 0.1, 0.3]", "[0, 0.1]", "number of costs of AdaEE");
    check("[0, 0.1, 0.3]", "[0, 0.3, 0.1]", "≥ the one before");
    check("\"room\": 7", "\"room\": 0", "at least 1");
    check("\"room\": 7", "\"rooms\": 7", "unknown field `rooms`");
    let (from, _) = FULL.split_once("\"learning\": ").unwrap();
    let reactive = format!("{from}\"learning\": {{\"reactive\": {{}}}}}}");
    assert_eq!(read_text(&reactive).unwrap().policy.learning, Some(domain::Learning::Reactive));
    check_in(&reactive, "{\"reactive\": {}}", "{\"reactive\": {\"exit\": 1}}", "unknown field `exit`");
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for text in [GOOD, FULL] {
        let deployed = read_text(text).unwrap();
        let written = serde_json::to_string(&deployed.document()).unwrap();
        assert_eq!(read_text(&written).unwrap(), deployed, "{written}");
    }
    let document: PolicyDocument = serde_json::from_str(FULL).unwrap();
    assert_eq!(read(&document, 3, 6).unwrap().document(), document);
}

#[test]
fn phases_are_read_with_either_way_to_look_at_them() {
    for name in ["phases", "belief"] {
        let measured = format!("{{\"{name}\": {{\"rates\": [0.5, 2], \"switchPerSecond\": [0.1, 0.2]}}}}");
        let text = FULL.replace("{\"window\": {\"seconds\": 5}}", &measured);
        let deployed = read_text(&text).unwrap();
        let written = serde_json::to_string(&deployed.document()).unwrap();
        assert!(written.contains(name), "{written}");
        assert_eq!(read_text(&written).unwrap(), deployed, "{written}");
        check_in(&text, "[0.5, 2]", "[2, 0.5]", "the rate of the first phase");
        check_in(&text, "[0.1, 0.2]", "[0.1, 0]", "a rate of the phases");
    }
}

#[test]
fn lists_are_bounded() {
    let good: PolicyDocument = serde_json::from_str(FULL).unwrap();
    let error = |document: &PolicyDocument| read(document, 3, 6).unwrap_err().to_string();
    let mut long = good.clone();
    let row = long.rates.as_ref().unwrap().rows[0].clone();
    long.rates.as_mut().unwrap().rows = vec![row; 257];
    assert_eq!(error(&long), "the rate table has 257 entries; at most 256 are taken");
    let mut long = good.clone();
    let present = long.default[1].by_present[1].clone();
    long.default[1].by_present = vec![present; 4097];
    assert_eq!(error(&long), "a table over jobs present has 4097 entries; at most 4096 are taken");
    // 100 choices with 4,096 entries of two vectors of two values each.
    long.default[1].by_present.pop();
    long.default = vec![long.default[1].clone(); 100];
    assert!(
        error(&long).starts_with("all thresholds together are 2457918 values; at most 1000000"),
        "{}",
        error(&long)
    );
    let mut long = good;
    let Some(wire::document::LearningDocument::AdaEE(bandit)) = &mut long.learning else { panic!("AdaEE") };
    bandit.arms = vec![vec![0.5, 0.5]; 10_001];
    assert_eq!(error(&long), "the list of arms has 10001 entries; at most 10000 are taken");
}

proptest! {
    #[test]
    fn changed_documents_never_panic(full in any::<bool>(), at in any::<prop::sample::Index>(), byte in 0u8..128) {
        let mut text = if full { FULL } else { GOOD }.as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(document) = serde_json::from_slice::<PolicyDocument>(&text)
            && let Ok(deployed) = read(&document, 3, 6)
        {
            deployed.document();
        }
    }
}
