//! The way to a cluster: which one, as which namespace, and what its API server says when it refuses.

use crate::exit_code::{Failure, Outcome};
use anyhow::anyhow;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// A person waits; a cluster that is there answers within a few milliseconds.
const CONNECT: Duration = Duration::from_secs(10);
/// Long lists over slow lines.
const READ: Duration = Duration::from_secs(60);

/// Which cluster, and which namespace of it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClusterOptions {
    /// Namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME", help_heading = "Cluster")]
    pub(super) namespace: Option<String>,

    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub(super) context: Option<String>,

    /// Kubeconfig to use [default: $KUBECONFIG, then ~/.kube/config, then the pod that this runs in]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub(super) kubeconfig: Option<PathBuf>,
}

/// A cluster that answers requests, one at a time.
pub(super) struct Cluster {
    runtime: tokio::runtime::Runtime,
    client: Client,
    /// Where it is, for messages.
    address: String,
    /// Where objects are looked for unless all namespaces are meant.
    pub(super) namespace: String,
}

impl ClusterOptions {
    /// The kubeconfig, or `None` where none was named and none is there.
    fn kubeconfig(&self) -> Outcome<Option<Kubeconfig>> {
        let read = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        match read {
            Ok(found) => Ok(Some(found)),
            Err(_) if self.kubeconfig.is_none() && self.context.is_none() && no_file_named() => Ok(None),
            Err(error) => Err(Failure::input(error)),
        }
    }

    /// Names of the contexts there are, for completion.
    pub(super) fn contexts(&self) -> Vec<String> {
        let found = self.kubeconfig().ok().flatten();
        found.map(|found| found.contexts.into_iter().map(|one| one.name).collect()).unwrap_or_default()
    }

    async fn config(&self) -> Outcome<Config> {
        let Some(kubeconfig) = self.kubeconfig()? else {
            let nowhere = "no way to a cluster: there is no kubeconfig; name one with --kubeconfig or $KUBECONFIG";
            return Config::incluster().map_err(|_| Failure::input(nowhere));
        };
        if let Some(wanted) = self.context.as_ref().or(kubeconfig.current_context.as_ref()) {
            let names: Vec<&str> = kubeconfig.contexts.iter().map(|one| one.name.as_str()).collect();
            if !names.contains(&wanted.as_str()) {
                let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(Failure::input(format!(
                    "there is no context {wanted:?} in the kubeconfig; it has {there}"
                )));
            }
        } else {
            return Err(Failure::input("the kubeconfig has no current context; name one with --context"));
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(Failure::input)
    }

    /// Prepares requests; nothing is sent yet.
    pub(super) fn connect(&self) -> Outcome<Cluster> {
        self.connect_within(CONNECT)
    }

    /// As [`ClusterOptions::connect`], for those who wait no longer than this for the first answer.
    pub(super) fn connect_within(&self, time: Duration) -> Outcome<Cluster> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut config = runtime.block_on(self.config())?;
        config.connect_timeout = Some(time);
        config.read_timeout = Some(if time < CONNECT { time } else { READ });
        // Minutes of silence help nobody who waits at a terminal.
        config.default_retry = false;
        let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        // Its tasks live in the runtime.
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config).map_err(|error| no_way(&address, &error))?
        };
        Ok(Cluster { runtime, client, address, namespace })
    }
}

/// Why requests to a cluster cannot even be prepared.
fn no_way(address: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::ProxyProtocolDisabled { proxy_url, .. } | kube::Error::ProxyProtocolUnsupported { proxy_url } => {
            Failure::Running(anyhow!(
                "no way to {address}: `kubectl eenn` does not go through proxies such as {proxy_url}; where the cluster can be \
                 reached without, add its host to NO_PROXY"
            ))
        }
        error => Failure::Running(anyhow!("no way to {address}: {}", causes(error))),
    }
}

