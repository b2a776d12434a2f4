//! From manifests to what processes are started with. Pure: files are read before, processes are started after.

use api::{
    Artifact, LoadErrors, Manifests, Object, Pool, Problem, QoSTargetSpec, Reach, Resolved, ResolvedChain,
    ResolvedModel, ResolvedService, Scheduler,
};
use domain::{Bytes, PerSecond};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use wire::document::{
    ChainDocument, ConfidenceDocument, DeviceDocument, EmulateDocument, ExitDocument, ExitOutputDocument,
    FragmentDocument, GatewayDocument, HopDocument, InputDocument, LinkDocument, ModelDocument, PolicyDocument,
    PolicyVersion, ProfileDocument, TimeDocument,
};

/// Processes on one machine: any free port will do.
const ANY_PORT: &str = "127.0.0.1:0";
/// Larger than any sample that an edge device should be sent, in JSON and with a few of them in one request.
const LARGEST_BODY: u64 = 8 << 20;

/// What the command line says instead of the manifests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overrides {
    /// For all services, from `--scheduler` and `--thresholds`.
    pub(crate) scheduler: Option<Scheduler>,
}

/// All processes of all services.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    /// One per node that hosts fragments.
    pub(crate) devices: Vec<DeviceDocument>,
    /// One per service, in the order of the manifests.
    pub(crate) services: Vec<ServicePlan>,
}

/// A service with its gateways.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServicePlan {
    pub(crate) name: String,
    /// One per node with sources.
    pub(crate) gateways: Vec<GatewayDocument>,
    pub(crate) sources: Vec<SourcePlan>,
    /// Names of the exits in order.
    pub(crate) exits: Vec<String>,
    /// Shape of one sample.
    pub(crate) input_shape: Vec<usize>,
    pub(crate) targets: Option<QoSTargetSpec>,
    pub(crate) model_file: PathBuf,
    /// With the SHA-256 that it should have.
    pub(crate) artifact: Artifact,
    /// `None` also when it is not a local file.
    pub(crate) exit_table: Option<PathBuf>,
    /// As it was read.
    pub(crate) resolved: ResolvedService,
}

/// A stream of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourcePlan {
    pub(crate) name: String,
    /// The device whose gateway it arrives at.
    pub(crate) device: String,
    /// Jobs per second.
    pub(crate) expected_rate: f64,
}

impl Overrides {
    /// The manifests with what the command line says.
    pub(crate) fn applied<'m>(&self, manifests: &'m Manifests) -> Cow<'m, Manifests> {
        let Some(scheduler) = &self.scheduler else { return Cow::Borrowed(manifests) };
        let option = match (&scheduler.fixed, &scheduler.fixed_distribution) {
            (Some(_), _) => "--thresholds",
            (None, Some(_)) => "--probabilities",
            (None, None) => "--scheduler",
        };
        Cow::Owned(manifests.with_scheduler(scheduler, option))
    }
}

/// Decides which processes there are and what each is told. All services have their chains.
pub(crate) fn deploy(manifests: &Manifests, overrides: &Overrides) -> Result<Deployment, LoadErrors> {
    let resolved = overrides.applied(manifests).resolve()?;
    let served = resolved.services.iter().map(|service| service.model.model.name.as_str()).collect();
    let files = local_files(manifests, &served)?;
    let hosts: BTreeSet<&str> =
        resolved.services.iter().flat_map(|s| &s.fragments).map(|fragment| fragment.device.as_str()).collect();
    let hosts: Vec<&str> = hosts.into_iter().collect();
    Ok(Deployment {
        devices: hosts.iter().map(|host| device(host, &hosts, &resolved, &files)).collect(),
        services: resolved.services.iter().map(|s| service(s, &resolved, &hosts, &files, manifests)).collect(),
    })
}

impl Deployment {
    /// Tells the gateways what a plan has decided; one policy per service.
    pub(crate) fn with_plan(&mut self, plan: &domain::Plan) {
        for (service, policy) in self.services.iter_mut().zip(&plan.policies) {
            for gateway in &mut service.gateways {
                let here = of_gateway(policy, &service.sources, &gateway.device);
                gateway.policy = policy_document(&service.resolved, &here);
            }
        }
    }

