//! Rules between fields, in the Common Expression Language: what the API server refuses, and what users then read.
//!
//! The loader of the command line says the same, and more, with lines (`resolve`). A rule is here when it can be said about one
//! object alone. It holds of text that is of no good form, since the form says so itself: otherwise users would read of
//! conversions.

use serde_json::{Value, json};

/// Rules of one type.
pub(crate) struct Rules(&'static [Rule]);

/// What must hold of a value, called `self`.
struct Rule {
    expression: &'static str,
    /// What is allowed, for users.
    message: &'static str,
    /// The field that is wrong, below the value.
    field: Option<&'static str>,
}

impl Rules {
    /// As `x-kubernetes-validations`.
    pub(crate) fn to_json(&self) -> Value {
        self.0.iter().map(Rule::to_json).collect()
    }
}

impl Rule {
    fn to_json(&self) -> Value {
        let mut rule = json!({ "rule": self.expression, "message": self.message });
        if let Some(field) = self.field {
            rule["fieldPath"] = json!(field);
        }
        rule
    }
}

const fn rule(expression: &'static str, message: &'static str) -> Rule {
    Rule { expression, message, field: None }
}

const fn at(field: &'static str, expression: &'static str, message: &'static str) -> Rule {
    Rule { expression, message, field: Some(field) }
}

pub(crate) const DECIMAL: Rules = Rules(&[rule(
    "self.matches('^[0-9]{1,15}([.][0-9]{1,15})?$')",
    "must be a number ≥ 0 in quotes, such as \"12.5\"",
)]);

pub(crate) const POSITIVE_DECIMAL: Rules = Rules(&[rule(
    "self.matches('^[0-9]{1,15}([.][0-9]{1,15})?$') && double(self) > 0.0",
    "must be a number > 0 in quotes, such as \"0.25\"",
)]);

pub(crate) const RATIO: Rules = Rules(&[rule(
    "self.matches('^[01]([.][0-9]{1,15})?$') && double(self) <= 1.0",
    "must be a number from 0 to 1 in quotes, such as \"0.01\"",
)]);

pub(crate) const ARTIFACT: Rules = Rules(&[
    rule(
        "has(self.sha256) || !(self.uri.startsWith('https://') || self.uri.startsWith('s3://'))",
        "sha256 is missing: files from https:// and s3:// are checked; take it from sha256sum FILE",
    ),
    at(
        ".credentialsSecretRef",
        "!has(self.credentialsSecretRef) || self.uri.startsWith('https://') || self.uri.startsWith('s3://')",
        "only https:// and s3:// take credentials; remove credentialsSecretRef",
    ),
    at(
        ".uri",
        "!self.uri.startsWith('configmap://') || self.uri.matches('^configmap://[a-z0-9.-]+/[A-Za-z0-9._-]+$')",
        "configmap:// takes a name and a key: configmap://NAME/KEY",
    ),
    at(
        ".uri",
        "!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://[a-z0-9.-]+/.+$')",
        "pvc:// takes the name of a claim and a path in it: pvc://CLAIM/PATH",
    ),
    at(
        ".uri",
        "!self.uri.startsWith('s3://') || self.uri.matches('^s3://[^/]+/.+$')",
        "s3:// takes a bucket and a key: s3://BUCKET/KEY",
    ),
]);

pub(crate) const MODEL: Rules = Rules(&[
    at(
        ".profile.segments",
        "!has(self.profile) || size(self.profile.segments) == (has(self.cuts) ? size(self.cuts) : 0) + 1",
        "profile.segments needs one entry per segment: one more than there are cuts",
    ),
    at(
        ".profile.heads",
        "!has(self.profile) || !has(self.profile.heads) || size(self.profile.heads) == size(self.exits)",
        "profile.heads needs one entry per exit, or none at all",
    ),
    at(
        ".exits",
        "self.exits.all(one, self.exits.exists_one(other, other.tensor == one.tensor))",
        "every exit needs a tensor of its own; two have the same",
    ),
]);

pub(crate) const ALLOWED_NAMESPACES: Rules = Rules(&[at(
    ".names",
    "self.from == 'Selected' ? has(self.names) && size(self.names) > 0 : !has(self.names) || size(self.names) == 0",
    "names must be set with from: Selected, and only then",
)]);

pub(crate) const TOLERATION: Rules = Rules(&[at(
    ".value",
    "(self.operator == 'Equal') == has(self.value)",
    "value must be set with operator: Equal, and only then",
)]);

pub(crate) const LINK_END: Rules = Rules(&[rule(
    "has(self.tier) != has(self.device)",
    "an end is a tier or a device: set exactly one of tier and device",
)]);

pub(crate) const LINK: Rules = Rules(&[at(
    ".bytesPerSecond",
    "!isQuantity(string(self.bytesPerSecond)) || quantity(string(self.bytesPerSecond)).isGreaterThan(quantity('0'))",
    "bytesPerSecond must be more than 0; remove the link to say that it is down",
)]);

pub(crate) const SCHEDULER: Rules = Rules(&[
    at(".fixed", "(self.type == 'Fixed') == has(self.fixed)", "fixed must be set with type: Fixed, and only then"),
    at(
        ".mixture",
        "(self.type == 'Mixture') == (has(self.mixture) && size(self.mixture) > 0)",
        "mixture must be set with type: Mixture, and only then",
    ),
    at(
        ".mixture",
        "!has(self.mixture) || size(self.mixture) == 0 || \
         self.mixture.exists(one, !one.probability.matches('^[0-9]+([.][0-9]+)?$')) || (self.mixture.map(one, double(one.probability)).sum() > 0.999999 \
         && self.mixture.map(one, double(one.probability)).sum() < 1.000001)",
        "the probabilities of a mixture must sum to 1",
    ),
    at(
        ".fixedDistribution",
        "(self.type == 'FixedDistribution') == has(self.fixedDistribution)",
        "fixedDistribution must be set with type: FixedDistribution, and only then",
    ),
    at(
        ".knapsack",
        "!has(self.knapsack) || self.type == 'Knapsack'",
        "knapsack belongs to type: Knapsack; remove it or change the type",
    ),
    at(
        ".queueingLP",
        "!has(self.queueingLP) || self.type == 'QueueingLP'",
        "queueingLP belongs to type: QueueingLP; remove it or change the type",
    ),
    at(
        ".dataDriven",
        "!has(self.dataDriven) || self.type == 'DataDriven'",
        "dataDriven belongs to type: DataDriven; remove it or change the type",
    ),
    at(
        ".adaEE",
        "!has(self.adaEE) || self.type == 'AdaEE'",
        "adaEE belongs to type: AdaEE; remove it or change the type",
    ),
    at(".type", "self.type != 'CEEN'", "CEEN is not available yet; use Auto"),
]);

pub(crate) const CHOICE_SCHEDULER: Rules = Rules(&[at(
    ".fixed",
    "(self.type == 'Fixed') == has(self.fixed)",
    "fixed must be set with type: Fixed, and only then",
)]);

pub(crate) const FIXED_DISTRIBUTION: Rules = Rules(&[at(
    ".probabilities",
    "self.probabilities.exists(one, !one.matches('^[0-9]+([.][0-9]+)?$')) || \
     (self.probabilities.map(one, double(one)).sum() > 0.999999 && self.probabilities.map(one, double(one)).sum() < 1.000001)",
    "probabilities must sum to 1",
)]);

pub(crate) const PLACEMENT: Rules = Rules(&[at(
    ".pinned",
    "(self.strategy == 'Pinned') == (has(self.pinned) && size(self.pinned) > 0)",
    "pinned must be set with strategy: Pinned, and only then",
)]);

pub(crate) const PINNED_FRAGMENT: Rules = Rules(&[at(
    ".lastSegment",
    "self.lastSegment >= self.firstSegment",
    "lastSegment must be at least firstSegment: a fragment is a run of segments",
)]);

pub(crate) const RUNTIME: Rules = Rules(&[
    at(
        ".cpuRequest",
        "!has(self.cpuRequest) || !isQuantity(string(self.cpuRequest)) || quantity(string(self.cpuRequest)).isGreaterThan(quantity('0'))",
        "cpuRequest must be more than 0; remove it for equal weights",
    ),
    at(
        ".cpuLimit",
        "!has(self.cpuLimit) || !isQuantity(string(self.cpuLimit)) || quantity(string(self.cpuLimit)).isGreaterThan(quantity('0'))",
        "cpuLimit must be more than 0; remove it for as many cores as there are workers",
    ),
    at(
        ".cpuRequest",
        "!has(self.cpuRequest) || !has(self.cpuLimit) || \
         !isQuantity(string(self.cpuRequest)) || !isQuantity(string(self.cpuLimit)) || \
         quantity(string(self.cpuRequest)).compareTo(quantity(string(self.cpuLimit))) <= 0",
        "cpuRequest must be at most cpuLimit",
    ),
]);

pub(crate) const PLAN: Rules =
    Rules(&[rule("self == oldSelf", "a plan does not change; the operator makes a new one instead")]);

/// Rule about the name of an object, which `kind` of object has it.
pub(crate) fn of_name(kind: &str) -> Option<Value> {
    // Names of pods and Services begin with that of their EENNService and may have 63 characters.
    let rule = rule(
        "size(self.metadata.name) <= 45 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must have at most 45 lower-case letters, digits and \"-\", and begin with a letter: names of pods and \
         Services begin with it",
    );
    // Its ServiceAccount and Service are called as it is.
    let taken = self::rule(
        "!(self.metadata.name in ['default', 'kubernetes'])",
        "metadata.name must not be default or kubernetes: Kubernetes has a ServiceAccount and a Service of these names",
    );
    (kind == "EENNService").then(|| Value::Array(vec![rule.to_json(), taken.to_json()]))
}
