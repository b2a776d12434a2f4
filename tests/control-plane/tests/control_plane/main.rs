//! Control planes as their users see them: real programs, started, away for a while, and gone without a trace.
//!
//! Not the built-in harness: without Go these tests are skipped, and it has to be seen that they were.

mod traces;

use control_plane::{Api, Binaries, Binary, ControlPlane, Error, FakeNodes, Options, Program, unavailable};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use traces::Traces;

/// Set for a copy of this program that a test starts: what it shall do instead of testing.
const ROLE: &str = "CONTROL_PLANE_TEST_ROLE";

type Test = fn();

const TESTS: &[(&str, Test)] = &[
    ("fake_nodes_become_ready_and_pods_run_on_them", fake_nodes_become_ready_and_pods_run_on_them),
    ("two_control_planes_run_side_by_side", two_control_planes_run_side_by_side),
    ("nothing_is_left_after_stop", nothing_is_left_after_stop),
    ("nothing_is_left_when_the_owner_is_killed", nothing_is_left_when_the_owner_is_killed),
    ("api_server_comes_back_with_its_objects", api_server_comes_back_with_its_objects),
    (
        "users_have_the_rights_of_their_bindings_and_are_audited",
        users_have_the_rights_of_their_bindings_and_are_audited,
    ),
    ("program_that_ends_is_an_error_with_its_complaint", program_that_ends_is_an_error_with_its_complaint),
    ("taken_port_is_recognised", taken_port_is_recognised),
    ("programs_say_their_versions", programs_say_their_versions),
];

/// These bring an environment of their own, and run without Go, too.
const TESTS_WITHOUT_GO: &[(&str, Test)] = &[
    ("without_go_tests_are_skipped_but_not_in_ci", without_go_tests_are_skipped_but_not_in_ci),
    ("go_that_is_too_old_is_no_go", go_that_is_too_old_is_no_go),
    ("programs_of_kubebuilder_assets_need_no_go", programs_of_kubebuilder_assets_need_no_go),
];

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("own") => own(),
        Ok("find") => {
            println!("{}", Binaries::find(&[Binary::Etcd]).expect("it is there").path(Binary::Etcd).display());
        }
        Ok("ask") => println!("{:?}", unavailable(&[Binary::Etcd])),
        _ => return test(),
    }
    ExitCode::SUCCESS
}

