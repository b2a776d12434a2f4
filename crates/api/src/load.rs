//! Reads manifests from a file or a folder, and reports everything that is wrong with them at once.

use crate::{
    DevicePoolSpec, EENNModelSpec, EENNServiceSpec, Name, Node, QoSTargetSpec,
    check::{self, Finding, Unknown},
    form,
    problem::{LoadErrors, Origin, Position, Problem},
    yaml::{self, Data, Node as Yaml},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// `apiVersion` of everything but nodes.
pub const API_VERSION: &str = "eenn.dev/v1alpha1";

/// Room for `kubectl get nodes -o yaml` of a thousand nodes.
const LARGEST_FILE: u64 = 32 << 20;

/// An object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<Spec> {
    /// Its `metadata.name`.
    pub name: String,
    /// What it says.
    pub spec: Spec,
    /// Where it says so.
    pub origin: Origin,
}

/// All objects of a file or folder. Each is valid by itself; [`Manifests::resolve`] looks at them together.
///
/// Namespaces are not looked at: manifests that are read together belong together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifests {
    /// Every EENNModel.
    pub models: Vec<Object<EENNModelSpec>>,
    /// Every DevicePool.
    pub pools: Vec<Object<DevicePoolSpec>>,
    /// Every QoSTarget.
    pub targets: Vec<Object<QoSTargetSpec>>,
    /// Every EENNService.
    pub services: Vec<Object<EENNServiceSpec>>,
    /// Every node.
    pub nodes: Vec<Object<Node>>,
}

/// Reads a file, or every `.yaml` and `.yml` file of a folder (not of those in it).
pub fn load(path: &Path) -> Result<Manifests, LoadErrors> {
    let mut loader = Loader::default();
    match files(path) {
        Ok(files) if files.is_empty() => loader.file_problem(path, "has no .yaml or .yml file".to_owned()),
        Ok(files) => files.iter().for_each(|file| loader.file(file)),
        Err(error) => loader.file_problem(path, format!("cannot be read: {error}")),
    }
    loader.refuse_duplicates();
    LoadErrors::none_or(loader.problems)?;
    Ok(loader.manifests)
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let paths = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml" || end == "yml") && file.is_file());
    files.sort();
    Ok(files)
}

#[derive(Default)]
struct Loader {
    manifests: Manifests,
    problems: Vec<Problem>,
    /// A schema is made once per kind, not once per object.
    schemas: BTreeMap<&'static str, Value>,
}

/// Reads a document of one kind.
type ReadKind = fn(&mut Loader, &Path, &Yaml);

/// The kinds there are, and how each is read.
const KINDS: [(&str, ReadKind); 4] = [
    ("DevicePool", |loader, file, node| {
        let object = loader.object("DevicePool", file, node);
        loader.manifests.pools.extend(object);
    }),
    ("EENNModel", |loader, file, node| {
        let object = loader.object("EENNModel", file, node);
        loader.manifests.models.extend(object);
    }),
    ("EENNService", |loader, file, node| {
        let object = loader.object("EENNService", file, node);
        loader.manifests.services.extend(object);
    }),
    ("QoSTarget", |loader, file, node| {
        let object = loader.object("QoSTarget", file, node);
        loader.manifests.targets.extend(object);
    }),
];

impl Loader {
    fn file_problem(&mut self, file: &Path, message: String) {
        self.problems.push(Problem { file: file.to_owned(), position: None, path: String::new(), message });
    }

    fn file(&mut self, file: &Path) {
        match read(file) {
            Ok(text) => self.text(file, &text),
            Err(message) => self.file_problem(file, message),
        }
    }

    fn text(&mut self, file: &Path, text: &str) {
        let (documents, error) = yaml::parse(text);
        // A document that holds nothing stands between two separators, or is a comment: no mistake.
        let documents: Vec<_> = documents.into_iter().filter(|node| !node.is_null()).collect();
        if documents.is_empty() && error.is_none() {
            self.file_problem(file, "is empty; it should hold a manifest".to_owned());
        }
        for document in &documents {
            self.document(file, document);
        }
        if let Some(error) = error {
            self.findings(file, vec![(error.at, String::new(), error.message)]);
        }
    }

