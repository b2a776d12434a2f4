//! Exit-table files: what every exit said about every sample of a validation set, as safetensors.
//!
//! Tensors `confidence` f32 `[N, L]`, `prediction` u16 `[N, L]`, `label` u16 `[N]`; metadata `modelSha256`, `exits`
//! (names, separated by commas), `confidence`, `source`. Where room is scarce `confidence` may be u16, of which 65535 is 1.

use crate::{
    Confidence,
    tensors::{TensorFileError, array, bytes_of, failed, open, view},
};
use domain::ExitTable;
use safetensors::{Dtype, SafeTensors};
use std::{collections::HashMap, path::Path};

/// What a table was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitTableMetadata {
    /// SHA-256 of the ONNX file.
    pub model_sha256: String,
    /// Names of the exits, in the order of the columns.
    pub exits: Vec<String>,
    /// How confidence was read off.
    pub confidence: Confidence,
    /// Where the samples come from.
    pub source: String,
}

/// Reads a table.
pub fn read(path: &Path) -> Result<(ExitTable, ExitTableMetadata), TensorFileError> {
    parse(path, &bytes_of(path)?)
}

/// As [`read`], of bytes that are here; `path` names them in messages.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<(ExitTable, ExitTableMetadata), TensorFileError> {
    let file = open(path, bytes)?;
    let metadata = metadata(path, bytes)?;
    let (shape, confidence) = confidence_of(path, &file)?;
    let (prediction_shape, prediction) = array::<u16>(path, &file, "prediction")?;
    let (labels, label) = array::<u16>(path, &file, "label")?;
    if shape.len() != 2 || shape != prediction_shape || labels != shape[..1] {
        let what = format!(
            "confidence {shape:?} and prediction {prediction_shape:?} must be [samples, exits], label {labels:?} [samples]"
        );
        return Err(failed(path, what));
    }
    if shape[1] != metadata.exits.len() {
        let what = format!("metadata names {} exits, confidence has {} columns", metadata.exits.len(), shape[1]);
        return Err(failed(path, what));
    }
    let table = ExitTable::new(shape[1], confidence, prediction, label);
    Ok((table.map_err(|error| failed(path, error.to_string()))?, metadata))
}

/// Confidences; those of tables that were made to fit into a ConfigMap are rounded to 16 bits, of which 65535 is 1.
fn confidence_of(path: &Path, file: &SafeTensors<'_>) -> Result<(Vec<usize>, Vec<f32>), TensorFileError> {
    if file.tensor("confidence").is_ok_and(|tensor| tensor.dtype() == Dtype::U16) {
        let (shape, values) = array::<u16>(path, file, "confidence")?;
        return Ok((shape, values.into_iter().map(|value| f32::from(value) / f32::from(u16::MAX)).collect()));
    }
    array::<f32>(path, file, "confidence")
}

/// Writes a table; the same table gives the same bytes but for the order of the metadata.
pub fn write(path: &Path, table: &ExitTable, metadata: &ExitTableMetadata) -> Result<(), TensorFileError> {
    let (samples, exits) = (table.samples(), table.exits());
    let cells = || (0..samples).flat_map(|sample| (0..exits).map(move |exit| (sample, exit)));
    let confidence: Vec<u8> = cells().flat_map(|(row, exit)| table.confidence(row, exit).to_le_bytes()).collect();
    let prediction: Vec<u8> = cells().flat_map(|(row, exit)| table.prediction(row, exit).to_le_bytes()).collect();
    let label: Vec<u8> = (0..samples).flat_map(|row| table.label(row).to_le_bytes()).collect();
    let tensors = [
        ("confidence", view::<f32>(vec![samples, exits], &confidence)),
        ("prediction", view::<u16>(vec![samples, exits], &prediction)),
        ("label", view::<u16>(vec![samples], &label)),
    ];
    let words = HashMap::from([
        ("modelSha256".to_owned(), metadata.model_sha256.clone()),
        ("exits".to_owned(), metadata.exits.join(",")),
        ("confidence".to_owned(), format!("{:?}", metadata.confidence)),
        ("source".to_owned(), metadata.source.clone()),
    ]);
    let bytes = safetensors::serialize(tensors, Some(words)).map_err(|error| failed(path, error.to_string()))?;
    std::fs::write(path, bytes).map_err(|error| failed(path, format!("cannot be written: {error}")))
}

fn metadata(path: &Path, bytes: &[u8]) -> Result<ExitTableMetadata, TensorFileError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| failed(path, error.to_string()))?;
    let words = header.metadata().clone().unwrap_or_default();
    let word = |name: &str| words.get(name).cloned().ok_or_else(|| failed(path, format!("has no metadata {name:?}")));
    let confidence = word("confidence")?;
    Ok(ExitTableMetadata {
        model_sha256: word("modelSha256")?,
        exits: word("exits")?.split(',').map(str::to_owned).collect(),
        confidence: serde_json::from_value(confidence.clone().into()).map_err(|_| {
            failed(path, format!("metadata confidence is {confidence:?}; allowed: MaxSoftmax, NormalizedEntropy"))
        })?,
        source: word("source")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> ExitTableMetadata {
        ExitTableMetadata {
            model_sha256: "0".repeat(64),
            exits: vec!["a".into(), "b".into()],
            confidence: Confidence::NormalizedEntropy,
            source: "two samples".into(),
        }
    }

    #[test]
    fn a_table_survives_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        let table = ExitTable::new(2, vec![0.1, 0.2, 0.3, 1.0], vec![0, 1, 2, 65535], vec![1, 65535]).unwrap();
        write(&path, &table, &metadata()).unwrap();
        assert_eq!(read(&path).unwrap(), (table, metadata()));
    }

    #[test]
    fn confidences_of_16_bits_are_read() {
        let bytes = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (confidence, prediction, label) = (bytes(&[0, 65535]), bytes(&[3, 4]), bytes(&[4]));
        let tensors = [
            ("confidence", view::<u16>(vec![1, 2], &confidence)),
            ("prediction", view::<u16>(vec![1, 2], &prediction)),
            ("label", view::<u16>(vec![1], &label)),
        ];
        let words = [("modelSha256", "0"), ("exits", "a,b"), ("confidence", "MaxSoftmax"), ("source", "")];
        let words = words.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let file = safetensors::serialize(tensors, Some(words)).unwrap();
        let (table, _) = parse(Path::new("table"), &file).unwrap();
        assert_eq!(table, ExitTable::new(2, vec![0.0, 1.0], vec![3, 4], vec![4]).unwrap());
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        let table = ExitTable::new(1, vec![0.1], vec![0], vec![1]).unwrap();
        write(&path, &table, &metadata()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("table.safetensors: metadata names 2 exits, confidence has 1 columns"), "{error}");
        std::fs::write(&path, b"hello").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("table.safetensors: is no safetensors file: "), "{error}");
    }
}