fn test() -> ExitCode {
    let skip = unavailable(&Binary::ALL);
    if let Some(reason) = &skip {
        eprintln!("SKIPPED: the tests of the control plane: {reason}");
    }
    let with_go = TESTS.iter().map(|test| trial(test).with_ignored_flag(skip.is_some()));
    let trials = with_go.chain(TESTS_WITHOUT_GO.iter().map(trial)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(&(name, test): &(&str, Test)) -> Trial {
    let run = move || -> Result<(), Failed> {
        test();
        Ok(())
    };
    Trial::test(name, run)
}

fn fake_nodes_become_ready_and_pods_run_on_them() {
    let plane = start(&Options::everything());
    let nodes = FakeNodes {
        count: 100,
        architecture: "arm64".to_owned(),
        labels: [("eenn.dev/pool".to_owned(), "edge".to_owned())].into(),
        allocatable: [("cpu", "2"), ("memory", "3Gi"), ("pods", "10")]
            .map(|(name, amount)| (name.to_owned(), amount.to_owned()))
            .into(),
        ..FakeNodes::default()
    };
    let names = plane.add_fake_nodes(&nodes).expect("nodes can be created");
    assert_eq!(names.len(), 100);
    let ready = "/api/v1/nodes?labelSelector=eenn.dev/pool=edge,kubernetes.io/arch=arm64";
    eventually(&plane, "100 nodes are ready", || count(plane.api(), ready, node_is_ready) == 100);
    let node = plane.api().get("/api/v1/nodes/node-7").expect("the node is there");
    assert_eq!(node["status"]["allocatable"]["memory"], "3Gi", "{node:#}");
    assert_eq!(node["status"]["nodeInfo"]["architecture"], "arm64", "{node:#}");

    let path = "/apis/apps/v1/namespaces/default/deployments";
    plane.api().post(path, &deployment(300)).expect("a deployment can be created");
    let running = |pod: &Value| pod["status"]["phase"] == "Running" && pod["spec"]["nodeName"].is_string();
    eventually(&plane, "300 pods run", || count(plane.api(), "/api/v1/namespaces/default/pods", running) == 300);
    eventually(&plane, "the deployment is available", || {
        plane.api().get(&format!("{path}/sleeper")).is_ok_and(|it| it["status"]["availableReplicas"] == 300)
    });
}

fn two_control_planes_run_side_by_side() {
    let (one, other) = (start(&Options::default()), start(&Options::default()));
    assert_ne!(one.url(), other.url());
    assert_ne!(one.folder(), other.folder());
    one.api().post("/api/v1/namespaces", &namespace("only-here")).expect("a namespace can be created");
    let found = |plane: &ControlPlane| plane.api().send("GET", "/api/v1/namespaces/only-here", None).map(|r| r.status);
    assert_eq!((found(&one).ok(), found(&other).ok()), (Some(200), Some(404)));
    // Neither is a user of the other.
    let text = std::fs::read_to_string(other.kubeconfig_path()).expect("there is a kubeconfig");
    assert_eq!(text, other.kubeconfig());
    let stranger = text.replace(&other.url(), &one.url());
    let output = kubectl(&stranger, &["get", "namespaces"]);
    assert!(!output.status.success(), "{output:?}");
    let trusted = kubectl(one.kubeconfig(), &["get", "namespaces", "-o", "name"]);
    assert!(String::from_utf8_lossy(&trusted.stdout).contains("namespace/only-here"), "{trusted:?}");
    drop(one);
    assert_eq!(found(&other).ok(), Some(404), "the other runs on");
}

fn nothing_is_left_after_stop() {
    let plane = start(&Options::everything());
    let traces = Traces::of(plane.folder(), plane.process(Program::Etcd).expect("etcd runs"));
    assert!(traces.processes().len() >= 5 && traces.folder.exists(), "{:?}", traces.processes());
    plane.stop();
    // Without waiting: stop returns when it is done.
    traces.assert_gone();
}

fn nothing_is_left_when_the_owner_is_killed() {
    let mut owner = Command::new(std::env::current_exe().expect("a test knows where it is"));
    let mut owner =
        owner.env(ROLE, "own").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the owner starts");
    let mut line = String::new();
    let out = owner.stdout.take().expect("its output is piped");
    BufReader::new(out).read_line(&mut line).expect("the owner says what it has");
    let (etcd, folder) = line.trim().split_once(' ').unwrap_or_else(|| panic!("the owner said {line:?}"));
    let traces = Traces::of(Path::new(folder), etcd.parse().expect("a process id"));
    assert!(traces.processes().len() >= 5 && traces.folder.exists(), "{:?}", traces.processes());
    owner.kill().expect("the owner can be killed");
    owner.wait().expect("the owner can be waited for");
    let killed = Instant::now();
    while traces.left() && killed.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    traces.assert_gone();
}

/// What the owner does that is killed.
fn own() {
    let plane = start(&Options::everything());
    println!("{} {}", plane.process(Program::Etcd).expect("etcd runs"), plane.folder().display());
    // Until the test has gone, if it does not kill this before.
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn api_server_comes_back_with_its_objects() {
    let mut plane = start(&Options { controller_manager: true, ..Options::default() });
    let url = plane.url();
    let away: [fn(&mut ControlPlane); 2] = [ControlPlane::stop_api_server, ControlPlane::kill_api_server];
    for (round, go_away) in away.into_iter().enumerate() {
        let name = format!("round-{round}");
        let created = plane.api().post("/api/v1/namespaces", &namespace(&name)).expect("a namespace can be created");
        go_away(&mut plane);
        assert!(matches!(plane.api().get("/api/v1/namespaces"), Err(Error::NoAnswer { .. })));
        plane.check().expect("an API server that was stopped has not ended by itself, and the others run on");
        plane.start_api_server().expect("the API server starts again");
        let found = plane.api().get(&format!("/api/v1/namespaces/{name}")).expect("the namespace is still there");
        assert_eq!(found["metadata"]["uid"], created["metadata"]["uid"]);
        assert_eq!(plane.url(), url);
        // The controller-manager goes on by itself.
        let account = format!("/api/v1/namespaces/{name}-after/serviceaccounts/default");
        plane.api().post("/api/v1/namespaces", &namespace(&format!("{name}-after"))).expect("it takes objects");
        eventually(&plane, "the new namespace has a service account", || plane.api().get(&account).is_ok());
    }
}

fn users_have_the_rights_of_their_bindings_and_are_audited() {
    let plane = start(&Options { audit: true, ..Options::default() });
    let user = plane.api_as("reader", Some("readers")).expect("a user can be made");
    let pods = "/api/v1/namespaces/default/pods";
    let refused = user.get(pods).expect_err("nobody has given rights to readers");
    assert!(matches!(&refused, Error::Refused { status: 403, message, .. } if message.contains("\"reader\"")));
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let role = json!({
        "apiVersion": version, "kind": "ClusterRole", "metadata": {"name": "readers"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    });
    let binding = json!({
        "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "readers"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "readers"}],
    });
    for (kind, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        plane.api().post(&format!("/apis/{version}/{kind}"), &object).expect("roles can be made and bound");
    }
    eventually(&plane, "readers may read", || user.get(pods).is_ok());
    let log = std::fs::read_to_string(plane.audit_log()).expect("there is an audit log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let answers: Vec<_> = lines.filter(|line| line["user"]["username"] == "reader").collect();
    let codes: Vec<_> = answers.iter().map(|line| line["responseStatus"]["code"].as_u64()).collect();
    assert_eq!((codes.first(), codes.last()), (Some(&Some(403)), Some(&Some(200))), "{answers:#?}");
    assert!(answers.iter().all(|line| line["verb"] == "list" && line["objectRef"]["resource"] == "pods"));
}

fn program_that_ends_is_an_error_with_its_complaint() {
    let flags = vec![(Program::ApiServer, "--no-such-flag".to_owned())];
    let error = ControlPlane::start(&Options { flags, ..Options::default() }).expect_err("it cannot start");
    let Error::Ended { program, log, tail } = error else { panic!("{error}") };
    assert_eq!(program, Program::ApiServer);
    assert!(tail.contains("no-such-flag"), "{tail}");
    assert!(!log.exists(), "what was started before is gone, too");
}

/// All attempts fail here, since the port is given and taken; the complaint is the one that causes another attempt.
fn taken_port_is_recognised() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it has an address").port();
    for flag in [
        (Program::Etcd, format!("--listen-peer-urls=http://127.0.0.1:{port}")),
        (Program::ApiServer, format!("--secure-port={port}")),
    ] {
        let program = flag.0;
        let error = ControlPlane::start(&Options { flags: vec![flag], ..Options::default() }).expect_err("it is taken");
        let Error::Ended { program: ended, tail, .. } = error else { panic!("{error}") };
        assert_eq!(ended, program);
        assert!(tail.contains("address already in use"), "{tail}");
    }
}

fn programs_say_their_versions() {
    let binaries = Binaries::find(&Binary::ALL).expect("all programs are there or can be built");
    let kubernetes = [Binary::KubeApiserver, Binary::KubeControllerManager, Binary::KubeScheduler];
    for binary in kubernetes {
        check_version(&binaries, binary, &["--version"], "v1.34.4");
    }
    check_version(&binaries, Binary::Kubectl, &["version", "--client"], "v1.34.4");
    check_version(&binaries, Binary::Etcd, &["--version"], "3.6.16");
    check_version(&binaries, Binary::Kwok, &["--version"], "0.8.0");
    check_version(&binaries, Binary::Helm, &["version"], "v4.3.2");
    check_version(&binaries, Binary::Glua, &["-v"], "GopherLua");
}

fn check_version(binaries: &Binaries, binary: Binary, arguments: &[&str], expected: &str) {
    let output = Command::new(binaries.path(binary)).args(arguments).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(expected), "{binary}: {output:?}");
}

fn without_go_tests_are_skipped_but_not_in_ci() {
    let skipped = in_role("ask", &[("PATH", "/nowhere")]);
    assert!(skipped.contains("failed to build etcd with Go") && skipped.contains("install Go"), "{skipped}");
    assert_eq!(in_role("ask", &[("PATH", "/nowhere"), ("CI", "true")]), "None");
}

fn go_that_is_too_old_is_no_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let go = folder.path().join("go");
    std::fs::write(&go, "#!/bin/sh\necho 'go: go.mod requires go >= 99' >&2\nexit 1\n").expect("a script is written");
    std::fs::set_permissions(&go, Permissions::from_mode(0o755)).expect("it can be made executable");
    let skipped = in_role("ask", &[("PATH", folder.path().to_str().expect("a path of text"))]);
    assert!(skipped.contains("requires go >= 99") && skipped.contains("install Go"), "{skipped}");
}

fn programs_of_kubebuilder_assets_need_no_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let etcd = folder.path().join("etcd");
    std::fs::write(&etcd, "").expect("a file is written");
    let assets = folder.path().to_str().expect("a path of text");
    let environment = [("PATH", "/nowhere"), ("KUBEBUILDER_ASSETS", assets)];
    assert_eq!(in_role("find", &environment), etcd.to_string_lossy());
    assert_eq!(in_role("ask", &environment), "None");
}

/// What this program prints in a role, with nothing in its environment but what is given.
fn in_role(role: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("a test knows where it is"));
    command.env_clear().env(ROLE, role).envs(environment.iter().copied());
    let output = command.output().expect("this program starts");
    String::from_utf8(output.stdout).expect("it prints text").trim().to_owned()
}

