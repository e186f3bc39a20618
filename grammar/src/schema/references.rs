//! References of a schema: each target becomes one definition.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::numbers::MOST_FRACTION;
use super::{Walk, escaped};
use crate::error::Result;

/// Targets of references.
pub(super) struct References<'a> {
    /// Number of each definition, by pointer.
    numbers: HashMap<String, usize>,
    /// Definitions that are not converted yet, with their pointers.
    open: Vec<(usize, String, &'a Value)>,
    /// Pointers by `$id`, `$anchor` and similar keywords, in the spelling of references.
    named: HashMap<String, String>,
}

impl<'a> References<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { numbers: HashMap::new(), open: Vec::new(), named: names(root) }
    }
}

/// Every `$id` and `$anchor`, with the pointer to its schema.
fn names(root: &Value) -> HashMap<String, String> {
    let (mut named, mut open) = (HashMap::new(), vec![(root, String::new())]);
    while let Some((value, at)) = open.pop() {
        match value {
            Value::Object(map) => {
                for keyword in ["$id", "id"] {
                    if let Some(Value::String(id)) = map.get(keyword) {
                        named.entry(id.trim_end_matches('#').to_owned()).or_insert_with(|| at.clone());
                    }
                }
                if let Some(Value::String(anchor)) = map.get("$anchor") {
                    named.entry(format!("#{anchor}")).or_insert_with(|| at.clone());
                }
                open.extend(map.iter().map(|(name, value)| (value, format!("{at}/{}", escaped(name)))));
            }
            Value::Array(list) => {
                open.extend(list.iter().enumerate().map(|(index, value)| (value, format!("{at}/{index}"))));
            }
            _ => {}
        }
    }
    named
}

/// Decodes escapes such as `%20`.
fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn anything() -> Value {
    json!({ "$ref": "#/$defs/any" })
}

/// Scalar values; numbers are those that every parser reads.
fn scalars() -> [Value; 2] {
    [
        json!({ "type": ["null", "boolean", "string"] }),
        json!({ "type": "number", "minimum": -MOST_FRACTION, "maximum": MOST_FRACTION }),
    ]
}

/// Scalars, and lists and objects of `inner`.
fn values(inner: &Value) -> Value {
    let [scalar, number] = scalars();
    json!({ "anyOf": [
        scalar, number, { "type": "array", "items": inner }, { "type": "object", "additionalProperties": inner },
    ] })
}

impl<'a> Walk<'a> {
    /// The pointer and the schema of a reference.
    pub(super) fn target(&self, reference: &str) -> Option<(String, &'a Value)> {
        let root_id = self.root.get("$id").or_else(|| self.root.get("id")).and_then(Value::as_str).unwrap_or_default();
        let inside = reference.strip_prefix(root_id.trim_end_matches('#')).unwrap_or(reference);
        let known = self.references.named.get(reference).or_else(|| self.references.named.get(inside));
        let pointer = match (known, inside.split_once('#')) {
            (Some(pointer), _) => pointer.clone(),
            (None, Some(("", pointer))) => percent_decoded(pointer),
            (None, Some((id, pointer))) => self.references.named.get(id)?.clone() + &percent_decoded(pointer),
            (None, None) if inside.is_empty() => String::new(),
            (None, None) => return None,
        };
        let pointer = if pointer == "/" { String::new() } else { pointer };
        Some((pointer.clone(), self.root.pointer(&pointer)?))
    }

    /// Any value. For combined schemas it has no recursive reference, which would be expanded without end; then lists and objects contain
    /// scalars only.
    pub(super) fn any(&self) -> Value {
        if self.closes { anything() } else { values(&json!({ "anyOf": scalars() })) }
    }

    /// A reference to a definition.
    pub(super) fn reference(&mut self, value: &Value) -> Result<Value> {
        let Some(reference) = value.as_str() else { return self.refuse("$ref", "must be a string") };
        let Some((pointer, target)) = self.target(reference) else {
            return self.refuse("$ref", format!("{reference:?} names nothing in this schema"));
        };
        let next = self.references.numbers.len();
        let number = *self.references.numbers.entry(pointer.clone()).or_insert(next);
        if number == next {
            self.references.open.push((number, pointer, target));
        }
        Ok(json!(format!("#/$defs/{number}")))
    }

    /// All referenced definitions.
    pub(super) fn definitions(&mut self) -> Result<Map<String, Value>> {
        let mut definitions = Map::new();
        if self.closes {
            definitions.insert("any".into(), values(&anything()));
        }
        while let Some((number, pointer, target)) = self.references.open.pop() {
            self.at = pointer;
            let normal = self.schema(target)?;
            definitions.insert(number.to_string(), normal);
        }
        Ok(definitions)
    }
}
