//! The page on manifests.

use super::{MADE, table};
use api::fields::{Allowed, Field, KindFields};

pub(super) fn page() -> String {
    let mut page = format!(
        "{MADE}\n# Manifests\n\nEvery object but a node has `apiVersion: {}`, its `kind`, and a name in `metadata.name`. \
         Unknown fields and wrong values are errors.\nNumbers with a fraction stand in quotes.\n",
        api::API_VERSION
    );
    api::fields::kinds().iter().for_each(|kind| page.push_str(&section(kind)));
    page
}

fn section(kind: &KindFields) -> String {
    let rows = kind.fields.iter().map(row);
    let table = table(&["field", "type", "default", "allowed", "description"], rows);
    let note = if kind.kind == "Node" { " (`apiVersion: v1`) Other fields of it are ignored." } else { "" };
    format!("\n## {}\n\n{}{note}\n\n{table}", kind.kind, kind.description)
}

fn row(field: &Field) -> Vec<String> {
    let default = match (&field.default, field.required) {
        (_, true) => "**required**",
        (Some(default), _) => default,
        (None, _) => "none",
    };
    let allowed = match &field.allowed {
        Allowed::All => String::new(),
        Allowed::Words(words) => words.clone(),
        Allowed::Values(values) => {
            values.iter().map(|(value, meaning)| format!("`{value}`: {meaning}")).collect::<Vec<_>>().join("<br>")
        }
    };
    let text = field.description.replace('<', "&lt;");
    vec![format!("`{}`", field.path), field.r#type.clone(), default.to_owned(), allowed, text]
}
