//! Objects.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Keywords, Walk, escaped, says_nothing};
use crate::error::Result;
use crate::pattern::to_rust;

/// Keywords about objects.
pub(super) const KEYWORDS: [&str; 11] = [
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
];

/// Largest number of properties, and of optional ones, which the matcher tracks in parallel.
const MAX_PROPERTIES: usize = 1000;
const MAX_OPTIONAL: usize = 300;

/// Constraint on the names of properties.
enum Names {
    Any,
    Of(Vec<String>),
    Like(String),
}

impl<'a> Walk<'a> {
    /// Adds constraints on objects.
    pub(super) fn objects(&mut self, given: &'a Keywords, out: &mut Keywords, narrow: bool) -> Result<()> {
        let mut required = self.required(given)?;
        self.dependencies(given, &mut required)?;
        let mut properties = Map::new();
        for (name, property) in self.map(given, "properties")?.into_iter().flatten() {
            let normal = self.inner(&format!("/properties/{}", escaped(name)), property)?;
            properties.insert(name.clone(), normal);
        }
        let mut patterns = Map::new();
        for (pattern, property) in self.map(given, "patternProperties")?.into_iter().flatten() {
            let translated = self.name_pattern("patternProperties", pattern)?;
            let normal = self.inner(&format!("/patternProperties/{}", escaped(pattern)), property)?;
            patterns.insert(translated, normal);
        }
        let mut others =
            self.others(given, narrow && self.closes && !(properties.is_empty() && patterns.is_empty()))?;
        match self.names(given.get("propertyNames"))? {
            Names::Any => {}
            Names::Of(names)
                if names.len() <= MAX_PROPERTIES
                    && patterns.is_empty()
                    && properties.keys().all(|name| names.contains(name)) =>
            {
                for name in names {
                    properties.entry(name).or_insert_with(|| others.clone());
                }
                properties.retain(|_, property| property != &Value::Bool(false));
                others = Value::Bool(false);
            }
            Names::Like(pattern) if patterns.is_empty() && properties.is_empty() => {
                patterns.insert(pattern, std::mem::replace(&mut others, Value::Bool(false)));
            }
            _ => return self.refuse("propertyNames", "cannot be enforced beside other names"),
        }
        if let Some(missing) = required
            .iter()
            .find(|name| others == Value::Bool(false) && patterns.is_empty() && !properties.contains_key(*name))
        {
            return self.refuse("required", format!("{missing:?} is required, but not allowed"));
        }
        let is_wide = properties.len().max(required.len()) > MAX_PROPERTIES;
        if is_wide || properties.keys().filter(|name| !required.contains(name)).count() > MAX_OPTIONAL {
            let reason =
                format!("more than {MAX_PROPERTIES} properties, or more than {MAX_OPTIONAL} that may be left out");
            return self.refuse("properties", reason);
        }
        self.counts(given, required.len(), out)?;
        if !properties.is_empty() {
            out.insert("properties".into(), Value::Object(properties));
        }
        if !patterns.is_empty() {
            out.insert("patternProperties".into(), Value::Object(patterns));
        }
        if !required.is_empty() {
            out.insert("required".into(), json!(required));
        }
        if narrow || KEYWORDS.iter().any(|keyword| given.contains_key(*keyword)) {
            out.insert("additionalProperties".into(), others);
        }
        Ok(())
    }

    fn map(&self, given: &'a Keywords, keyword: &str) -> Result<Option<&'a Keywords>> {
        match given.get(keyword) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => self.refuse(keyword, "must be an object of schemas"),
        }
    }

    fn name_pattern(&self, keyword: &str, pattern: &str) -> Result<String> {
        match to_rust(pattern).as_deref() {
            Ok([one]) => Ok(one.clone()),
            Ok(_) => self.refuse(keyword, "look-ahead cannot be enforced in names"),
            Err(reason) => self.refuse(keyword, reason.as_str()),
        }
    }

