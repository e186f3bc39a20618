//! Writing GGUF: a header that names every tensor, then their bytes in the same order, each padded to the alignment.

use ocelli::import::gguf::{DEFAULT_ALIGNMENT, type_number};
use ocelli::import::tensors::ElementType;
use ocelli::{Error, Result};

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;

/// A type of values. The width of a number is part of the format.
pub(crate) trait Field {
    /// The type's number in the format.
    const TYPE: u32;

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! fields {
    ($($number:literal $type:ty: |$value:ident| $bytes:expr;)+) => {$(
        impl Field for $type {
            const TYPE: u32 = $number;

            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                out.extend($bytes);
            }
        }
    )+};
}

fields! {
    4 u32: |number| number.to_le_bytes();
    5 i32: |number| number.to_le_bytes();
    6 f32: |number| number.to_le_bytes();
    7 bool: |flag| [u8::from(*flag)];
    8 &str: |text| (text.len() as u64).to_le_bytes().into_iter().chain(text.bytes());
    8 String: |text| (text.len() as u64).to_le_bytes().into_iter().chain(text.bytes());
}

impl<T: Field> Field for Vec<T> {
    const TYPE: u32 = 9;

    fn put(&self, out: &mut Vec<u8>) {
        T::TYPE.put(out);
        out.extend((self.len() as u64).to_le_bytes());
        self.iter().for_each(|item| item.put(out));
    }
}

/// A header under construction.
#[derive(Debug, Clone, Default)]
pub(crate) struct GgufHeader {
    pairs: Vec<u8>,
    pair_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
    data_bytes: u64,
}

impl GgufHeader {
    /// Adds a key, which must be a new one.
    pub(crate) fn set<T: Field>(&mut self, key: &str, value: T) {
        key.put(&mut self.pairs);
        T::TYPE.put(&mut self.pairs);
        value.put(&mut self.pairs);
        self.pair_count += 1;
    }

    /// Adds the next tensor and returns its size in bytes. `shape` is slowest first.
    ///
    /// # Errors
    /// [`Error::Internal`] for a shape or type that the format does not have.
    pub(crate) fn tensor(&mut self, name: &str, kind: ElementType, shape: &[usize]) -> Result<u64> {
        let fault = |reason: String| Error::Internal { detail: format!("tensor {name}: {reason}") };
        let bytes = kind.bytes(shape).map_err(fault)?;
        let number = type_number(kind).ok_or_else(|| fault(format!("{kind:?} is not a GGUF type")))?;
        name.put(&mut self.tensors);
        (shape.len() as u32).put(&mut self.tensors);
        for &size in shape.iter().rev() {
            self.tensors.extend((size as u64).to_le_bytes());
        }
        number.put(&mut self.tensors);
        self.tensors.extend(self.data_bytes.to_le_bytes());
        self.tensor_count += 1;
        self.data_bytes += bytes + padding(bytes) as u64;
        Ok(bytes)
    }

    /// Bytes of all tensors named so far, with what pads them.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The bytes of the header; tensors follow it.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
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

/// Padding after that many bytes.
pub(crate) fn padding(bytes: u64) -> usize {
    let alignment = DEFAULT_ALIGNMENT as u64;
    (bytes.next_multiple_of(alignment) - bytes) as usize
}
