use crate::{sound, with_services};
use api::Manifests;
use std::path::Path;

/// The example twice, with a model of its own each.
fn two() -> Manifests {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/two-tier");
    let mut manifests = api::load(Path::new(path)).unwrap_or_else(|errors| panic!("{errors}"));
    let (mut service, mut model) = (manifests.services[0].clone(), manifests.models[0].clone());
    model.name = "other".to_owned();
    service.name = "other".to_owned();
    service.spec.model_ref.name = "other".parse().unwrap();
    manifests.services.push(service);
    manifests.models.push(model);
    manifests
}

fn names<S>(objects: &[api::Object<S>]) -> Vec<&str> {
    objects.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn a_service_that_something_is_wrong_with_stops_no_other() {
    let mut manifests = two();
    assert_eq!(sound(manifests.clone(), Manifests::resolve).manifests, manifests, "nothing is wrong with these");
    manifests.services[1].spec.placement.pinned[0].fragments[0].node = "nowhere".parse().unwrap();
    assert!(manifests.resolve().is_err());
    let found = sound(manifests.clone(), Manifests::resolve);
    assert_eq!(
        (names(&found.manifests.services), names(&found.manifests.models)),
        (vec!["fashion-mnist"], vec!["fashion-mnist"])
    );
    assert!(found.manifests.resolve().is_ok());
    assert_eq!(found.wrong.keys().collect::<Vec<_>>(), ["other"]);
    assert!(found.wrong["other"].to_string().contains("nowhere"), "{}", found.wrong["other"]);
}

#[test]
fn a_service_that_is_left_out_takes_its_model_along_but_not_a_shared_one() {
    let mut manifests = two();
    let first = vec![manifests.services[0].clone()];
    assert_eq!(names(&with_services(manifests.clone(), first.clone()).models), ["fashion-mnist"]);
    manifests.services[1].spec.model_ref.name = "fashion-mnist".parse().unwrap();
    let second = vec![manifests.services[1].clone()];
    assert_eq!(names(&with_services(manifests, second).models), ["fashion-mnist"]);
}
