//! Who may import whom: the table of ARCHITECTURE.md, held against the dependency graph that cargo resolves.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};

/// (package, what of ours it may import, why no more). Dependencies of tests are free.
const OURS: &[(&str, &[&str], &str)] = &[
    ("domain", &[], "it is common ground"),
    ("wire", &[], "it is common ground"),
    ("policy", &["domain", "wire"], "what a gateway does per job must run in a simulator too"),
    ("queueing", &["domain"], "formulas take numbers and give numbers"),
    ("arrivals", &["domain"], "estimates take counts and give numbers"),
    ("planner", &["domain", "policy", "queueing"], "simulation comes in through the Evaluator of domain"),
    (
        "control",
        &["arrivals", "domain", "planner", "policy", "wire"],
        "local mode and operator drive it; it does nothing by itself",
    ),
    ("simulator", &["domain", "policy"], "it drives the code of a gateway, without processes and documents"),
    ("transport", &["wire"], "whoever talks to the data plane uses it, in a cluster or not"),
    (
        "deployment",
        &["api", "control", "domain", "planner", "policy", "simulator", "wire"],
        "local mode and clusters decide by it; files are read and processes started around it",
    ),
    ("api", &["domain", "wire"], "manifests are read into domain values, by whoever needs them"),
    (
        "runtime-image",
        &["domain", "policy", "transport", "wire"],
        "the image on small devices holds the data plane only",
    ),
    (
        "operator",
        &["api", "arrivals", "control", "deployment", "domain", "planner", "policy", "simulator", "transport", "wire"],
        "the control plane stays small: no models, no data plane",
    ),
    (
        "eenn",
        &[
            "api",
            "arrivals",
            "control",
            "deployment",
            "domain",
            "planner",
            "policy",
            "queueing",
            "runtime-image",
            "simulator",
            "transport",
            "wire",
        ],
        "local mode starts the runtime; nothing else has a CLI in it",
    ),
    ("xtask", &["control-plane"], "automation must build while a crate of the product does not"),
];

/// Packages that only test, and may import everything.
const TESTERS: &[&str] = &["system-tests", "cluster-tests", "control-plane", "evaluation"];

