//! Literal values and their types.

use serde_json::Value;

/// Sets of types, as bits. A number is an integer or has a fraction.
pub(super) type Types = u8;
pub(super) const NULL: Types = 1;
pub(super) const BOOLEAN: Types = 2;
pub(super) const INTEGER: Types = 4;
pub(super) const FRACTION: Types = 8;
pub(super) const NUMBER: Types = INTEGER | FRACTION;
pub(super) const STRING: Types = 16;
pub(super) const ARRAY: Types = 32;
pub(super) const OBJECT: Types = 64;
pub(super) const ALL: Types = 127;
/// Types by name.
pub(super) const TYPES: [(&str, Types); 7] = [
    ("null", NULL),
    ("boolean", BOOLEAN),
    ("number", NUMBER),
    ("integer", INTEGER),
    ("string", STRING),
    ("array", ARRAY),
    ("object", OBJECT),
];

/// Largest integer that every parser reads exactly: 2^53 - 1.
pub(super) const MOST: f64 = 9_007_199_254_740_991.0;
/// Largest number with a fraction.
pub(super) const MOST_FRACTION: f64 = 1e15;
/// Equality of JSON, in which 1 and 1.0 are the same.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| equal(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, value): (&String, &Value)| other.get(name).is_some_and(|known| equal(known, value));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => a == b,
    }
}

/// The type of a value.
pub(super) fn type_of(value: &Value) -> Types {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => INTEGER,
        Value::Number(_) => NUMBER & !INTEGER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// The reason why a value or a part of it cannot be generated, if any.
pub(super) fn unwritable(value: &Value) -> Option<String> {
    // Only these control characters have short escapes; others are never generated.
    let is_control = |c: char| (c < ' ' || c == '\x7f') && !"\n\r\t\x08\x0c".contains(c);
    match value {
        Value::Number(number) => number
            .as_f64()
            .filter(|size| size.abs() > MOST)
            .map(|_| format!("{number} is a number that not every parser reads exactly")),
        Value::String(text) => text.contains(is_control).then(|| format!("{text:?} has a control character")),
        Value::Array(list) => list.iter().find_map(unwritable),
        Value::Object(map) => map.values().find_map(unwritable),
        _ => None,
    }
}
