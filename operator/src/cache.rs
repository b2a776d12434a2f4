//! What the API server has, as last heard, kept by one watch per kind.
//!
//! Every watch is a task of its own with a back-off of its own: one that fails holds up no other. Whoever looks at objects is
//! told of every change, deletions included, and also of those that went by while a watch was broken.

use crate::clock;
use crate::head::Head;
use crate::metrics::Metrics;
use futures::StreamExt;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::watch as flag;

/// A watch that says nothing for so long, plus 5 s, is taken for dead.
const WATCH_SECONDS: u32 = 45;
/// Everything is listed anew after about so long: an event that never came must not be missed for ever, and a watch that was there
/// before a definition changed shows objects by the old one.
pub(crate) const LIST_AGAIN: Duration = Duration::from_secs(600);
/// Objects per page of a list.
const PAGE: u32 = 200;

/// Namespace and name; the namespace of cluster-scoped objects is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    pub fn of<K: ResourceExt>(object: &K) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }

    /// A key from its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{}/{}", self.namespace, self.name),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An object that changed: what it was and what it is; `None` where it was not there.
#[derive(Debug)]
pub struct Change<'a, K> {
    /// Before.
    pub old: Option<&'a K>,
    /// Now.
    pub new: Option<&'a K>,
}

impl<K> Change<'_, K> {
    /// The object, as it is or as it was.
    pub fn any(&self) -> Option<&K> {
        self.new.or(self.old)
    }
}

/// Objects of one kind.
#[derive(Debug)]
pub struct Cache<K> {
    objects: RwLock<BTreeMap<Key, Arc<K>>>,
    complete: flag::Sender<bool>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self { objects: RwLock::default(), complete: flag::Sender::new(false) }
    }
}

impl<K> Cache<K> {
    /// An object.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.read().expect("nothing panics while it holds objects").get(key).cloned()
    }

    /// All objects, in the order of their keys.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.objects.read().expect("nothing panics while it holds objects").values().cloned().collect()
    }

    /// Those of a namespace.
    pub fn within(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.objects.read().expect("nothing panics while it holds objects");
        let from = Key::new(namespace, "");
        objects.range(from..).take_while(|(key, _)| key.namespace == namespace).map(|(_, one)| one.clone()).collect()
    }

    /// Returns once all objects have been listed.
    pub async fn complete(&self) {
        // The sender is here as long as self is.
        let _ = self.complete.subscribe().wait_for(|complete| *complete).await;
    }

    pub(crate) fn put(&self, key: Key, object: Option<Arc<K>>) -> Option<Arc<K>> {
        let mut objects = self.objects.write().expect("nothing panics while it holds objects");
        match object {
            Some(object) => objects.insert(key, object),
            None => objects.remove(&key),
        }
    }

    /// Takes a whole list for what there is. Returns what there was.
    fn replace(&self, listed: BTreeMap<Key, Arc<K>>) -> BTreeMap<Key, Arc<K>> {
        std::mem::replace(&mut *self.objects.write().expect("nothing panics while it holds objects"), listed)
    }
}

/// What is kept of an object.
pub trait Keep: Resource<DynamicType = ()> + Clone + fmt::Debug + Send + 'static {
    /// Without what nobody reads: it would be there for every object.
    type Kept: PartialEq + Send + Sync + 'static;

    /// That.
    fn keep(self) -> Self::Kept;
}

/// What a watch brings: an object, or why it cannot be read.
pub trait Watched: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static {
    /// What is kept of it.
    type Kept: PartialEq + Send + Sync + 'static;

    /// The object.
    fn read(self) -> Result<Self::Kept, String>;
}

impl<K: Keep + DeserializeOwned> Watched for DeserializeGuard<K> {
    type Kept = K::Kept;

    fn read(self) -> Result<K::Kept, String> {
        let mut object = self.0.map_err(|invalid| invalid.error)?;
        let metadata = object.meta_mut();
        metadata.managed_fields = None;
        // As large as the object.
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        Ok(object.keep())
    }
}

