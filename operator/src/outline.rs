//! Objects without their specs: what is wanted of pods is known to whoever wanted it, and is most of what would be sent, read and kept.

use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;
use std::borrow::Cow;
use std::marker::PhantomData;

/// Metadata and status of an object of kind `K`, whose status is an `S`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Outline<K, S> {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// How it is.
    pub status: Option<S>,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K, S> Outline<K, S> {
    /// Of an object that is at hand.
    pub fn new(metadata: ObjectMeta, status: Option<S>) -> Self {
        Self { metadata, status, kind: PhantomData }
    }
}

impl<K: Resource<DynamicType = ()>, S> Resource for Outline<K, S> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A Deployment.
pub type Deployment = Outline<apps::Deployment, apps::DeploymentStatus>;
/// A Job.
pub type Job = Outline<batch::Job, batch::JobStatus>;
/// A pod.
pub type Pod = Outline<core::Pod, core::PodStatus>;
