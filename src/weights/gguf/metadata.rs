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
    /// Every value by its key.
    pub values: BTreeMap<String, Value>,
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

/// The number of that type.
fn number(kind: u32, bytes: &[u8]) -> Value {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    // Shifts the sign bit to the top and back.
    let signed = |bits: u32| unsigned.cast_signed() << (64 - bits) >> (64 - bits);
    match kind {
        7 => Value::Flag(unsigned != 0),
        6 => Value::Float(f32::from_bits(unsigned as u32).into()),
        12 => Value::Float(f64::from_bits(unsigned)),
        1 | 3 | 5 | 11 => Value::Integer(signed(8 * bytes.len() as u32).into()),
        _ => Value::Integer(unsigned.into()),
    }
}

/// What a value may be asked for as.
pub trait FromValue<'a>: Sized {
    /// What it is called in errors.
    const WHAT: &'static str;

    /// The value as that, if it is one.
    fn from_value(value: &'a Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty, $what:literal: $($value:pat => $read:expr),+;)+) => {$(
        impl<'a> FromValue<'a> for $type {
            const WHAT: &'static str = $what;

            fn from_value(value: &'a Value) -> Option<Self> {
                match value {
                    $($value => $read,)+
                    _ => None,
                }
            }
        }
    )+};
}

from_value! {
    usize, "a whole number": Value::Integer(size) => usize::try_from(*size).ok();
    u32, "a token id": Value::Integer(id) => u32::try_from(*id).ok();
    f64, "a number": Value::Float(number) => Some(*number), Value::Integer(number) => Some(*number as f64);
    bool, "true or false": Value::Flag(flag) => Some(*flag);
    &'a str, "a string": Value::Text(text) => Some(text);
    &'a [String], "an array of strings": Value::Texts(texts) => Some(texts);
    &'a [i64], "an array of integers": Value::Integers(integers) => Some(integers);
    [f32; 3], "three numbers": Value::Floats(numbers) => numbers.as_array().map(|three| three.map(|x| x as f32));
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

    /// The value of a key as what is asked for; [`Error::InvalidCheckpoint`] if it is none.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| self.refuse(format!("{key} is not {}", T::WHAT)))
    }

    /// A value without which nothing goes.
    ///
    /// # Errors
    /// As [`Self::get`], and if it is missing.
    pub fn needed<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T> {
        self.get(key)?.ok_or_else(|| self.refuse(format!("{key} is missing")))
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
            Ok(number(kind, cursor.take(bytes).await?))
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
    if matches!(kind, 6 | 12) {
        return Ok(Value::Floats(numbers.filter_map(|number| f64::from_value(&number)).collect()));
    }
    let integers = numbers.map(|number| match number {
        Value::Flag(flag) => i64::from(flag),
        // What does not fit is no token type, the only integers anybody asks for.
        Value::Integer(integer) => i64::try_from(integer).unwrap_or(i64::MAX),
        _ => i64::MAX,
    });
    Ok(Value::Integers(integers.collect()))
}