    /// As [`Deployment::with_plan`], with chains where they are: devices listen already.
    pub(crate) fn with_new_plan(&mut self, plan: &domain::Plan) {
        for (service, policy) in self.services.iter_mut().zip(&plan.policies) {
            for gateway in &mut service.gateways {
                let here = of_gateway(policy, &service.sources, &gateway.device);
                let chains = std::mem::take(&mut gateway.policy.chains);
                let version = gateway.policy.version;
                gateway.policy = policy::write(&here, &service.name, version, chains);
            }
        }
    }

    /// Gives the policies of all gateways this version.
    pub(crate) fn with_version(&mut self, version: PolicyVersion) {
        let gateways = self.services.iter_mut().flat_map(|service| &mut service.gateways);
        gateways.for_each(|gateway| gateway.policy.version = version);
    }

    /// Fills in where the devices listen, once they do.
    pub(crate) fn with_addresses(&mut self, addresses: &BTreeMap<String, String>) {
        let gateways = self.services.iter_mut().flat_map(|service| &mut service.gateways);
        let chains = gateways.flat_map(|gateway| &mut gateway.policy.chains);
        for hop in chains.flat_map(|chain| &mut chain.hops) {
            if let Some(address) = addresses.get(&hop.device) {
                hop.address.clone_from(address);
            }
        }
    }
}

/// Path of the ONNX file of each model that is served.
pub(crate) type Files = BTreeMap<String, PathBuf>;

/// What local mode asks beyond a cluster: models in files, with a profile to emulate devices by.
pub(crate) fn local_files(manifests: &Manifests, served: &BTreeSet<&str>) -> Result<Files, LoadErrors> {
    let mut problems: Vec<Problem> = vec![];
    if served.is_empty() {
        let message = "there is no EENNService to serve".to_owned();
        problems.push(Problem { file: PathBuf::new(), position: None, path: String::new(), message });
    }
    let mut files = Files::new();
    for object in manifests.models.iter().filter(|object| served.contains(object.name.as_str())) {
        match object.spec.artifact.path(&object.origin) {
            Some(path) => {
                files.insert(object.name.clone(), path);
            }
            None => problems.push(object.origin.problem("spec.artifact.uri", only_files(&object.spec.artifact))),
        }
        if object.spec.profile.is_none() {
            let message = "is missing; local mode takes the service times of emulated devices from it; \
                           `eenn model profile -f DIR --output manifest` measures and prints one";
            problems.push(object.origin.problem("spec.profile", message));
        }
    }
    LoadErrors::none_or(problems).map(|()| files)
}

fn only_files(artifact: &Artifact) -> String {
    format!("\"{}\" is for clusters; local mode reads file:// only", artifact.uri)
}

fn device(name: &str, hosts: &[&str], resolved: &Resolved, files: &Files) -> DeviceDocument {
    let pool = resolved.pools.values().find(|pool| pool.devices.contains_key(name));
    let pool = pool.expect("fragments live on devices of a pool");
    let device = &pool.devices[name];
    let fragments = resolved.services.iter().flat_map(|service| fragments(name, service, files)).collect();
    DeviceDocument {
        device: name.to_owned(),
        listen: ANY_PORT.to_owned(),
        metrics_listen: ANY_PORT.to_owned(),
        fragments,
        links: links(name, hosts, pool),
        emulate: Some(EmulateDocument { cores: device.cores, speed_factor: device.speed_factor }),
        // The budgets of the fragments together are within that of the device, so another region would never bind.
        memory_budget_bytes: None,
        tls: None,
    }
}

