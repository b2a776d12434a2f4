use super::*;
use api::Manifests;
use clap::Parser;
use simulator::{Arrivals, Discipline, Handover, Law, Work};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fashion-mnist");

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    drive: Drive,
}

fn drive(words: &[&str]) -> Drive {
    let words = ["test"].iter().chain(words);
    Words::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).drive
}

fn example(words: &[&str]) -> Network {
    let mut cases = cases(Path::new(EXAMPLE), &drive(words), 1, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((cases.len(), cases[0].id.as_str()), (1, "fashion-mnist"));
    cases.remove(0).network
}

/// The network of changed manifests of the example.
fn changed(change: impl Fn(&mut Manifests), words: &[&str]) -> Network {
    let mut manifests = api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"));
    change(&mut manifests);
    let deployed = deploy(&manifests, &Default::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let deployment = &deployed.deployment;
    let plan = drive(words).plan(&sources(deployment), 1).unwrap_or_else(|error| panic!("{error}"));
    let models = models::read(&deployed, &manifests, None, Judge::All).unwrap_or_else(|error| panic!("{error}"));
    let problem = problem(deployment, &models).expect("the example is sound");
    let planned = decide(&problem, deployment, &Ask::default()).expect("it is planned").plan;
    network_of(deployment, &problem, planned, plan.as_ref()).unwrap_or_else(|error| panic!("{error}"))
}

/// A second source of the same service, on another node.
fn second_source(manifests: &mut Manifests) {
    let sources = &mut manifests.services[0].spec.sources;
    let (name, node) = ("phone".parse(), "pi-2".parse());
    let (name, node) = (name.expect("a name"), node.expect("a name"));
    let expected_rate = "300".parse().expect("a rate");
    sources.push(api::Source { name, node, expected_rate, burstiness: None });
}

#[test]
fn devices_of_the_example_serve_one_fragment_each() {
    let network = example(&[]);
    let devices: Vec<_> =
        network.devices.iter().map(|device| (device.name.as_str(), device.cores, device.speed)).collect();
    assert_eq!(devices, [("box", 1.0, 0.06), ("pi-1", 1.0, 0.04), ("pi-2", 1.0, 0.04)]);
    for device in &network.devices {
        let Discipline::Pods(lanes) = &device.discipline else { panic!("{:?}", device.discipline) };
        let lanes: Vec<_> = lanes.iter().map(|lane| (lane.workers, lane.request, lane.limit)).collect();
        assert_eq!(lanes, [(1, 1.0, f64::INFINITY)], "{}", device.name);
    }
    let regions: Vec<_> = network.regions.iter().map(|region| (region.name.as_str(), region.budget)).collect();
    assert_eq!(regions, [("box", 256 << 10), ("pi-1", 256 << 10), ("pi-2", 256 << 10), ("gateway", 16 << 20)]);
    assert_eq!(network.handover, Handover::ReserveFirst);
}

#[test]
fn the_model_of_the_example_has_an_exit_behind_each_segment() {
    let network = example(&[]);
    let [model] = &network.models[..] else { panic!("one model") };
    assert_eq!(model.exit_segments, [0, 1, 2, 3, 4, 5]);
    assert_eq!((model.table.samples(), model.table.exits(), model.varies), (5000, 6, false));
    let segments: f64 = model.times.segments.iter().map(|time| time.mean.get()).sum();
    assert!((segments - 837e-6).abs() < 1e-9, "{segments}");
}

#[test]
fn chains_of_the_example_hold_memory_and_cross_links_like_its_processes() {
    let network = example(&[]);
    let chains: Vec<_> = network.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(chains, ["fashion-mnist/left", "fashion-mnist/right"]);
    let links: Vec<_> = network.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(links, ["pi-1→box", "fashion-mnist@pi-1→pi-2", "pi-2→box"]);
    for link in &network.links {
        assert_eq!((link.bytes_per_second, link.latency, link.return_latency), (12.5e6, 0.0005, 0.0005));
    }
    // Device, region, memory, memory after service, link, bytes over it.
    let steps = |chain: usize| -> Vec<_> {
        let steps = network.chains[chain].steps.iter();
        steps
            .map(|step| (step.device, step.regions[0], step.memory, step.memory_after, step.link, step.transfer))
            .collect()
    };
    assert_eq!(steps(0), [(1, 1, 18_816, 18_816, None, 3_136), (0, 0, 18_816, 0, Some(0), 18_816)]);
    assert_eq!(steps(1), [(2, 2, 18_816, 18_816, Some(1), 3_136), (0, 0, 18_816, 0, Some(2), 18_816)]);
    let Work::Segments(range) = &network.chains[0].steps[1].work else { panic!("segments") };
    assert_eq!((range.first, range.last), (2, 5));
}

#[test]
fn the_policy_of_the_gateway_decides() {
    let network = example(&["--scheduler", "ExitLast"]);
    let [scheduling] = &network.schedulers[..] else { panic!("one gateway") };
    assert_eq!((scheduling.name.as_str(), &scheduling.chains[..]), ("fashion-mnist@pi-1", &[0, 1][..]));
    assert_eq!(scheduling.gateway, Some((3, 3_136 + 4_096)));
    let [source] = &network.sources[..] else { panic!("one source") };
    assert_eq!((source.name.as_str(), source.deadline), ("camera", Some(1.0)));
    let mut scheduler = (scheduling.make)(0);
    let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
    let arriving = policy::Arriving { source: "camera", now: 0.0, usable: &|_| true, again: false };
    let selected = scheduler.arrive(&arriving, &mut rng).expect("all chains are usable");
    assert_eq!(selected.thresholds.expect("fixed at arrival").as_slice(), [1.0; 5]);
}

#[test]
fn without_load_sources_have_their_expected_rates() {
    let Arrivals::Renewal(Law::Exponential { mean }) = example(&[]).sources[0].arrivals else { panic!("Poisson") };
    assert_eq!(mean, 0.01);
}

#[test]
fn poisson_phases_are_pieces() {
    let network = example(&["--load", "rate=40/s for 10s, then 80/s for 160 jobs"]);
    let gaps = Law::Exponential { mean: 1.0 };
    let pieces = vec![(10.0, 40.0), (2.0, 80.0)];
    assert_eq!(network.sources[0].arrivals, Arrivals::Piecewise { gaps, pieces, repeat: false });
}

#[test]
fn other_arrivals_come_at_their_times() {
    let network = example(&["--load", "4/s for 1s", "--arrivals", "uniform"]);
    assert_eq!(network.sources[0].arrivals, Arrivals::Trace([0.0, 0.25, 0.5, 0.75].into()));
    let error = cases(Path::new(EXAMPLE), &drive(&["--load", "1000/s for 4h", "--arrivals", "uniform"]), 1, None);
    let error = error.expect_err("too long").to_string();
    assert!(error.contains("14400000 jobs in 14400 s are too many"), "{error}");
}

#[test]
fn a_load_is_split_among_sources_as_it_is_driven() {
    let network = changed(second_source, &["--load", "100/s for 10s", "--load", "phone: 8/s for 1s"]);
    let names: Vec<_> = network.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["camera", "phone#1", "phone#2"]);
    let rates: Vec<f64> = network
        .sources
        .iter()
        .map(|source| match &source.arrivals {
            Arrivals::Piecewise { pieces, .. } => pieces[0].1,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rates, [25.0, 75.0, 8.0]);
    let uniform = changed(second_source, &["--load", "100/s for 10s", "--arrivals", "uniform"]);
    let times = |source: usize| match &uniform.sources[source].arrivals {
        Arrivals::Trace(times) => times.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(times(0) + times(1), 1000);
    assert!((200..300).contains(&times(0)), "{}", times(0));
}

#[test]
fn every_gateway_has_chains_and_links_of_its_own() {
    let network = changed(second_source, &[]);
    let chains: Vec<_> = network.chains.iter().map(|chain| chain.name.as_str()).collect();
    let of = |chain: &str, node: &str| format!("fashion-mnist/{chain}@{node}");
    assert_eq!(chains, [of("left", "pi-1"), of("right", "pi-1"), of("left", "pi-2"), of("right", "pi-2")]);
    let first: Vec<_> = network.chains.iter().map(|chain| chain.steps[0].link).collect();
    assert_eq!(first, [None, Some(1), Some(3), None], "{:?}", network.links);
    assert_eq!(network.schedulers[1].chains, [2, 3]);
    assert_eq!(network.chains[0].steps[1], network.chains[2].steps[1], "device processes share their links");
}

/// What `eenn up` measured (docs/design/prediction-vs-local-mode.md): loss, p50 and p95 in seconds.
#[test]
fn the_example_is_predicted_as_it_was_measured() {
    for (load, scheduler, loss, p50, p95) in [
        ("40/s for 60s", "ExitLast", 0.0, 0.0208, 0.0379),
        ("90/s for 300s", "ExitLast", 0.0222, 0.0690, 0.1364),
        ("280/s for 60s", "ExitLast", 0.6669, 0.1464, 0.1618),
    ] {
        let network = example(&["--load", load, "--scheduler", scheduler]);
        let fates = &simulated(&network).sources[0].fates;
        assert_close(fates, loss, p50, p95, load);
    }
}

#[test]
fn with_the_samples_of_the_load_exit_shares_are_predicted_as_well() {
    let folder = tempfile::tempdir().expect("a folder for the table");
    let table = folder.path().join("load.safetensors");
    write_table_of_load(&table);
    let cases = cases(Path::new(EXAMPLE), &drive(&["--load", "280/s for 60s"]), 1, Some(&table));
    let network = cases.unwrap_or_else(|error| panic!("{error}")).remove(0).network;
    let fates = &simulated(&network).sources[0].fates;
    assert_close(fates, 0.0, 0.0097, 0.0259, "thresholds of the manifest");
    for (exit, measured) in fates.exits.iter().zip([0.3654, 0.4098, 0.1230, 0.0409, 0.0060, 0.0549]) {
        assert!((exit.value - measured).abs() < 0.01, "{:?}", fates.exits);
    }
}

fn simulated(network: &Network) -> simulator::Report {
    simulator::simulate(network, &simulator::Effort::arrivals(1, 400_000)).unwrap_or_else(|error| panic!("{error}"))
}

/// Loss within a point, quantiles within 15 %.
fn assert_close(fates: &simulator::Fates, loss: f64, p50: f64, p95: f64, what: &str) {
    let (got, latency) = (fates.loss.value, fates.latency);
    assert!((got - loss).abs() < 0.01, "{what}: loss {got}, seed 1");
    for (got, measured) in [(latency.p50.value, p50), (latency.p95.value, p95)] {
        assert!((got / measured - 1.0).abs() < 0.15, "{what}: {latency:?}, seed 1");
    }
}

/// The load is the first 1,000 images of the test set, of which there is a table.
fn write_table_of_load(file: &Path) {
    let (table, metadata) = api::exit_table::read(&Path::new(EXAMPLE).join("exit-table-test.safetensors"))
        .unwrap_or_else(|error| panic!("{error}"));
    let cells = || (0..1000).flat_map(|row| (0..table.exits()).map(move |exit| (row, exit)));
    let first = domain::ExitTable::new(
        table.exits(),
        cells().map(|(row, exit)| table.confidence(row, exit)).collect(),
        cells().map(|(row, exit)| table.prediction(row, exit)).collect(),
        (0..1000).map(|row| table.label(row)).collect(),
    );
    let first = first.unwrap_or_else(|error| panic!("{error}"));
    api::exit_table::write(file, &first, &metadata).unwrap_or_else(|error| panic!("{error}"));
}
