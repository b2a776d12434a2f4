use super::document::PlanDocument;
use super::example::{decision, document, problem, simulated};
use super::{explain, table};
use crate::snapshot;
use domain::Epoch;

#[test]
fn a_plan_looks_like_this() {
    let plan = document(&decision(Epoch::Arrival, simulated(0.002, 0.9012)));
    assert!(plan.meets_targets);
    snapshot::check("testdata/plan.txt", &table::render(&plan, false));
}

#[test]
fn a_plan_by_jobs_present_looks_like_this() {
    let plan = document(&decision(Epoch::Dispatch, simulated(0.0, 0.9012)));
    snapshot::check("testdata/plan-dispatch.txt", &table::render(&plan, false));
}

#[test]
fn targets_that_cannot_be_met_are_told_with_how_far_they_are() {
    let plan = document(&decision(Epoch::Arrival, simulated(0.0212, 0.8612)));
    assert!(!plan.meets_targets);
    snapshot::check("testdata/plan-infeasible.txt", &table::render(&plan, false));
    let missed: Vec<_> = plan.services[0].missed.iter().map(|miss| miss.target).collect();
    assert_eq!(missed, ["maxLoss", "minAccuracy"]);
}

#[test]
fn the_document_holds_what_the_table_shows() {
    let plan = document(&decision(Epoch::Arrival, simulated(0.002, 0.9012)));
    let json = serde_json::to_string_pretty(&plan).expect("a document") + "\n";
    snapshot::check("testdata/plan.json", &json);
}

#[test]
fn numbers_that_are_none_are_null() {
    let mut unstable = simulated(f64::NAN, f64::NAN);
    unstable.replications.truncate(1);
    let plan: PlanDocument = document(&decision(Epoch::Arrival, unstable));
    assert!(!plan.meets_targets, "what is not known is not met");
    assert_eq!(plan.score.and_then(|score| score.violation), None);
    serde_json::to_string(&plan).expect("JSON has no NaN, and needs none");
    assert!(table::render(&plan, true).contains("–"));
}

#[test]
fn a_plan_that_nobody_can_predict_is_shown_without_a_verdict() {
    let mut unknown = decision(Epoch::Dispatch, simulated(0.0, 0.9));
    unknown.predictions.truncate(1);
    let shown = table::render(&document(&unknown), false);
    assert!(shown.starts_with("No evaluator can predict this plan"), "{shown}");
    assert!(shown.contains("decomposition cannot predict thresholds that depend on jobs present."), "{shown}");
}

#[test]
fn what_limits_a_service_is_said_in_words() {
    let said = |loss: f64, busy: f64| {
        let mut evaluation = simulated(loss, 0.9);
        evaluation.devices = vec![0.1, busy];
        let decision = decision(Epoch::Arrival, evaluation);
        let text = explain::render(&problem(), &decision, &document(&decision));
        text.lines().find(|line| line.starts_with("faces: ")).unwrap_or_default().to_owned()
    };
    for (loss, busy, want) in [
        (0.05, 0.97, "faces: device box limits it: it is busy 97.0 % of the time. A faster device,"),
        (0.0, 0.85, "would help if more jobs come; next to nothing is lost now."),
        (0.02, 0.4, "faces: memory limits it: 2.0 % of its jobs are lost although nothing"),
        (0.02, 0.7, "faces: device box is busiest with 70.0 %, and 2.0 % of its jobs are lost when many"),
        (0.0, 0.4, "faces: nothing limits it: device box is busiest with 40.0 %"),
    ] {
        let text = said(loss, busy);
        assert!(text.contains(want), "{loss}, {busy}: {text}");
    }
}
