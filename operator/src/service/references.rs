//! What a service names, and whether it may be served with it. Pure but for the caches it looks into.

use crate::Context;
use crate::cache::Key;
use crate::conditions::Finding;
use crate::measure::known;
use api::{DevicePool, EENNModel, EENNService, QoSTarget};
use kube::ResourceExt;
use std::sync::Arc;

/// The objects that a service names.
#[derive(Debug, Clone)]
pub struct References {
    /// Its model.
    pub model: Arc<EENNModel>,
    /// Its pool.
    pub pool: Arc<DevicePool>,
    /// Its target; `None` where it names none.
    pub target: Option<Arc<QoSTarget>>,
}

/// Finds them; or says which one is missing and what would help.
pub fn find(context: &Context, service: &EENNService) -> Result<References, Finding> {
    let namespace = service.namespace().unwrap_or_default();
    let spec = &service.spec;
    let missing = |kind: &str, name: &str, reason| {
        let place = if kind == "DevicePool" { String::new() } else { format!(" in namespace {namespace:?}") };
        Finding::fails(
            "Accepted",
            reason,
            format!("there is no {kind} {name:?}{place}; create it, or name another one"),
        )
    };
    let pool_name = spec.device_pool_ref.name.as_str();
    let pool = context.caches.pools.get(&Key::new("", pool_name));
    let pool = pool.ok_or_else(|| missing("DevicePool", pool_name, "PoolNotFound"))?;
    if !pool.spec.allowed_namespaces.allows(&namespace) {
        let message = format!(
            "DevicePool {pool_name:?} does not take services of namespace {namespace:?}; its spec.allowedNamespaces says which ones"
        );
        return Err(Finding::fails("Accepted", "NamespaceNotAllowed", message));
    }
    let model_name = spec.model_ref.name.as_str();
    let model = context.caches.models.get(&Key::new(&namespace, model_name));
    let model = model.ok_or_else(|| missing("EENNModel", model_name, "ModelNotFound"))?;
    let target = match &spec.qos_target_ref {
        None => None,
        Some(reference) => {
            let name = reference.name.as_str();
            let target = context.caches.targets.get(&Key::new(&namespace, name));
            Some(target.ok_or_else(|| missing("QoSTarget", name, "QoSTargetNotFound"))?)
        }
    };
    // With what was measured.
    let model = Arc::new(known::model(&model));
    Ok(References { model, pool, target })
}

/// What a service that runs goes on with, whatever else is missing that it names; `None` without pool or model: what it does cannot be
/// told without.
pub fn of_running(context: &Context, service: &EENNService) -> Option<References> {
    let namespace = service.namespace().unwrap_or_default();
    let pool = pool(context, service)?;
    let model = context.caches.models.get(&Key::new(&namespace, service.spec.model_ref.name.as_str()))?;
    let target = service.spec.qos_target_ref.as_ref();
    let target = target.and_then(|target| context.caches.targets.get(&Key::new(&namespace, target.name.as_str())));
    Some(References { model: Arc::new(known::model(&model)), pool, target })
}

/// As [`of_running`], where the pool takes services of its namespace: what runs on another is left as it is.
pub fn served(context: &Context, service: &EENNService) -> Option<References> {
    let namespace = service.namespace().unwrap_or_default();
    of_running(context, service).filter(|found| found.pool.spec.allowed_namespaces.allows(&namespace))
}

/// Whether a service is for this operator: its pool is, or is not there yet.
pub fn is_ours(context: &Context, service: &EENNService) -> bool {
    pool(context, service).is_none_or(|pool| context.runs(&pool))
}

/// The pool that a service names, if it is there.
pub fn pool(context: &Context, service: &EENNService) -> Option<Arc<DevicePool>> {
    context.caches.pools.get(&Key::new("", service.spec.device_pool_ref.name.as_str()))
}
