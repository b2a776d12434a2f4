//! The committed files of the example belong together: nobody replaced one of them alone.

use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

const TABLES: [(&str, &str); 2] = [("exit-table.safetensors", "heldOut"), ("exit-table-test.safetensors", "test")];

#[test]
fn tables_and_numbers_name_the_model_beside_them() {
    let sha = hex(&Sha256::digest(read("model.onnx")));
    assert_eq!(metrics()["modelSha256"], sha, "metrics.json is of another model");
    for (table, _) in TABLES {
        assert_eq!(metadata(&read(table))["modelSha256"], sha, "{table} is of another model");
    }
    assert!(String::from_utf8(read("README.md")).unwrap().contains(&sha), "README.md is of another model");
}

#[test]
fn accuracies_of_the_card_are_those_of_the_tables() {
    for (name, part) in TABLES {
        let bytes = read(name);
        let table = SafeTensors::deserialize(&bytes).unwrap();
        let stated = metrics()["exits"].as_array().unwrap().clone();
        for (measured, exit) in accuracies(&table).into_iter().zip(&stated) {
            let stated = exit[part]["accuracy"].as_f64().unwrap();
            assert!(
                (measured - stated).abs() < 1e-4,
                "{name}, {}: {measured} in the table, {stated} stated",
                exit["name"]
            );
        }
        assert_eq!(accuracies(&table).len(), stated.len(), "{name} has other exits than metrics.json");
    }
}

#[test]
fn load_is_the_beginning_of_the_test_table() {
    let (load, test) = (read("load.safetensors"), read("exit-table-test.safetensors"));
    let [load, test] = [&load, &test].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    assert_eq!(load.tensor("input").unwrap().shape(), [1_000, 1, 28, 28]);
    let labels = words(&load, "label");
    assert_eq!(labels, words(&test, "label")[..labels.len()]);
}

fn accuracies(table: &SafeTensors<'_>) -> Vec<f64> {
    let labels = words(table, "label");
    let predictions = words(table, "prediction");
    let exits = predictions.len() / labels.len();
    let rows = || labels.iter().zip(predictions.chunks(exits));
    let right = |exit: usize| rows().filter(|(label, row)| row[exit] == **label).count();
    (0..exits).map(|exit| right(exit) as f64 / labels.len() as f64).collect()
}

fn words(table: &SafeTensors<'_>, tensor: &str) -> Vec<u16> {
    let data = table.tensor(tensor).expect("the file has this tensor").data();
    data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn metadata(bytes: &[u8]) -> HashMap<String, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).expect("the file is safetensors");
    header.metadata().clone().expect("an exit table has metadata")
}

fn metrics() -> Value {
    serde_json::from_slice(&read("metrics.json")).expect("metrics.json is JSON")
}

fn read(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/fashion-mnist").join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
