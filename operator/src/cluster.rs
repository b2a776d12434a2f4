//! Writes to the API server: only while this process leads, only what has changed, and every one of them counted.

use crate::conditions::{is_bad, is_news};
use crate::controller::Failure;
use crate::head::Head;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use api::status::Condition;
use axum::http::Request as HttpRequest;
use axum::http::header::{ACCEPT, HeaderValue};
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{PartialObjectMeta, Request};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Owns the fields of objects that the operator makes.
pub const MANAGER: &str = "eenn-operator";
/// Owns the status of objects that users make.
pub const STATUS_MANAGER: &str = "eenn-operator-status";

/// The way to the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    leadership: Arc<Leadership>,
    metrics: Arc<Metrics>,
    events: Arc<Mutex<Events>>,
    fuse: Arc<Fuse>,
}

/// A recorder of events makes one out of several that are alike, and remembers those of the last minutes for that, however many these are.
struct Events {
    recorder: Recorder,
    told: usize,
}

impl Events {
    /// Remembers nothing.
    fn new(client: Client) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: None };
        Self { recorder: Recorder::new(client, reporter), told: 0 }
    }

    /// For one more event. After so many nothing is remembered any more: what comes again then is an event of its own.
    fn recorder(&mut self, client: &Client) -> Recorder {
        /// Each takes 2 KB.
        const REMEMBERED: usize = 200;
        if self.told >= REMEMBERED {
            *self = Self::new(client.clone());
        }
        self.told += 1;
        self.recorder.clone()
    }
}

/// Writes that are left before the process ends by itself; `None`: it does not. So tests see what holds when an operator dies
/// between any two writes.
#[derive(Debug, Default)]
struct Fuse(Option<AtomicU64>);

impl Fuse {
    /// Something was written.
    fn burn(&self) {
        if self.0.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::AcqRel) == 1) {
            tracing::error!("ended after the last write that --end-after-writes allows");
            // At once, as a process that is killed: nothing is finished, the lease is not given up.
            std::process::exit(ENDED_BY_FUSE);
        }
    }
}

