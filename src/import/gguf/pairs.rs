//! Reads the key-value pairs of a GGUF header.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::checkpoint::gguf::metadata::{FromValue, Metadata, Value};
use crate::error::Result;
use crate::package::source::ByteSource;

const MAX_KEY_BYTES: u64 = 65_535;
/// Value types, by their numbers in the format.
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a number, or the minimum for a string.
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
    // Sign extension: shifts the sign bit to the top and back.
    let signed = |bits: u32| unsigned.cast_signed() << (64 - bits) >> (64 - bits);
    match kind {
        7 => Value::Flag(unsigned != 0),
        6 => Value::Float(f32::from_bits(unsigned as u32).into()),
        12 => Value::Float(f64::from_bits(unsigned)),
        1 | 3 | 5 | 11 => Value::Integer(signed(8 * bytes.len() as u32).into()),
        _ => Value::Integer(unsigned.into()),
    }
}

/// Reads `count` pairs.
pub(super) async fn read_metadata<S: ByteSource>(
    cursor: &mut Cursor<'_, S>,
    file: &str,
    count: u64,
) -> Result<Metadata> {
    // The shortest pair: an empty key, its type, one byte.
    if count > cursor.left() / 13 {
        return Err(cursor.refuse(format!("truncated or damaged: {count} metadata pairs in {} bytes", cursor.left())));
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
    Ok(Metadata { file: file.into(), values })
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
        // Only token types are read from integer arrays, and larger values are no token types.
        Value::Integer(integer) => i64::try_from(integer).unwrap_or(i64::MAX),
        _ => i64::MAX,
    });
    Ok(Value::Integers(integers.collect()))
}
