//! Good manifests read as they should, and every mistake is told in one line.

use api::{LoadErrors, Manifests, PlannedScheduler, Reach, Resolved, ResolvedScheduler, ResolvedService};
use domain::problem::Burstiness;
use domain::{Epoch, Policy};
use proptest::prelude::*;
use std::{fs, path::Path};

const GOOD: &str = include_str!("testdata/good.yaml");

/// Loads and resolves a folder with one file. The folder is cut off the messages.
fn read(bytes: &[u8]) -> Result<(Manifests, Resolved), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("m.yaml"), bytes).expect("a file in it");
    let shown = |errors: LoadErrors| errors.to_string().replace(&format!("{}/", folder.path().display()), "");
    let manifests = api::load(folder.path()).map_err(shown)?;
    let resolved = manifests.resolve().map_err(shown)?;
    Ok((manifests, resolved))
}

/// The good manifest with one piece replaced must give exactly these lines.
fn check(old: &str, new: &str, want: &str) {
    assert!(GOOD.contains(old), "{old:?} is not in good.yaml");
    let got = read(GOOD.replacen(old, new, 1).as_bytes()).map(|_| ()).expect_err("it holds a mistake");
    assert_eq!(got, want, "\nfor {old:?} → {new:?}");
}

/// The policy that a service's manifest gives.
fn given(service: &ResolvedService) -> &Policy {
    match &service.scheduler {
        ResolvedScheduler::Given(policy) => policy,
        ResolvedScheduler::Planned(planned) => panic!("{planned:?} is planned"),
    }
}

/// The good manifest with another scheduler, given as the lines from `type:` on.
fn scheduled(lines: &str) -> Result<(Manifests, Resolved), String> {
    read(GOOD.replace("type: Fixed\n    fixed: { thresholds: [\"0.7\"] }", lines).as_bytes())
}

