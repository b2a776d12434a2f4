//! Exit tables, read from the ConfigMaps that models name and kept as long as these do not change.

use crate::Context;
use crate::cache::Key;
use crate::controller::Failure;
use crate::head;
use crate::measure::known;
use api::EENNModel;
use domain::ExitTable;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A table, and what tells it from others.
#[derive(Debug, Clone)]
pub struct Table {
    /// What exits said about samples.
    pub table: ExitTable,
    /// SHA-256 of the file.
    pub hash: String,
}

/// Tables by ConfigMap and key, each with the version that it was read from.
#[derive(Debug, Default)]
pub struct Tables(Mutex<BTreeMap<(Key, String), Kept>>);

/// A table, or why there is none, and the version of its ConfigMap.
type Kept = (Option<u64>, Result<Arc<Table>, String>);

impl Tables {
    /// The table of a model; the inner error is for its owner.
    pub async fn read(&self, context: &Context, model: &EENNModel) -> Result<Result<Arc<Table>, String>, Failure> {
        let table = known::model(model).spec.exit_table;
        let Some((name, key)) = table.as_ref().and_then(api::Artifact::config_map) else {
            return Ok(Err("its exit table is in no ConfigMap".to_owned()));
        };
        let namespace = model.namespace().unwrap_or_default();
        let place = (Key::new(namespace.clone(), name), key.to_owned());
        let cached = context.caches.config_maps.get(&place.0);
        let version = cached.map(|there| there.version);
        if let Some((at, kept)) = self.0.lock().expect("nothing panics while it holds tables").get(&place)
            && *at == version
        {
            return Ok(kept.clone());
        }
        let action = format!("get ConfigMap {}", place.0);
        let found = context.cluster.api::<ConfigMap>(&namespace).get_opt(name).await.map_err(Failure::api(action))?;
        let read =
            found.as_ref().ok_or_else(|| format!("there is no ConfigMap {name:?}")).and_then(|it| parse(it, key));
        let version = found.map(|found| head::version(&found));
        let mut tables = self.0.lock().expect("nothing panics while it holds tables");
        let read = read.map(|table| one_of(&tables, table));
        // Those of ConfigMaps that are gone would stay for ever.
        tables.retain(|(key, _), _| context.caches.config_maps.get(key).is_some());
        tables.insert(place, (version, read.clone()));
        drop(tables);
        Ok(read)
    }

    /// What a ConfigMap holds has just been written; the watch may not have brought it yet.
    pub fn forget(&self, config_map: &Key) {
        self.0.lock().expect("nothing panics while it holds tables").retain(|(key, _), _| key != config_map);
    }
}

/// Teams often have the same model: its table is kept once.
fn one_of(tables: &BTreeMap<(Key, String), Kept>, table: Table) -> Arc<Table> {
    let mut there = tables.values().filter_map(|(_, kept)| kept.as_ref().ok());
    there.find(|there| there.hash == table.hash).map_or_else(|| Arc::new(table), Arc::clone)
}

fn parse(config_map: &ConfigMap, key: &str) -> Result<Table, String> {
    let name = config_map.name_any();
    let bytes = config_map.binary_data.as_ref().and_then(|data| data.get(key));
    let bytes = bytes.ok_or_else(|| {
        format!("ConfigMap {name:?} has no binaryData {key:?}; make it with kubectl create configmap {name} --from-file={key}=FILE")
    })?;
    let path = format!("{name}/{key}");
    let (table, _) = api::exit_table::parse(Path::new(&path), &bytes.0).map_err(|error| error.to_string())?;
    Ok(Table { table, hash: crate::service::labels::hash_of(&bytes.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(label: u16, hash: &str) -> Table {
        let table = ExitTable::new(1, vec![0.5], vec![0], vec![label]).expect("it has a sample");
        Table { table, hash: hash.to_owned() }
    }

    #[test]
    fn tables_of_equal_content_are_kept_once() {
        let place = |namespace: &str| (Key::new(namespace, "fashion-mnist"), "exit-table.safetensors".to_owned());
        let mut tables = BTreeMap::new();
        tables.insert(place("broken"), (Some(1), Err("there is no ConfigMap".to_owned())));
        let first = one_of(&tables, table(0, "a"));
        tables.insert(place("edge"), (Some(2), Ok(Arc::clone(&first))));
        assert!(Arc::ptr_eq(&first, &one_of(&tables, table(0, "a"))));
        assert!(!Arc::ptr_eq(&first, &one_of(&tables, table(1, "b"))), "another file");
    }
}
