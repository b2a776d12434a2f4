//! The table of good and bad manifests in `tests/manifests`, without an API server: our definitions refuse what they
//! should, in the words that the API server uses, and so does the loader, in its own.
//!
//! The system tests compare the same table with a real API server.

#[path = "../../../tests/manifests/table.rs"]
mod cases;

use crate::structural;
use crate::yaml::{self, Data, Node, Scalar};
use crate::{LoadErrors, Problem, crd, load};
use cases::Case;
use kube_cel::Validator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn definitions_take_good_manifests() {
    check(&read("good"), |case| definition_refuses(case).into_iter().collect());
}

#[test]
fn definitions_refuse_bad_manifests_in_the_words_of_the_table() {
    check(&read("bad"), |case| {
        let said = definition_refuses(case);
        let silent = case.kubectl.is_empty().then(|| "the table does not say what kubectl says".to_owned());
        cases::difference(&case.kubectl, &said).into_iter().chain(silent).collect()
    });
}

/// The loader says more than the API server, since it sees all manifests together; it never says less.
#[test]
fn the_loader_refuses_bad_manifests_in_the_words_of_the_table() {
    let all = [read("good"), read("bad")].concat();
    // Plans are made by the operator: the loader knows none.
    let written: Vec<Case> = all.into_iter().filter(|case| case.kind != "EENNPlan").collect();
    check(&written, |case| {
        let problems = loader_refuses(case);
        let without_line = problems.iter().find(|problem| problem.position.is_none());
        let without_line = without_line.map(|problem| format!("there is no line: {problem}"));
        let silent = (case.eenn.is_empty() && !case.kubectl.is_empty()).then(|| "it is taken".to_owned());
        let said: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        cases::difference(&case.eenn, &said).into_iter().chain(without_line).chain(silent).collect()
    });
}

#[test]
fn every_rule_is_broken_by_a_bad_manifest() {
    let said: Vec<String> = read("bad").into_iter().flat_map(|case| case.kubectl).collect();
    let mut rules = BTreeSet::new();
    for crd in crd::all() {
        let schema = schema(&crd);
        collect_messages(&schema["properties"]["spec"], &mut rules);
        // Those of the object itself.
        collect_messages(&serde_json::json!({ "rules": schema["x-kubernetes-validations"] }), &mut rules);
    }
    assert!(rules.len() > 25, "{rules:#?}");
    let unbroken: Vec<_> = rules.iter().filter(|rule| !said.iter().any(|line| line.ends_with(*rule))).collect();
    assert!(unbroken.is_empty(), "no bad manifest breaks {unbroken:#?}");
}

/// Says of each case what is wrong with it; fails with all of them.
fn check(all: &[Case], wrong: impl Fn(&Case) -> Vec<String>) {
    assert!(all.len() > 10, "the table is empty");
    let report = |case: &Case| {
        let wrong = wrong(case);
        (!wrong.is_empty()).then(|| format!("=== {}: {}\n{}\n", case.kind, case.title, wrong.join("\n")))
    };
    let reports: Vec<String> = all.iter().filter_map(report).collect();
    assert!(reports.is_empty(), "{}", reports.concat());
}

fn read(folder: &str) -> Vec<Case> {
    cases::read(&manifests().join(folder))
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/manifests")
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// What the API server would say, a line each.
fn definition_refuses(case: &Case) -> Vec<String> {
    let crd = crd::of_kind(&case.kind).expect("a kind of ours");
    let schema = schema(&crd);
    let object = object(&case.manifest);
    let old = case.changes.as_ref().map(|title| {
        let good = read("good").into_iter().find(|good| good.kind == case.kind && good.title == *title);
        self::object(&good.unwrap_or_else(|| panic!("there is no good manifest {title:?}")).manifest)
    });
    let mut lines = structural::check(schema, &object);
    if !lines.iter().any(|line| structural::ends_the_check(line)) {
        let refused = Validator::new().validate(schema, &object, old.as_ref()).err();
        let refused = refused.into_iter().flat_map(kube_cel::ValidationErrors::into_vec);
        lines.extend(refused.map(|error| {
            let path = if error.field_path.is_empty() { "<nil>" } else { &error.field_path };
            format!("{path}: Invalid value: {object}: {}", error.message)
        }));
    }
    lines
}

/// The files that are applied are made from the types.
#[test]
fn committed_definitions_are_those_of_the_types() {
    for crd in crd::all() {
        let plural = crd["spec"]["names"]["plural"].as_str().expect("a kind has a plural");
        let file = manifests().join(format!("../../crds/{plural}.yaml"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(object(&text) == crd, "{plural}.yaml is out of date; write it with `cargo xtask generate`");
    }
}

fn object(manifest: &str) -> Value {
    let (documents, error) = yaml::parse(manifest);
    assert!(documents.len() == 1 && error.is_none(), "{error:?} in {manifest}");
    json(&documents[0])
}

/// As `kubectl apply` sends it: with floats, which the loader refuses before, and without fields that have no value.
fn json(node: &Node) -> Value {
    match &node.data {
        Data::Scalar { text, kind: Scalar::Float } => Value::from(text.parse::<f64>().expect("a float")),
        Data::Scalar { .. } => node.to_json(),
        Data::Sequence(items) => items.iter().map(json).collect(),
        Data::Mapping(entries) => {
            let written = entries.iter().filter(|(_, value)| !value.is_null());
            written.map(|(key, value)| (key.name.clone(), json(value))).collect()
        }
    }
}

/// What the loader says of a manifest in a world in which everything it may refer to is there.
fn loader_refuses(case: &Case) -> Vec<Problem> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file in it");
    write("m.yaml", &case.manifest);
    write("nodes.yaml", &fs::read_to_string(manifests().join("nodes.yaml")).expect("there are nodes"));
    if case.kind == "EENNService" {
        for good in read("good").iter().filter(|good| good.title.ends_with(" with everything")) {
            if ["DevicePool", "EENNModel", "QoSTarget"].contains(&good.kind.as_str()) {
                write(&format!("{}.yaml", good.kind), &good.manifest);
            }
        }
    }
    let read = load(folder.path()).and_then(|manifests| match manifests.needs_placement() {
        true => manifests.unplaced().map(|_| ()),
        false => manifests.resolve().map(|_| ()),
    });
    read.err().as_ref().map(LoadErrors::problems).unwrap_or_default().to_vec()
}

/// Messages of all rules in a schema.
fn collect_messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            found.extend(fields.get("rule").and(fields.get("message")).and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|inner| collect_messages(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_messages(inner, found)),
        _ => {}
    }
}