#[test]
fn the_good_manifest_reads_as_domain_values() {
    let (manifests, resolved) = read(GOOD.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(manifests.nodes.len(), 3);
    let pool = &resolved.pools["pool"];
    assert_eq!(pool.devices.keys().collect::<Vec<_>>(), ["big", "tiny"], "the third node is not selected");
    assert_eq!((pool.devices["tiny"].cores, pool.devices["big"].cores), (4.0, 2.5));
    assert_eq!((pool.devices["tiny"].speed_factor, pool.devices["big"].speed_factor), (0.1, 1.0));
    assert_eq!(pool.devices["tiny"].memory_budget.0, 7 << 30);
    let Reach::Link(link) = pool.reach("big", "tiny") else { panic!("links go both ways by default") };
    assert_eq!((link.bytes_per_second, link.latency.get()), (12.5e6, 5e-4));
    let service = &resolved.services[0];
    let shares: Vec<f64> = given(service).default.choices().iter().map(|choice| choice.probability.get()).collect();
    assert_eq!(shares, [0.25, 0.75], "a chain without a share takes what is left");
    let names: Vec<&str> = service.fragments.iter().map(|fragment| fragment.name.as_str()).collect();
    assert_eq!(names, ["service-1-1", "service-2-2", "service-1-2"]);
    let profile = service.model.profile.as_ref().unwrap();
    assert_eq!((profile.segments[1].mean.get(), profile.heads.len()), (103.5e-6, 2));
}

#[test]
fn the_example_and_its_files_fit_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fashion-mnist");
    let manifests = api::load(&folder).unwrap_or_else(|errors| panic!("{errors}"));
    let resolved = manifests.resolve().unwrap_or_else(|errors| panic!("{errors}"));
    let model = &resolved.services[0].model;
    let table = model.exit_table.as_ref().unwrap().file(&manifests.models[0].origin).unwrap();
    let (_, metadata) = api::exit_table::read(&table).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = model.model.exits.iter().map(|exit| exit.name.as_str()).collect();
    assert_eq!(metadata.exits, names);
    let samples = api::samples::read(&folder.join("load.safetensors")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(samples.shape(), model.model.input_shape);
    let file = model.artifact.file(&manifests.models[0].origin).unwrap();
    let meant = api::Artifact { sha256: Some(metadata.model_sha256.parse().unwrap()), ..model.artifact.clone() };
    meant.verify(&file).unwrap_or_else(|error| panic!("{error}"));
    let error = api::Artifact { sha256: Some("0".repeat(64).parse().unwrap()), ..meant }.verify(&file).unwrap_err();
    assert!(error.contains("model.onnx has SHA-256 ") && error.contains(", the manifest says 0000"), "{error}");
}

#[test]
fn chains_and_mixtures_multiply() {
    let mixture = "type: Mixture\n    mixture:\n      - { probability: \"0.5\", scheduler: { type: ExitLast } }\n      \
                   - { probability: \"0.5\", chain: whole, scheduler: { type: ExitFirst } }";
    let (_, resolved) = scheduled(mixture).unwrap_or_else(|errors| panic!("{errors}"));
    let choices = given(&resolved.services[0]).default.choices();
    let shown: Vec<_> = choices.iter().map(|c| (c.chain, c.probability.get(), c.thresholds.as_slice()[0])).collect();
    assert_eq!(shown, [(0, 0.125, 1.0), (1, 0.375, 1.0), (1, 0.5, 0.0)]);
}

#[test]
fn schedulers_to_plan_come_with_their_options_and_their_epoch() {
    use PlannedScheduler::{AdaEE, Auto, DataDriven, FixedDistribution, Knapsack, QueueingLP, Random, Reactive, SMDP};
    for (lines, want, epoch) in [
        ("type: Auto", Auto { may_dispatch: true }, Epoch::Arrival),
        ("type: Auto\n  epoch: Arrival", Auto { may_dispatch: false }, Epoch::Arrival),
        ("type: Random", Random, Epoch::Arrival),
        (
            "type: FixedDistribution\n    fixedDistribution: { probabilities: [\"0.25\", \"0.75\"] }",
            FixedDistribution(vec![0.25, 0.75]),
            Epoch::Arrival,
        ),
        ("type: Reactive", Reactive, Epoch::Dispatch),
        ("type: Knapsack", Knapsack { tracks_confidence: false }, Epoch::Dispatch),
        (
            "type: Knapsack\n    knapsack: { value: TrackedConfidence }",
            Knapsack { tracks_confidence: true },
            Epoch::Dispatch,
        ),
        ("type: QueueingLP", QueueingLP { approximate: false, tracks_confidence: false }, Epoch::Arrival),
        (
            "type: QueueingLP\n    queueingLP: { approximation: TwoMoment, value: TrackedConfidence }",
            QueueingLP { approximate: true, tracks_confidence: true },
            Epoch::Arrival,
        ),
        ("type: DataDriven", DataDriven { bayesian: false }, Epoch::Arrival),
        (
            "type: DataDriven\n    dataDriven: { search: Bayesian }\n  epoch: Dispatch",
            DataDriven { bayesian: true },
            Epoch::Dispatch,
        ),
        ("type: AdaEE\n  epoch: Arrival", AdaEE { buffer_aware: false }, Epoch::Arrival),
        ("type: AdaEE\n    adaEE: { variant: BufferAware }", AdaEE { buffer_aware: true }, Epoch::Dispatch),
        ("type: SMDP\n  epoch: Dispatch", SMDP, Epoch::Dispatch),
    ] {
        let (_, resolved) = scheduled(lines).unwrap_or_else(|errors| panic!("{lines}: {errors}"));
        let service = &resolved.services[0];
        assert_eq!(service.scheduler, ResolvedScheduler::Planned(want), "{lines}");
        assert_eq!(service.epoch, epoch, "{lines}");
        let initial = service.initial_policy();
        initial.check(2, 2).unwrap_or_else(|error| panic!("{lines}: {error}"));
        let shares: Vec<f64> = initial.default.choices().iter().map(|choice| choice.probability.get()).collect();
        assert_eq!((initial.epoch, shares), (epoch, vec![0.25, 0.75]), "{lines}");
    }
}

#[test]
fn what_a_manifest_leaves_out_has_its_default() {
    let (_, resolved) = read(GOOD.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    let service = &resolved.services[0];
    assert_eq!((service.audit.get(), service.sources[0].burstiness), (0.01, Burstiness::Poisson));
    let limits = service.reoptimization.expect("it is planned again by default");
    assert_eq!((limits.minimum_interval.get(), limits.maximum_per_hour), (5.0, 60));
    let never = GOOD.replace("  runtime:\n", "  reoptimization: { mode: Disabled }\n  runtime:\n");
    let (_, resolved) = read(never.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(resolved.services[0].reoptimization, None);
}

#[test]
fn bursts_keep_the_mean_rate() {
    let bursts = "expectedRate: \"12.5\", \
                  burstiness: { rateRatio: \"8\", meanBurstSeconds: \"0.5\", meanCalmSeconds: \"4.5\" }";
    let text = GOOD.replace("expectedRate: \"12.5\"", bursts);
    let (_, resolved) = read(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    let Burstiness::Phases { rates, switch } = resolved.services[0].sources[0].burstiness else { panic!("bursts") };
    assert!((rates[1] / rates[0] - 8.0).abs() < 1e-12);
    assert!((0.9 * rates[0] + 0.1 * rates[1] - 1.0).abs() < 1e-12, "{rates:?}");
    assert_eq!(switch, [1.0 / 4.5, 2.0]);
}

#[test]
fn a_link_by_device_goes_before_one_by_tier() {
    let more = "latencyMicroseconds: 500\n    - from: { device: big }\n      to: { device: tiny }\n      \
                bytesPerSecond: 1M\n      direction: OneWay";
    let (_, resolved) = read(GOOD.replace("latencyMicroseconds: 500", more).as_bytes()).unwrap();
    let rate = |from, to| match resolved.pools["pool"].reach(from, to) {
        Reach::Link(link) => link.bytes_per_second,
        other => panic!("{other:?}"),
    };
    assert_eq!((rate("big", "tiny"), rate("tiny", "big")), (1e6, 12.5e6));
    assert_eq!(resolved.pools["pool"].reach("big", "big"), Reach::Host);
}

#[test]
fn mistakes_in_yaml_are_one_line() {
    for (bytes, want) in [
        (&b""[..], "m.yaml: is empty; it should hold a manifest"),
        (b"# nothing\n---\n", "m.yaml: is empty; it should hold a manifest"),
        (b"a: b\n\xff\n", "m.yaml: is no UTF-8 text; the first bad byte is in line 2"),
        (b"a:\n\tb: c\n", "m.yaml:2:2: is no YAML: there is a tab; indent with spaces"),
        (b"a: [1, 2\nb: c\n", "m.yaml:2:2: is no YAML: illegal placement of ':' indicator"),
        (b"a: {b: c\n", "m.yaml:2:1: is no YAML: while parsing a flow mapping, did not find expected ',' or '}'"),
        (b"hello\n", "m.yaml:1:1: must be an object with apiVersion and kind, not text"),
        (b"a: b\n", "m.yaml:1:1: kind: is missing; allowed: DevicePool, EENNModel, EENNService, QoSTarget, Node"),
    ] {
        assert_eq!(read(bytes).map(|_| ()).unwrap_err(), want);
    }
}

#[test]
fn mistakes_in_an_object_name_field_and_line() {
    for (old, new, want) in [
        (
            "type: Fixed\n",
            "type: Fixd\n",
            "m.yaml:58:11: spec.scheduler.type: unknown value \"Fixd\"; did you mean \"Fixed\"?; allowed: Auto, ExitFirst, ExitLast, Fixed, Mixture, Random, FixedDistribution, Reactive, Knapsack, QueueingLP, DataDriven, AdaEE, SMDP, CEEN",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: CEEN",
            "m.yaml:58:11: spec.scheduler.type: CEEN is not available yet; Auto is the best there is",
        ),
        (
            "type: Fixed\n",
            "type: Knapsack\n",
            "m.yaml:59:12: spec.scheduler.fixed: belongs to type Fixed, not to Knapsack; remove it or change the type",
        ),
        (
            "fixed: { thresholds: [\"0.7\"] }",
            "fixed: { thresholds: [\"0.7\"] }\n    adaEE: { variant: BufferAware }",
            "m.yaml:60:12: spec.scheduler.adaEE: belongs to type AdaEE, not to Fixed; remove it or change the type",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: FixedDistribution",
            "m.yaml:58:5: spec.scheduler.fixedDistribution: is missing; type FixedDistribution needs it",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: FixedDistribution\n    fixedDistribution: { probabilities: [\"0.5\", \"0.25\", \"0.25\"] }",
            "m.yaml:59:41: spec.scheduler.fixedDistribution.probabilities: has 3 probabilities; the model has 2 exits",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: FixedDistribution\n    fixedDistribution: { probabilities: [\"0.5\", \"0.25\"] }",
            "m.yaml:59:41: spec.scheduler.fixedDistribution.probabilities: probabilities sum to 0.75, not to 1",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: SMDP\n  epoch: Arrival",
            "m.yaml:59:10: spec.epoch: SMDP looks at the jobs present when a job is sent, so thresholds cannot be fixed at arrival; write Dispatch, or remove it",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: Auto\n  epoch: Dispatch",
            "m.yaml:59:10: spec.epoch: Auto finds out whether that is better; remove it, or write Arrival to forbid it",
        ),
        (
            "runtime:",
            "reoptimization: { minimumIntervalSeconds: 0 }\n  runtime:",
            "m.yaml:71:45: spec.reoptimization.minimumIntervalSeconds: 0 is out of range; allowed: 1 to 86400",
        ),
        (
            "type: Fixed\n",
            "type: ExitLast\n",
            "m.yaml:59:12: spec.scheduler.fixed: belongs to type Fixed, not to ExitLast; remove it or change the type",
        ),
        (
            "    type: Fixed\n",
            "",
            "m.yaml:58:12: spec.scheduler.fixed: belongs to type Fixed, not to Auto; remove it or change the type",
        ),
        (
            "    fixed: { thresholds: [\"0.7\"] }\n",
            "",
            "m.yaml:58:5: spec.scheduler.fixed: is missing; type Fixed needs it",
        ),
        (
            "thresholds: [\"0.7\"]",
            "thresholds: [\"0.7\", \"0.8\"]",
            "m.yaml:59:26: spec.scheduler.fixed.thresholds: has 2 thresholds; a model with 2 exits needs 1",
        ),
        (
            "thresholds: [\"0.7\"]",
            "thresholds: [\"1.7\"]",
            "m.yaml:59:27: spec.scheduler.fixed.thresholds[0]: \"1.7\" is not allowed; allowed: a number from 0 to 1 in quotes, such as \"0.01\"",
        ),
        (
            "thresholds: [\"0.7\"]",
            "thresholds: [0.7]",
            "m.yaml:59:27: spec.scheduler.fixed.thresholds[0]: must be text, not a number; put it in quotes: \"0.7\"",
        ),
        (
            "thresholds: [\"0.7\"]",
            "thresholds: \"0.7\"",
            "m.yaml:59:26: spec.scheduler.fixed.thresholds: must be a list, not text",
        ),
        (
            "{ thresholds: [\"0.7\"] }",
            "{ thresholds: [\"0.7\"], tau: 1 }\n    mixture: []",
            "m.yaml:59:35: spec.scheduler.fixed: unknown field \"tau\"; allowed: thresholds",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: Mixture\n    mixture: [{ probability: \"0.5\", chain: hole, scheduler: { type: ExitLast } }]",
            "m.yaml:59:44: spec.scheduler.mixture[0].chain: no chain is named \"hole\"; did you mean \"whole\"?; allowed: split, whole",
        ),
        (
            "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }",
            "type: Mixture\n    mixture: [{ probability: \"0.5\", scheduler: { type: ExitLast } }]",
            "m.yaml:59:14: spec.scheduler.mixture: probabilities sum to 0.5, not to 1",
        ),
        (
            "runtime:",
            "runtme:",
            "m.yaml:71:3: spec: unknown field \"runtme\"; did you mean \"runtime\"?; allowed: approvedPlan, auditShare, deadlineMilliseconds, devicePoolRef, epoch, imagePullSecrets, modelRef, overflow, placement, planning, qosTargetRef, reoptimization, runtime, scheduler, sources",
        ),
        ("  modelRef: { name: net }\n", "", "m.yaml:52:3: spec.modelRef: is missing"),
        (
            "modelRef: { name: net }",
            "modelRef: { name: nett }",
            "m.yaml:52:21: spec.modelRef.name: no EENNModel is named \"nett\"; did you mean \"net\"?; allowed: net",
        ),
        (
            "devicePoolRef: { name: pool }",
            "devicePoolRef: pool",
            "m.yaml:53:18: spec.devicePoolRef: must be an object with fields, not text",
        ),
        (
            "qosTargetRef: { name: target }",
            "qosTargetRef: { name: Target }",
            "m.yaml:54:25: spec.qosTargetRef.name: \"Target\" is not allowed; allowed: up to 63 lower-case letters, digits and \"-\", a letter or digit at both ends",
        ),
        (
            "maxMeanLatencyMilliseconds: 50",
            "maxMeanLatencyMilliseconds: 0",
            "m.yaml:45:31: spec.maxMeanLatencyMilliseconds: 0 is out of range; allowed: 1 to 3600000",
        ),
        (
            "maxMeanLatencyMilliseconds: 50",
            "maxMeanLatencyMilliseconds: \"50\"",
            "m.yaml:45:31: spec.maxMeanLatencyMilliseconds: must be an integer, not the text \"50\"",
        ),
        (
            "maxMeanLatencyMilliseconds: 50",
            "maxMeanLatencyMilliseconds: 50.5",
            "m.yaml:45:31: spec.maxMeanLatencyMilliseconds: must be an integer, not a number",
        ),
        (
            "maxMeanLatencyMilliseconds: 50",
            "maxMeanLatencyMilliseconds:",
            "m.yaml:45:29: spec.maxMeanLatencyMilliseconds: is empty; give it a value or remove the line",
        ),
        (
            "maxLossRatio: \"0.01\"",
            "maxLossRatio: \"0.01\"\n  maxLossRatio: \"0.02\"",
            "m.yaml:45:3: spec.maxLossRatio: is given twice, first in line 44",
        ),
        (
            "kind: QoSTarget",
            "kind: QosTarget",
            "m.yaml:40:7: kind: unknown kind \"QosTarget\"; did you mean \"QoSTarget\"?; allowed: DevicePool, EENNModel, EENNService, QoSTarget, Node",
        ),
        (
            "apiVersion: eenn.dev/v1alpha1\nkind: QoSTarget",
            "apiVersion: eenn.dev/v1\nkind: QoSTarget",
            "m.yaml:39:13: apiVersion: unknown version \"eenn.dev/v1\"; allowed for QoSTarget: eenn.dev/v1alpha1",
        ),
        (
            "Milliseconds: 50\n",
            "Milliseconds: 50\n---\napiVersion: eenn.dev/v1alpha1\nkind: QoSTarget\nmetadata:\n  name: target\nspec: {}\n",
            "m.yaml:50:9: metadata.name: QoSTarget/target is already defined at m.yaml:42",
        ),
        (
            "uri: file://net.onnx",
            "uri: net.onnx",
            "m.yaml:7:10: spec.artifact.uri: \"net.onnx\" is not allowed; allowed: a URI that starts with file://, oci://, https://, s3://, pvc:// or configmap://",
        ),
        (
            "shape: [1, 8, 8]",
            "shape: [1, 0, 8]",
            "m.yaml:8:36: spec.input.shape[1]: 0 is out of range; allowed: 1 to 65536",
        ),
        ("shape: [1, 8, 8]", "shape: []", "m.yaml:8:32: spec.input.shape: has 0 entries; allowed: 1 to 8"),
        (
            "name: late, tensor: out2",
            "name: early, tensor: out2",
            "m.yaml:11:15: spec.exits[1].name: \"early\" is already taken by spec.exits[0]",
        ),
        (
            "tensor: out2",
            "tensor: cut1",
            "m.yaml:13:15: spec.cuts[0].tensor: tensor \"cut1\" is already used by spec.exits[1].tensor",
        ),
        (
            "output: Probabilities",
            "output: probabilities",
            "m.yaml:11:43: spec.exits[1].output: unknown value \"probabilities\"; did you mean \"Probabilities\"?; allowed: Logits, Probabilities",
        ),
        (
            "    - tensor: cut1\n",
            "    - tensor: cut1\n    - tensor: cut2\n",
            "m.yaml:17:15: spec.profile.segments: has 2 entries; a model with 2 cuts has 3 segments",
        ),
        (
            "node: tiny, expectedRate: \"12.5\"",
            "node: tinny, expectedRate: \"12.5\"",
            "m.yaml:56:29: spec.sources[0].node: no device of pool \"pool\" is named \"tinny\"; did you mean \"tiny\"?; allowed: big, tiny",
        ),
        (
            "node: tiny, expectedRate: \"12.5\"",
            "node: tiny, expectedRate: 12.5",
            "m.yaml:56:49: spec.sources[0].expectedRate: must be text, not a number; put it in quotes: \"12.5\"",
        ),
        (
            "node: tiny, expectedRate: \"12.5\"",
            "node: tiny, expectedRate: \"0\"",
            "m.yaml:56:49: spec.sources[0].expectedRate: \"0\" is not allowed; allowed: a number > 0 in quotes, such as \"0.25\"",
        ),
        (
            "strategy: Pinned",
            "strategy: ILP",
            "m.yaml:61:15: spec.placement.strategy: ILP is not available yet; use Pinned",
        ),
        (
            "    strategy: Pinned\n",
            "",
            "m.yaml:62:7: spec.placement.pinned: belongs to strategy Pinned, not to Auto; write strategy: Pinned, or remove it",
        ),
        (
            "probability: \"0.25\"",
            "probability: \"0.25\"\n        fragments: [{ node: big, firstSegment: 1, lastSegment: 2 }]\n      - chain: split",
            "m.yaml:66:16: spec.placement.pinned[1].chain: \"split\" is already taken by spec.placement.pinned[0]",
        ),
        (
            "firstSegment: 2, lastSegment: 2 }",
            "firstSegment: 3, lastSegment: 2 }",
            "m.yaml:67:40: spec.placement.pinned[0].fragments[1].firstSegment: is 3, but must be 2: it follows the fragment before\nm.yaml:67:56: spec.placement.pinned[0].fragments[1].lastSegment: is 2, which is before firstSegment 3",
        ),
        (
            "firstSegment: 1, lastSegment: 2 }",
            "firstSegment: 1, lastSegment: 1 }",
            "m.yaml:70:56: spec.placement.pinned[1].fragments[0].lastSegment: is 1; the model has 2 segments, and a chain holds all of them",
        ),
        (
            "node: big, firstSegment: 2",
            "node: elsewhere, firstSegment: 2",
            "m.yaml:67:21: spec.placement.pinned[0].fragments[1].node: no device of pool \"pool\" is named \"elsewhere\"; allowed: big, tiny",
        ),
        (
            "      - chain: whole",
            "      - probability: \"0.5\"\n        chain: whole",
            "m.yaml:63:7: spec.placement.pinned: probabilities of the chains sum to 0.75, not to 1",
        ),
        (
            "to: { device: big }",
            "to: { device: bug }",
            "m.yaml:35:21: spec.links[0].to.device: no device of the pool is named \"bug\"; did you mean \"big\"?; allowed: big, tiny",
        ),
        (
            "to: { device: big }",
            "to: { tier: Cloud }",
            "m.yaml:67:21: spec.placement.pinned[0].fragments[1].node: \"tiny\" has no link to \"big\" in pool \"pool\"\nm.yaml:70:21: spec.placement.pinned[1].fragments[0].node: \"tiny\" has no link to \"big\" in pool \"pool\"",
        ),
        ("to: { device: big }", "to: {}", "m.yaml:35:11: spec.links[0].to: needs either a tier or a device"),
        (
            "bytesPerSecond: 12.5M",
            "bytesPerSecond: 12.5MB",
            "m.yaml:36:23: spec.links[0].bytesPerSecond: \"12.5MB\" is not allowed; allowed: an amount such as \"64Mi\", \"100M\" or \"500m\"",
        ),
        (
            "bytesPerSecond: 12.5M",
            "bytesPerSecond: 0",
            "m.yaml:36:23: spec.links[0].bytesPerSecond: must be more than 0; remove the link to say that it is down",
        ),
        ("edge: \"true\"", "edge: \"yes\"", "m.yaml:23:17: spec.nodeSelector: selects none of the 3 nodes"),
        (
            "edge: \"true\"",
            "edge: true",
            "m.yaml:23:40: spec.nodeSelector.matchLabels.edge: must be text, not true or false; put it in quotes: \"true\"",
        ),
        (
            "      cores: \"2.5\"\n",
            "",
            "m.yaml:29:7: spec.classes[1].cores: is needed: node \"big\" has no status.capacity.cpu",
        ),
        (
            "memoryBudget: 256Ki",
            "memoryBudget: 1Mi",
            "m.yaml:72:19: spec.runtime.memoryBudget: the fragments on \"big\" have budgets of 2Mi together; device class \"large\" has 1Mi",
        ),
        (
            "memoryBudget: 256Ki",
            "memoryBudget: 100",
            "m.yaml:72:19: spec.runtime.memoryBudget: 100 cannot hold even one job: its input has 256 bytes",
        ),
        (
            "memoryBudget: 256Ki",
            "memoryBudget: 256Ki\n    cpuRequest: 2",
            "m.yaml:73:17: spec.runtime.cpuRequest: the fragments on \"big\" ask for 4000m cores together; device class \"large\" has 2500m",
        ),
        (
            "memoryBudget: 256Ki",
            "memoryBudget: 256Ki\n    workers: 0",
            "m.yaml:73:14: spec.runtime.workers: 0 is out of range; allowed: 1 to 64",
        ),
    ] {
        check(old, new, want);
    }
}

#[test]
fn all_problems_are_reported() {
    let text = GOOD.replace("uri: file", "urj: file").replace("priority", "x").replace("chain: whole", "chain: Whole");
    let got = read(text.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(got.lines().count(), 3, "{got}");
}

#[test]
fn files_and_folders_that_cannot_be_read_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = api::load(&folder.path().join("missing")).unwrap_err().to_string();
    assert!(error.ends_with("missing: cannot be read: No such file or directory (os error 2)"), "{error}");
    let error = api::load(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with(": has no .yaml or .yml file"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "[-a-c:{}\\[\\],&*!|>'\"#%@`? \n\t0-9.]{0,120}") {
        let _ = read(text.as_bytes());
    }

    /// Cuts, repeats and overwrites pieces of a good manifest.
    #[test]
    fn no_mutation_makes_it_panic(
        edits in proptest::collection::vec((0usize..3000, 0usize..40, "[ -~\n]{0,6}"), 1..6),
    ) {
        let mut text = GOOD.to_owned();
        for (start, length, insert) in edits {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, &insert);
        }
        if let Err(errors) = read(text.as_bytes()) {
            prop_assert!(errors.lines().all(|line| line.contains(": ") || line.starts_with('…')), "{errors}");
        }
    }
}

/// The good manifest without its chains, and with another scheduler.
fn unplaced(scheduler: &str) -> Result<(Manifests, api::Unplaced), String> {
    let at = GOOD.find("  placement:").expect("it has a placement");
    let end = GOOD.find("  runtime:").expect("a runtime follows");
    let text = format!("{}{}", &GOOD[..at], &GOOD[end..]);
    let text = text.replace("type: Fixed\n    fixed: { thresholds: [\"0.7\"] }", scheduler);
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("m.yaml"), text).expect("a file in it");
    let shown = |errors: LoadErrors| errors.to_string().replace(&format!("{}/", folder.path().display()), "");
    let manifests = api::load(folder.path()).map_err(shown)?;
    let unplaced = manifests.unplaced().map_err(shown)?;
    Ok((manifests, unplaced))
}

#[test]
fn a_service_without_chains_waits_for_a_planner() {
    let fixed = "type: Fixed\n    fixed: { thresholds: [\"0.7\"] }";
    for (scheduler, is_given) in [(fixed, true), ("type: ExitLast", true), ("type: Auto", false), ("type: SMDP", false)]
    {
        let (manifests, unplaced) = unplaced(scheduler).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(manifests.needs_placement());
        let api::ServicePlacement::Auto { given } = &unplaced.services[0].placement else { panic!("nobody pinned it") };
        assert_eq!(given.is_some(), is_given, "{scheduler}");
        let refused = manifests.resolve().expect_err("it has no chains").to_string();
        assert!(refused.contains("spec.placement: Auto is for a planner to decide"), "{refused}");
        let fragment =
            api::PinnedFragment { name: None, node: "big".parse().expect("a name"), first_segment: 1, last_segment: 2 };
        let chain =
            api::PinnedChain { chain: "big".parse().expect("a name"), probability: None, fragments: vec![fragment] };
        let placed = manifests.with_placement(&[("service".to_owned(), vec![chain])].into());
        assert!(!placed.needs_placement());
        let resolved = placed.resolve().unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(resolved.services[0].chains[0].name, "big");
    }
}

#[test]
fn chains_that_nobody_has_placed_cannot_be_named() {
    let mixture = "type: Mixture\n    mixture: [{ probability: \"1\", chain: split, scheduler: { type: ExitLast } }]";
    let refused = unplaced(mixture).expect_err("there is no chain of that name yet");
    assert!(
        refused.contains("spec.scheduler.mixture: names chains, which are not known before they are placed"),
        "{refused}"
    );
}

#[test]
fn nodes_say_whether_they_take_more() {
    let changed = GOOD.replace("spec: { podCIDR: 10.42.0.0/24 }", "spec: { unschedulable: true }");
    let (_, resolved) = read(changed.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    let tiny = &resolved.pools["pool"].devices["tiny"];
    assert_eq!((tiny.trouble, tiny.allocatable_memory.map(|bytes| bytes.0)), (Some("cordoned"), Some(7 << 30)));
    let tainted = |effect: &str| {
        let taint = format!("spec: {{ taints: [{{ key: edge, value: \"yes\", effect: {effect} }}] }}");
        let (_, resolved) = read(GOOD.replace("spec: { podCIDR: 10.42.0.0/24 }", &taint).as_bytes())
            .unwrap_or_else(|errors| panic!("{errors}"));
        resolved.pools["pool"].devices["tiny"].trouble
    };
    assert_eq!(tainted("NoSchedule"), Some("has a taint that its pool does not tolerate"));
    assert_eq!(tainted("PreferNoSchedule"), None);
    let changed = GOOD.replace(
        "allocatable: { cpu: \"4\", memory: 7Gi }",
        "conditions: [{ type: Ready, status: Unknown }]\n      nodeInfo: { architecture: arm64 }\n      allocatable: { cpu: \"4\", memory: 7Gi }",
    );
    let (_, resolved) = read(changed.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    let tiny = &resolved.pools["pool"].devices["tiny"];
    assert_eq!((tiny.trouble, tiny.architecture.as_deref()), (Some("not ready"), Some("arm64")));
}
