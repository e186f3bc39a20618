//! The key-value pairs of a file.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::error::{Error, Result};
use crate::weights::source::ByteSource;

const MAX_KEY_BYTES: u64 = 65_535;
/// The key of the vocabulary.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";

/// A value. Numbers are widened: eight bytes for each in the file, at most.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An integer of any width.
    Integer(i128),
    /// A float of either width.
    Float(f64),
    /// A truth value.
    Flag(bool),
    /// A string.
    Text(String),
    /// An array of integers or truth values.
    Integers(Vec<i64>),
    /// An array of floats.
    Floats(Vec<f64>),
    /// An array of strings.
    Texts(Vec<String>),
}

/// The metadata of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// The file, for errors.
    pub file: String,
    values: BTreeMap<String, Value>,
}

/// How values of a type lie in the file: its number in the format.
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a number, or the least bytes of a string.
fn least_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        TEXT | 10..=12 => Some(8),
        _ => None,
    }
}

enum Number {
    Integer(i128),
    Float(f64),
    Flag(bool),
}

fn number(kind: u32, bytes: &[u8]) -> Number {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    // Shifts the sign bit to the top and back.
    let signed = |bits: u32| unsigned.cast_signed() << (64 - bits) >> (64 - bits);
    match kind {
        7 => Number::Flag(unsigned != 0),
        6 => Number::Float(f32::from_bits(unsigned as u32).into()),
        12 => Number::Float(f64::from_bits(unsigned)),
        1 | 3 | 5 | 11 => Number::Integer(signed(8 * bytes.len() as u32).into()),
        _ => Number::Integer(unsigned.into()),
    }
}

impl Metadata {
    /// Reads `count` pairs.
    pub(super) async fn read<S: ByteSource>(cursor: &mut Cursor<'_, S>, file: &str, count: u64) -> Result<Self> {
        // The shortest pair: an empty key, its type, one byte.
        if count > cursor.left() / 13 {
            return Err(
                cursor.refuse(format!("truncated or damaged: {count} metadata pairs in {} bytes", cursor.left()))
            );
        }
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let key = cursor.text(MAX_KEY_BYTES, "a metadata key").await?;
            let kind = cursor.u32().await?;
            let value = read_value(cursor, &key, kind).await?;
            if values.contains_key(&key) {
                return Err(cursor.refuse(format!("damaged: metadata key {key} is there twice")));
            }
            values.insert(key, value);
        }
        Ok(Self { file: file.into(), values })
    }

    /// An error about the file.
    pub fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(&self.file, "", reason)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    fn read_as<'a, T>(&'a self, key: &str, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.refuse(format!("{key} is not {what}")))
    }

    /// A size or count.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] if it is none; so below.
    pub fn size(&self, key: &str) -> Result<Option<usize>> {
        self.read_as(key, "a whole number", |value| match value {
            Value::Integer(size) => usize::try_from(*size).ok(),
            _ => None,
        })
    }

    /// A size without which nothing goes.
    ///
    /// # Errors
    /// As [`Self::size`], and if it is missing.
    pub fn needed(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| self.refuse(format!("{key} is missing")))
    }

    /// A token's id.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn id(&self, key: &str) -> Result<Option<u32>> {
        self.read_as(key, "a token id", |value| match value {
            Value::Integer(id) => u32::try_from(*id).ok(),
            _ => None,
        })
    }

    /// A number.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read_as(key, "a number", |value| match value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// A truth value.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read_as(key, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.read_as(key, "a string", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// An array of strings.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.read_as(key, "an array of strings", |value| match value {
            Value::Texts(texts) => Some(texts.as_slice()),
            _ => None,
        })
    }

    /// An array of integers.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn integers(&self, key: &str) -> Result<Option<&[i64]>> {
        self.read_as(key, "an array of integers", |value| match value {
            Value::Integers(integers) => Some(integers.as_slice()),
            _ => None,
        })
    }

    /// Three numbers.
    ///
    /// # Errors
    /// As [`Self::size`].
    pub fn triple(&self, key: &str) -> Result<Option<[f32; 3]>> {
        self.read_as(key, "three numbers", |value| match value {
            Value::Floats(numbers) => {
                <[f64; 3]>::try_from(numbers.as_slice()).ok().map(|three| three.map(|x| x as f32))
            }
            _ => None,
        })
    }
}

async fn read_value<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str, kind: u32) -> Result<Value> {
    match kind {
        ARRAY => read_array(cursor, key).await,
        TEXT => cursor.text(u64::MAX, key).await.map(Value::Text),
        _ => {
            let Some(bytes) = least_bytes(kind) else {
                return Err(cursor.refuse(format!("damaged: {key} has the unknown value type {kind}")));
            };
            Ok(match number(kind, cursor.take(bytes).await?) {
                Number::Integer(integer) => Value::Integer(integer),
                Number::Float(float) => Value::Float(float),
                Number::Flag(flag) => Value::Flag(flag),
            })
        }
    }
}

async fn read_array<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str) -> Result<Value> {
    let (kind, count) = (cursor.u32().await?, cursor.u64().await?);
    let Some(bytes) = least_bytes(kind) else {
        return Err(cursor.refuse(format!("damaged: {key} is an array of the unknown value type {kind}")));
    };
    if count > cursor.left() / bytes {
        return Err(cursor.refuse(format!("truncated or damaged: {key} has {count} values in {} bytes", cursor.left())));
    }
    if kind == TEXT {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(cursor.text(u64::MAX, key).await?);
        }
        return Ok(Value::Texts(texts));
    }
    // Both fit: the file has that many bytes left.
    let numbers = cursor.take(count * bytes).await?.chunks_exact(bytes as usize).map(|bytes| number(kind, bytes));
    let mut integers = Vec::new();
    let mut floats = Vec::new();
    for number in numbers {
        match number {
            Number::Float(float) => floats.push(float),
            Number::Flag(flag) => integers.push(i64::from(flag)),
            // What does not fit is no token type, the only integers anybody asks for.
            Number::Integer(integer) => integers.push(i64::try_from(integer).unwrap_or(i64::MAX)),
        }
    }
    Ok(if matches!(kind, 6 | 12) { Value::Floats(floats) } else { Value::Integers(integers) })
}