fn fragments(device: &str, service: &ResolvedService, files: &Files) -> Vec<FragmentDocument> {
    let here = service.fragments.iter().filter(|fragment| fragment.device == device);
    here.map(|fragment| FragmentDocument {
        name: fragment.name.clone(),
        file: files[&service.model.model.name].display().to_string(),
        model: model(&service.model),
        first_segment: fragment.range.first + 1,
        last_segment: fragment.range.last + 1,
        memory_budget_bytes: service.size.memory_budget.0,
        workers: service.size.workers,
        cpu_request_millis: service.size.cpu_request_millis,
        cpu_limit_millis: service.size.cpu_limit_millis,
        profile: service.model.profile.as_ref().map(profile),
    })
    .collect()
}

/// Links from a device to those that host fragments. Where the pool declares none, all are reached at host speed.
fn links(from: &str, hosts: &[&str], pool: &Pool) -> BTreeMap<String, LinkDocument> {
    let others = hosts.iter().filter(|to| pool.devices.contains_key(**to));
    others
        .filter_map(|to| match pool.reach(from, to) {
            Reach::Link(link) => Some(((*to).to_owned(), link_document(link))),
            // Chains that need a device out of reach have been refused.
            Reach::Host | Reach::Unreachable => None,
        })
        .collect()
}

fn link_document(link: domain::Link) -> LinkDocument {
    LinkDocument {
        bytes_per_second: link.bytes_per_second.is_finite().then_some(link.bytes_per_second),
        latency_microseconds: microseconds(link.latency),
    }
}

fn service(
    service: &ResolvedService,
    resolved: &Resolved,
    hosts: &[&str],
    files: &Files,
    manifests: &Manifests,
) -> ServicePlan {
    let nodes: BTreeSet<&str> = service.sources.iter().map(|source| source.device.as_str()).collect();
    let pool = &resolved.pools[&service.pool];
    let sources = service.sources.iter().map(|source| SourcePlan {
        name: source.name.clone(),
        device: source.device.clone(),
        expected_rate: source.expected_rate.get(),
    });
    let model = &service.model.model;
    let manifest: Option<&Object<_>> = manifests.models.iter().find(|object| object.name == model.name);
    let table = service.model.exit_table.as_ref().zip(manifest);
    ServicePlan {
        name: service.name.clone(),
        gateways: nodes.into_iter().map(|node| gateway(node, service, links(node, hosts, pool))).collect(),
        sources: sources.collect(),
        exits: model.exits.iter().map(|exit| exit.name.clone()).collect(),
        input_shape: model.input_shape.clone(),
        targets: service.targets.clone(),
        model_file: files[&model.name].clone(),
        artifact: service.model.artifact.clone(),
        exit_table: table.and_then(|(table, manifest)| table.path(&manifest.origin)),
        resolved: service.clone(),
    }
}

fn gateway(node: &str, service: &ResolvedService, links: BTreeMap<String, LinkDocument>) -> GatewayDocument {
    let first = service.sources.iter().find(|source| source.device == node);
    let Bytes(budget) = service.gateway_memory_budget;
    GatewayDocument {
        device: node.to_owned(),
        listen: ANY_PORT.to_owned(),
        admin_listen: ANY_PORT.to_owned(),
        model: model(&service.model),
        classes: None,
        source: first.expect("a gateway runs where a source is").name.clone(),
        policy: policy_document(service, &service.initial_policy()),
        policy_file: None,
        memory_budget_bytes: budget,
        // One request must not take the memory of all others.
        max_body_bytes: (budget / 8).clamp(1, LARGEST_BODY),
        links,
        tls: None,
    }
}

/// A policy as one gateway gets it: it measures only the rates of its own sources.
fn of_gateway(policy: &domain::Policy, sources: &[SourcePlan], device: &str) -> domain::Policy {
    let mut policy = policy.clone();
    let sum = |here: &dyn Fn(&SourcePlan) -> bool| -> f64 {
        sources.iter().filter(|source| here(source)).map(|source| source.expected_rate).sum()
    };
    if let Some(table) = &mut policy.rates {
        let share = sum(&|source| source.device == device) / sum(&|_| true);
        table.forecast = PerSecond::new(table.forecast.get() * share).expect("a share of a rate is one");
    }
    policy
}

