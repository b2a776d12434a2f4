//! One service with its plans.

use super::cluster::Cluster;
use super::status::not_found;
use crate::exit_code::Outcome;
use api::{EENNPlan, EENNService};
use kube::ResourceExt;

/// A service, and plans of its namespace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The service.
    pub(super) service: EENNService,
    /// Plans, of others too.
    pub(super) plans: Vec<EENNPlan>,
}

/// Finds a service of the namespace.
pub(super) fn find(cluster: &Cluster, name: &str) -> Outcome<Found> {
    let namespace = Some(cluster.namespace.as_str());
    let Some(service) = cluster.find::<EENNService>(namespace, name)? else {
        let others = cluster.list_if_allowed::<EENNService>(namespace, "").items;
        let others: Vec<String> = others.iter().map(ResourceExt::name_any).collect();
        return Err(not_found(name, &cluster.namespace, &others));
    };
    let plans = cluster.list::<EENNPlan>(namespace, "")?.items;
    Ok(Found { service, plans })
}
