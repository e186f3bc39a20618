//! The key-value pairs of a GGUF file.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// The key of the vocabulary.
pub const TOKENS: &str = "tokenizer.ggml.tokens";
/// The key of the merges, as pairs joined by a space, in the order of their ranks.
pub const MERGES: &str = "tokenizer.ggml.merges";

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

/// A type that a value can be converted to.
pub trait FromValue<'a>: Sized {
    /// Name of the type in errors.
    const WHAT: &'static str;

    /// The converted value; `None` if it has another type.
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
    /// An error about the file.
    pub fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(&self.file, "", reason)
    }

    /// The value of a key; [`Error::InvalidCheckpoint`] if it has another type.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| self.refuse(format!("{key} is not {}", T::WHAT)))
    }

    /// A required value.
    ///
    /// # Errors
    /// Fails like [`Self::get`], and if the key is missing.
    pub fn needed<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T> {
        self.get(key)?.ok_or_else(|| self.refuse(format!("{key} is missing")))
    }
}
