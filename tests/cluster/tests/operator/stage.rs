//! Many namespaces of one cluster, each with a service, a pool and an operator of its own, so that what becomes of them can be compared.

use crate::measurements;
use crate::mutation::fields::Mutation;
use crate::scene::{Operator, Scene, manifest};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Paths of the API and kinds that are compared, of a namespace.
const COMPARED: &[(&str, &str)] = &[
    ("/apis/eenn.dev/v1alpha1", "eennservices"),
    ("/apis/eenn.dev/v1alpha1", "eennmodels"),
    ("/apis/eenn.dev/v1alpha1", "eennplans"),
    ("/apis/apps/v1", "deployments"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "services"),
    ("/api/v1", "serviceaccounts"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
];

/// What is put on a stage: the manifests of one folder, read once.
#[derive(Clone)]
pub(crate) struct Props(Vec<Value>);

impl Props {
    /// A service that needs no choice: one chain over one device, so that every plan of it is the same.
    pub(crate) fn one_chain(scene: &Scene) -> anyhow::Result<Self> {
        let mut props = Self::two_tier(scene)?;
        let only = json!([{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]);
        let service = props.0.iter_mut().find(|one| one["kind"] == "EENNService").context("there is a service")?;
        service["spec"]["placement"]["pinned"] = only;
        service["spec"]["scheduler"] = json!({"type": "ExitLast"});
        Ok(props)
    }

    /// The object of a kind, by its plural.
    pub(crate) fn of(&self, plural: &str) -> Option<&Value> {
        self.0.iter().find(|one| plural_of(one) == plural)
    }

    /// Changes an object before it is put on a stage.
    pub(crate) fn mutate(&mut self, mutation: &Mutation) -> anyhow::Result<()> {
        let object =
            self.0.iter_mut().find(|one| plural_of(one) == mutation.plural).context("there is one of that kind")?;
        mutation.apply(&mut object["spec"]);
        Ok(())
    }

    /// The service of `manifests/two-tier.yaml`, with its exit table.
    pub(crate) fn two_tier(scene: &Scene) -> anyhow::Result<Self> {
        let table = cluster_tests::file("examples/fashion-mnist/exit-table.safetensors");
        let from = format!("--from-file=exit-table.safetensors={}", table.display());
        let mut all = objects(scene, &["create", "configmap", "fashion-mnist", &from])?;
        all.extend(objects(scene, &["create", "-f", &manifest("two-tier.yaml")])?);
        Ok(Self(all))
    }

    /// As [`Props::one_chain`], with a model that says little of itself.
    pub(crate) fn to_be_measured(scene: &Scene) -> anyhow::Result<Self> {
        let file = scene.path("to-be-measured.yaml");
        std::fs::write(&file, measurements::manifest()?)?;
        let mut measured = objects(scene, &["create", "-f", &file.display().to_string()])?;
        let mut props = Self::one_chain(scene)?;
        for object in &mut props.0 {
            if ["EENNModel", "DevicePool"].map(Value::from).contains(&object["kind"]) {
                let other = measured.iter_mut().find(|one| one["kind"] == object["kind"]).context("it is there")?;
                *object = other.take();
            }
        }
        Ok(props)
    }
}

/// What kubectl makes of manifests.
fn objects(scene: &Scene, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    let said = scene.kubectl(&[arguments, &["--dry-run=client", "-o", "json"]].concat())?;
    let read = serde_json::Deserializer::from_str(&said).into_iter().collect::<Result<Vec<Value>, _>>()?;
    let objects = |one: Value| one["items"].as_array().cloned().unwrap_or_else(|| vec![one]);
    Ok(read.into_iter().flat_map(objects).collect())
}

const KINDS: [&str; 4] = ["EENNService", "EENNModel", "QoSTarget", "DevicePool"];

fn plural_of(object: &Value) -> String {
    format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase())
}

/// A namespace with a pool of the same name.
pub(crate) struct Stage<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) name: String,
}

impl<'a> Stage<'a> {
    /// With everything that users make.
    pub(crate) fn set(scene: &'a Scene, name: &str, props: &Props) -> anyhow::Result<Self> {
        let stage = Self { scene, name: name.to_owned() };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        scene.plane.api().post("/api/v1/namespaces", &namespace)?;
        for object in &props.0 {
            stage.create(object)?;
        }
        Ok(stage)
    }

    fn create(&self, object: &Value) -> anyhow::Result<()> {
        let object = self.own(object);
        self.scene.plane.api().post(&self.place(&plural_of(&object)), &object)?;
        Ok(())
    }

    /// An object of the props as it is on this stage.
    fn own(&self, object: &Value) -> Value {
        let mut object = object.clone();
        match object["kind"].as_str().unwrap_or_default() {
            "DevicePool" => {
                object["metadata"]["name"] = self.name.clone().into();
                object["spec"]["operatorName"] = self.name.clone().into();
            }
            "EENNService" => object["spec"]["devicePoolRef"]["name"] = self.name.clone().into(),
            _ => {}
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("namespace");
            metadata.remove("annotations");
        }
        object
    }

