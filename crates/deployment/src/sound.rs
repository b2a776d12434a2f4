//! What is left of manifests when something is wrong with a service: it must not stop the others of its pool.

use api::{EENNServiceSpec, LoadErrors, Manifests, Object};
use std::collections::BTreeMap;

/// Manifests that can be gone on with.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// With the services that nothing is wrong with, each looked at alone.
    pub manifests: Manifests,
    /// What is wrong with the others, by their names.
    pub wrong: BTreeMap<String, LoadErrors>,
}

/// Looks at each service alone. `check` is what has to succeed: [`Manifests::unplaced`] as long as nothing is placed,
/// [`Manifests::resolve`] where everything is.
pub fn sound<T>(manifests: Manifests, check: impl Fn(&Manifests) -> Result<T, LoadErrors>) -> Sound {
    let alone = |service: &Object<EENNServiceSpec>| with_services(manifests.clone(), vec![service.clone()]);
    let (mut services, mut wrong) = (vec![], BTreeMap::new());
    for service in &manifests.services {
        match check(&alone(service)) {
            Ok(_) => services.push(service.clone()),
            Err(errors) => {
                wrong.insert(service.name.clone(), errors);
            }
        }
    }
    Sound { manifests: with_services(manifests, services), wrong }
}

/// Manifests with these services and their models instead of all.
#[must_use]
pub fn with_services(mut manifests: Manifests, services: Vec<Object<EENNServiceSpec>>) -> Manifests {
    let used = |name: &str| services.iter().any(|service| service.spec.model_ref.name.as_str() == name);
    manifests.models.retain(|model| used(&model.name));
    manifests.services = services;
    manifests
}
