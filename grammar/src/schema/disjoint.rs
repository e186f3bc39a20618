//! Test for schemas that no value can match together. Conservative: returns true only if that is certain.

use std::cell::Cell;

use serde_json::Value;

use super::Walk;

/// Limit of consecutive references and of nested alternatives.
const DEPTH: usize = 8;
/// Limit of compared pairs of schemas.
pub(super) const PAIRS: usize = 50_000;
/// Limit of compared values.
const VALUES: usize = 200;
const TYPES: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

/// Returns true if no value matches both schemas, given in their original form.
pub(super) fn disjoint(walk: &Walk<'_>, pair: (&Value, &Value), left: &Cell<usize>, depth: usize) -> bool {
    if depth > DEPTH || left.get() == 0 {
        return false;
    }
    left.set(left.get() - 1);
    let (Some(a), Some(b)) = (resolved(walk, pair.0), resolved(walk, pair.1)) else { return false };
    if a == &Value::Bool(false) || b == &Value::Bool(false) {
        return true;
    }
    let list = |schema: &Value, keyword: &str| schema.get(keyword).and_then(Value::as_array).cloned();
    for (one, other) in [(a, b), (b, a)] {
        let excludes = |inner: &Value| disjoint(walk, (inner, other), left, depth + 1);
        let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|keyword| list(one, keyword));
        if alternatives.into_iter().any(|list| !list.is_empty() && list.iter().all(excludes))
            || list(one, "allOf").is_some_and(|list| list.iter().any(excludes))
        {
            return true;
        }
    }
    if let (Some(a), Some(b)) = (values(a), values(b)) {
        return a.len().max(b.len()) <= VALUES && a.iter().all(|value| !b.iter().any(|other| equal(value, other)));
    }
    TYPES.iter().all(|name| {
        let nothing_else = match *name {
            "number" => ranges_differ(a, b) || ranges_differ(b, a),
            "object" => [(a, b), (b, a)].into_iter().any(|pair| objects_differ(walk, pair, left, depth)),
            _ => false,
        };
        !may_be(a, name) || !may_be(b, name) || nothing_else
    })
}

/// Follows references. Keywords beside a reference narrow the schema and are ignored.
fn resolved<'s>(walk: &Walk<'s>, mut schema: &'s Value) -> Option<&'s Value> {
    for _ in 0..DEPTH {
        match schema.get("$ref") {
            Some(Value::String(reference)) => schema = walk.target(reference)?.1,
            _ => return Some(schema),
        }
    }
    None
}

/// The literal values of a schema.
fn values(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(Value::Array(list))) => Some(list.iter().collect()),
        _ => None,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Returns true if a value of a type may match.
fn may_be(schema: &Value, name: &str) -> bool {
    let names = |one: &Value| one == name || (one == "integer" && name == "number");
    match (values(schema), schema.get("type")) {
        (Some(values), _) => values.iter().any(|value| is_of(value, name)),
        (None, Some(Value::Array(list))) => list.iter().any(names),
        (None, Some(one)) => names(one),
        (None, None) => true,
    }
}

fn ranges_differ(a: &Value, b: &Value) -> bool {
    let number = |schema: &Value, keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    matches!((number(a, "maximum"), number(b, "minimum")), (Some(most), Some(least)) if most < least)
}

/// Returns true if the first schema requires a property that the second forbids or defines disjointly.
fn objects_differ(walk: &Walk<'_>, (a, b): (&Value, &Value), left: &Cell<usize>, depth: usize) -> bool {
    let property = |schema: &Value, name: &str| schema.get("properties").and_then(|all| all.get(name)).cloned();
    let required = a.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    required.into_iter().any(|name| match (property(a, name), property(b, name)) {
        (Some(one), Some(other)) => disjoint(walk, (&one, &other), left, depth + 1),
        (_, None) => b.get("additionalProperties") == Some(&Value::Bool(false)) && b.get("patternProperties").is_none(),
        (None, Some(_)) => false,
    })
}

/// Returns true if a value has a type.
pub(super) fn is_of(value: &Value, name: &str) -> bool {
    match (value, name) {
        (Value::Number(number), "integer") => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        (Value::Null, "null")
        | (Value::Bool(_), "boolean")
        | (Value::Number(_), "number")
        | (Value::String(_), "string")
        | (Value::Array(_), "array")
        | (Value::Object(_), "object") => true,
        _ => false,
    }
}
