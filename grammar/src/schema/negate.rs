//! Negations of schemas, as schemas one of which matches. Those that cannot be expressed are left out, which is narrower.

use serde_json::{Value, json};

use super::expand::is_anything;
use super::flat::Part;
use super::formats::format;
use super::{Keywords, Walk};
use crate::error::Result;

/// Schemas of the values that do not match a schema.
#[derive(Default)]
pub(super) struct Negations {
    pub schemas: Vec<Value>,
    /// True if there are other such values.
    pub is_partial: bool,
}

/// Keywords since draft 2019-09.
const LATER: [&str; 3] = ["prefixItems", "dependentRequired", "dependentSchemas"];

/// Keywords whose negations cannot be expressed.
const INEXPRESSIBLE: [&str; 10] = [
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "uniqueItems",
    "multipleOf",
    "pattern",
    "additionalItems",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
];

fn not(schema: &Value) -> Value {
    json!({ "not": schema })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The types that a `type` does not name.
fn other_types(value: &Value) -> Value {
    let names = |name: &str| value == name || list(value).any(|one| one == name);
    let is_other = |name: &&&str| !(names(name) || **name == "number" && names("integer"));
    json!(["null", "boolean", "number", "string", "array", "object"].iter().filter(is_other).collect::<Vec<_>>())
}

impl<'a> Walk<'a> {
    /// Negates a schema.
    pub(super) fn negations(&mut self, part: &Part<'a>) -> Result<Negations> {
        let mut all = Negations::default();
        match part.schema.as_ref() {
            Value::Bool(true) => {}
            Value::Object(keywords) => {
                let schema = self.root.get("$schema").and_then(Value::as_str).unwrap_or_default();
                let is_old = schema.contains("/draft-0");
                for (keyword, value) in keywords {
                    // Before draft 2019-09, validators ignore these.
                    let beside = keywords.contains_key("$ref") && keyword != "$ref";
                    if is_old && (beside || LATER.contains(&keyword.as_str())) {
                        all.is_partial = true;
                        continue;
                    }
                    self.negate(part, keywords, (keyword, value), &mut all)?;
                }
            }
            _ => all.schemas.push(json!(true)),
        }
        Ok(all)
    }

    fn negate(
        &mut self,
        part: &Part<'a>,
        given: &Keywords,
        (keyword, value): (&str, &Value),
        all: &mut Negations,
    ) -> Result<()> {
        all.schemas.extend(outside(given, keyword, value));
        match keyword {
            "type" => {
                let others = other_types(value);
                let names = |name: &str| value == name || list(value).any(|one| one == name);
                // Numbers with fractions cannot be told apart from others.
                all.is_partial |= names("integer") && !names("number");
                all.schemas.extend((others != json!([])).then(|| json!({ "type": others })));
            }
            "const" | "enum" => all.schemas.push(json!({ "not": { keyword: value } })),
            "required" => all.schemas.extend(
                list(value)
                    .filter_map(Value::as_str)
                    .map(|name| json!({ "type": "object", "properties": { name: false } })),
            ),
            "properties" => all.schemas.extend(entries(value).filter(|(_, inner)| !is_anything(inner)).map(
                |(name, inner)| json!({ "type": "object", "required": [name], "properties": { name: not(inner) } }),
            )),
            "allOf" => all.schemas.extend(list(value).map(not)),
            "anyOf" | "oneOf" => {
                all.schemas.push(json!({ "allOf": list(value).map(not).collect::<Vec<_>>() }));
                all.is_partial |= keyword == "oneOf";
            }
            "not" => all.schemas.push(value.clone()),
            "$ref" => {
                let target = self.resolved(part, keyword, value)?;
                all.schemas.push(not(&target.schema));
            }
            "if" => {
                let then = given.get("then").map(|then| json!({ "allOf": [value, not(then)] }));
                let otherwise = given.get("else").map(|other| json!({ "allOf": [not(value), not(other)] }));
                all.schemas.extend(then.into_iter().chain(otherwise));
            }
            "items" | "prefixItems" | "contains" => negate_items(given, keyword, value, all),
            "dependentRequired" | "dependentSchemas" | "dependencies" => {
                all.schemas.extend(entries(value).map(|(name, needs)| {
                    let needs = if needs.is_array() { json!({ "required": needs }) } else { needs.clone() };
                    json!({ "allOf": [{ "type": "object", "required": [name] }, not(&needs)] })
                }));
            }
            "format" => all.is_partial |= value.as_str().and_then(format).is_some(),
            name if INEXPRESSIBLE.contains(&name) => all.is_partial = true,
            _ => {}
        }
        Ok(())
    }
}

/// The schema of what is beyond a limit.
fn outside(given: &Keywords, keyword: &str, value: &Value) -> Option<Value> {
    let number = |keyword: &str| Some(json!({ "type": "number", keyword: value }));
    let count = value.as_f64().map(|count| count as u64);
    let fewer = |kind: &str, keyword: &str| Some(json!({ "type": kind, keyword: count?.checked_sub(1)? }));
    let more = |kind: &str, keyword: &str| Some(json!({ "type": kind, keyword: count?.checked_add(1)? }));
    match keyword {
        "minLength" => fewer("string", "maxLength"),
        "maxLength" => more("string", "minLength"),
        "minItems" => fewer("array", "maxItems"),
        "maxItems" => more("array", "minItems"),
        "minProperties" => fewer("object", "maxProperties"),
        "maxProperties" => more("object", "minProperties"),
        "minimum" if given.get("exclusiveMinimum") == Some(&json!(true)) => number("maximum"),
        "maximum" if given.get("exclusiveMaximum") == Some(&json!(true)) => number("minimum"),
        "minimum" => number("exclusiveMaximum"),
        "maximum" => number("exclusiveMinimum"),
        "exclusiveMinimum" if value.is_number() => number("maximum"),
        "exclusiveMaximum" if value.is_number() => number("minimum"),
        _ => None,
    }
}

fn negate_items(given: &Keywords, keyword: &str, value: &Value, all: &mut Negations) {
    let first = given.get("prefixItems").is_some();
    match keyword {
        "items" if !value.is_array() && !first => {
            all.schemas.push(json!({ "type": "array", "contains": not(value) }));
        }
        "contains" if given.get("minContains").is_none_or(|least| least == 1) => {
            all.schemas.push(json!({ "type": "array", "items": not(value) }));
            all.is_partial |= given.contains_key("maxContains");
        }
        "contains" | "items" if !value.is_array() => all.is_partial = true,
        _ => all.schemas.extend(list(value).enumerate().map(|(index, inner)| {
            let mut items = vec![json!(true); index];
            items.push(not(inner));
            json!({ "type": "array", "minItems": index + 1, "prefixItems": items })
        })),
    }
}
