//! References of a schema: each target becomes one definition.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::flat::Part;
use super::values::MOST_FRACTION;
use super::{Walk, escaped};
use crate::error::{GrammarError, Result};

/// Largest depth of a schema with the definitions within it, counted in values of JSON.
const MAX_LEVELS: usize = 2000;

/// Targets of references.
pub(super) struct References<'a> {
    /// Number of each definition, by the key of its schema.
    numbers: HashMap<String, usize>,
    /// Number of definitions.
    pub(super) used: usize,
    /// Definitions that are not converted yet.
    open: Vec<(usize, Part<'a>)>,
    /// Pointers by `$id`, `$anchor` and similar keywords, in the spelling of references.
    named: HashMap<String, String>,
}

impl<'a> References<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { numbers: HashMap::new(), used: 0, open: Vec::new(), named: names(root) }
    }

    /// The number of the next definition.
    pub(super) fn next(&self) -> usize {
        self.used
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
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(Value::String(anchor)) = map.get(keyword) {
                        named.entry(format!("#{anchor}")).or_insert_with(|| at.clone());
                    }
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

    /// Any value.
    pub(super) fn any(&self) -> Value {
        anything()
    }

    /// The schema that a reference names.
    pub(super) fn resolved(&self, part: &Part<'a>, keyword: &str, value: &Value) -> Result<Part<'a>> {
        let Some(reference) = value.as_str() else { return self.refuse_at(&part.at, keyword, "must be a string") };
        if keyword == "$dynamicRef" && self.is_dynamic {
            let reason = "references that depend on who refers are not supported";
            return self.refuse_at(&part.at, keyword, reason);
        }
        match self.target(reference) {
            Some((pointer, target)) => Ok(Part::given(&pointer, target)),
            None => self.refuse_at(&part.at, keyword, format!("{reference:?} names nothing in this schema")),
        }
    }

    /// A reference to the definition of a schema.
    pub(super) fn reference(&mut self, target: Part<'a>) -> Value {
        let next = self.references.used;
        let number = *self.references.numbers.entry(target.key()).or_insert(next);
        if number == next {
            self.references.used += 1;
            self.references.open.push((number, target));
        }
        json!({ "$ref": format!("#/$defs/{number}") })
    }

    /// All referenced definitions.
    pub(super) fn definitions(&mut self) -> Result<Map<String, Value>> {
        while let Some((number, target)) = self.references.open.pop() {
            let normal = self.node(&[target])?;
            self.definitions.insert(number.to_string(), normal);
        }
        let mut all = Map::from_iter([("any".to_owned(), values(&anything()))]);
        all.extend(std::mem::take(&mut self.definitions));
        Ok(all)
    }
}

/// Returns true if a name of a dynamic anchor has several meanings.
pub(super) fn is_dynamic(root: &Value) -> bool {
    let (mut open, mut names) = (vec![root], Vec::new());
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                names.extend(map.get("$dynamicAnchor"));
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    names.iter().enumerate().any(|(index, name)| names[..index].contains(name))
}

/// Refuses schemas whose references lead too deep: the matcher compiles a definition within the first schema that refers to it.
pub(super) fn check_depth(top: &Map<String, Value>, definitions: &Map<String, Value>) -> Result<()> {
    let (mut seen, mut deepest) = (HashSet::new(), 0);
    let mut open: Vec<(&Value, usize)> = top.values().rev().map(|value| (value, 1)).collect();
    while let Some((value, depth)) = open.pop() {
        deepest = deepest.max(depth);
        match value {
            Value::Object(map) => open.extend(map.values().rev().map(|inner| (inner, depth + 1))),
            Value::Array(list) => open.extend(list.iter().rev().map(|inner| (inner, depth + 1))),
            Value::String(text) => {
                let target = text.strip_prefix("#/$defs/").filter(|name| seen.insert(*name));
                open.extend(target.and_then(|name| definitions.get(name)).map(|inner| (inner, depth + 1)));
            }
            _ => {}
        }
    }
    if deepest <= MAX_LEVELS {
        return Ok(());
    }
    Err(GrammarError::schema("", "$ref", format!("references lead more than {MAX_LEVELS} levels deep")))
}
