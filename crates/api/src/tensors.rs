//! Typed arrays out of safetensors files.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::path::{Path, PathBuf};

/// Why a file of tensors cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct TensorFileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// Elements that are stored little-endian.
pub(crate) trait Element: Sized + Copy {
    const DTYPE: Dtype;
    const WIDTH: usize;
    fn read(bytes: &[u8]) -> Self;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
    const WIDTH: usize = 4;
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("chunks have the width of an element"))
    }
}

impl Element for u16 {
    const DTYPE: Dtype = Dtype::U16;
    const WIDTH: usize = 2;
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("chunks have the width of an element"))
    }
}

pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, TensorFileError> {
    std::fs::read(path).map_err(|error| failed(path, format!("cannot be read: {error}")))
}

pub(crate) fn failed(path: &Path, what: impl Into<String>) -> TensorFileError {
    TensorFileError { file: path.to_owned(), what: what.into() }
}

pub(crate) fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, TensorFileError> {
    SafeTensors::deserialize(bytes).map_err(|error| failed(path, format!("is no safetensors file: {error}")))
}

/// The tensor with this name, its shape and values.
pub(crate) fn array<T: Element>(
    path: &Path,
    file: &SafeTensors<'_>,
    name: &str,
) -> Result<(Vec<usize>, Vec<T>), TensorFileError> {
    let tensor = file.tensor(name).map_err(|_| {
        let mut names = file.names();
        names.sort_unstable();
        failed(path, format!("has no tensor {name:?}; it has {names:?}"))
    })?;
    if tensor.dtype() != T::DTYPE {
        return Err(failed(path, format!("tensor {name:?} must be {:?}, not {:?}", T::DTYPE, tensor.dtype())));
    }
    Ok((tensor.shape().to_vec(), tensor.data().chunks_exact(T::WIDTH).map(T::read).collect()))
}

/// A tensor over the bytes of its values.
pub(crate) fn view<T: Element>(shape: Vec<usize>, bytes: &[u8]) -> TensorView<'_> {
    TensorView::new(T::DTYPE, shape, bytes).expect("the bytes were made from as many values as the shape has")
}