fn start(options: &Options) -> ControlPlane {
    ControlPlane::start(options).unwrap_or_else(|error| panic!("failed to {error}"))
}

/// Generous, since the machine may do other things; a failure shows what the API server logged last.
fn eventually(plane: &ControlPlane, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(120), "{what}: not in 120 s; {}", last_lines(plane));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn last_lines(plane: &ControlPlane) -> String {
    let log = std::fs::read_to_string(plane.log(Program::ApiServer)).expect("the API server has a log");
    let lines: Vec<_> = log.lines().collect();
    format!("the API server said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
}

fn count(api: &Api, path: &str, holds: impl Fn(&Value) -> bool) -> usize {
    let list = api.get(path).unwrap_or_else(|error| panic!("failed to {error}"));
    list["items"].as_array().into_iter().flatten().filter(|item| holds(item)).count()
}

fn node_is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

fn kubectl(kubeconfig: &str, arguments: &[&str]) -> std::process::Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig).expect("the file takes the kubeconfig");
    let binaries = Binaries::find(&[Binary::Kubectl]).expect("kubectl is there or can be built");
    let mut kubectl = Command::new(binaries.path(Binary::Kubectl));
    kubectl.arg("--kubeconfig").arg(&file).args(arguments).output().expect("kubectl starts")
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sleeper"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "sleeper"}},
            "template": {
                "metadata": {"labels": {"app": "sleeper"}},
                "spec": {"containers": [{"name": "sleeper", "image": "nobody-pulls-it"}]},
            },
        },
    })
}
