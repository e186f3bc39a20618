//! Schemas in the matcher's form: of one type each, without combinations but `anyOf`, which stands alone.

use std::collections::hash_map::Entry;

use serde_json::{Map, Value, json};

use super::expand::is_anything;
use super::flat::{Arrays, Flat, Part, Strings};
use super::own::MAX_LENGTH;
use super::values::{ARRAY, BOOLEAN, FRACTION, INTEGER, NULL, NUMBER, OBJECT, STRING, Types, equal, type_of};
use super::{ANNOTATIONS, Walk};
use crate::error::{GrammarError, Result};

/// Largest number of strings that may be excluded.
const MAX_EXCLUDED: usize = 200;

impl<'a> Walk<'a> {
    /// The schema of a value that matches all parts; `false` if none does.
    pub(super) fn node(&mut self, parts: &[Part<'a>]) -> Result<Value> {
        let mut own: Vec<Part<'a>> = Vec::new();
        for part in parts.iter().filter(|part| !is_anything(&part.schema)) {
            if *part.schema == Value::Bool(false) {
                return Ok(Value::Bool(false));
            }
            if !own.iter().any(|known| known.key() == part.key()) {
                own.push(part.clone());
            }
        }
        if own.is_empty() {
            return Ok(self.any());
        }
        if let [one] = &own[..]
            && let Some(simple) = self.simple(one)?
        {
            return Ok(simple);
        }
        let mut keys: Vec<String> = own.iter().map(Part::key).collect();
        keys.sort();
        let key = keys.join("\n");
        match self.open.entry(key.clone()) {
            Entry::Occupied(mut entry) => {
                // The schema contains itself.
                let next = self.references.next();
                let number = *entry.get_mut().get_or_insert(next);
                self.references.used = self.references.used.max(number + 1);
                return Ok(json!({ "$ref": format!("#/$defs/{number}") }));
            }
            Entry::Vacant(entry) => drop(entry.insert(None)),
        }
        self.enter(&own[0])?;
        let flats = self.alternatives_of(&own)?;
        if flats.is_empty() {
            self.note(&own[0].at, "", "no value fits");
        }
        let mut found = Vec::new();
        for flat in &flats {
            self.written(&own[0], flat, &mut found)?;
        }
        self.depth -= 1;
        let value = one_of_these(found, &self.any());
        Ok(match self.open.remove(&key).flatten() {
            Some(number) => {
                self.definitions.insert(number.to_string(), value);
                json!({ "$ref": format!("#/$defs/{number}") })
            }
            None => value,
        })
    }

    /// A schema that only refers or lists alternatives: it keeps its references, and so its size.
    fn simple(&mut self, part: &Part<'a>) -> Result<Option<Value>> {
        let Value::Object(keywords) = part.schema.as_ref() else { return Ok(None) };
        let is_said = |name: &&String| !ANNOTATIONS.contains(&name.as_str());
        let [keyword] = keywords.keys().filter(is_said).collect::<Vec<_>>()[..] else { return Ok(None) };
        let value = &keywords[keyword];
        match (keyword.as_str(), value) {
            ("$ref" | "$dynamicRef", _) => {
                let target = self.resolved(part, keyword, value)?;
                if target.schema.is_boolean() {
                    return self.node(&[target]).map(Some);
                }
                Ok(Some(self.reference(Part { is_derived: part.is_derived, ..target })))
            }
            ("anyOf" | "oneOf", Value::Array(list)) if !list.is_empty() => {
                let inner = (0..list.len()).filter_map(|index| part.inner(&format!("/{keyword}/{index}")));
                let inner: Vec<Part<'a>> = inner.collect();
                if keyword == "oneOf" && !self.are_disjoint(&inner) {
                    return Ok(None);
                }
                self.enter(part)?;
                let mut found = Vec::new();
                for one in inner {
                    found.push(self.node(&[one])?);
                }
                self.depth -= 1;
                found.retain(|value| value != &Value::Bool(false));
                Ok(Some(one_of_these(found, &self.any())))
            }
            _ => Ok(None),
        }
    }

    /// Adds the schemas of one alternative.
    fn written(&mut self, part: &Part<'a>, flat: &Flat<'a>, found: &mut Vec<Value>) -> Result<()> {
        if let Some(values) = &flat.values {
            let mut fitting = Vec::new();
            for value in values {
                if self.accepts(flat, value)? {
                    fitting.push(value.clone());
                }
            }
            if fitting.is_empty() {
                self.note(&part.at, "", "no value of the list fits");
            } else {
                found.push(json!({ "enum": fitting }));
            }
            return Ok(());
        }
        let types = if flat.is_typed || flat.about == 0 { flat.types } else { flat.types & flat.about };
        if types == super::values::ALL && flat.about == 0 && flat.excluded.is_empty() {
            found.push(self.any());
            return Ok(());
        }
        let excludes = |value: Value| flat.excluded.iter().any(|known| equal(known, &value));
        let excludes_type = |kind: Types| flat.excluded.iter().any(|value| type_of(value) & kind != 0);
        if types & NULL != 0 && !excludes(Value::Null) {
            found.push(json!({ "type": "null" }));
        }
        if types & BOOLEAN != 0 {
            let left: Vec<bool> = [true, false].into_iter().filter(|value| !excludes(json!(value))).collect();
            match left.len() {
                2 => found.push(json!({ "type": "boolean" })),
                1 => found.push(json!({ "enum": left })),
                _ => {}
            }
        }
        if types & INTEGER != 0 {
            self.numbers(part, flat, types & NUMBER == NUMBER, found)?;
        } else if types & FRACTION != 0 {
            self.note(&part.at, "type", "numbers that are no integers cannot be told apart from others");
        }
        if types & STRING != 0 {
            self.string(part, flat, found)?;
        }
        // Which lists and objects are not excluded cannot be expressed.
        if types & ARRAY != 0 && !excludes_type(ARRAY) {
            self.array(part, flat, found)?;
        }
        if types & OBJECT != 0 && !excludes_type(OBJECT) {
            self.object(part, flat, found)?;
        }
        Ok(())
    }

    fn string(&mut self, part: &Part<'a>, flat: &Flat<'a>, found: &mut Vec<Value>) -> Result<()> {
        let Strings { least, most, patterns } = &flat.strings;
        if most.is_some_and(|most| most < *least) {
            self.note(&part.at, "minLength", "is more than maxLength");
            return Ok(());
        }
        let mut patterns = patterns.clone();
        let excluded: Vec<&str> = flat.excluded.iter().filter_map(Value::as_str).collect();
        if excluded.len() > MAX_EXCLUDED {
            return part.refuse("not", format!("more than {MAX_EXCLUDED} excluded texts"));
        }
        if !excluded.is_empty() {
            patterns.push(format!("^(?:{})$", none_of(&excluded)));
        }
        let mut out = Map::from_iter([("type".to_owned(), json!("string"))]);
        if *least > 0 {
            out.insert("minLength".into(), json!(least));
        }
        if let Some(most) = most {
            // Narrower than allowed.
            out.insert("maxLength".into(), json!((*most).min(MAX_LENGTH)));
        }
        let mut patterns = patterns.into_iter();
        if let Some(first) = patterns.next() {
            out.insert("pattern".into(), json!(first));
        }
        let others: Vec<Value> = patterns.map(|pattern| json!({ "type": "string", "pattern": pattern })).collect();
        if !others.is_empty() {
            // The matcher intersects the patterns of strings exactly.
            out.insert("allOf".into(), Value::Array(others));
        }
        found.push(Value::Object(out));
        Ok(())
    }

    fn array(&mut self, part: &Part<'a>, flat: &Flat<'a>, found: &mut Vec<Value>) -> Result<()> {
        let arrays = &flat.arrays;
        let longest = arrays.items.iter().map(|own| own.first.len()).max().unwrap_or(0);
        let mut most = arrays.most;
        if let Some(at) = arrays.unique.as_ref().filter(|_| most.is_none_or(|most| most > 1)) {
            return Err(GrammarError::schema(at, "uniqueItems", "earlier items cannot be forbidden to occur again"));
        }
        let mut first = Vec::new();
        for index in 0..longest.min(most.map_or(longest, |most| most as usize)) {
            let item = self.node(&arrays.item(index))?;
            if item == Value::Bool(false) {
                most = Some(index as u64);
                break;
            }
            first.push(item);
        }
        let rest = if most.is_some_and(|most| most as usize <= first.len()) {
            Value::Bool(false)
        } else {
            self.node(&arrays.item(longest))?
        };
        if rest == Value::Bool(false) {
            most = Some(most.map_or(first.len() as u64, |most| most.min(first.len() as u64)));
        }
        if most.is_some_and(|most| most < arrays.least) {
            self.note(&part.at, "minItems", "as many items are not allowed");
            return Ok(());
        }
        let mut out = Map::from_iter([("type".to_owned(), json!("array"))]);
        if !first.is_empty() {
            out.insert("prefixItems".into(), Value::Array(first));
        }
        out.insert("items".into(), rest);
        if arrays.least > 0 {
            out.insert("minItems".into(), json!(arrays.least));
        }
        if let Some(most) = most {
            out.insert("maxItems".into(), json!(most.min(MAX_LENGTH)));
        }
        found.push(Value::Object(out));
        Ok(())
    }

    /// Begins a schema within another.
    fn enter(&mut self, part: &Part<'a>) -> Result<()> {
        self.depth += 1;
        if self.depth > super::MAX_DEPTH {
            return Err(GrammarError::schema(
                &part.at,
                "",
                format!("more than {} schemas within each other", super::MAX_DEPTH),
            ));
        }
        Ok(())
    }
}

impl<'a> Arrays<'a> {
    /// The schemas of an item.
    pub(super) fn item(&self, index: usize) -> Vec<Part<'a>> {
        self.items.iter().filter_map(|own| own.first.get(index).or(own.rest.as_ref())).cloned().collect()
    }
}

/// Any one of these schemas.
fn one_of_these(found: Vec<Value>, any: &Value) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for value in found {
        if &value == any {
            return value;
        }
        if !all.contains(&value) {
            all.push(value);
        }
    }
    match all.len() {
        0 => Value::Bool(false),
        1 => all.swap_remove(0),
        _ => json!({ "anyOf": all }),
    }
}

/// A regular expression for all texts but these.
fn none_of(texts: &[&str]) -> String {
    let mut firsts: Vec<char> = texts.iter().filter_map(|text| text.chars().next()).collect();
    firsts.sort_unstable();
    firsts.dedup();
    let code = |c: &char| format!("\\x{{{:x}}}", u32::from(*c));
    let mut all = Vec::new();
    if !texts.contains(&"") {
        all.push(String::new());
    }
    let others: String = firsts.iter().map(code).collect();
    all.push(if others.is_empty() { "(?s:.)(?s:.)*".into() } else { format!("[^{others}](?s:.)*") });
    for c in &firsts {
        let rests: Vec<&str> = texts.iter().filter_map(|text| text.strip_prefix(*c)).collect();
        all.push(format!("{}(?:{})", code(c), none_of(&rests)));
    }
    all.join("|")
}
