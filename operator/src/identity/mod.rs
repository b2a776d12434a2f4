//! Who processes are: the operator certifies gateways, fragments and itself, so that each speaks only to whom it should.
//!
//! * [`authority`]: who certifies, and who follows it. [`certificate`]: what is certified.
//! * The authorities are in one Secret of the operator's namespace, the only one that it reads. Each service has a Secret of its own
//!   that its pods mount; that is written and never read.

pub mod authority;
pub mod certificate;

use crate::cluster::Cluster;
use crate::controller::Failure;
use authority::{Authorities, Time};
use certificate::Unissued;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use transport::tls::{Connector, Pem, Tls};

/// The key of the Secret.
const DOCUMENT: &str = "authorities.json";
/// And so soon after it did not work.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The authorities, and the operator's own certificate.
#[derive(Debug)]
pub struct Identity {
    authorities: Mutex<Authorities>,
    name: String,
    tls: Arc<Tls>,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum NoIdentity {
    /// The API server said no.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// What is in the Secret cannot be used.
    #[error(
        "Secret {0} holds no authorities that can be used ({1}); delete it, and the operator makes new ones: services are then certified anew"
    )]
    Unusable(String, String),
}

/// The name in the operator's own certificate.
pub fn operator_name(operator: &str) -> String {
    format!("{operator}.operator.eenn.dev")
}

/// The name in the certificate of all processes of a service.
pub fn service_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc")
}

/// The name in the certificate of a process that measures a model.
pub fn model_name(model: &str, namespace: &str) -> String {
    format!("{}.models.{namespace}.svc", crate::service::labels::value(model))
}

/// The Secret of the authorities.
pub fn secret_name(operator: &str) -> String {
    format!("eenn-operator-{operator}-authorities")
}

/// The time of day, in whole seconds.
pub fn now() -> Time {
    jiff::Timestamp::now().as_second()
}

impl Identity {
    /// Of these authorities; certified as operator of that name.
    pub fn of(authorities: Authorities, operator: &str) -> Result<Self, Unissued> {
        let name = operator_name(operator);
        let pem = issued(&authorities, &name, "", now())?;
        let tls = Tls::of(&pem).expect("what was issued can be used");
        Ok(Self { authorities: Mutex::new(authorities), name, tls })
    }

    /// With an authority of its own.
    #[cfg(test)]
    pub(crate) fn made() -> Arc<Self> {
        let authorities = Authorities::default().at(now(), || certificate::authority(now())).expect("it can be made");
        Arc::new(Self::of(authorities, "eenn").expect("there is an authority"))
    }

    /// The certificate of a service at `now`. One with another uid has another key.
    pub fn of_service(&self, service: &str, namespace: &str, uid: &str, now: Time) -> Result<Pem, Unissued> {
        self.of_name(&service_name(service, namespace), uid, now)
    }

    /// The certificate of whoever has this name, at `now`; `holder` tells those apart who have it one after the other.
    pub fn of_name(&self, name: &str, holder: &str, now: Time) -> Result<Pem, Unissued> {
        issued(&self.authorities(), name, holder, now)
    }

    /// Dials processes of a service.
    pub fn connector(&self, service: &str, namespace: &str) -> Option<Connector> {
        self.connector_to(&service_name(service, namespace))
    }

    /// Dials whoever has this name; `None` where nobody can have it.
    pub fn connector_to(&self, name: &str) -> Option<Connector> {
        self.tls.connector(name).ok()
    }

    /// Goes on with what has been found to be there.
    fn renew(&self, authorities: Authorities, now: Time) -> Result<(), Unissued> {
        let pem = issued(&authorities, &self.name, "", now)?;
        if let Err(error) = self.tls.replace(&pem) {
            tracing::error!("certificate of the operator not renewed: {error}");
        }
        *self.authorities() = authorities;
        Ok(())
    }

    fn authorities(&self) -> MutexGuard<'_, Authorities> {
        self.authorities.lock().expect("nothing panics while it holds authorities")
    }
}

fn issued(authorities: &Authorities, name: &str, holder: &str, now: Time) -> Result<Pem, Unissued> {
    let signing = authorities.signing(now).expect("there is always one that signs");
    certificate::issue(signing, (name, holder), &authorities.bundle(), now)
}

