//! What a control plane consists of, and the command lines of its programs.

use crate::binaries::Binary;
use crate::files;
use std::fmt;
use std::path::Path;

/// What is started beside etcd and the API server. By default, nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Deployments get pods, owned objects are collected, namespaces get service accounts (without which no pod is
    /// admitted), and the roles that are made of others (`view`, `edit`, `admin`) get their rules.
    pub controller_manager: bool,
    /// Pods get nodes.
    pub scheduler: bool,
    /// Nodes with the annotation `kwok.x-k8s.io/node=fake` are ready, and pods on them run.
    pub kwok: bool,
    /// Every request is written to [`ControlPlane::audit_log`](crate::ControlPlane::audit_log).
    pub audit: bool,
    /// Requests per second that controller-manager and scheduler allow themselves, with bursts of twice as many; 200
    /// unless given.
    pub kube_api_qps: Option<u32>,
    /// More flags for one of the programs; the last one counts where a flag is repeated.
    pub flags: Vec<(Program, String)>,
}

/// A part of a control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The store of the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// Pretends to be kubelets.
    Kwok,
}

impl Options {
    /// All programs, and the audit log.
    pub fn everything() -> Self {
        Self { controller_manager: true, scheduler: true, kwok: true, audit: true, ..Self::default() }
    }

    /// What [`ControlPlane::start`](crate::ControlPlane::start) looks for or builds.
    pub fn binaries(&self) -> Vec<Binary> {
        self.programs().into_iter().map(Program::binary).collect()
    }

    /// In the order in which they are started.
    pub(crate) fn programs(&self) -> Vec<Program> {
        let optional = [
            (self.controller_manager, Program::ControllerManager),
            (self.scheduler, Program::Scheduler),
            (self.kwok, Program::Kwok),
        ];
        let wanted = optional.into_iter().filter_map(|(wanted, program)| wanted.then_some(program));
        [Program::Etcd, Program::ApiServer].into_iter().chain(wanted).collect()
    }

    /// The command line of a program.
    pub(crate) fn arguments(&self, program: Program, place: &Place<'_>) -> Vec<String> {
        let mut arguments = match program {
            Program::Etcd => etcd(place),
            Program::ApiServer => self.api_server(place),
            Program::ControllerManager => self.controller_manager(place),
            Program::Scheduler => self.scheduler(place),
            Program::Kwok => kwok(place),
        };
        let more = self.flags.iter().filter(|(for_program, _)| *for_program == program);
        arguments.extend(more.map(|(_, flag)| flag.clone()));
        arguments
    }

    fn api_server(&self, place: &Place<'_>) -> Vec<String> {
        let Ports { etcd, api_server, .. } = place.ports;
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={api_server}"),
            // Otherwise it looks for an address of the machine, and does not start on one that has no network. Nobody
            // is told the address, since nothing in this cluster runs in pods.
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            place.flag("tls-cert-file", files::SERVER),
            place.flag("tls-private-key-file", files::SERVER_KEY),
            place.flag("client-ca-file", files::AUTHORITY),
            place.flag("service-account-key-file", files::ACCOUNTS_PUBLIC),
            place.flag("service-account-signing-key-file", files::ACCOUNTS_KEY),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            format!("--service-cluster-ip-range={SERVICES}"),
            "--allow-privileged=true".to_owned(),
            place.flag("cert-dir", "api-server"),
        ];
        if self.audit {
            arguments.push(place.flag("audit-policy-file", files::AUDIT_POLICY));
            arguments.push(place.flag("audit-log-path", files::AUDIT_LOG));
            // One file: the default is to begin a new one after 100 MB.
            arguments.push("--audit-log-maxsize=65536".to_owned());
        }
        arguments
    }

    fn controller_manager(&self, place: &Place<'_>) -> Vec<String> {
        let mut arguments = self.client(place, place.ports.controller_manager);
        arguments.extend([
            place.flag("kubeconfig", files::CONTROLLER_MANAGER),
            place.flag("service-account-private-key-file", files::ACCOUNTS_KEY),
            place.flag("root-ca-file", files::AUTHORITY),
            "--use-service-account-credentials=true".to_owned(),
            place.flag("cluster-signing-cert-file", files::AUTHORITY),
            place.flag("cluster-signing-key-file", files::AUTHORITY_KEY),
            format!("--service-cluster-ip-range={SERVICES}"),
        ]);
        arguments
    }

    fn scheduler(&self, place: &Place<'_>) -> Vec<String> {
        let mut arguments = self.client(place, place.ports.scheduler);
        arguments.push(place.flag("kubeconfig", files::SCHEDULER));
        arguments
    }

    /// What controller-manager and scheduler have in common.
    fn client(&self, place: &Place<'_>, port: u16) -> Vec<String> {
        let qps = self.kube_api_qps.unwrap_or(REQUESTS_PER_SECOND);
        vec![
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            place.flag("tls-cert-file", files::SERVER),
            place.flag("tls-private-key-file", files::SERVER_KEY),
            "--leader-elect=false".to_owned(),
            format!("--kube-api-qps={qps}"),
            format!("--kube-api-burst={}", qps.saturating_mul(2)),
        ]
    }
}

