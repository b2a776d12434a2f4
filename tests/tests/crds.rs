//! The definitions of our kinds as a real API server takes them: what it accepts, what it refuses and with which words,
//! and what `kubectl` shows.
//!
//! Not the built-in harness: every manifest is a test of its own, and without Go all of them are seen to be skipped.

#[path = "../manifests/table.rs"]
#[expect(dead_code, reason = "crate api compares what `eenn` says")]
mod table;

use control_plane::{Api, Binaries, Binary, ControlPlane, Options, unavailable};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use table::Case;
use tempfile::TempDir;

type Test = fn(&Cluster);

const TESTS: &[(&str, Test)] = &[
    ("definitions_are_applied_without_a_word", definitions_are_applied_without_a_word),
    ("status_takes_rights_of_its_own", status_takes_rights_of_its_own),
    ("status_and_spec_are_written_apart", status_and_spec_are_written_apart),
    ("kubectl_shows_what_matters", kubectl_shows_what_matters),
    ("names_of_our_kinds_are_those_of_no_other", names_of_our_kinds_are_those_of_no_other),
    ("kubectl_explains_fields", kubectl_explains_fields),
    ("objects_are_found_by_what_they_refer_to", objects_are_found_by_what_they_refer_to),
];

fn main() -> ExitCode {
    let skip = unavailable(&needed());
    if let Some(reason) = &skip {
        eprintln!("SKIPPED: the tests of the definitions: {reason}");
    }
    // Started by the first test that runs, and ended here: a list of tests needs none.
    let cluster = Arc::new(OnceLock::new());
    let trial = |name: String, test: Box<dyn FnOnce(&Cluster) + Send>| {
        let cluster = cluster.clone();
        let run = move || -> Result<(), Failed> {
            test(cluster.get_or_init(Cluster::start));
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(skip.is_some())
    };
    let mut trials: Vec<Trial> = TESTS.iter().map(|(name, test)| trial((*name).to_owned(), Box::new(*test))).collect();
    for case in read("good") {
        trials.push(trial(named("good", &case), Box::new(move |cluster: &Cluster| good(cluster, &case))));
    }
    for case in read("bad") {
        trials.push(trial(named("bad", &case), Box::new(move |cluster: &Cluster| bad(cluster, &case))));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn read(folder: &str) -> Vec<Case> {
    table::read(&manifests().join(folder))
}

fn named(folder: &str, case: &Case) -> String {
    format!("{folder}::{}::{}", case.kind, case.title.replace(' ', "_"))
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

fn needed() -> Vec<Binary> {
    [Options::default().binaries(), vec![Binary::Kubectl]].concat()
}

/// A good manifest is taken without a warning, and is then what the cluster has.
fn good(cluster: &Cluster, case: &Case) {
    let namespace = cluster.namespace(&format!("good-{}", case.kind.to_lowercase()));
    let applied = cluster.kubectl(&["apply", "--warnings-as-errors", "-n", &namespace, "-f", "-"], &case.manifest);
    assert_eq!((applied.errors.as_str(), applied.good), ("", true), "{}", applied.output);
    let difference = cluster.kubectl(&["diff", "-n", &namespace, "-f", "-"], &case.manifest);
    assert_eq!((difference.output.as_str(), difference.errors.as_str(), difference.good), ("", "", true));
    // Whoever waits for it sees that nobody has looked at it yet.
    let said = "jsonpath={..status.observedGeneration} {..conditions[*].status} {..conditions[*].reason}";
    let status = cluster.kubectl(&["get", "-n", &namespace, "-f", "-", "-o", said], &case.manifest);
    assert_eq!((status.output.as_str(), status.good), ("0 Unknown Pending", true), "{}", status.errors);
}

/// A bad manifest is refused with the words of the table.
fn bad(cluster: &Cluster, case: &Case) {
    let namespace = match &case.changes {
        None => "default".to_owned(),
        Some(title) => {
            let namespace = cluster.namespace(&case.title.replace(' ', "-"));
            let good = read("good").into_iter().find(|good| good.kind == case.kind && good.title == *title);
            let good = good.unwrap_or_else(|| panic!("there is no good manifest {title:?}"));
            let applied = cluster.kubectl(&["apply", "-n", &namespace, "-f", "-"], &good.manifest);
            assert!(applied.good, "{}", applied.errors);
            namespace
        }
    };
    let applied = cluster.kubectl(&["apply", "-n", &namespace, "-f", "-"], &case.manifest);
    let said = complaints(&applied.errors);
    if let Some(difference) = table::difference(&case.kubectl, &said) {
        panic!("{difference}\nof what kubectl says:\n{}{}", applied.output, applied.errors);
    }
    assert!(!applied.good && !case.kubectl.is_empty(), "it was taken: {}", applied.output);
}

/// What is wrong with a manifest, a line each, without the words around it.
fn complaints(errors: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in errors.trim_end().lines() {
        let line = line.trim_start_matches("* ");
        if line.ends_with("correct the existing errors to complete validation") {
            // No mistake: it says that there may be more.
            continue;
        }
        match (line.split_once(" is invalid: "), line.split_once("strict decoding error: ")) {
            // Several mistakes follow as a list.
            (Some((_, "")), _) => {}
            (Some((_, one)), _) => lines.push(one.to_owned()),
            (_, Some((_, unknown))) => lines.extend(unknown.split(", ").map(str::to_owned)),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn definitions_are_applied_without_a_word(cluster: &Cluster) {
    // Once more than when the cluster was started: that changes nothing.
    let before = cluster.versions();
    let names = ["devicepools", "eennmodels", "eennplans", "eennservices", "qostargets"];
    let want: String = names
        .iter()
        .map(|name| format!("customresourcedefinition.apiextensions.k8s.io/{name}.eenn.dev serverside-applied\n"))
        .collect();
    for applied in [&cluster.definitions, &cluster.apply_definitions()] {
        assert_eq!((applied.output.as_str(), applied.errors.as_str(), applied.good), (want.as_str(), "", true));
    }
    assert_eq!(cluster.versions(), before);
}

fn status_takes_rights_of_its_own(cluster: &Cluster) {
    let namespace = cluster.namespace("rights");
    let path = cluster.service(&namespace);
    let rules = json!([{
        "apiGroups": ["eenn.dev"], "resources": ["eennservices"], "verbs": ["get", "update", "patch"],
    }]);
    let editor = cluster.user("editor", &rules);
    let mut object = editor.get(&path).expect("an editor may read");
    object["status"] = json!({ "planRef": { "name": "forged" } });
    let refused = editor.send("PUT", &format!("{path}/status"), Some(&object)).expect("there is an answer");
    assert_eq!(refused.status, 403, "{}", String::from_utf8_lossy(&refused.body));
    object["spec"]["overflow"] = json!("AnswerWithLastExit");
    let taken = editor.send("PUT", &path, Some(&object)).expect("there is an answer");
    assert_eq!(taken.status, 200, "{}", String::from_utf8_lossy(&taken.body));
    let now = cluster.plane.api().get(&path).expect("the service is there");
    assert_eq!((&now["spec"]["overflow"], &now["status"]["planRef"]), (&json!("AnswerWithLastExit"), &Value::Null));
}

fn status_and_spec_are_written_apart(cluster: &Cluster) {
    let namespace = cluster.namespace("apart");
    let path = cluster.service(&namespace);
    let api = cluster.plane.api();
    let before = api.get(&path).expect("the service is there");
    let mut object = before.clone();
    object["spec"]["overflow"] = json!("AnswerWithLastExit");
    object["status"] = json!({ "planRef": { "name": "camera-1" } });
    let taken = api.send("PUT", &format!("{path}/status"), Some(&object)).expect("there is an answer");
    assert_eq!(taken.status, 200, "{}", String::from_utf8_lossy(&taken.body));
    let now = api.get(&path).expect("the service is there");
    assert_eq!(now["spec"], before["spec"]);
    assert_eq!(now["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(now["status"]["planRef"]["name"], "camera-1");
}

fn kubectl_shows_what_matters(cluster: &Cluster) {
    let namespace = cluster.namespace("shown");
    let file = manifests().join("shown.yaml").display().to_string();
    for verb in [&["create"][..], &["replace", "--subresource=status"]] {
        let done = cluster.kubectl(&[verb, &["-n", &namespace, "-f", &file]].concat(), "");
        assert!(done.good, "{}", done.errors);
    }
    for (file, wide) in [("shown.txt", &[][..]), ("shown-wide.txt", &["-o", "wide"])] {
        let shown = cluster.kubectl(&[&["get", "eenn", "-A", "-l", "shown=yes"], wide].concat(), "");
        assert!(shown.good, "{}", shown.errors);
        let want = std::fs::read_to_string(manifests().join(file)).expect("a file of the repository");
        assert_eq!(without_age(&shown.output), want, "{file} says\n{want}and kubectl\n{}", shown.output);
    }
}

/// The last column says how long ago an object was made.
fn without_age(table: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((rest, age)) if age.starts_with(|c: char| c.is_ascii_digit()) => format!("{rest} AGE\n"),
        _ => format!("{}\n", line.trim_end()),
    };
    table.lines().map(line).collect()
}

fn names_of_our_kinds_are_those_of_no_other(cluster: &Cluster) {
    let listed = cluster.kubectl(&["api-resources", "--no-headers"], "");
    assert!(listed.good, "{}", listed.errors);
    let (ours, others): (Vec<_>, Vec<_>) = listed.output.lines().partition(|line| line.contains("eenn.dev/v1alpha1"));
    assert!(ours.len() == 5 && others.len() > 40, "{}", listed.output);
    let taken: Vec<String> = others.iter().flat_map(|line| names(line)).collect();
    let mut seen = vec!["eenn".to_owned()];
    for name in ours.iter().flat_map(|line| names(line)) {
        assert!(!taken.contains(&name), "{name} is a name of another kind");
        assert!(!seen.contains(&name), "{name} is twice a name of ours");
        seen.push(name);
    }
    assert!(!taken.contains(&seen[0]), "our category is a name of another kind");
    assert!(seen.contains(&"eenns".to_owned()) && taken.contains(&"svc".to_owned()), "{seen:?} {taken:?}");
}

/// Plural, short names and singular of a line of `kubectl api-resources`, in small letters.
fn names(line: &str) -> Vec<String> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let short = if columns.len() == 5 { columns[1].split(',').collect() } else { vec![] };
    let ends = [columns[0], columns[columns.len() - 1]];
    ends.into_iter().chain(short).map(str::to_lowercase).collect()
}

fn kubectl_explains_fields(cluster: &Cluster) {
    for (field, sentence) in [
        ("eennservice", "A model served on the devices of a pool, within limits of loss, accuracy and"),
        ("eennservice.spec.sources", "Where jobs arrive. A gateway runs on the node of each source"),
        ("eennservice.spec.scheduler.type", "The kind of scheduler."),
        ("devicepool.spec.classes.speedFactor", "Speed of one core relative to the machine of the model's"),
        ("eennmodel.spec.artifact.uri", "is relative to the manifest"),
        ("qostarget.spec.priority", "Weight against other services of the same pool"),
        ("eennplan.spec.policy", "The whole policy, with its rows for other rates"),
    ] {
        // The documentation of a kind follows the kind with a delay.
        eventually(|| {
            let explained = cluster.kubectl(&["explain", field], "");
            let words: Vec<&str> = explained.output.split_whitespace().collect();
            let found = explained.good && words.join(" ").contains(sentence);
            if found { Ok(()) } else { Err(format!("{field}: {}{}", explained.output, explained.errors)) }
        });
    }
}

fn objects_are_found_by_what_they_refer_to(cluster: &Cluster) {
    let namespace = cluster.namespace("found");
    cluster.service(&namespace);
    for (selector, want) in [
        ("spec.devicePoolRef.name=edge,spec.modelRef.name=net", "eennservice.eenn.dev/smallest\n"),
        ("spec.devicePoolRef.name=other", ""),
    ] {
        let found =
            cluster.kubectl(&["get", "eenns", "-n", &namespace, "-o", "name", "--field-selector", selector], "");
        assert_eq!((found.output.as_str(), found.good), (want, true), "{}", found.errors);
    }
}

fn eventually(mut check: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(last) = check() {
        assert!(started.elapsed() < Duration::from_secs(60), "{last}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// An API server that knows our kinds.
struct Cluster {
    plane: ControlPlane,
    kubectl: PathBuf,
    /// Where `kubectl` keeps what it knows of the API server.
    home: TempDir,
    /// What was said when the definitions were applied.
    definitions: Ran,
}

/// A program that has run.
struct Ran {
    good: bool,
    output: String,
    errors: String,
}

impl Cluster {
    fn start() -> Self {
        let binaries = Binaries::find(&needed()).unwrap_or_else(|error| panic!("failed to {error}"));
        let plane = ControlPlane::start(&Options::default()).unwrap_or_else(|error| panic!("failed to {error}"));
        let home = tempfile::tempdir().expect("a temporary folder");
        let kubectl = binaries.path(Binary::Kubectl).to_owned();
        let mut cluster = Self {
            plane,
            kubectl,
            home,
            definitions: Ran { good: false, output: String::new(), errors: String::new() },
        };
        cluster.definitions = cluster.apply_definitions();
        assert!(cluster.definitions.good, "{}", cluster.definitions.errors);
        let established = cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "");
        assert!(established.good, "{}", established.errors);
        eventually(|| {
            let listed = cluster.kubectl(&["get", "eenn", "-A"], "");
            if listed.good { Ok(()) } else { Err(listed.errors) }
        });
        cluster
    }

    fn apply_definitions(&self) -> Ran {
        let folder = manifests().join("../../crds").display().to_string();
        self.kubectl(&["apply", "--server-side", "--warnings-as-errors", "-f", &folder], "")
    }

    /// Runs `kubectl` as administrator.
    fn kubectl(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).env("KUBECONFIG", self.plane.kubeconfig_path()).env("HOME", self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl starts");
        // One that does not read its input has ended with an error, which is seen below.
        let _ = child.stdin.take().expect("its input is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("kubectl ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("kubectl writes text");
        Ran { good: output.status.success(), output: text(output.stdout), errors: text(output.stderr) }
    }

    /// A namespace, which may be there already.
    fn namespace(&self, name: &str) -> String {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let made = self.plane.api().send("POST", "/api/v1/namespaces", Some(&object)).expect("there is an answer");
        assert!([201, 409].contains(&made.status), "{}", String::from_utf8_lossy(&made.body));
        name.to_owned()
    }

    /// Creates the smallest service, and returns its path.
    fn service(&self, namespace: &str) -> String {
        let smallest = read("good").into_iter().find(|case| case.kind == "EENNService").expect("there is one");
        let created = self.kubectl(&["create", "-n", namespace, "-f", "-"], &smallest.manifest);
        assert!(created.good, "{}", created.errors);
        format!("/apis/eenn.dev/v1alpha1/namespaces/{namespace}/eennservices/smallest")
    }

    /// Somebody who may do in all namespaces what the rules say.
    fn user(&self, name: &str, rules: &Value) -> Api {
        let group = "rbac.authorization.k8s.io";
        let version = format!("{group}/v1");
        let role = json!({
            "apiVersion": version, "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules,
        });
        let binding = json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": { "name": name },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": name },
            "subjects": [{ "apiGroup": group, "kind": "User", "name": name }],
        });
        for (kind, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
            self.plane.api().post(&format!("/apis/{version}/{kind}"), &object).expect("roles can be made and bound");
        }
        let user = self.plane.api_as(name, None).expect("a user can be made");
        // Rights follow bindings with a delay.
        let any = "/apis/eenn.dev/v1alpha1/namespaces/default/eennservices/none";
        eventually(|| match user.send("GET", any, None) {
            Ok(reply) if reply.status == 404 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        user
    }

    /// Resource versions of the definitions.
    fn versions(&self) -> String {
        let columns = "-o=jsonpath={.items[*].metadata.resourceVersion}";
        self.kubectl(&["get", "crds", columns], "").output
    }
}
