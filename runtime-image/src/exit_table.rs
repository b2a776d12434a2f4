//! Exit tables made small enough for an object of Kubernetes.
//!
//! A table that fits is left as it is. Of others, confidences are rounded to 16 bits, `round(65535 c)`, which is off by at most
//! 7.7e-6; where that does not suffice, samples are left out: one of each of as many equal parts as there is room for,
//! drawn with a fixed seed, so that the same table always comes to the same.

use anyhow::{Context as _, bail, ensure};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

/// Most bytes of a table: a ConfigMap has room for 1 MiB, names included.
pub(crate) const MOST: usize = 1_000_000;
/// Of these, for what is no sample.
const HEADER: usize = 16 << 10;
/// What 1 is as 16 bits.
const SCALE: f32 = u16::MAX as f32;
/// Any would do; always the same.
const SEED: u64 = 0x0e_e2;

/// A table that fits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fitting {
    /// Safetensors.
    pub(crate) file: Vec<u8>,
    /// Samples in it.
    pub(crate) samples: usize,
    /// Samples of the table that it was made from.
    pub(crate) of: usize,
    /// Most by which a confidence differs.
    pub(crate) largest_error: f64,
}

/// The values of a table.
struct Table<'a> {
    exits: usize,
    confidence: &'a [[u8; 4]],
    prediction: &'a [[u8; 2]],
    label: &'a [[u8; 2]],
    words: HashMap<String, String>,
}

/// A table of at most `most` bytes out of the bytes of a file.
pub(crate) fn fit(file: &[u8], most: usize) -> anyhow::Result<Fitting> {
    let tensors = SafeTensors::deserialize(file).context("it is no safetensors file")?;
    let (_, header) = SafeTensors::read_metadata(file)?;
    let words = header.metadata().clone().unwrap_or_default();
    let table = Table::read(&tensors, words)?;
    let of = table.label.len();
    if file.len() <= most {
        return Ok(Fitting { file: file.to_vec(), samples: of, of, largest_error: 0.0 });
    }
    let words: usize = table.words.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
    let room = most.saturating_sub(HEADER + words) / (4 * table.exits + 2);
    ensure!(room > 0, "there is no room for a single sample of {} exits", table.exits);
    table.quantised(&rows(of, room.min(of)))
}

/// `count` of `of` rows, one of each equal part.
fn rows(of: usize, count: usize) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    (0..count).map(|part| random.random_range(part * of / count..((part + 1) * of / count).max(1))).collect()
}

impl<'a> Table<'a> {
    fn read(tensors: &'a SafeTensors<'a>, words: HashMap<String, String>) -> anyhow::Result<Self> {
        let (shape, confidence) = tensor::<4>(tensors, "confidence", Dtype::F32)?;
        let (same, prediction) = tensor::<2>(tensors, "prediction", Dtype::U16)?;
        let (labels, label) = tensor::<2>(tensors, "label", Dtype::U16)?;
        let [samples, exits] = shape[..] else { bail!("confidence {shape:?} is not [samples, exits]") };
        let sound = samples > 0 && exits > 0 && same == shape && labels == [samples];
        ensure!(sound, "prediction {same:?} and label {labels:?} do not fit confidence {shape:?}");
        let wrong = confidence.iter().position(|bytes| !(0.0..=1.0).contains(&f32::from_le_bytes(*bytes)));
        if let Some(at) = wrong {
            bail!("the confidence of sample {} at exit {} is not from 0 to 1", at / exits, at % exits);
        }
        Ok(Self { exits, confidence, prediction, label, words })
    }

    fn quantised(&self, rows: &[usize]) -> anyhow::Result<Fitting> {
        let (mut confidence, mut prediction, mut label) = (vec![], vec![], vec![]);
        let mut largest_error = 0.0_f64;
        for &row in rows {
            let cells = row * self.exits..(row + 1) * self.exits;
            for value in self.confidence[cells.clone()].iter().map(|bytes| f32::from_le_bytes(*bytes)) {
                let quantised = (value * SCALE).round() as u16;
                largest_error = largest_error.max(f64::from((f32::from(quantised) / SCALE - value).abs()));
                confidence.extend(quantised.to_le_bytes());
            }
            prediction.extend(self.prediction[cells].as_flattened());
            label.extend(self.label[row]);
        }
        let view = |shape, bytes| TensorView::new(Dtype::U16, shape, bytes);
        let tensors = [
            ("confidence", view(vec![rows.len(), self.exits], &confidence)?),
            ("prediction", view(vec![rows.len(), self.exits], &prediction)?),
            ("label", view(vec![rows.len()], &label)?),
        ];
        let file = safetensors::serialize(tensors, Some(self.words.clone()))?;
        Ok(Fitting { file, samples: rows.len(), of: self.label.len(), largest_error })
    }
}