fn policy_document(service: &ResolvedService, policy: &domain::Policy) -> PolicyDocument {
    let chains = service.chains.iter().map(|chain| hops(chain, service)).collect();
    policy::write(policy, &service.name, PolicyVersion { transitions: 0, generation: 1 }, chains)
}

fn hops(chain: &ResolvedChain, service: &ResolvedService) -> ChainDocument {
    let fragments = chain.fragments.iter().map(|fragment| &service.fragments[*fragment]);
    let hops = fragments.map(|fragment| HopDocument {
        fragment: fragment.name.clone(),
        device: fragment.device.clone(),
        address: String::new(),
        first_segment: fragment.range.first + 1,
        last_segment: fragment.range.last + 1,
        workers: service.size.workers,
    });
    ChainDocument { name: chain.name.clone(), hops: hops.collect() }
}

fn model(model: &ResolvedModel) -> ModelDocument {
    let model = &model.model;
    let exits = model.exits.iter().map(|exit| ExitDocument {
        name: exit.name.clone(),
        tensor: exit.tensor.clone(),
        output: match exit.output {
            domain::ExitOutput::Logits => ExitOutputDocument::Logits,
            domain::ExitOutput::Probabilities => ExitOutputDocument::Probabilities,
        },
    });
    ModelDocument {
        name: model.name.clone(),
        input: InputDocument { name: model.input.clone(), shape: model.input_shape.clone() },
        exits: exits.collect(),
        cuts: model.cuts.clone(),
        confidence: match model.confidence {
            domain::Confidence::MaxSoftmax => ConfidenceDocument::MaxSoftmax,
            domain::Confidence::NormalizedEntropy => ConfidenceDocument::NormalizedEntropy,
        },
    }
}

fn profile(times: &domain::ServiceTimes) -> ProfileDocument {
    let time = |time: &domain::ServiceTime| TimeDocument { mean_microseconds: microseconds(time.mean), scv: time.scv };
    ProfileDocument {
        segments: times.segments.iter().map(time).collect(),
        heads: times.heads.iter().map(time).collect(),
    }
}