    fn findings(&mut self, file: &Path, findings: Vec<Finding>) {
        self.problems.extend(findings.into_iter().map(|(at, path, message)| Problem {
            file: file.to_owned(),
            position: Some(at),
            path,
            message,
        }));
    }

    fn document(&mut self, file: &Path, node: &Yaml) {
        let Data::Mapping(_) = &node.data else {
            let message = format!("must be an object with apiVersion and kind, not {}", node.what());
            return self.findings(file, vec![(node.at, String::new(), message)]);
        };
        let field = |name| node.get(name).and_then(Yaml::text).unwrap_or_default();
        match (field("apiVersion"), field("kind")) {
            ("v1", "List" | "NodeList") => self.list(file, node),
            ("v1", "Node") => self.node(file, node),
            (API_VERSION, kind) => match KINDS.iter().find(|(known, _)| *known == kind) {
                Some((_, read)) => read(self, file, node),
                None => self.findings(file, wrong_header(node)),
            },
            _ => self.findings(file, wrong_header(node)),
        }
    }

    fn list(&mut self, file: &Path, list: &Yaml) {
        match list.get("items").map(|items| &items.data) {
            Some(Data::Sequence(items)) => items.iter().for_each(|item| match item.get("kind").and_then(Yaml::text) {
                // A list in a list would be a way around the bound on nesting.
                Some("List" | "NodeList") => {
                    self.findings(file, vec![(item.at, "kind".to_owned(), "a list cannot hold a list".to_owned())]);
                }
                _ => self.document(file, item),
            }),
            _ => self.findings(file, vec![(list.at, "items".to_owned(), "must be a list of objects".to_owned())]),
        }
    }

    fn object<Spec: JsonSchema + DeserializeOwned>(
        &mut self,
        kind: &'static str,
        file: &Path,
        node: &Yaml,
    ) -> Option<Object<Spec>> {
        let document: Document<Spec> = self.read(kind, file, node, Unknown::Refuse)?;
        let name = document.metadata.name.to_string();
        let mut positions = BTreeMap::new();
        visit(node, "", &mut |path, at| {
            positions.insert(path.to_owned(), at);
        });
        let origin = Origin::new(file.to_owned(), format!("{kind}/{name}"), positions);
        Some(Object { name, spec: document.spec, origin })
    }

    fn node(&mut self, file: &Path, node: &Yaml) {
        let Some(spec) = self.read::<Node>("Node", file, node, Unknown::Ignore) else { return };
        let name = spec.metadata.name.to_string();
        // Nodes are large and seldom wrong: their first line is enough.
        let positions = BTreeMap::from([(String::new(), node.at)]);
        let origin = Origin::new(file.to_owned(), format!("Node/{name}"), positions);
        self.manifests.nodes.push(Object { name, spec, origin });
    }

    /// Checks a document against the schema of its type, then reads it.
    fn read<T: JsonSchema + DeserializeOwned>(
        &mut self,
        kind: &'static str,
        file: &Path,
        node: &Yaml,
        unknown: Unknown,
    ) -> Option<T> {
        let schema = self.schemas.entry(kind).or_insert_with(schema::<T>);
        let mut findings = duplicate_keys(node);
        findings.extend(check::check(node, schema, unknown));
        if findings.is_empty() {
            match serde_json::from_value(node.to_json()) {
                Ok(value) => return Some(value),
                // Schema and type are made from one source, so this is for what a schema cannot say.
                Err(error) => findings.push((node.at, String::new(), error.to_string())),
            }
        }
        self.findings(file, findings);
        None
    }

