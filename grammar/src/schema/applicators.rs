//! Combinations of schemas: references, `allOf`, `anyOf`, `oneOf`; and the literal values of `enum` and `const`.

use std::cell::Cell;

use serde_json::{Value, json};

use super::disjoint::{PAIRS, disjoint, is_of};
use super::numbers::MOST;
use super::{Keywords, Walk};
use crate::error::Result;

/// Most values of an `enum`.
const MAX_VALUES: usize = 5000;

impl<'a> Walk<'a> {
    /// Adds combined schemas to `out`. Returns true if no value can match.
    pub(super) fn combined(&mut self, given: &'a Keywords, out: &mut Keywords) -> Result<bool> {
        let is_all = |value: &Value| match value {
            Value::Bool(all) => *all,
            Value::Object(_) => true,
            _ => false,
        };
        // `not` excludes nothing or everything here.
        if given.get("not").is_some_and(is_all) {
            return Ok(true);
        }
        if let Some(reference) = given.get("$ref") {
            let reference = self.reference(reference)?;
            out.insert("$ref".into(), reference);
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let Some(value) = given.get(keyword) else { continue };
            let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
                return self.refuse(keyword, "must be a list of schemas");
            };
            if keyword == "oneOf" && !self.are_disjoint(list) {
                return self.refuse(
                    keyword,
                    "a value might fit two of these: only alternatives that exclude one another can be enforced",
                );
            }
            let mut normal = Vec::with_capacity(list.len());
            for (index, inner) in list.iter().enumerate() {
                normal.push(self.inner(&format!("/{keyword}/{index}"), inner)?);
            }
            if keyword == "allOf" {
                out.insert(keyword.into(), Value::Array(normal));
                continue;
            }
            normal.retain(|inner| inner.as_bool() != Some(false));
            if normal.is_empty() {
                return Ok(true);
            }
            // Alternatives of `oneOf` are disjoint.
            if let Some(before) = out.insert("anyOf".into(), Value::Array(normal)) {
                also(out, json!({ "anyOf": before }));
            }
        }
        Ok(false)
    }

    fn are_disjoint(&self, list: &[Value]) -> bool {
        let left = Cell::new(PAIRS);
        let excludes = |a: &Value, others: &[Value]| others.iter().all(|b| disjoint(self, (a, b), &left, 0));
        list.iter().enumerate().all(|(index, a)| excludes(a, &list[index + 1..]))
    }

    /// Adds literal values to `out`. Returns true if there are any.
    pub(super) fn literals(&self, given: &Keywords, out: &mut Keywords) -> Result<bool> {
        let values = match (given.get("const"), given.get("enum")) {
            (Some(one), None) => vec![one.clone()],
            (Some(one), Some(Value::Array(list))) => list.iter().filter(|value| *value == one).cloned().collect(),
            (None, Some(Value::Array(list))) => list.clone(),
            (None, None) => return Ok(false),
            (_, Some(_)) => return self.refuse("enum", "must be a list of values"),
        };
        let keyword = if given.contains_key("enum") { "enum" } else { "const" };
        if values.len() > MAX_VALUES {
            return self.refuse(keyword, format!("has {} values, {MAX_VALUES} are allowed", values.len()));
        }
        if let Some(value) = values.iter().find_map(unwritable) {
            return self.refuse(keyword, value);
        }
        let names: Option<Vec<&str>> = given.get("type").map(|names| match names {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        });
        let fits = |value: &Value| names.as_ref().is_none_or(|names| names.iter().any(|name| is_of(value, name)));
        let values: Vec<Value> = values.into_iter().filter(fits).collect();
        if values.is_empty() {
            return self.refuse(keyword, "no value fits");
        }
        out.insert("enum".into(), Value::Array(values));
        Ok(true)
    }
}

/// Adds a schema to `allOf`.
pub(super) fn also(out: &mut Keywords, schema: Value) {
    match out.get_mut("allOf") {
        Some(Value::Array(list)) => list.push(schema),
        _ => drop(out.insert("allOf".into(), Value::Array(vec![schema]))),
    }
}

/// The reason why a value or a part of it cannot be generated, if any.
fn unwritable(value: &Value) -> Option<String> {
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
