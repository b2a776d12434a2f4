//! What the chart and GitOps take from other files of this repository: word for word, so that only text is copied here.

use anyhow::{Context, bail};
use std::fs;
use std::path::Path;

const CHART: &str = "charts/eenn-operator";
const KINDS: [&str; 4] = ["DevicePool", "EENNModel", "EENNPlan", "EENNService"];

/// A definition, for the chart: templates cannot read outside of its folder.
pub(crate) fn definition(root: &Path, name: &str) -> anyhow::Result<String> {
    read(root, &format!("crds/{name}.yaml"))
}

/// Health scripts as a patch of the ConfigMap that Argo CD reads them from.
pub(crate) fn argocd(root: &Path) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Made by `cargo xtask generate` from the scripts beside it.\n\
         # kubectl --namespace argocd patch configmap argocd-cm --patch-file argocd-cm.yaml\ndata:\n",
    );
    for kind in KINDS {
        let script = read(root, &format!("docs/gitops/argocd/{kind}.lua"))?;
        text.push_str(&format!("  resource.customizations.health.eenn.dev_{kind}: |\n"));
        script.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    Ok(text)
}

const BEGIN: &str = "<!-- Made by `cargo xtask generate` from values.yaml. -->\n";
const END: &str = "<!-- End of what is made. -->\n";

/// README of the chart, with its table of values written anew.
pub(crate) fn readme(root: &Path) -> anyhow::Result<String> {
    let readme = read(root, &format!("{CHART}/README.md"))?;
    let values = read(root, &format!("{CHART}/values.yaml"))?;
    let (head, rest) = readme.split_once(BEGIN).context("README.md of the chart has no line that begins the table")?;
    let (_, tail) = rest.split_once(END).context("README.md of the chart has no line that ends the table")?;
    Ok(format!("{head}{BEGIN}\n{}\n{END}{tail}", table(&values)?))
}

/// A row per value with a comment that begins with `# --`. A key without one is a folder of others, which must have one each.
fn table(values: &str) -> anyhow::Result<String> {
    let mut table = String::from("| value | default | |\n|---|---|---|\n");
    let (mut path, mut comment) = (Vec::<(usize, &str)>::new(), None::<String>);
    // Inside the default of a value that takes several lines.
    let mut within = None;
    for line in values.lines() {
        let (indent, content) = (line.len() - line.trim_start().len(), line.trim());
        if content.is_empty() || within.is_some_and(|of| indent > of) {
            continue;
        }
        within = None;
        if let Some(text) = content.strip_prefix('#') {
            comment = match (text.strip_prefix(" -- "), comment) {
                (Some(text), _) => Some(text.to_owned()),
                (None, Some(before)) => Some(format!("{before} {}", text.trim())),
                (None, None) => None,
            };
            continue;
        }
        let (key, default) = content.split_once(':').with_context(|| format!("values.yaml: {content:?} is no key"))?;
        path.retain(|(of, _)| *of < indent);
        path.push((indent, key));
        let name = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
        let default = default.trim();
        match comment.take() {
            Some(comment) => {
                within = default.is_empty().then_some(indent);
                let default = if default.is_empty() { "see values.yaml".to_owned() } else { format!("`{default}`") };
                table.push_str(&format!("| `{name}` | {default} | {} |\n", comment.replace('|', "\\|")));
            }
            None if default.is_empty() => {}
            None => bail!("values.yaml: {name} has no comment that begins with `# --`"),
        }
    }
    Ok(table)
}

fn read(root: &Path, path: &str) -> anyhow::Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("failed to read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_row_with_its_path_and_comment() {
        let values = "# About all.\n\n# Of the image.\nimage:\n  # -- Its tag, or\n  # nothing.\n  tag: \"\"\n\n# -- What it needs.\nresources:\n  requests:\n    cpu: 1\n# -- How many | at most.\nreplicas: 1\n";
        let rows = "| value | default | |\n|---|---|---|\n\
            | `image.tag` | `\"\"` | Its tag, or nothing. |\n\
            | `resources` | see values.yaml | What it needs. |\n\
            | `replicas` | `1` | How many \\| at most. |\n";
        assert_eq!(table(values).unwrap(), rows);
    }

    #[test]
    fn value_without_a_comment_is_named() {
        let error = table("# Of the image.\nimage:\n  tag: a\n").unwrap_err();
        assert_eq!(error.to_string(), "values.yaml: image.tag has no comment that begins with `# --`");
    }

    #[test]
    fn files_of_chart_and_gitops_are_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let committed = |path: &str| read(&root, path).unwrap();
        assert_eq!(readme(&root).unwrap(), committed("charts/eenn-operator/README.md"));
        assert_eq!(argocd(&root).unwrap(), committed("docs/gitops/argocd/argocd-cm.yaml"));
        for name in ["devicepools", "eennmodels", "eennplans", "eennservices", "qostargets"] {
            assert_eq!(definition(&root, name).unwrap(), committed(&format!("{CHART}/files/crds/{name}.yaml")));
        }
    }
}
