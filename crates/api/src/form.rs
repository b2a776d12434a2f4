//! Text with a pattern: names, references and numbers as text. One pattern serves the schema and the loader alike.

use crate::rules;
use domain::Bytes;
use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr, sync::LazyLock};

/// A pattern with the words that explain it.
pub(crate) struct Form {
    /// Name of the type, which is also its name in a schema.
    pub(crate) name: &'static str,
    /// What is allowed, for messages.
    pub(crate) allowed: &'static str,
    longest: usize,
    regex: Regex,
}

/// Why text is not of the form it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not allowed; allowed: {allowed}")]
pub struct FormError {
    given: String,
    allowed: &'static str,
}

impl Form {
    fn new(name: &'static str, longest: usize, pattern: &str, allowed: &'static str) -> Self {
        Self { name, allowed, longest, regex: Regex::new(pattern).expect("patterns are constants, and tested") }
    }

    pub(crate) fn check(&self, text: &str) -> Result<(), FormError> {
        // The length comes first: a pattern is not run over megabytes.
        if text.len() <= self.longest && self.regex.is_match(text) {
            return Ok(());
        }
        Err(FormError { given: shorten(text), allowed: self.allowed })
    }
}

/// The form with this type name.
pub(crate) fn find(name: &str) -> Option<&'static Form> {
    FORMS.iter().map(|form| &***form).find(|form| form.name == name)
}

/// Keeps messages to one readable line.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident, $form:ident, $longest:literal, $pattern:literal, $allowed:literal;)*) => {
        static FORMS: &[&LazyLock<Form>] = &[$(&$form),*];
        $(
            static $form: LazyLock<Form> =
                LazyLock::new(|| Form::new(stringify!($name), $longest, $pattern, $allowed));

            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
            #[serde(try_from = "Text", into = "String")]
            pub struct $name(String);

            impl $name {
                /// The text as it was written.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl FromStr for $name {
                type Err = FormError;
                fn from_str(text: &str) -> Result<Self, FormError> {
                    $form.check(text).map(|()| Self(text.to_owned()))
                }
            }

            impl TryFrom<Text> for $name {
                type Error = FormError;
                fn try_from(text: Text) -> Result<Self, FormError> {
                    match text {
                        Text::Text(text) => text.parse(),
                        Text::Integer(number) => number.to_string().parse(),
                    }
                }
            }

            impl From<$name> for String {
                fn from(text: $name) -> Self {
                    text.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    schema_of(stringify!($name), $longest, $pattern)
                }
            }
        )*
    };
}

/// What serde meets: quantities may be bare integers, as everywhere in Kubernetes. The schema keeps the others to text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Integer(i64),
}

fn schema_of(name: &str, longest: usize, pattern: &str) -> Schema {
    match name {
        "Quantity" => json_schema!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": pattern,
            "maxLength": longest,
            // For those that are written as integers, which a pattern does not look at.
            "minimum": 0,
            "maximum": LARGEST_INTEGER,
            "x-kubernetes-int-or-string": true,
        }),
        // The API server shows users the pattern that a value does not match. A rule says it in words, with the bound that
        // a readable pattern leaves out; together they allow what the form does.
        "Decimal" => bounded(longest, pattern, &rules::DECIMAL),
        "PositiveDecimal" => bounded(longest, r"^[0-9]{1,15}(\.[0-9]{1,15})?$", &rules::POSITIVE_DECIMAL),
        "Ratio" => bounded(longest, r"^[01](\.[0-9]{1,15})?$", &rules::RATIO),
        _ => json_schema!({"type": "string", "pattern": pattern, "maxLength": longest}),
    }
}

fn bounded(longest: usize, pattern: &str, bound: &rules::Rules) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": pattern,
        "maxLength": longest,
        "x-kubernetes-validations": bound.to_json(),
    })
}

/// 2^53 − 1: what JSON keeps exactly everywhere.
const LARGEST_INTEGER: i64 = (1 << 53) - 1;