    /// Where objects of a kind are.
    fn place(&self, plural: &str) -> String {
        match plural {
            "devicepools" => "/apis/eenn.dev/v1alpha1/devicepools".to_owned(),
            "configmaps" => format!("{}/{plural}", self.path("/api/v1")),
            _ => format!("{}/{plural}", self.path("/apis/eenn.dev/v1alpha1")),
        }
    }

    /// Changes an object as a user does. Whether the API server takes it, and it is a change at all.
    pub(crate) fn change(&self, mutation: &Mutation) -> anyhow::Result<bool> {
        // It belongs to the stage, not to the user.
        if ["/operatorName", "/devicePoolRef", "/devicePoolRef/name"].contains(&mutation.path.as_str()) {
            return Ok(false);
        }
        self.replace(mutation.plural, |spec| mutation.apply(spec))
    }

    /// Makes the spec what it was on the props.
    pub(crate) fn change_back(&self, plural: &str, props: &Props) -> anyhow::Result<()> {
        let object = self.own(props.of(plural).context("there is one of that kind")?);
        let changed = self.replace(plural, |spec| *spec = object["spec"].clone())?;
        ensure!(changed, "the API server does not take back the change");
        Ok(())
    }

    fn replace(&self, plural: &str, change: impl Fn(&mut Value)) -> anyhow::Result<bool> {
        let api = self.scene.plane.api();
        for _ in 0..10 {
            let list = api.get(&self.place(plural))?;
            let objects = list["items"].as_array().cloned().unwrap_or_default();
            let is_own = |one: &Value| plural != "devicepools" || one["metadata"]["name"] == self.name.as_str();
            let mut object = objects.into_iter().find(is_own).context("it is there")?;
            let (kind, generation) = (plural.trim_end_matches('s'), object["metadata"]["generation"].clone());
            object["apiVersion"] = "eenn.dev/v1alpha1".into();
            object["kind"] = KINDS.iter().find(|one| one.to_lowercase() == kind).copied().into();
            change(&mut object["spec"]);
            let path = format!("{}/{}", self.place(plural), object["metadata"]["name"].as_str().unwrap_or_default());
            let reply = api.send("PUT", &path, Some(&object))?;
            match reply.status {
                409 => {}
                200 => {
                    let after: Value = serde_json::from_slice(&reply.body)?;
                    return Ok(after["metadata"]["generation"] != generation);
                }
                _ => return Ok(false),
            }
        }
        bail!("somebody writes {plural} all the time")
    }

    fn path(&self, api: &str) -> String {
        format!("{api}/namespaces/{}", self.name)
    }

