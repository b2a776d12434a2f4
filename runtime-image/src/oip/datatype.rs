//! Element types of input tensors, and their conversion to the FP32 that models take.

use super::{BadRequest, quoted};

/// A type of the protocol that converts to FP32 as numbers convert. FP16 and BF16 are left out on purpose: JSON cannot
/// carry them and no client makes them by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp32,
    Fp64,
}

impl Datatype {
    pub(super) fn from_name(name: &str) -> Result<Self, BadRequest> {
        Ok(match name {
            "BOOL" => Datatype::Bool,
            "UINT8" => Datatype::Uint8,
            "UINT16" => Datatype::Uint16,
            "UINT32" => Datatype::Uint32,
            "UINT64" => Datatype::Uint64,
            "INT8" => Datatype::Int8,
            "INT16" => Datatype::Int16,
            "INT32" => Datatype::Int32,
            "INT64" => Datatype::Int64,
            "FP32" => Datatype::Fp32,
            "FP64" => Datatype::Fp64,
            other => return Err(BadRequest(format!("the input has datatype {}, expected FP32", quoted(other)))),
        })
    }

    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => 1,
            Datatype::Uint16 | Datatype::Int16 => 2,
            Datatype::Uint32 | Datatype::Int32 | Datatype::Fp32 => 4,
            Datatype::Uint64 | Datatype::Int64 | Datatype::Fp64 => 8,
        }
    }

    /// Converts little-endian elements to little-endian FP32.
    pub(super) fn to_fp32(self, elements: &[u8]) -> Vec<u8> {
        match self {
            Datatype::Bool => convert(elements, |[byte]| f32::from(u8::from(byte != 0))),
            Datatype::Uint8 => convert(elements, |[byte]| f32::from(byte)),
            Datatype::Uint16 => convert(elements, |bytes| f32::from(u16::from_le_bytes(bytes))),
            Datatype::Uint32 => convert(elements, |bytes| u32::from_le_bytes(bytes) as f32),
            Datatype::Uint64 => convert(elements, |bytes| u64::from_le_bytes(bytes) as f32),
            Datatype::Int8 => convert(elements, |bytes| f32::from(i8::from_le_bytes(bytes))),
            Datatype::Int16 => convert(elements, |bytes| f32::from(i16::from_le_bytes(bytes))),
            Datatype::Int32 => convert(elements, |bytes| i32::from_le_bytes(bytes) as f32),
            Datatype::Int64 => convert(elements, |bytes| i64::from_le_bytes(bytes) as f32),
            Datatype::Fp32 => elements.to_vec(),
            Datatype::Fp64 => convert(elements, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }

    /// Smallest and largest value of an integer type.
    pub(super) fn integer_range(self) -> Option<(f32, f32)> {
        Some(match self {
            Datatype::Uint8 => (0.0, f32::from(u8::MAX)),
            Datatype::Uint16 => (0.0, f32::from(u16::MAX)),
            Datatype::Uint32 => (0.0, u32::MAX as f32),
            Datatype::Uint64 => (0.0, u64::MAX as f32),
            Datatype::Int8 => (f32::from(i8::MIN), f32::from(i8::MAX)),
            Datatype::Int16 => (f32::from(i16::MIN), f32::from(i16::MAX)),
            Datatype::Int32 => (i32::MIN as f32, i32::MAX as f32),
            Datatype::Int64 => (i64::MIN as f32, i64::MAX as f32),
            Datatype::Bool | Datatype::Fp32 | Datatype::Fp64 => return None,
        })
    }
}

fn convert<const SIZE: usize>(elements: &[u8], to_fp32: impl Fn([u8; SIZE]) -> f32) -> Vec<u8> {
    let (elements, _) = elements.as_chunks();
    elements.iter().flat_map(|element| to_fp32(*element).to_le_bytes()).collect()
}

/// Values of little-endian FP32.
pub(super) fn values(tensor: &[u8]) -> impl Iterator<Item = f32> {
    let (values, _) = tensor.as_chunks();
    values.iter().map(|value| f32::from_le_bytes(*value))
}

/// Index of the first value that is not finite.
pub(super) fn first_not_finite(tensor: &[u8]) -> Option<usize> {
    // Looking at all of them needs no branch per value; which one it is matters only for the message.
    let all = values(tensor).fold(true, |all, value| all & value.is_finite());
    if all { None } else { values(tensor).position(|value| !value.is_finite()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_convert_as_numbers_do() {
        for (name, bytes, want) in [
            ("BOOL", vec![0, 1, 7], vec![0.0, 1.0, 1.0]),
            ("UINT8", vec![0, 255], vec![0.0, 255.0]),
            ("INT8", vec![0x80, 0x7f], vec![-128.0, 127.0]),
            ("UINT16", vec![0xff, 0xff], vec![65535.0]),
            ("INT16", vec![0xfe, 0xff], vec![-2.0]),
            ("UINT32", 16_777_217_u32.to_le_bytes().to_vec(), vec![16_777_216.0]),
            ("INT32", (-5_i32).to_le_bytes().to_vec(), vec![-5.0]),
            ("UINT64", u64::MAX.to_le_bytes().to_vec(), vec![18_446_744_073_709_551_615.0]),
            ("INT64", i64::MIN.to_le_bytes().to_vec(), vec![-9_223_372_036_854_775_808.0]),
            ("FP32", 0.5_f32.to_le_bytes().to_vec(), vec![0.5]),
            ("FP64", 0.1_f64.to_le_bytes().to_vec(), vec![0.1_f32]),
        ] {
            let datatype = Datatype::from_name(name).unwrap();
            assert_eq!(bytes.len(), datatype.size() * want.len(), "{name}");
            assert_eq!(values(&datatype.to_fp32(&bytes)).collect::<Vec<f32>>(), want, "{name}");
        }
    }

    #[test]
    fn types_that_are_no_numbers_or_halves_are_refused() {
        for name in ["BYTES", "FP16", "BF16", "fp32", ""] {
            let error = Datatype::from_name(name).unwrap_err();
            assert_eq!(error.0, format!("the input has datatype {name:?}, expected FP32"));
        }
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found() {
        let tensor = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        assert_eq!(first_not_finite(&tensor(&[1.0, -0.0])), None);
        assert_eq!(first_not_finite(&tensor(&[1.0, f32::NAN, f32::INFINITY])), Some(1));
    }
}