forms! {
    /// A name that ends up in metrics and object names.
    Name, NAME, 63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "up to 63 lower-case letters, digits and \"-\", a letter or digit at both ends";
    /// Name of a Kubernetes node.
    NodeName, NODE_NAME, 253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a node name: lower-case letters, digits, \"-\" and \".\"";
    /// Name of a tensor in an ONNX file.
    TensorName, TENSOR_NAME, 256, r"^[!-~]([ -~]*[!-~])?$",
        "up to 256 printable ASCII characters";
    /// Where a file is.
    Uri, URI, 1024, r"^(file|oci|https|s3|pvc|configmap)://[!-~]+$",
        "a URI that starts with file://, oci://, https://, s3://, pvc:// or configmap://";
    /// SHA-256 of a file.
    Sha256, SHA256, 64, r"^[0-9a-f]{64}$",
        "64 lower-case hexadecimal digits";
    /// Value of a label.
    LabelValue, LABEL_VALUE, 63, r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        "up to 63 letters, digits, \"-\", \"_\" and \".\", a letter or digit at both ends";
    /// A number ≥ 0 as text, such as "12.5".
    Decimal, DECIMAL, 32, r"^[0-9]{1,15}(\.[0-9]{1,15})?$",
        "a number ≥ 0 in quotes, such as \"12.5\"";
    /// A number > 0 as text, such as "0.25".
    PositiveDecimal, POSITIVE_DECIMAL, 32, r"^(0{0,14}[1-9][0-9]{0,14}(\.[0-9]{1,15})?|0{1,15}\.0{0,14}[1-9][0-9]{0,14})$",
        "a number > 0 in quotes, such as \"0.25\"";
    /// A number from 0 to 1 as text, such as "0.01".
    Ratio, RATIO, 32, r"^(0(\.[0-9]{1,15})?|1(\.0{1,15})?)$",
        "a number from 0 to 1 in quotes, such as \"0.01\"";
    /// An amount with an optional suffix, such as 500m, 64Mi or 12.5M.
    Quantity, QUANTITY, 32, r"^[0-9]{1,18}(\.[0-9]{1,9})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][0-9]{1,2})?$",
        "an amount such as \"64Mi\", \"100M\" or \"500m\"";
}

macro_rules! decimals {
    ($($name:ident),*) => {$(
        impl $name {
            /// The number.
            pub fn get(&self) -> f64 {
                self.0.parse().expect("the pattern allows numbers only")
            }
        }
    )*};
}
decimals!(Decimal, PositiveDecimal, Ratio);

impl Quantity {
    /// The amount as a number: cores, bytes, bytes per second.
    pub fn get(&self) -> f64 {
        let digits = self.0.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at(digits);
        let number: f64 = number.parse().expect("the pattern allows numbers only");
        number * factor(suffix)
    }

    /// The amount as bytes, rounded up as Kubernetes does.
    pub fn bytes(&self) -> Bytes {
        // The cast saturates: nobody has 2^64 bytes.
        Bytes(round_up(self.get()) as u64)
    }

    /// The amount in thousandths, rounded up: cores as millicores.
    pub fn millis(&self) -> u64 {
        round_up(self.get() * 1000.0) as u64
    }
}

/// Rounds up what is really a fraction, not the last bit of a product such as 0.57 · 1000.
fn round_up(value: f64) -> f64 {
    let near = value.round();
    if (value - near).abs() < 1e-9 * near.max(1.0) { near } else { value.ceil() }
}

fn factor(suffix: &str) -> f64 {
    match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent[1..].parse().expect("the pattern allows two digits only")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_read_as_kubernetes_reads_them() {
        for (text, bytes, millis) in [
            ("64Mi", 67_108_864, 67_108_864_000),
            ("12.5M", 12_500_000, 12_500_000_000),
            ("100k", 100_000, 100_000_000),
            ("500m", 1, 500),
            ("4", 4, 4000),
            ("1e3", 1000, 1_000_000),
            ("0.1", 1, 100),
        ] {
            let quantity: Quantity = text.parse().unwrap();
            assert_eq!((quantity.bytes().0, quantity.millis()), (bytes, millis), "{text}");
        }
    }

    #[test]
    fn patterns_hold_at_their_edges() {
        for (form, text, good) in [
            ("Name", "exit1", true),
            ("Name", "Exit1", false),
            ("Name", "-a", false),
            ("Name", "", false),
            ("NodeName", "pi-1.example.com", true),
            ("NodeName", "pi..1", false),
            ("Decimal", "12.5", true),
            ("Decimal", ".5", false),
            ("Decimal", "1e3", false),
            ("Decimal", "-1", false),
            ("PositiveDecimal", "0.1", true),
            ("PositiveDecimal", "0.0", false),
            ("PositiveDecimal", "10", true),
            ("PositiveDecimal", "0", false),
            ("Ratio", "1.0", true),
            ("Ratio", "1.01", false),
            ("Quantity", "64Mi", true),
            ("Quantity", "64 Mi", false),
            ("Quantity", "64MB", false),
            ("Quantity", "1E", true),
            ("Uri", "file://model.onnx", true),
            ("Uri", "ftp://x", false),
            ("TensorName", "/conv/Relu_output_0", true),
            ("LabelValue", "", true),
        ] {
            assert_eq!(find(form).unwrap().check(text).is_ok(), good, "{form} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_pattern_lets_through_is_a_number(text in "[0-9.eEKMGimkun]{0,24}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert!(quantity.get() >= 0.0);
            }
            if let Ok(positive) = text.parse::<PositiveDecimal>() {
                prop_assert!(positive.get() > 0.0);
            }
            if let Ok(ratio) = text.parse::<Ratio>() {
                prop_assert!((0.0..=1.0).contains(&ratio.get()));
            }
        }
    }
}