    fn refuse_duplicates(&mut self) {
        let Manifests { models, pools, targets, services, nodes } = &self.manifests;
        let origins = models.iter().map(|object| &object.origin);
        let origins = origins.chain(pools.iter().map(|object| &object.origin));
        let origins = origins.chain(targets.iter().map(|object| &object.origin));
        let origins = origins.chain(services.iter().map(|object| &object.origin));
        let mut seen: BTreeMap<&str, &Origin> = BTreeMap::new();
        for origin in origins.chain(nodes.iter().map(|object| &object.origin)) {
            if let Some(first) = seen.insert(&origin.object, origin) {
                let place = first.problem("metadata.name", "").position.map(|at| format!(":{}", at.line));
                let place = format!("{}{}", first.file.display(), place.unwrap_or_default());
                let message = format!("{} is already defined at {place}", origin.object);
                self.problems.push(origin.problem("metadata.name", message));
            }
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|error| format!("cannot be read: {error}"))?;
    opened.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(format!("is larger than {} MiB", LARGEST_FILE >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        format!("is no UTF-8 text; the first bad byte is in line {line}")
    })
}

/// An object as it stands in a file. What a server adds is known, so that the output of `kubectl get` can be read.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields are here for the schema")]
struct Document<Spec> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
    status: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields are here for the schema")]
struct Metadata {
    name: Name,
    namespace: Option<Name>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    creation_timestamp: Option<Value>,
    deletion_grace_period_seconds: Option<Value>,
    deletion_timestamp: Option<Value>,
    finalizers: Option<Value>,
    generation: Option<Value>,
    managed_fields: Option<Value>,
    owner_references: Option<Value>,
    resource_version: Option<Value>,
    uid: Option<Value>,
}

/// The schema of a document, with its types as references: their names lead to the forms of text.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

fn wrong_header(node: &Yaml) -> Vec<Finding> {
    let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).chain(["Node"]).collect();
    let Some(kind) = node.get("kind") else {
        return vec![(node.at, "kind".to_owned(), format!("is missing; allowed: {}", kinds.join(", ")))];
    };
    let given = kind.text().unwrap_or_default();
    if !kinds.contains(&given) && given != "List" {
        return vec![(kind.at, "kind".to_owned(), format!("unknown kind {}", check::unknown(given, &kinds)))];
    }
    let allowed = if given == "Node" || given == "List" { "v1" } else { API_VERSION };
    match node.get("apiVersion") {
        None => vec![(node.at, "apiVersion".to_owned(), format!("is missing; allowed for {given}: {allowed}"))],
        Some(version) => {
            let shown = form::shorten(version.text().unwrap_or_default());
            let message = format!("unknown version {shown:?}; allowed for {given}: {allowed}");
            vec![(version.at, "apiVersion".to_owned(), message)]
        }
    }
}

/// Calls `found` for every value below `node` with its path.
fn visit(node: &Yaml, path: &str, found: &mut impl FnMut(&str, Position)) {
    found(path, node.at);
    match &node.data {
        Data::Scalar { .. } => {}
        Data::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, &format!("{path}[{index}]"), found);
            }
        }
        Data::Mapping(entries) => {
            for (key, value) in entries {
                visit(value, &check::join(path, &key.name), found);
            }
        }
    }
}

fn duplicate_keys(node: &Yaml) -> Vec<Finding> {
    let mut findings = vec![];
    collect_duplicate_keys(node, "", &mut findings);
    findings
}

fn collect_duplicate_keys(node: &Yaml, path: &str, findings: &mut Vec<Finding>) {
    match &node.data {
        Data::Scalar { .. } => {}
        Data::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_duplicate_keys(item, &format!("{path}[{index}]"), findings);
            }
        }
        Data::Mapping(entries) => {
            let mut seen = BTreeMap::new();
            for (key, value) in entries {
                let inner = check::join(path, &key.name);
                if let Some(first) = seen.insert(&key.name, key.at.line) {
                    findings.push((key.at, inner.clone(), format!("is given twice, first in line {first}")));
                }
                collect_duplicate_keys(value, &inner, findings);
            }
        }
    }
}
