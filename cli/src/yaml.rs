//! JSON values as YAML, in the form of `kubectl get -o yaml`: keys in order of the alphabet, two spaces per level.

use serde_json::Value;

/// A document.
pub(crate) fn render(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

/// Writes a value that stands on lines of its own.
fn write(value: &Value, level: usize, text: &mut String) {
    let indent = "  ".repeat(level);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                text.push_str(&format!("{indent}{}:", word(key)));
                write_after(value, level, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                if !holds_more(item) {
                    text.push_str(&format!("{indent}- {}\n", one_line(item)));
                    continue;
                }
                let mut inner = String::new();
                write(item, level + 1, &mut inner);
                // The dash takes the place of the indentation of the first line.
                text.push_str(&format!("{indent}- {}", inner.trim_start_matches(' ')));
            }
        }
        scalar => text.push_str(&format!("{indent}{}\n", one_line(scalar))),
    }
}

/// Writes a value behind its key.
fn write_after(value: &Value, level: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            write(value, level + 1, text);
        }
        Value::Array(_) if holds_more(value) => {
            text.push('\n');
            write(value, level, text);
        }
        other => text.push_str(&format!(" {}\n", one_line(other))),
    }
}

/// Whether a value takes several lines.
fn holds_more(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    }
}

/// Scalars, what is empty, and lists of scalars.
fn one_line(value: &Value) -> String {
    match value {
        Value::String(words) => word(words),
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        // JSON is YAML.
        other => other.to_string(),
    }
}

/// Without quotes where no reader of YAML can take it for something else.
fn word(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "-_./".contains(one));
    let taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = plain && !taken.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_read_as_kubectl_writes_them() {
        let value = json!({
            "kind": "EENNPlan",
            "spec": {
                "empty": [], "none": {}, "null": null, "ratio": "0.5", "word": "no", "spaced": "a: b",
                "chains": [{"name": "near", "hops": [{"device": "pi-1"}]}, {"name": "far", "hops": [[1, 2], [3]]}],
                "thresholds": ["0.5", "1"],
            },
        });
        let want = "\
kind: EENNPlan
spec:
  chains:
  - hops:
    - device: pi-1
    name: near
  - hops:
    - [1, 2]
    - [3]
    name: far
  empty: []
  none: {}
  \"null\": null
  ratio: \"0.5\"
  spaced: \"a: b\"
  thresholds: [\"0.5\", \"1\"]
  word: \"no\"
";
        assert_eq!(render(&value), want);
    }
}