    fn required(&self, given: &Keywords) -> Result<Vec<String>> {
        let mut required: Vec<String> = Vec::new();
        match given.get("required") {
            // The form of draft 3, which tools still write.
            None | Some(Value::Bool(_)) => {}
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                let mut seen = HashSet::new();
                let names = list.iter().filter_map(Value::as_str).filter(|name| seen.insert(*name));
                required.extend(names.map(str::to_owned));
            }
            Some(_) => return self.refuse("required", "must be a list of names"),
        }
        Ok(required)
    }

    /// Makes the dependencies of required properties required; dependencies of optional ones cannot be enforced.
    fn dependencies(&self, given: &Keywords, required: &mut Vec<String>) -> Result<()> {
        for keyword in ["dependentRequired", "dependencies", "dependentSchemas"] {
            let Some(value) = given.get(keyword) else { continue };
            for (name, needs) in value.as_object().into_iter().flatten() {
                let names: Option<Vec<&str>> =
                    needs.as_array().map(|list| list.iter().filter_map(Value::as_str).collect());
                match names {
                    Some(names) if required.contains(name) => {
                        let missing: Vec<String> = names
                            .iter()
                            .filter(|needed| !required.iter().any(|known| known == *needed))
                            .map(|name| (*name).into())
                            .collect();
                        required.extend(missing);
                    }
                    Some(names) if names.iter().all(|needed| required.iter().any(|known| known == needed)) => {}
                    _ if needs == &Value::Bool(true) => {}
                    _ => {
                        return self
                            .refuse(keyword, format!("what depends on whether there is {name:?} cannot be enforced"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The schema of properties that no other keyword defines.
    fn others(&mut self, given: &'a Keywords, is_closed: bool) -> Result<Value> {
        if let Some(value) = given.get("additionalProperties") {
            return self.inner("/additionalProperties", value);
        }
        let combined = ["$ref", "allOf", "anyOf", "oneOf", "if"].iter().any(|keyword| given.contains_key(*keyword));
        match given.get("unevaluatedProperties") {
            Some(value) if value != &Value::Bool(true) => {
                if combined {
                    return self.refuse("unevaluatedProperties", "cannot be enforced beside combined schemas");
                }
                self.inner("/unevaluatedProperties", value)
            }
            _ => Ok(if is_closed { Value::Bool(false) } else { self.any() }),
        }
    }

    /// Converts `propertyNames`; names are always strings.
    fn names(&self, given: Option<&'a Value>) -> Result<Names> {
        let refuse = || self.refuse("propertyNames", "only names, or a pattern of them, can be enforced");
        let keywords = match given {
            None | Some(Value::Bool(true)) => return Ok(Names::Any),
            Some(Value::Object(keywords)) => keywords,
            Some(_) => return refuse(),
        };
        if let Some(Value::String(reference)) = keywords.get("$ref") {
            return match self.target(reference) {
                Some((_, target @ Value::Object(inner))) if !inner.contains_key("$ref") => self.names(Some(target)),
                _ => refuse(),
            };
        }
        let mut said = keywords.clone();
        said.retain(|keyword, value| keyword != "type" || value != "string");
        if says_nothing(&said) {
            return Ok(Names::Any);
        }
        said.retain(|keyword, _| !super::ANNOTATIONS.contains(&keyword.as_str()));
        match (said.get("enum"), said.get("const"), said.get("pattern"), said.len()) {
            (Some(Value::Array(list)), None, None, 1) => {
                Ok(Names::Of(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
            }
            (None, Some(Value::String(one)), None, 1) => Ok(Names::Of(vec![one.clone()])),
            (None, None, Some(Value::String(pattern)), 1) => {
                Ok(Names::Like(self.name_pattern("propertyNames", pattern)?))
            }
            _ => refuse(),
        }
    }

    fn counts(&self, given: &Keywords, required: usize, out: &mut Keywords) -> Result<()> {
        if let Some(least) = self.count(given, "minProperties")?.filter(|least| *least > required as u64) {
            // A repeated name counts once.
            if least - required as u64 > 1 {
                return self.refuse(
                    "minProperties",
                    "names that differ cannot be counted: say in `required` which there must be",
                );
            }
            out.insert("minProperties".into(), json!(least));
        }
        if let Some(most) = self.count(given, "maxProperties")? {
            out.insert("maxProperties".into(), json!(most));
        }
        Ok(())
    }
}
