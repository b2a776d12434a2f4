//! A running control plane.

use crate::api::{Api, Reply};
use crate::binaries::Binaries;
use crate::certificates::Authority;
use crate::component::Component;
use crate::error::Error;
use crate::files;
use crate::flags::{Options, Place, Ports, Program};
use crate::group::Group;
use crate::nodes::FakeNodes;
use crate::ports;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between looking for free ports and listening on them somebody may have taken one.
const ATTEMPTS: usize = 5;

/// On a machine that does other things too; one that is missed is an error with the log, so it may be long.
const READY: Duration = Duration::from_secs(120);

/// Every look is a TLS handshake, and a program that starts needs the processor itself.
const LOOK: Duration = Duration::from_millis(50);

/// What the API server authorises with everything.
const ADMINISTRATORS: &str = "system:masters";

/// A running control plane. It ends when it is stopped or dropped, and when its owner ends, however that happens: then
/// all its processes and its folder are gone.
#[derive(Debug)]
pub struct ControlPlane {
    group: Group,
    authority: Authority,
    api: Api,
    ports: Ports,
    kubeconfig: String,
    components: Vec<Component>,
}

impl ControlPlane {
    /// Finds or builds the programs, starts them and waits until they are ready.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let binaries = Binaries::find(&options.binaries())?;
        retried(|| Self::started(options, &binaries))
    }

    /// Where the API server is: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    /// A kubeconfig file of an administrator.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.file(files::ADMIN)
    }

    /// The text of that file, complete in itself.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// A kubeconfig of somebody else, complete in itself. What they may do is a matter of role bindings.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<String, Error> {
        Ok(self.authority.kubeconfig(&self.url(), &self.authority.client(user, group)?))
    }

    /// The certificate of the authority that signed for the API server, in PEM.
    pub fn authority(&self) -> String {
        self.authority.certificate.pem()
    }

    /// One JSON object a line, of `audit.k8s.io/v1` at level Metadata, for requests of others than the control plane; only with [`Options::audit`].
    pub fn audit_log(&self) -> PathBuf {
        self.file(files::AUDIT_LOG)
    }

    /// Output of a program, of all its runs.
    pub fn log(&self, program: Program) -> PathBuf {
        self.file(files::LOGS).join(format!("{program}.log"))
    }

    /// Process id of a program, if it runs.
    pub fn process(&self, program: Program) -> Option<u32> {
        self.components.iter().find(|component| component.program() == program)?.id()
    }

    /// The temporary folder; it is gone when the control plane is.
    pub fn folder(&self) -> &Path {
        self.group.folder()
    }

    /// A client with the rights of an administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// A client with the rights of somebody else.
    pub fn api_as(&self, user: &str, group: Option<&str>) -> Result<Api, Error> {
        Api::new(self.ports.api_server, &self.authority, &self.authority.client(user, group)?)
    }

    /// Creates fake nodes and returns their names. KWOK makes them ready soon after.
    pub fn add_fake_nodes(&self, nodes: &FakeNodes) -> Result<Vec<String>, Error> {
        nodes.create(&self.api)
    }

    /// An error if a program has ended by itself.
    pub fn check(&mut self) -> Result<(), Error> {
        self.components.iter_mut().try_for_each(Component::check)
    }

    /// Lets the API server end gracefully: it answers what is under way and closes watches. Everything else runs on.
    pub fn stop_api_server(&mut self) {
        self.component(Program::ApiServer).stop();
    }

    /// Ends the API server in the middle of whatever it does.
    pub fn kill_api_server(&mut self) {
        self.component(Program::ApiServer).kill();
    }

    /// Starts the API server again, on the same port and with the same objects, and waits until it is ready.
    pub fn start_api_server(&mut self) -> Result<(), Error> {
        self.launch(Program::ApiServer)?;
        self.await_ready(Program::ApiServer)
    }

    /// Ends everything. Dropping does the same; here it can be seen.
    pub fn stop(self) {}

    fn started(options: &Options, binaries: &Binaries) -> Result<Self, Error> {
        let mut plane = Self::prepared(options, binaries)?;
        // The API server waits for etcd by itself.
        plane.launch(Program::Etcd)?;
        plane.launch(Program::ApiServer)?;
        plane.await_ready(Program::ApiServer)?;
        let clients: Vec<_> = options.programs().into_iter().skip(2).collect();
        clients.iter().try_for_each(|program| plane.launch(*program))?;
        clients.iter().try_for_each(|program| plane.await_ready(*program))?;
        Ok(plane)
    }

    /// Everything written, nothing running.
    fn prepared(options: &Options, binaries: &Binaries) -> Result<Self, Error> {
        let [etcd, etcd_peer, api_server, controller_manager, scheduler] = ports::free()?;
        let ports = Ports { etcd, etcd_peer, api_server, controller_manager, scheduler };
        let authority = Authority::new()?;
        let admin = authority.client("admin", Some(ADMINISTRATORS))?;
        let api = Api::new(api_server, &authority, &admin)?;
        let kubeconfig = authority.kubeconfig(&format!("https://127.0.0.1:{api_server}"), &admin);
        let group = Group::new()?;
        let mut plane = Self { group, authority, api, ports, kubeconfig, components: Vec::new() };
        files::write(plane.folder(), &plane.authority, &plane.url(), &plane.kubeconfig)?;
        plane.components = plane.components(options, binaries);
        Ok(plane)
    }

    fn components(&self, options: &Options, binaries: &Binaries) -> Vec<Component> {
        let stages = match options.kwok {
            true => binaries.stages().map(|stage| stage.display().to_string()).collect(),
            false => Vec::new(),
        };
        let place = Place { folder: self.folder(), ports: self.ports, stages };
        let component = |program: Program| {
            let arguments = options.arguments(program, &place);
            Component::new(program, binaries.path(program.binary()), arguments, self.log(program))
        };
        options.programs().into_iter().map(component).collect()
    }

    fn launch(&mut self, program: Program) -> Result<(), Error> {
        let component = self.components.iter_mut().find(|component| component.program() == program);
        component.expect("what is launched is among the options").start(&self.group)
    }

    fn await_ready(&mut self, program: Program) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            // All of them: an API server without its etcd runs for a while, and then complains about something else.
            self.check()?;
            let Err(last) = self.look(program) else { return Ok(()) };
            if started.elapsed() > READY {
                return Err(self.component(program).not_ready(READY.as_secs(), last));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&self, program: Program) -> Result<(), String> {
        match program {
            Program::ApiServer => healthy(&self.api, "/readyz"),
            // Without the first service account no pod is admitted, and it comes later than good health.
            Program::ControllerManager => {
                healthy(&self.api.at(self.ports.controller_manager), "/healthz")?;
                healthy(&self.api, "/api/v1/namespaces/default/serviceaccounts/default")
            }
            Program::Scheduler => healthy(&self.api.at(self.ports.scheduler), "/readyz"),
            // The API server is not ready before etcd is; of KWOK one sees its nodes.
            Program::Etcd | Program::Kwok => Ok(()),
        }
    }

    fn component(&mut self, program: Program) -> &mut Component {
        let component = self.components.iter_mut().find(|component| component.program() == program);
        component.expect("there are always etcd and an API server; others are asked for only when they are there")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// Starts all over, on other ports, when somebody has taken a port.
fn retried<T>(mut start: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match start() {
            Err(Error::Ended { tail, .. }) if tail.contains("address already in use") => {}
            result => return result,
        }
    }
    start()
}