/// Rounded to nanoseconds: 103.5 µs stays 103.5 and does not become 103.49999999999999.
fn microseconds(time: domain::Seconds) -> f64 {
    (time.get() * 1e9).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fashion-mnist");

    fn example() -> Manifests {
        api::load(Path::new(EXAMPLE)).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn fixed(thresholds: &[&str]) -> Overrides {
        let json = serde_json::json!({"type": "Fixed", "fixed": {"thresholds": thresholds}});
        Overrides { scheduler: Some(serde_json::from_value(json).unwrap()) }
    }

    #[test]
    fn the_example_becomes_three_devices_and_one_gateway() {
        let deployment = deploy(&example(), &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let devices: Vec<_> = deployment
            .devices
            .iter()
            .map(|device| {
                let fragments: Vec<&str> = device.fragments.iter().map(|fragment| fragment.name.as_str()).collect();
                let links: Vec<&str> = device.links.keys().map(String::as_str).collect();
                (device.device.as_str(), fragments, links)
            })
            .collect();
        assert_eq!(
            devices,
            [
                ("box", vec!["fashion-mnist-3-6"], vec!["pi-1", "pi-2"]),
                ("pi-1", vec!["fashion-mnist-1-2"], vec!["box", "pi-2"]),
                ("pi-2", vec!["fashion-mnist-1-2"], vec!["box", "pi-1"]),
            ]
        );
        let [service] = &deployment.services[..] else { panic!("one service") };
        let [gateway] = &service.gateways[..] else { panic!("one gateway") };
        assert_eq!((gateway.device.as_str(), gateway.source.as_str()), ("pi-1", "camera"));
        assert_eq!(gateway.links.keys().collect::<Vec<_>>(), ["box", "pi-2"]);
    }

    #[test]
    fn documents_of_the_example_can_be_read_by_the_processes() {
        let deployment = deploy(&example(), &Overrides::default()).unwrap();
        for device in &deployment.devices {
            let text = serde_json::to_string(device).unwrap();
            assert_eq!(&serde_json::from_str::<DeviceDocument>(&text).unwrap(), device);
        }
        for service in &deployment.services {
            for gateway in &service.gateways {
                let segments = gateway.model.cuts.len() + 1;
                policy::read(&gateway.policy, gateway.model.exits.len(), segments).unwrap();
                let text = serde_json::to_string(gateway).unwrap();
                assert_eq!(&serde_json::from_str::<GatewayDocument>(&text).unwrap(), gateway);
            }
        }
    }

    #[test]
    fn a_scheduler_of_the_command_line_replaces_that_of_the_manifest() {
        let deployment = deploy(&example(), &fixed(&["0.1", "0.2", "0.3", "0.4", "1"])).unwrap();
        let policy = &deployment.services[0].gateways[0].policy;
        assert_eq!(policy.default.len(), 2, "one choice per chain");
        assert_eq!(policy.default[0].thresholds, [0.1, 0.2, 0.3, 0.4, 1.0]);
        let errors = deploy(&example(), &fixed(&["0.1"])).unwrap_err();
        assert_eq!(
            errors.to_string(),
            "--thresholds (for EENNService/fashion-mnist): has 1 thresholds; a model with 6 exits needs 5"
        );
    }

    #[test]
    fn addresses_reach_every_hop() {
        let mut deployment = deploy(&example(), &Overrides::default()).unwrap();
        let names = deployment.devices.iter().map(|device| device.device.clone());
        deployment.with_addresses(&names.map(|name| (name.clone(), format!("{name}:1"))).collect());
        let chains = &deployment.services[0].gateways[0].policy.chains;
        assert!(chains.iter().flat_map(|chain| &chain.hops).all(|hop| hop.address == format!("{}:1", hop.device)));
    }

    #[test]
    fn sources_on_one_node_share_a_gateway() {
        let mut manifests = example();
        let second = manifests.services[0].spec.sources[0].clone();
        manifests.services[0].spec.sources.push(api::Source { name: "second".parse().unwrap(), ..second });
        let deployment = deploy(&manifests, &Overrides::default()).unwrap();
        assert_eq!((deployment.services[0].gateways.len(), deployment.services[0].sources.len()), (1, 2));
    }

    #[test]
    fn every_gateway_expects_the_rate_of_its_own_sources() {
        let mut manifests = example();
        let second = manifests.services[0].spec.sources[0].clone();
        let (name, node) = ("second".parse().unwrap(), "pi-2".parse().unwrap());
        let second = api::Source { name, node, expected_rate: "300".parse().unwrap(), ..second };
        manifests.services[0].spec.sources.push(second);
        let mut deployment = deploy(&manifests, &Overrides::default()).unwrap();
        let mut policy = deployment.services[0].resolved.initial_policy();
        policy.rates = Some(domain::RateTable {
            forecast: PerSecond::new(200.0).unwrap(),
            measured: domain::Measured::Window(domain::Seconds::new(1.0).unwrap()),
            rows: vec![domain::RateRow { up_to: 1.0, default: policy.default.clone(), sources: vec![] }],
        });
        deployment.with_plan(&domain::Plan { policies: vec![policy] });
        let gateways = deployment.services[0].gateways.iter();
        let forecasts: Vec<f64> = gateways
            .filter_map(|gateway| gateway.policy.rates.as_ref())
            .map(|rates| rates.forecast_per_second)
            .collect();
        assert_eq!(forecasts, [50.0, 150.0]);
    }

    #[test]
    fn local_mode_wants_files_and_a_profile() {
        let mut manifests = example();
        let model = &mut manifests.models[0];
        model.spec.artifact.uri = "oci://registry/model:1".parse().unwrap();
        model.spec.profile = None;
        let errors = deploy(&manifests, &Overrides::default()).unwrap_err().to_string();
        assert!(
            errors.contains(
                "spec.artifact.uri: \"oci://registry/model:1\" is for clusters; local mode reads file:// only"
            ),
            "{errors}"
        );
        assert!(errors.contains("spec.profile: is missing; local mode takes the service times"), "{errors}");
    }
}
