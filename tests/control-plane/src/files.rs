//! The files that a control plane is started with, and their names.

use crate::certificates::Authority;
use crate::error::Error;
use crate::flags::FIRST_SERVICE;
use rcgen::KeyPair;
use std::path::Path;

pub(crate) const ADMIN: &str = "kubeconfig";
pub(crate) const CONTROLLER_MANAGER: &str = "controller-manager.kubeconfig";
pub(crate) const SCHEDULER: &str = "scheduler.kubeconfig";
pub(crate) const AUTHORITY: &str = "ca.crt";
pub(crate) const AUTHORITY_KEY: &str = "ca.key";
pub(crate) const SERVER: &str = "server.crt";
pub(crate) const SERVER_KEY: &str = "server.key";
pub(crate) const ACCOUNTS_KEY: &str = "service-accounts.key";
pub(crate) const ACCOUNTS_PUBLIC: &str = "service-accounts.pub";
pub(crate) const AUDIT_POLICY: &str = "audit-policy.yaml";
pub(crate) const AUDIT_LOG: &str = "audit.log";
pub(crate) const LOGS: &str = "logs";

/// One line per request, when it is answered; not for what the control plane asks of itself, which is most.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - { level: None, users: [\"system:apiserver\", \"system:kube-controller-manager\", \"system:kube-scheduler\"] }
  - { level: None, userGroups: [\"system:serviceaccounts:kube-system\"] }
  - { level: Metadata }
";

/// Writes certificates, keys, kubeconfigs and the audit policy, for an API server at `url`.
pub(crate) fn write(folder: &Path, authority: &Authority, url: &str, admin: &str) -> Result<(), Error> {
    let logs = folder.join(LOGS);
    std::fs::create_dir(&logs).map_err(Error::io(format!("create {}", logs.display())))?;
    let accounts =
        KeyPair::generate().map_err(|source| Error::Certificate { subject: "service accounts".to_owned(), source })?;
    let server = authority.server(&["127.0.0.1", FIRST_SERVICE, "localhost", "kubernetes.default.svc"])?;
    let of_user = |user| Ok::<_, Error>(authority.kubeconfig(url, &authority.client(user, None)?));
    let texts = [
        (ADMIN, admin.to_owned()),
        (CONTROLLER_MANAGER, of_user("system:kube-controller-manager")?),
        (SCHEDULER, of_user("system:kube-scheduler")?),
        (AUTHORITY, authority.certificate.pem()),
        (AUTHORITY_KEY, authority.key_pem.clone()),
        (SERVER, server.certificate.pem()),
        (SERVER_KEY, server.key.serialize_pem()),
        (ACCOUNTS_KEY, accounts.serialize_pem()),
        (ACCOUNTS_PUBLIC, accounts.public_key_pem()),
        (AUDIT_POLICY, POLICY.to_owned()),
    ];
    for (name, text) in texts {
        let file = folder.join(name);
        std::fs::write(&file, text).map_err(Error::io(format!("write {}", file.display())))?;
    }
    Ok(())
}
