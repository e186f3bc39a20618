//! Writing GGUF: a header that names every tensor, then their bytes in the same order, each padded to the alignment.

use super::file::{DEFAULT_ALIGNMENT, ElementType, tensor_bytes};
use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;

/// A value as the published files hold it: which width a number has is part of the format.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A 32-bit count, size or id.
    U32(u32),
    /// A 32-bit float.
    F32(f32),
    /// A truth value.
    Flag(bool),
    /// A string.
    Text(String),
    /// An array of 32-bit integers.
    I32s(Vec<i32>),
    /// An array of 32-bit floats.
    F32s(Vec<f32>),
    /// An array of strings.
    Texts(Vec<String>),
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A header in the making.
#[derive(Debug, Clone, Default)]
pub struct GgufHeader {
    pairs: Vec<u8>,
    pair_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
    data_bytes: u64,
}

impl GgufHeader {
    /// Adds a key, which must be a new one.
    pub fn set(&mut self, key: &str, value: impl Into<Field>) {
        let out = &mut self.pairs;
        put_text(out, key);
        match value.into() {
            Field::U32(number) => put(out, 4, number.to_le_bytes()),
            Field::F32(number) => put(out, 6, number.to_le_bytes()),
            Field::Flag(flag) => put(out, 7, [u8::from(flag)]),
            Field::Text(text) => {
                out.extend(8u32.to_le_bytes());
                put_text(out, &text);
            }
            Field::I32s(numbers) => put_array(out, 5, &numbers, |out, number| out.extend(number.to_le_bytes())),
            Field::F32s(numbers) => put_array(out, 6, &numbers, |out, number| out.extend(number.to_le_bytes())),
            Field::Texts(texts) => put_array(out, 8, &texts, |out, text| put_text(out, text)),
        }
        self.pair_count += 1;
    }

    /// Names the next tensor and gives its bytes. `shape` is slowest first.
    ///
    /// # Errors
    /// [`Error::Internal`] for a shape or a type that the format has not.
    pub fn tensor(&mut self, name: &str, kind: ElementType, shape: &[usize]) -> Result<u64> {
        let fault = |reason: String| Error::Internal { detail: format!("tensor {name}: {reason}") };
        let bytes = tensor_bytes(kind, shape).map_err(fault)?;
        let number = kind.number().ok_or_else(|| fault(format!("{kind:?} is no type of GGUF's")))?;
        put_text(&mut self.tensors, name);
        self.tensors.extend((shape.len() as u32).to_le_bytes());
        for &size in shape.iter().rev() {
            self.tensors.extend((size as u64).to_le_bytes());
        }
        self.tensors.extend(number.to_le_bytes());
        self.tensors.extend(self.data_bytes.to_le_bytes());
        self.tensor_count += 1;
        self.data_bytes += bytes + padding(bytes) as u64;
        Ok(bytes)
    }

    /// Bytes of all tensors named so far, with what pads them.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The header; tensors begin behind it.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(self.tensor_count.to_le_bytes());
        out.extend(self.pair_count.to_le_bytes());
        out.extend(self.pairs);
        out.extend(self.tensors);
        out.resize(out.len() + padding(out.len() as u64), 0);
        out
    }
}

/// Zeros after so many bytes.
pub fn padding(bytes: u64) -> usize {
    let alignment = DEFAULT_ALIGNMENT as u64;
    (bytes.next_multiple_of(alignment) - bytes) as usize
}

fn put<const N: usize>(out: &mut Vec<u8>, kind: u32, bytes: [u8; N]) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_array<T>(out: &mut Vec<u8>, kind: u32, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.extend(9u32.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((items.len() as u64).to_le_bytes());
    for item in items {
        put(out, item);
    }
}