/// (packages of ours, families they may not import, whether through others counts, why).
const FOREIGN: &[(&[&str], &[&str], Reach, &str)] = &[
    (&["cluster-tests"], &["tract"], Reach::Through, "what needs an API server only is compiled in seconds"),
    (
        &["domain"],
        &["serde", "tokio", "kube", "k8s-openapi"],
        Reach::Through,
        "domain is plain values: what is stored or sent has its own type in wire or api",
    ),
    (
        &["policy", "queueing", "simulator", "arrivals", "planner", "control", "deployment"],
        &["tokio", "hyper"],
        Reach::Through,
        "policy, formulas, simulation, plans and the drift loop are pure: time and chance are arguments",
    ),
    (
        &["runtime-image", "transport", "wire", "policy"],
        &["kube", "k8s-openapi"],
        Reach::Through,
        "the data plane has no cluster credentials and stays small",
    ),
    (
        &[
            "domain",
            "wire",
            "transport",
            "policy",
            "queueing",
            "simulator",
            "arrivals",
            "planner",
            "control",
            "deployment",
            "api",
            "eenn",
            "system-tests",
            "evaluation",
            "xtask",
        ],
        &["tract"],
        Reach::Direct,
        "only runtime-image runs models: others use it",
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Direct,
    Through,
}

/// Names and normal or build dependencies of all packages; members of the workspace apart.
struct Graph {
    imports: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
}

#[test]
fn packages_import_only_what_the_table_allows() {
    let broken = violations(&graph());
    assert!(broken.is_empty(), "the import rule of ARCHITECTURE.md is broken:\n{}", broken.join("\n"));
}

#[test]
fn broken_rules_are_named_with_edge_and_reason() {
    check_broken(&[("domain", "policy")], "domain → policy: domain may import none of ours");
    check_broken(&[("api", "wire"), ("wire", "domain")], "wire → domain: wire may import none of ours");
    check_broken(&[("domain", "thiserror"), ("thiserror", "serde")], "domain → thiserror → serde: domain is plain");
    check_broken(&[("wire", "http"), ("http", "kube-client")], "wire → http → kube-client: the data plane");
    check_broken(&[("eenn", "tract-onnx")], "eenn → tract-onnx: only runtime-image runs models");
    check_broken(&[("newcomer", "domain")], "newcomer: not in the table");
}

#[test]
fn tract_may_be_reached_through_the_runtime() {
    assert_eq!(violations(&of_edges(&[("eenn", "runtime-image"), ("runtime-image", "tract-onnx")])), [""; 0]);
}

fn check_broken(edges: &[(&str, &str)], expected: &str) {
    let broken = violations(&of_edges(edges));
    assert!(broken.iter().any(|line| line.starts_with(expected)), "wanted {expected:?}, got {broken:#?}");
}

fn violations(graph: &Graph) -> Vec<String> {
    let ours = graph.members.iter().flat_map(|member| own_violations(graph, member));
    let foreign = FOREIGN.iter().flat_map(|(packages, forbidden, reach, why)| {
        let members = packages.iter().filter(|package| graph.members.contains(**package));
        members
            .filter_map(|package| path_to(graph, package, forbidden, *reach))
            .map(move |path| format!("{path}: {why}"))
    });
    ours.chain(foreign).collect()
}

fn own_violations(graph: &Graph, member: &str) -> Vec<String> {
    if TESTERS.contains(&member) {
        return Vec::new();
    }
    let Some((_, allowed, why)) = OURS.iter().find(|(name, ..)| *name == member) else {
        return vec![format!("{member}: not in the table of this test and of ARCHITECTURE.md; add it to both")];
    };
    let list = if allowed.is_empty() { "none of ours".to_owned() } else { format!("only {}", allowed.join(", ")) };
    let ours = graph.imports[member].intersection(&graph.members);
    ours.filter(|import| !allowed.contains(&import.as_str()))
        .map(|import| format!("{member} → {import}: {member} may import {list}, because {why}"))
        .collect()
}

/// A shortest path from `package` to a forbidden one.
fn path_to(graph: &Graph, package: &str, forbidden: &[&str], reach: Reach) -> Option<String> {
    let mut paths = vec![vec![package]];
    let mut seen = BTreeSet::new();
    while !paths.is_empty() {
        let longer: Vec<Vec<&str>> = paths.iter().flat_map(|path| extended(graph, path)).collect();
        if let Some(path) = longer.iter().find(|path| is_forbidden(path[path.len() - 1], forbidden)) {
            return Some(path.join(" → "));
        }
        let wanted = |path: &Vec<&str>| reach == Reach::Through && seen.insert(path[path.len() - 1].to_owned());
        paths = longer.into_iter().filter(wanted).collect();
    }
    None
}

impl Graph {
    fn imports_of(&self, package: &str) -> impl Iterator<Item = &str> {
        self.imports.get(package).into_iter().flatten().map(String::as_str)
    }
}

fn extended<'a>(graph: &'a Graph, path: &[&'a str]) -> Vec<Vec<&'a str>> {
    graph.imports_of(path[path.len() - 1]).map(|next| [path, &[next]].concat()).collect()
}

/// By name or family: `kube` covers `kube-client`, `serde` covers `serde_core`.
fn is_forbidden(package: &str, forbidden: &[&str]) -> bool {
    forbidden
        .iter()
        .any(|name| package == *name || package.strip_prefix(name).is_some_and(|rest| rest.starts_with(['-', '_'])))
}

fn of_edges(edges: &[(&str, &str)]) -> Graph {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges {
        imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        imports.entry((*to).to_owned()).or_default();
    }
    let known = |name: &&String| OURS.iter().any(|(ours, ..)| ours == name) || name.as_str() == "newcomer";
    let members = imports.keys().filter(known).cloned().collect();
    Graph { imports, members }
}

fn graph() -> Graph {
    // For the platform of the images: a listing for all platforms would download packages that nothing here builds.
    let options = ["--filter-platform", "x86_64-unknown-linux-gnu"].map(String::from);
    let metadata =
        MetadataCommand::new().other_options(options).exec().expect("cargo metadata describes this workspace");
    let names = names(&metadata);
    let nodes = &metadata.resolve.as_ref().expect("cargo metadata resolves dependencies").nodes;
    let imports = nodes.iter().map(|node| {
        let used =
            node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
        (names[&node.id].clone(), used.map(|dep| names[&dep.pkg].clone()).collect::<BTreeSet<_>>())
    });
    let members = metadata.workspace_members.iter().map(|id| names[id].clone()).collect();
    Graph { imports: merged(imports), members }
}

fn names(metadata: &Metadata) -> BTreeMap<PackageId, String> {
    metadata.packages.iter().map(|package| (package.id.clone(), package.name.to_string())).collect()
}

/// Two versions of one package count as one.
fn merged(edges: impl Iterator<Item = (String, BTreeSet<String>)>) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges {
        all.entry(from).or_default().extend(to);
    }
    all
}
