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
    /// Pointers by the URIs of `$id`, `$anchor` and similar keywords.
    named: HashMap<String, String>,
    /// URIs of schemas by their pointers with a slash.
    resources: Vec<(String, String)>,
}

impl<'a> References<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let (named, resources) = (HashMap::from([(String::new(), String::new())]), Vec::new());
        let mut this = Self { numbers: HashMap::new(), used: 0, open: Vec::new(), named, resources };
        name(&mut this, root, "", "");
        this
    }

    /// The number of the next definition.
    pub(super) fn next(&self) -> usize {
        self.used
    }
}

/// Adds every `$id` and `$anchor` as a URI without relative parts, with the pointer to its schema.
fn name(references: &mut References<'_>, value: &Value, at: &str, base: &str) {
    let mut base = base.to_owned();
    let named = &mut references.named;
    if let Value::Object(map) = value {
        if let Some(id) = map.get("$id").or_else(|| map.get("id")).and_then(Value::as_str) {
            let whole = joined(&base, id);
            if !id.starts_with('#') {
                whole.trim_end_matches('#').clone_into(&mut base);
                references.resources.push((format!("{at}/"), base.clone()));
            }
            named.entry(whole.trim_end_matches('#').to_owned()).or_insert_with(|| at.to_owned());
        }
        for anchor in ["$anchor", "$dynamicAnchor"].iter().filter_map(|keyword| map.get(*keyword)?.as_str()) {
            named.entry(format!("{base}#{anchor}")).or_insert_with(|| at.to_owned());
        }
        for (key, inner) in map {
            name(references, inner, &format!("{at}/{}", escaped(key)), &base);
        }
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        name(references, inner, &format!("{at}/{index}"), &base);
    }
}

/// A reference as a URI, if it stands in the schema with this URI.
fn joined(base: &str, reference: &str) -> String {
    let scheme = reference.split(['/', '?', '#']).next().unwrap_or_default();
    if scheme.contains(':') {
        return reference.to_owned();
    }
    if reference.is_empty() || reference.starts_with('#') {
        return format!("{base}{reference}");
    }
    let authority = base.find("://").map_or(0, |at| base[at + 3..].find('/').map_or(base.len(), |end| at + 3 + end));
    let folder = if reference.starts_with('/') { authority } else { base.rfind('/').map_or(0, |at| at + 1) };
    format!("{}{}", &base[..folder.max(authority)], reference.trim_start_matches("./"))
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
    /// The pointer and the schema of a reference that stands at a pointer.
    fn target(&self, at: &str, reference: &str) -> Option<(String, &'a Value)> {
        let inside = format!("{at}/");
        let around = self.references.resources.iter().filter(|(place, _)| inside.starts_with(place));
        let base = around.max_by_key(|(place, _)| place.len()).map_or("", |(_, base)| base);
        let whole = joined(base, reference);
        let whole = whole.trim_end_matches("#/").trim_end_matches('#');
        let pointer = match (self.references.named.get(whole), whole.split_once('#')) {
            (Some(pointer), _) => pointer.clone(),
            (None, Some((resource, place))) => {
                let place = percent_decoded(place);
                let resource = self.references.named.get(resource)?;
                place.starts_with('/').then(|| format!("{resource}{place}"))?
            }
            (None, None) => return None,
        };
        Some((pointer.clone(), self.root.pointer(&pointer)?))
    }

    /// Any value.
    pub(super) fn any(&self) -> Value {
        anything()
    }

    /// The schema that a reference names.
    pub(super) fn resolved(&self, part: &Part<'a>, keyword: &str, value: &Value) -> Result<Part<'a>> {
        let Some(reference) = value.as_str() else { return part.refuse(keyword, "must be a string") };
        match self.target(&part.at, reference) {
            Some((_, target))
                if keyword == "$dynamicRef" && self.is_dynamic && target.get("$dynamicAnchor").is_some() =>
            {
                part.refuse(keyword, "references that depend on who refers are not supported")
            }
            Some((pointer, target)) => Ok(Part::given(&pointer, target)),
            None => part.refuse(keyword, format!("{reference:?} names nothing in this schema")),
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