/// What kubectl writes into every object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Of objects that are only made and compared the metadata is enough, and is all that is sent.
impl<K> Watched for PartialObjectMeta<K>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + Send + Sync + 'static,
{
    type Kept = Head<K>;

    fn read(self) -> Result<Head<K>, String> {
        Ok(self.into())
    }
}

/// How a kind is watched.
pub struct Watch<W: Watched> {
    /// Its name, for logs and metrics.
    pub kind: &'static str,
    /// Where.
    pub api: Api<W>,
    /// Which objects.
    pub labels: Option<String>,
}

impl<W: Watched> fmt::Debug for Watch<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Keeps `cache` and reports changes, for ever.
pub async fn keep<W: Watched>(
    watch: Watch<W>,
    cache: Arc<Cache<W::Kept>>,
    metrics: Arc<Metrics>,
    changed: impl Fn(Change<'_, W::Kept>),
) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
    let config = watch.labels.iter().fold(config, |config, labels| config.labels(labels));
    let mut keeper = Keeper { cache, metrics, kind: watch.kind, listed: BTreeMap::new(), invalid: BTreeMap::new() };
    keeper.metrics.heard(watch.kind, clock::now());
    loop {
        let mut events = std::pin::pin!(watcher(watch.api.clone(), config.clone()).default_backoff());
        // Spread, so that not all kinds are listed at the same time.
        let until = tokio::time::Instant::now() + LIST_AGAIN.mul_f64(0.75 + 0.5 * rand::random::<f64>());
        while let Ok(Some(event)) = tokio::time::timeout_at(until, events.next()).await {
            keeper.metrics.heard(watch.kind, clock::now());
            match event {
                Ok(event) => keeper.take(event, &changed),
                Err(error) => {
                    keeper.metrics.watch_broke(watch.kind);
                    tracing::warn!(kind = watch.kind, "watch broke off, and starts again: {error}");
                }
            }
        }
    }
}

struct Keeper<K> {
    cache: Arc<Cache<K>>,
    metrics: Arc<Metrics>,
    kind: &'static str,
    /// What a list has brought so far.
    listed: BTreeMap<Key, Arc<K>>,
    /// Objects that cannot be read, and why.
    invalid: BTreeMap<Key, String>,
}