/// Waits until there are authorities: those of the Secret, or new ones.
pub async fn establish(cluster: &Cluster, namespace: &str, operator: &str) -> Arc<Identity> {
    loop {
        match look(cluster, namespace, operator, None).await {
            Ok(authorities) => match Identity::of(authorities, operator) {
                Ok(identity) => return Arc::new(identity),
                Err(error) => tracing::error!("{}", unusable(namespace, operator, &error)),
            },
            Err(error) => tracing::error!("nothing can be certified yet: {error}"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Looks after the authorities, for ever, `every` so often.
pub async fn keep(identity: &Identity, cluster: &Cluster, namespace: &str, operator: &str, every: Duration) {
    let mut wait = every;
    loop {
        tokio::time::sleep(wait).await;
        let known = identity.authorities().clone();
        let looked = look(cluster, namespace, operator, Some(&known)).await;
        let renewed = looked.map(|authorities| identity.renew(authorities, now()));
        wait = match renewed {
            Ok(Ok(())) => every,
            Ok(Err(error)) => {
                tracing::error!("{}", unusable(namespace, operator, &error));
                TRY_AGAIN
            }
            Err(error) => {
                tracing::error!("authorities not looked after: {error}; tried again");
                TRY_AGAIN
            }
        };
    }
}

fn unusable(namespace: &str, operator: &str, why: &dyn std::fmt::Display) -> NoIdentity {
    NoIdentity::Unusable(format!("{namespace}/{}", secret_name(operator)), why.to_string())
}

/// Reads the Secret and brings it to where it should be now. `known`: what it was; where somebody has deleted it, it is that again.
pub(crate) async fn look(
    cluster: &Cluster,
    namespace: &str,
    operator: &str,
    known: Option<&Authorities>,
) -> Result<Authorities, NoIdentity> {
    let name = secret_name(operator);
    let api = cluster.api::<Secret>(namespace);
    let found = api.get_opt(&name).await.map_err(Failure::api(format!("get Secret {namespace}/{name}")))?;
    let before = match &found {
        Some(secret) => read(secret).map_err(|why| unusable(namespace, operator, &why))?,
        None => known.cloned().unwrap_or_default(),
    };
    let now = now();
    let made = || certificate::authority(now);
    let authorities = before.at(now, made).map_err(|why| unusable(namespace, operator, &why))?;
    match found {
        Some(_) if authorities == before => {}
        Some(secret) => cluster.replace(&api, &with(secret, &authorities)).await?,
        None => {
            let metadata = ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.to_owned()),
                labels: Some(crate::service::labels::of_operator()),
                ..ObjectMeta::default()
            };
            cluster.create(&api, &with(Secret { metadata, ..Secret::default() }, &authorities)).await?;
        }
    }
    Ok(authorities)
}

fn read(secret: &Secret) -> Result<Authorities, String> {
    let document = secret.data.as_ref().and_then(|data| data.get(DOCUMENT));
    let document = document.ok_or_else(|| format!("there is no {DOCUMENT} in it"))?;
    serde_json::from_slice(&document.0).map_err(|error| error.to_string())
}

fn with(mut secret: Secret, authorities: &Authorities) -> Secret {
    let document = serde_json::to_vec(authorities).expect("authorities are text and numbers");
    // Beside it what people and tools look for: whom to trust.
    let data = [(DOCUMENT, document), ("ca.crt", authorities.bundle().into_bytes())];
    secret.data = Some(data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value))).collect());
    secret
}

/// Type of Secrets with certificates of pods: it tells those of the operator from all others.
const OF_PODS: &str = "eenn.dev/certificates";

/// The Secret that pods of a service mount.
pub fn of_pods(metadata: ObjectMeta, pem: &Pem) -> Secret {
    let files = [
        (transport::tls::CERTIFICATE, &pem.certificate),
        (transport::tls::KEY, &pem.key),
        (transport::tls::AUTHORITIES, &pem.authorities),
    ];
    let data: BTreeMap<String, ByteString> =
        files.into_iter().map(|(name, file)| (name.to_owned(), ByteString(file.clone()))).collect();
    Secret { metadata, data: Some(data), type_: Some(OF_PODS.to_owned()), ..Secret::default() }
}
