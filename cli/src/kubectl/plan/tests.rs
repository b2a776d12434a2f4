use super::super::example;
use super::super::plans::Plans;
use super::document::PlansDocument;
use super::table;
use crate::snapshot;

fn document(generation: i64) -> PlansDocument {
    let (service, plans) = (example::service(), example::plans());
    let plans = Plans::of(&service, &plans);
    let (models, targets) = (example::models(), example::targets());
    PlansDocument::new(&service, &plans, plans.generation(generation), models.first(), targets.first())
}

#[test]
fn plans_look_like_this() {
    snapshot::check("kubectl/testdata/plan.txt", &table::render(&document(2), false, example::now()));
}

#[test]
fn a_plan_that_waits_looks_like_this() {
    snapshot::check("kubectl/testdata/plan-waits.txt", &table::render(&document(3), false, example::now()));
}

#[test]
fn the_document_holds_what_tables_show() {
    let json = serde_json::to_string_pretty(&document(2)).unwrap() + "\n";
    snapshot::check("kubectl/testdata/plan.json", &json);
}

#[test]
fn a_policy_that_cannot_be_read_hides_no_placement() {
    let (service, mut plans) = (example::service(), example::plans());
    plans[1].spec.policy = "{\"later\": true}".to_owned();
    let plans = Plans::of(&service, &plans);
    let document = PlansDocument::new(&service, &plans, plans.in_force, None, None);
    let text = table::render(&document, false, example::now());
    assert!(text.contains("Its policy cannot be read: "), "{text}");
    assert!(text.contains("pi 1 → box 2–3"), "{text}");
}

#[test]
fn exits_of_a_model_that_is_not_there_are_numbers() {
    let (service, plans) = (example::service(), example::plans());
    let plans = Plans::of(&service, &plans);
    let document = PlansDocument::new(&service, &plans, plans.in_force, None, None);
    assert_eq!(document.shown.unwrap().policy.unwrap().exits, ["1", "2", "3"]);
}