impl<K: PartialEq> Keeper<K> {
    fn take<W: Watched<Kept = K>>(&mut self, event: watcher::Event<W>, changed: &impl Fn(Change<'_, K>)) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                let key = Key::of(&object);
                // What cannot be read stays as it was last known: it must not look deleted.
                let known = self.cache.get(&key);
                // And what is as it was is kept once: all would be there twice, for as long as a list takes.
                let object = match (self.read(&key, object), known) {
                    (Some(new), Some(known)) if new == known => Some(known),
                    (new, known) => new.or(known),
                };
                self.listed.extend(object.map(|object| (key, object)));
            }
            watcher::Event::InitDone => self.listed(changed),
            watcher::Event::Apply(object) => {
                let key = Key::of(&object);
                let Some(new) = self.read(&key, object) else { return };
                let old = self.cache.put(key, Some(Arc::clone(&new)));
                if old.as_ref() != Some(&new) {
                    changed(Change { old: old.as_deref(), new: Some(&new) });
                }
            }
            watcher::Event::Delete(object) => {
                let key = Key::of(&object);
                self.invalid.remove(&key);
                if let Some(old) = self.cache.put(key, None) {
                    changed(Change { old: Some(&old), new: None });
                }
            }
        }
        self.metrics.invalid(self.kind, self.invalid.len());
    }

    fn listed(&mut self, changed: &impl Fn(Change<'_, K>)) {
        let listed = std::mem::take(&mut self.listed);
        let new: Vec<(Key, Arc<K>)> = listed.iter().map(|(key, one)| (key.clone(), Arc::clone(one))).collect();
        let mut before = self.cache.replace(listed);
        self.cache.complete.send_replace(true);
        for (key, new) in new {
            let old = before.remove(&key);
            if old.as_ref() != Some(&new) {
                changed(Change { old: old.as_deref(), new: Some(&new) });
            }
        }
        for gone in before.values() {
            changed(Change { old: Some(gone), new: None });
        }
    }

    fn read<W: Watched<Kept = K>>(&mut self, key: &Key, object: W) -> Option<Arc<K>> {
        match object.read() {
            Ok(object) => {
                self.invalid.remove(key);
                Some(Arc::new(object))
            }
            Err(error) => {
                if self.invalid.insert(key.clone(), error.clone()).as_ref() != Some(&error) {
                    tracing::error!(kind = self.kind, object = %key, "cannot be read, and is left as it was: {error}");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;
    use std::cell::RefCell;

    impl Keep for ConfigMap {
        type Kept = Self;

        fn keep(self) -> Self {
            self
        }
    }

    fn object(name: &str, value: &str) -> ConfigMap {
        let metadata = ObjectMeta { name: Some(name.into()), namespace: Some("a".into()), ..Default::default() };
        ConfigMap { metadata, data: Some(BTreeMap::from([("v".into(), value.into())])), ..Default::default() }
    }

    fn good(name: &str, value: &str) -> DeserializeGuard<ConfigMap> {
        DeserializeGuard(Ok(object(name, value)))
    }

    fn bad(name: &str) -> DeserializeGuard<ConfigMap> {
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": {name:?}, "namespace": "a"}}, "data": 7}}"#
        );
        serde_json::from_str(&text).expect("a guard takes anything with metadata")
    }

    /// What was reported: name, old value, new value.
    fn after(events: Vec<watcher::Event<DeserializeGuard<ConfigMap>>>) -> (Vec<String>, Vec<String>) {
        let cache = Arc::new(Cache::default());
        let mut keeper = Keeper {
            cache: Arc::clone(&cache),
            metrics: Arc::default(),
            kind: "ConfigMap",
            listed: BTreeMap::new(),
            invalid: BTreeMap::new(),
        };
        let seen = RefCell::new(vec![]);
        let value = |one: Option<&ConfigMap>| {
            one.map_or("-".to_owned(), |one| one.data.as_ref().expect("all have")["v"].clone())
        };
        for event in events {
            keeper.take(event, &|change| {
                let name = change.any().expect("one of both").name_any();
                seen.borrow_mut().push(format!("{name} {} {}", value(change.old), value(change.new)));
            });
        }
        (seen.into_inner(), cache.all().iter().map(|one| one.name_any()).collect())
    }

    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    #[test]
    fn every_change_is_reported_once_and_deletions_too() {
        let (seen, left) = after(vec![
            Init,
            InitApply(good("x", "1")),
            InitApply(good("y", "1")),
            InitDone,
            Apply(good("x", "2")),
            Apply(good("x", "2")),
            Delete(good("y", "1")),
        ]);
        assert_eq!(seen, ["x - 1", "y - 1", "x 1 2", "y 1 -"]);
        assert_eq!(left, ["x"]);
    }

    #[test]
    fn what_went_by_while_the_watch_was_broken_is_reported_afterwards() {
        let first = vec![Init, InitApply(good("x", "1")), InitApply(good("y", "1")), InitDone];
        let again = vec![Init, InitApply(good("y", "2")), InitApply(good("z", "1")), InitDone];
        let (seen, left) = after(first.into_iter().chain(again).collect());
        assert_eq!(seen[2..], ["y 1 2", "z - 1", "x 1 -"]);
        assert_eq!(left, ["y", "z"]);
    }

    #[test]
    fn an_object_that_cannot_be_read_stays_as_it_was_and_stops_nothing() {
        let (seen, left) = after(vec![
            Init,
            InitApply(good("x", "1")),
            InitApply(bad("broken")),
            InitDone,
            Apply(bad("x")),
            Init,
            InitApply(bad("x")),
            InitApply(good("y", "1")),
            InitDone,
        ]);
        assert_eq!(seen, ["x - 1", "y - 1"]);
        assert_eq!(left, ["x", "y"]);
    }
}