fn etcd(place: &Place<'_>) -> Vec<String> {
    let Ports { etcd, etcd_peer, .. } = place.ports;
    let client = format!("http://127.0.0.1:{etcd}");
    let peer = format!("http://127.0.0.1:{etcd_peer}");
    vec![
        place.flag("data-dir", "etcd"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // Nothing has to outlive the machine.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn kwok(place: &Place<'_>) -> Vec<String> {
    let mut arguments = vec![
        place.flag("kubeconfig", files::ADMIN),
        "--manage-all-nodes=false".to_owned(),
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
        "--node-lease-duration-seconds=40".to_owned(),
        // For documentation (RFC 5737) and for pods that are not there: nobody answers at them.
        "--node-ip=192.0.2.1".to_owned(),
        "--cidr=10.244.0.0/16".to_owned(),
    ];
    arguments.extend(place.stages.iter().map(|stage| format!("--config={stage}")));
    arguments
}

impl Program {
    pub(crate) fn binary(self) -> Binary {
        match self {
            Self::Etcd => Binary::Etcd,
            Self::ApiServer => Binary::KubeApiserver,
            Self::ControllerManager => Binary::KubeControllerManager,
            Self::Scheduler => Binary::KubeScheduler,
            Self::Kwok => Binary::Kwok,
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.binary().fmt(f)
    }
}

/// Where a control plane lives.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) ports: Ports,
    pub(crate) stages: Vec<String>,
}

/// On loopback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
}

impl Place<'_> {
    /// A flag that names a file in the folder.
    fn flag(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.folder.join(file).display())
    }
}

/// With its own default of 20 the controller-manager needs five seconds to get the tokens of its controllers.
const REQUESTS_PER_SECOND: u32 = 200;

/// Addresses of services.
const SERVICES: &str = "10.43.0.0/16";

/// The first of them is that of the API server.
pub(crate) const FIRST_SERVICE: &str = "10.43.0.1";

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(options: &Options, program: Program) -> Vec<String> {
        let ports = Ports { etcd: 1, etcd_peer: 2, api_server: 3, controller_manager: 4, scheduler: 5 };
        let place = Place { folder: Path::new("/folder"), ports, stages: vec!["/stage.yaml".to_owned()] };
        options.arguments(program, &place)
    }

    #[test]
    fn only_what_is_asked_for_is_started() {
        assert_eq!(Options::default().programs(), [Program::Etcd, Program::ApiServer]);
        assert_eq!(Options::everything().binaries().len(), 5);
        let scheduler = Options { scheduler: true, ..Options::default() };
        assert_eq!(scheduler.programs(), [Program::Etcd, Program::ApiServer, Program::Scheduler]);
    }

    #[test]
    fn requests_per_second_are_raised_for_both_clients_and_nobody_else() {
        let options = Options { kube_api_qps: Some(500), ..Options::everything() };
        for (program, raised) in
            [(Program::ControllerManager, true), (Program::Scheduler, true), (Program::ApiServer, false)]
        {
            let arguments = arguments(&options, program);
            assert_eq!(arguments.contains(&"--kube-api-qps=500".to_owned()), raised, "{arguments:?}");
            assert_eq!(arguments.contains(&"--kube-api-burst=1000".to_owned()), raised, "{arguments:?}");
        }
    }

    #[test]
    fn flags_of_the_caller_come_last_and_reach_one_program() {
        let flags = vec![(Program::ApiServer, "--v=4".to_owned())];
        let options = Options { flags, ..Options::everything() };
        assert_eq!(arguments(&options, Program::ApiServer).last().map(String::as_str), Some("--v=4"));
        assert!(!arguments(&options, Program::Etcd).contains(&"--v=4".to_owned()));
    }

    #[test]
    fn audit_log_is_written_only_when_asked_for() {
        let audits =
            |options: &Options| arguments(options, Program::ApiServer).iter().any(|flag| flag.contains("audit"));
        assert!(audits(&Options::everything()));
        assert!(!audits(&Options::default()));
    }
}
