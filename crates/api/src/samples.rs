//! Samples to drive load with, as safetensors: `input` f32 `[N, …]`, and `label` u16 `[N]` where it is known.

use crate::tensors::{TensorFileError, array, bytes_of, failed, open};
use std::path::Path;

/// Inputs of a model, with labels where they are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    shape: Vec<usize>,
    input: Vec<f32>,
    label: Option<Vec<u16>>,
}

/// Reads samples.
pub fn read(path: &Path) -> Result<Samples, TensorFileError> {
    let bytes = bytes_of(path)?;
    let file = open(path, &bytes)?;
    let (shape, input) = array::<f32>(path, &file, "input")?;
    if shape.len() < 2 || shape.contains(&0) {
        return Err(failed(path, format!("input {shape:?} must be [samples, …] with at least one value")));
    }
    let label = file.names().contains(&"label").then(|| array::<u16>(path, &file, "label")).transpose()?;
    if let Some((labels, _)) = label.as_ref().filter(|(labels, _)| *labels != shape[..1]) {
        return Err(failed(path, format!("label {labels:?} must be [{}], one for each sample", shape[0])));
    }
    Ok(Samples { shape: shape[1..].to_vec(), input, label: label.map(|(_, label)| label) })
}

impl Samples {
    /// Number of samples; at least one.
    pub fn count(&self) -> usize {
        self.input.len() / self.len()
    }

    /// Shape of one sample.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values of a sample.
    pub fn input(&self, sample: usize) -> &[f32] {
        &self.input[sample * self.len()..][..self.len()]
    }

    /// Label of a sample, where it is known.
    pub fn label(&self, sample: usize) -> Option<u16> {
        self.label.as_ref().map(|label| label[sample])
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::view;

    fn write(path: &Path, input: Vec<usize>, labels: usize) {
        let values: usize = input.iter().product();
        let bytes: Vec<u8> = (0..values).flat_map(|value| (value as f32).to_le_bytes()).collect();
        let label = [1, 0].repeat(labels);
        let tensors = [("input", view::<f32>(input, &bytes)), ("label", view::<u16>(vec![labels], &label))];
        std::fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    }

    #[test]
    fn samples_are_rows_of_the_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.safetensors");
        write(&path, vec![2, 1, 2], 2);
        let samples = read(&path).unwrap();
        assert_eq!((samples.count(), samples.shape(), samples.input(1)), (2, &[1, 2][..], &[2.0, 3.0][..]));
        assert_eq!(samples.label(1), Some(1));
    }

    #[test]
    fn labels_fit_the_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.safetensors");
        write(&path, vec![2, 1], 3);
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("label [3] must be [2], one for each sample"), "{error}");
        write(&path, vec![0, 3], 0);
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("input [0, 3] must be [samples, …] with at least one value"), "{error}");
    }
}