    /// Objects of the namespace.
    pub(crate) fn list(&self, api: &str, plural: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.scene.plane.api().get(&format!("{}/{plural}", self.path(api)))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Says how far a pod is, as its kubelet does.
    pub(crate) fn put_phase(&self, pod: &Value, phase: &str) -> anyhow::Result<()> {
        let (mut pod, name) = (pod.clone(), pod["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        pod["status"]["phase"] = phase.into();
        let path = format!("{}/pods/{name}/status", self.path("/api/v1"));
        // Whoever comes too late looks again.
        self.scene.plane.api().send("PUT", &path, Some(&pod)).map(drop).map_err(Into::into)
    }

    /// A pod is gone, as its kubelet says.
    pub(crate) fn remove(&self, pod: &Value) -> anyhow::Result<()> {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let now = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0 });
        let path = format!("{}/pods/{name}", self.path("/api/v1"));
        self.scene.plane.api().send("DELETE", &path, Some(&now)).map(drop).map_err(Into::into)
    }

    /// Where its operators find out where pods of Jobs are reached.
    pub(crate) fn book(&self) -> PathBuf {
        self.scene.path(&format!("{}.addresses", self.name))
    }

    /// An operator for this namespace and pool alone.
    pub(crate) fn operator(&self, arguments: &[&str]) -> anyhow::Result<Operator> {
        self.scene.operator(&self.name, &[&self.arguments()[..], arguments].concat())
    }

    /// Old pods go at once: the end is compared, not the way there.
    pub(crate) fn arguments(&self) -> [&str; 7] {
        ["--no-leader-election", "--namespace", &self.name, "--name", &self.name, "--drain-seconds", "0"]
    }

    /// Changes the service as a user does.
    pub(crate) fn patch(&self, patch: &str) -> anyhow::Result<()> {
        self.scene.kubectl(&["-n", &self.name, "patch", "eennservice/camera", "--type=merge", "-p", patch]).map(drop)
    }

    /// Everything in the namespace, without what differs between two that are alike: times, identities, and its name.
    pub(crate) fn state(&self) -> anyhow::Result<Value> {
        let mut state = serde_json::Map::new();
        for (api, plural) in COMPARED {
            for mut item in
                self.list(api, plural)?.into_iter().filter(|item| item["metadata"]["name"] != "kube-root-ca.crt")
            {
                bare(&mut item, plural);
                let text = serde_json::to_string(&item)?.replace(&self.name, "STAGE");
                let item: Value = serde_json::from_str(&text)?;
                let name = format!("{plural}/{}", item["metadata"]["name"].as_str().unwrap_or_default());
                state.insert(name, item);
            }
        }
        let pool = self.scene.plane.api().get(&format!("/apis/eenn.dev/v1alpha1/devicepools/{}", self.name))?;
        let mut status = pool["status"].clone();
        without_times(&mut status);
        state.insert("pool".to_owned(), status);
        Ok(nameless(&Value::Object(state)))
    }

    /// The service as it is, for failures.
    pub(crate) fn service(&self) -> String {
        self.state().map_or_else(|error| error.to_string(), |state| format!("{:#}", state["eennservices/camera"]))
    }

    /// Waits until everything is as it was elsewhere, in one view of it; a failure tells the difference.
    pub(crate) fn until_like(&self, view: View, wanted: &Value, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let state = view(self)?;
            if state == *wanted {
                return Ok(());
            }
            if began.elapsed() > patience {
                bail!("{} is not as it should be:\n{}", self.name, difference(wanted, &state, "").join("\n"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until pods of the service are ready, with its generation observed, and nothing changes any more.
    pub(crate) fn until_settled(&self, view: View, patience: Duration) -> anyhow::Result<Value> {
        let (began, mut last) = (Instant::now(), Value::Null);
        loop {
            let state = view(self)?;
            if ready(&state) && state == last {
                return Ok(state);
            }
            ensure!(began.elapsed() < patience, "{} is not ready: {:#}", self.name, state["eennservices/camera"]);
            last = state;
            std::thread::sleep(Duration::from_millis(1500));
        }
    }

    /// Everything goes, some time later.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        let api = self.scene.plane.api();
        api.send("DELETE", &format!("/api/v1/namespaces/{}", self.name), None)?;
        api.send("DELETE", &format!("/apis/eenn.dev/v1alpha1/devicepools/{}", self.name), None)?;
        Ok(())
    }
}

/// What is compared of a stage.
pub(crate) type View = fn(&Stage<'_>) -> anyhow::Result<Value>;

/// All of it.
pub(crate) fn whole(stage: &Stage<'_>) -> anyhow::Result<Value> {
    stage.state()
}

pub(crate) fn ready(state: &Value) -> bool {
    let service = &state["eennservices/camera"];
    let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let of = |one: &Value| (one["type"] == "Placed", one["status"] == "True", one["observedGeneration"].clone());
    conditions.iter().map(of).any(|(is, holds, at)| is && holds && at == service["metadata"]["generation"])
}

/// Without what no two objects have in common.
fn bare(item: &mut Value, plural: &str) {
    let kept = ["name", "labels", "annotations", "ownerReferences", "generation"];
    if let Some(metadata) = item["metadata"].as_object_mut() {
        metadata.retain(|name, _| kept.contains(&name.as_str()));
    }
    // Hashes of all that was applied or planned with, the name of the namespace included.
    if let Some(annotations) = item["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|name, _| !["eenn.dev/hash", "eenn.dev/inputs"].contains(&name.as_str()));
    }
    for owner in item["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
        owner["uid"] = Value::Null;
    }
    for field in ["clusterIP", "clusterIPs"] {
        if plural == "services" && !item["spec"][field].is_null() {
            item["spec"][field] = Value::Null;
        }
    }
    if let Some(object) = item.as_object_mut() {
        object.remove("binaryData");
    }
    match plural.starts_with("eenn") {
        true => {
            without_times(item);
            // Nobody listens at the pods of KWOK; who could not be reached, and why, differs.
            if let Some(conditions) = item["status"]["conditions"].as_array_mut() {
                conditions.retain(|condition| condition["type"] != "Ready");
            }
        }
        false => item["status"] = Value::Null,
    }
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// Hashes are of content with the name of the namespace in it: each is replaced by the order in which it appears.
fn nameless(state: &Value) -> Value {
    let mut text = state.to_string();
    let is_hash =
        |word: &str| word.len() == 10 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let words: Vec<String> = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect();
    let mut seen: Vec<String> = vec![];
    for word in words.into_iter().filter(|word| is_hash(word)) {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    for (index, word) in seen.iter().enumerate() {
        text = text.replace(word.as_str(), &format!("HASH{index}"));
    }
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Paths at which two values differ.
pub(crate) fn difference(a: &Value, b: &Value, path: &str) -> Vec<String> {
    match (a, b) {
        _ if a == b => vec![],
        (Value::Object(x), Value::Object(y)) => {
            let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            names
                .iter()
                .flat_map(|name| difference(&a[name.as_str()], &b[name.as_str()], &format!("{path}/{name}")))
                .collect()
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let pairs = x.iter().zip(y).enumerate();
            pairs.flat_map(|(index, (x, y))| difference(x, y, &format!("{path}/{index}"))).collect()
        }
        _ => vec![format!("{path}: wanted {}, found {}", short(a), short(b))],
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(300).collect()
}