fn tensor<'a, const WIDTH: usize>(
    tensors: &'a SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
) -> anyhow::Result<(Vec<usize>, &'a [[u8; WIDTH]])> {
    let tensor = tensors.tensor(name).with_context(|| format!("it has no tensor {name:?}"))?;
    ensure!(tensor.dtype() == dtype, "{name} must be {dtype:?}, not {:?}", tensor.dtype());
    Ok((tensor.shape().to_vec(), tensor.data().as_chunks().0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(samples: usize) -> Vec<u8> {
        let value = |index: usize| (index * 37 % 1000) as f32 / 999.0;
        let confidence: Vec<u8> = (0..3 * samples).flat_map(|index| value(index).to_le_bytes()).collect();
        let prediction: Vec<u8> = (0..3 * samples).flat_map(|index| (index as u16).to_le_bytes()).collect();
        let label: Vec<u8> = (0..samples).flat_map(|index| (index as u16).to_le_bytes()).collect();
        let tensors = [
            ("confidence", TensorView::new(Dtype::F32, vec![samples, 3], &confidence).unwrap()),
            ("prediction", TensorView::new(Dtype::U16, vec![samples, 3], &prediction).unwrap()),
            ("label", TensorView::new(Dtype::U16, vec![samples], &label).unwrap()),
        ];
        safetensors::serialize(tensors, Some(HashMap::from([("exits".to_owned(), "a,b,c".to_owned())]))).unwrap()
    }

    #[test]
    fn a_table_that_fits_is_left_alone() {
        let file = table(100);
        let fitting = fit(&file, file.len()).unwrap();
        assert_eq!(fitting, Fitting { file, samples: 100, of: 100, largest_error: 0.0 });
    }

    #[test]
    fn confidences_are_rounded_before_samples_are_left_out() {
        let file = table(6000);
        let fitting = fit(&file, file.len() - 1).unwrap();
        assert_eq!((fitting.samples, fitting.of), (6000, 6000));
        assert!(fitting.largest_error > 0.0 && fitting.largest_error < 7.7e-6, "{}", fitting.largest_error);
        let tensors = SafeTensors::deserialize(&fitting.file).unwrap();
        assert_eq!(tensors.tensor("confidence").unwrap().dtype(), Dtype::U16);
        let (_, header) = SafeTensors::read_metadata(&fitting.file).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["exits"], "a,b,c");
    }

    #[test]
    fn samples_that_are_left_are_spread_evenly_and_always_the_same() {
        let file = table(6000);
        let fitting = fit(&file, 50_000).unwrap();
        assert!(fitting.file.len() <= 50_000 && fitting.samples > 1000, "{}", fitting.samples);
        assert_eq!(fitting, fit(&file, 50_000).unwrap());
        let tensors = SafeTensors::deserialize(&fitting.file).unwrap();
        let label = tensors.tensor("label").unwrap();
        let labels: Vec<u16> = label.data().as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        // The label of a sample is its number here.
        let parts = (0..fitting.samples).map(|part| part * 6000 / fitting.samples..(part + 1) * 6000 / fitting.samples);
        assert!(parts.zip(&labels).all(|(part, &label)| part.contains(&usize::from(label))), "{labels:?}");
        let prediction = tensors.tensor("prediction").unwrap();
        let first = u16::from_le_bytes([prediction.data()[0], prediction.data()[1]]);
        assert_eq!(first, labels[0] * 3, "rows stay whole");
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(fit(b"hello", MOST).unwrap_err().to_string().contains("no safetensors file"));
        let nan = f32::NAN.to_le_bytes();
        let (zero, one) = ([0, 0], vec![1, 1]);
        let tensors = |confidence| {
            [
                ("confidence", confidence),
                ("prediction", TensorView::new(Dtype::U16, one.clone(), &zero).unwrap()),
                ("label", TensorView::new(Dtype::U16, vec![1], &zero).unwrap()),
            ]
        };
        let file = safetensors::serialize(tensors(TensorView::new(Dtype::F32, one.clone(), &nan).unwrap()), None);
        let error = fit(&file.unwrap(), MOST).unwrap_err().to_string();
        assert_eq!(error, "the confidence of sample 0 at exit 0 is not from 0 to 1");
        let file = safetensors::serialize(tensors(TensorView::new(Dtype::U16, one.clone(), &zero).unwrap()), None);
        assert_eq!(fit(&file.unwrap(), MOST).unwrap_err().to_string(), "confidence must be F32, not U16");
    }
}