/// Exit code of a process that ends for this reason.
pub const ENDED_BY_FUSE: i32 = 86;

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("leadership", &self.leadership).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Writes with `client` while `leadership` says so.
    pub fn new(client: Client, leadership: Arc<Leadership>, metrics: Arc<Metrics>) -> Self {
        let events = Arc::new(Mutex::new(Events::new(client.clone())));
        Self { events, client, leadership, metrics, fuse: Arc::default() }
    }

    /// The process ends right after so many successful writes; for tests.
    pub fn ending_after(self, writes: Option<NonZeroU64>) -> Self {
        Self { fuse: Arc::new(Fuse(writes.map(|writes| AtomicU64::new(writes.get())))), ..self }
    }

    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        self.leadership.leads()
    }

    /// How often the leader changed.
    pub fn transitions(&self) -> u64 {
        self.leadership.transitions()
    }

    /// Creates an object, or sets the fields that it names.
    pub async fn apply<K>(&self, api: &Api<K>, object: &K) -> Result<PartialObjectMeta<K>, Failure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.apply_as(api, object, &PatchParams::apply(MANAGER).force()).await
    }

    /// As [`Cluster::apply`], unless somebody else has set one of these fields to something else: for objects that users may have
    /// made, and whose content must not be lost.
    pub async fn apply_unless_taken<K>(&self, api: &Api<K>, object: &K) -> Result<PartialObjectMeta<K>, Failure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.apply_as(api, object, &PatchParams::apply(MANAGER)).await
    }

    /// Takes back all fields that were set in an object, and its ownership: it is somebody else's.
    pub async fn release<K: Resource<DynamicType = ()>>(&self, api: &Api<K>, name: &str) -> Result<(), Failure> {
        let kind = kind::<K>();
        self.may_write(kind)?;
        let nothing =
            serde_json::json!({ "apiVersion": K::api_version(&()), "kind": kind, "metadata": { "name": name } });
        let request = to(api).patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&nothing));
        let released = self.send::<K>(request).await;
        self.written(released, || format!("release {kind} {name}")).map(drop)
    }

    async fn apply_as<K>(&self, api: &Api<K>, object: &K, params: &PatchParams) -> Result<PartialObjectMeta<K>, Failure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (kind, name) = (kind::<K>(), object.name_any());
        self.may_write(kind)?;
        let request = to(api).patch(&name, params, &Patch::Apply(&with_type(object)));
        let applied = self.send(request).await;
        self.written(applied, || format!("apply {kind} {name}"))
    }

    /// Puts a Secret of ours where it is, whatever is in it, or creates it: first, where it is thought to be new. One of another type, which no Secret
    /// changes, is somebody else's and left alone. What is answered is what was sent: nobody reads a Secret on the way.
    pub async fn put_secret(&self, namespace: &str, secret: &Secret, is_new: bool) -> Result<(), Failure> {
        let api = self.api::<Secret>(namespace);
        if is_new {
            match self.create(&api, secret).await {
                Err(failure) if failure.is("AlreadyExists") => {}
                created => return created,
            }
        }
        let taken = || Err(Failure::Taken { kind: "Secret".to_owned(), name: secret.name_any() });
        match self.replace(&api, secret).await {
            Err(failure) if failure.is("NotFound") => match self.create(&api, secret).await {
                Err(failure) if failure.is("AlreadyExists") => taken(),
                created => created,
            },
            // Its type.
            Err(failure) if failure.is("Invalid") => taken(),
            replaced => replaced,
        }
    }

    /// Puts an object in the place of the version that it was read at; of whatever is there, where it names none.
    pub async fn replace<K>(&self, api: &Api<K>, object: &K) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (kind, name) = (kind::<K>(), object.name_any());
        self.may_write(kind)?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let replaced = self.send::<K>(to(api).replace(&name, &params, in_bytes(object))).await;
        self.written(replaced, || format!("replace {kind} {name}")).map(drop)
    }

    /// Creates an object that must not be there yet.
    pub async fn create<K>(&self, api: &Api<K>, object: &K) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (kind, name) = (kind::<K>(), object.name_any());
        self.may_write(kind)?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let created = self.send::<K>(to(api).create(&params, in_bytes(object))).await;
        self.written(created, || format!("create {kind} {name}")).map(drop)
    }

    /// Sets annotations of an object, and takes those away that have no value.
    pub async fn annotate<K>(
        &self,
        api: &Api<K>,
        object: &K,
        annotations: &BTreeMap<&str, Option<String>>,
    ) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        let (kind, name) = (kind::<K>(), object.name_any());
        self.may_write(kind)?;
        let patch = serde_json::json!({ "metadata": { "uid": object.uid(), "annotations": annotations } });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.send::<K>(to(api).patch(&name, &params, &Patch::Merge(&patch))).await;
        self.written(patched, || format!("annotate {kind} {name}")).map(drop)
    }

    /// Sets the status of an object.
    pub async fn set_status<K>(&self, api: &Api<K>, object: &K, status: &impl Serialize) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        let (kind, name) = (kind::<K>(), object.name_any());
        self.may_write(kind)?;
        // With its uid: a status must not end up on an object that has been made in its place.
        let metadata = serde_json::json!({ "uid": object.uid() });
        let document = serde_json::json!({ "apiVersion": K::api_version(&()), "kind": kind, "metadata": metadata, "status": status });
        let params = PatchParams::apply(STATUS_MANAGER).force();
        match self.send::<K>(to(api).patch_subresource("status", &name, &params, &Patch::Apply(&document))).await {
            // Nobody is left to tell.
            Err(kube::Error::Api(status)) if is_gone(&status) => Ok(()),
            set => self.written(set, || format!("set status of {kind} {name}")).map(drop),
        }
    }

    /// Deletes exactly the object that was looked at, not one that has since been made in its place.
    pub async fn delete<K>(&self, api: &Api<K>, object: &impl ResourceExt) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        self.delete_one(api, object.name_any(), object.uid()).await
    }

    /// As [`Cluster::delete`].
    pub async fn delete_known<K, S>(&self, api: &Api<K>, object: &Head<K, S>) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        self.delete_one(api, object.key.name.clone(), Some(object.uid.to_string())).await
    }

    async fn delete_one<K>(&self, api: &Api<K>, name: String, uid: Option<String>) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        let kind = kind::<K>();
        self.may_write(kind)?;
        let preconditions = Preconditions { uid, resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let request = to(api).delete(&name, &params).map_err(kube::Error::BuildRequest);
        let deleted = match request {
            // What is there now, or how it went: neither matters.
            Ok(request) => self.client.request::<serde::de::IgnoredAny>(request).await,
            Err(error) => Err(error),
        };
        match deleted {
            Err(kube::Error::Api(status)) if is_gone(&status) => Ok(()),
            deleted => self.written(deleted, || format!("delete {kind} {name}")).map(drop),
        }
    }

    /// Tells people. That it cannot be told stops nothing.
    pub async fn tell<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        type_: EventType,
        reason: &str,
        action: &str,
        note: String,
    ) {
        if self.may_write("Event").is_err() {
            return;
        }
        /// The API server takes no more.
        const LONGEST: usize = 1000;
        let note: String = note.chars().take(LONGEST).collect();
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
        let reference: ObjectReference = about.object_ref(&());
        let recorder = self.events.lock().expect("nothing panics while it makes one").recorder(&self.client);
        match recorder.publish(&event, &reference).await {
            Ok(()) => self.fuse.burn(),
            Err(error) => tracing::debug!("event not published: {error}"),
        }
    }

    /// Tells of every condition that has changed.
    pub async fn tell_news<K: Resource<DynamicType = ()>>(&self, about: &K, before: &[Condition], now: &[Condition]) {
        for condition in now.iter().filter(|condition| is_news(before, condition)) {
            let type_ = if is_bad(condition) { EventType::Warning } else { EventType::Normal };
            self.tell(about, type_, &condition.reason, "Reconcile", condition.message.clone()).await;
        }
    }

    /// An API for objects of a namespace; of the cluster where it is empty.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// An API for objects of the cluster.
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// What the API server would make of an object. Nothing is written.
    pub async fn try_out<K: Resource<DynamicType = ()>>(&self, api: &Api<K>, object: &Value) -> kube::Result<Value> {
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        let request = to(api).create(&params, object.to_string().into_bytes()).map_err(kube::Error::BuildRequest)?;
        self.client.request(request).await
    }

    /// Of what was written only the metadata comes back: nobody reads the rest, which the watches bring.
    async fn send<K: Resource<DynamicType = ()>>(
        &self,
        request: Result<HttpRequest<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<PartialObjectMeta<K>> {
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(METADATA));
        self.client.request(request).await
    }

    /// What came of a write; `action` names it where it failed.
    fn written<T>(&self, outcome: kube::Result<T>, action: impl FnOnce() -> String) -> Result<T, Failure> {
        let written = outcome.map_err(|error| Failure::api(action())(error))?;
        self.fuse.burn();
        Ok(written)
    }

    /// Asked right before every write: the process may have been stopped for hours.
    fn may_write(&self, kind: &'static str) -> Result<(), Failure> {
        if !self.leadership.leads() {
            return Err(Failure::NotLeading);
        }
        self.metrics.wrote(kind);
        Ok(())
    }
}

/// As the API server names objects without everything but their metadata.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Whether an object is not there any more, or another one is in its place.
fn is_gone(status: &kube::core::Status) -> bool {
    let is_other = status.message.contains("UID in precondition") || status.message.contains("uid mismatch");
    status.code == 404 || status.code == 409 && is_other
}

/// Requests about objects that an API is for.
fn to<K: Resource<DynamicType = ()>>(api: &Api<K>) -> Request {
    Request::new(api.resource_url())
}

fn in_bytes<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Vec<u8> {
    with_type(object).to_string().into_bytes()
}

/// The name of a kind, for labels that need it for ever. Kinds are few.
fn kind<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "object",
    }
}

/// What the API server wants to read in front of an object that is applied.
fn with_type<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Value {
    let mut typed = serde_json::to_value(object).expect("objects have no keys but text");
    typed["apiVersion"] = K::api_version(&()).into();
    typed["kind"] = K::kind(&()).into();
    typed
}