fn healthy(api: &Api, path: &str) -> Result<(), String> {
    match api.send("GET", path, None) {
        Ok(Reply { status: 200, .. }) => Ok(()),
        Ok(reply) => Err(format!("{path} answers {}: {}", reply.status, reply.message())),
        Err(error) => Err(error.to_string()),
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Reaped by their parent first: the guardian waits until the group is empty.
        self.components.iter_mut().rev().for_each(Component::kill);
        self.group.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(tail: &str) -> Result<usize, Error> {
        Err(Error::Ended { program: Program::Etcd, log: PathBuf::new(), tail: tail.to_owned() })
    }

    #[test]
    fn taken_ports_are_tried_again_some_times() {
        let taken = "listen tcp 127.0.0.1:12345: bind: address already in use";
        let attempts = |successful: usize| {
            let mut attempt = 0;
            let result = retried(|| {
                attempt += 1;
                if attempt == successful { Ok(attempt) } else { ended(taken) }
            });
            (attempt, result.is_ok())
        };
        assert_eq!(attempts(3), (3, true));
        assert_eq!(attempts(100), (ATTEMPTS, false));
    }

    #[test]
    fn other_ends_are_final() {
        let mut attempt = 0;
        let result = retried(|| {
            attempt += 1;
            ended("unknown flag")
        });
        assert!(result.is_err());
        assert_eq!(attempt, 1);
    }
}
