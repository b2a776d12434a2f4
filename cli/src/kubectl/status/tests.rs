use super::super::example;
use super::document::StatusDocument;
use super::scene::Scene;
use super::table;
use crate::snapshot;

/// Two namespaces.
fn scene() -> Scene {
    Scene {
        all_namespaces: true,
        services: vec![example::service(), example::troubled(), example::unseen()],
        plans: example::plans(),
        models: example::models(),
        targets: example::targets(),
        pools: example::pools(),
        deployments: example::deployments(),
        pods: example::pods(),
        notes: vec!["cannot list pods: pods is forbidden: User \"u\" cannot list resource \"pods\"".to_owned()],
    }
}

/// The namespace with one service.
fn edge() -> Scene {
    let mut scene = scene();
    scene.all_namespaces = false;
    scene.services.truncate(1);
    scene.models.truncate(1);
    scene.notes.clear();
    scene
}

#[test]
fn the_whole_cluster_looks_like_this() {
    let document = StatusDocument::new(&scene());
    snapshot::check("kubectl/testdata/status-all.txt", &table::overview(&document, None));
}

#[test]
fn a_namespace_looks_like_this() {
    let document = StatusDocument::new(&edge());
    snapshot::check("kubectl/testdata/status.txt", &table::overview(&document, Some("edge")));
}

#[test]
fn a_service_in_detail_looks_like_this() {
    let document = StatusDocument::new(&edge().of("camera", "edge").unwrap());
    snapshot::check("kubectl/testdata/status-camera.txt", &table::detail(&document, example::now()));
}

#[test]
fn the_document_holds_what_tables_show() {
    let document = StatusDocument::new(&edge());
    let json = serde_json::to_string_pretty(&document).unwrap() + "\n";
    snapshot::check("kubectl/testdata/status.json", &json);
}

#[test]
fn nothing_is_told_as_nothing() {
    let document = StatusDocument::new(&Scene { pools: example::pools(), ..Scene::default() });
    let text = table::overview(&document, Some("attic"));
    assert!(text.starts_with("There is no EENNService in namespace attic; -A looks in all of them.\n"), "{text}");
    assert!(text.contains(" edge   ready"), "whoever has none looks for a pool: {text}");
}

#[test]
fn a_service_that_is_not_there_is_told_with_those_that_are() {
    let refused = edge().of("camra", "edge").unwrap_err().to_string();
    assert_eq!(refused, "error: there is no EENNService \"camra\" in namespace \"edge\"; it has camera");
    let refused = Scene::default().of("camera", "attic").unwrap_err().to_string();
    let want = "error: there is no EENNService \"camera\" in namespace \"attic\"; there is none in it; -n names another namespace";
    assert_eq!(refused, want);
}