/// Whether only the default place was looked at, and is empty.
fn no_file_named() -> bool {
    std::env::var_os("KUBECONFIG").is_none_or(|paths| paths.is_empty())
        && std::env::home_dir().is_none_or(|home| !home.join(".kube/config").exists())
}

impl Cluster {
    /// Waits for a request.
    pub(super) fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }

    /// Lets time go by.
    pub(super) fn sleep(&self, time: Duration) {
        // Made inside of the runtime, whose clock it uses.
        self.wait(async { tokio::time::sleep(time).await });
    }

    /// Objects of a kind without their types, in a namespace, or of the whole cluster.
    pub(super) fn objects<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = ApiResource::erase::<K>(&());
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        }
    }

    /// Objects of a kind.
    pub(super) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// What a person is told when a request fails. `action`: what was asked for, as `list eennservices`.
    pub(super) fn failed(&self, action: &str, error: kube::Error) -> Failure {
        Failure::Running(anyhow!("{}", told(&self.address, action, &error)))
    }
}

/// One line that says what has failed and, where that is known, what helps.
fn told(address: &str, action: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if is_unknown_kind(status) => format!(
            "cannot {action}: the cluster at {address} does not know this kind; install the operator, or \
             `kubectl apply --server-side -f crds`"
        ),
        kube::Error::Api(status) if status.code == 401 => {
            format!("cannot {action}: the cluster at {address} does not know who you are; log in again")
        }
        kube::Error::Api(status) => format!("cannot {action}: {}", one_line(&status.message)),
        error => format!("cannot {action}: no answer from the cluster at {address}: {}", causes(error)),
    }
}

/// Kinds that are not there are told without a name; objects that are not there have one.
fn is_unknown_kind(status: &kube::core::Status) -> bool {
    let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    status.code == 404 && !named
}

/// Innermost last, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said: Vec<String> = vec![];
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let cause = one_line(&cause.to_string());
        match said.last() {
            Some(last) if last.contains(&cause) => {}
            _ => said.push(cause),
        }
    }
    // The outer ones name parts of the client.
    said.last().cloned().unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16, message: &str, name: &str) -> kube::Error {
        let status: Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "code": code, "message": message, "reason": "", "details": { "name": name },
        }))
        .unwrap();
        kube::Error::Api(Box::new(status))
    }

    #[test]
    fn refusals_say_what_helps() {
        let said = |error: &kube::Error| told("https://k3s:6443", "list eennservices", error);
        assert_eq!(
            said(&api(404, "404 page not found", "")),
            "cannot list eennservices: the cluster at https://k3s:6443 does not know this kind; install the operator, or \
             `kubectl apply --server-side -f crds`"
        );
        assert_eq!(
            said(&api(403, "eennservices.eenn.dev is forbidden:\nUser \"u\" cannot list", "")),
            "cannot list eennservices: eennservices.eenn.dev is forbidden: User \"u\" cannot list"
        );
        assert!(said(&api(401, "Unauthorized", "")).ends_with("does not know who you are; log in again"));
    }

    #[test]
    fn a_context_that_is_not_there_is_told_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: home\ncontexts:\n\
                    - {name: home, context: {cluster: a, user: a}}\n- {name: shed, context: {cluster: a, user: a}}\n\
                    clusters:\n- {name: a, cluster: {server: 'https://127.0.0.1:1'}}\nusers:\n- {name: a, user: {token: t}}\n";
        std::fs::write(&file, text).unwrap();
        let options = |context: &str| ClusterOptions {
            context: Some(context.to_owned()),
            kubeconfig: Some(file.clone()),
            namespace: None,
        };
        let refused = options("barn").connect().err().unwrap().to_string();
        assert_eq!(refused, "error: there is no context \"barn\" in the kubeconfig; it has home, shed");
        assert_eq!(options("shed").connect().unwrap().namespace, "default");
        assert_eq!(options("shed").contexts(), ["home", "shed"]);
    }
}
