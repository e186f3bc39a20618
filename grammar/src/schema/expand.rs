//! Expansion of combined schemas to alternatives without combinations.

use serde_json::{Value, json};

use super::flat::{Flat, Items, Part, Properties};
use super::values::OBJECT;
use super::{ANNOTATIONS, Walk, escaped, says_nothing};
use crate::error::Result;

/// Largest number of alternatives of one value.
const MAX_ALTERNATIVES: usize = 256;
/// Largest number of schemas within `oneOf` that may overlap.
const MAX_OVERLAPPING: usize = 8;
/// Largest number of references from one schema of a value to another.
const MAX_REFERENCES: usize = 32;
/// Largest number of items that `contains` may ask for.
const MAX_CONTAINED: u64 = 16;

/// The alternatives of a value.
pub(super) type Alternatives<'a> = Vec<Flat<'a>>;

impl<'a> Walk<'a> {
    /// The alternatives of a value that matches all schemas.
    pub(super) fn alternatives_of(&mut self, parts: &[Part<'a>]) -> Result<Alternatives<'a>> {
        let mut all = vec![Flat::default()];
        for part in parts {
            let next = self.alternatives(part)?;
            all = self.both(part, "", all, &next)?;
        }
        Ok(all)
    }

    /// The alternatives that match one of each.
    fn both(
        &mut self,
        part: &Part<'a>,
        keyword: &str,
        all: Alternatives<'a>,
        next: &[Flat<'a>],
    ) -> Result<Alternatives<'a>> {
        let had = !all.is_empty() && !next.is_empty();
        let mut found = Vec::new();
        for one in &all {
            found.extend(next.iter().filter_map(|other| one.and(other)));
            if found.len() > MAX_ALTERNATIVES {
                return part.refuse(keyword, format!("more than {MAX_ALTERNATIVES} alternatives"));
            }
        }
        if had && found.is_empty() && !keyword.is_empty() {
            self.note(&part.at, keyword, "no value fits this and what else is asked of it");
        }
        Ok(found)
    }

    /// The alternatives of a value that matches a schema.
    pub(super) fn alternatives(&mut self, part: &Part<'a>) -> Result<Alternatives<'a>> {
        self.count_schema(part)?;
        let schema = part.schema.clone();
        let keywords = match schema.as_ref() {
            Value::Bool(true) => return Ok(vec![Flat::default()]),
            Value::Bool(false) => return Ok(Vec::new()),
            Value::Object(keywords) => keywords,
            _ => return part.refuse("", "a schema is an object, true or false"),
        };
        self.check(part, keywords)?;
        let (mut all, mut has_own) = (vec![Flat::default()], false);
        for (keyword, value) in keywords {
            let keyword = keyword.as_str();
            let next = match keyword {
                "$ref" | "$dynamicRef" => self.referenced(part, keyword, value)?,
                "allOf" | "anyOf" | "oneOf" => self.combined(part, keyword, value)?,
                "not" => self.excluded(part)?,
                "if" => self.conditional(part)?,
                "dependentRequired" | "dependentSchemas" | "dependencies" => self.dependent(part, keyword, value)?,
                "contains" => self.contained(part)?,
                name if has_own || ANNOTATIONS.contains(&name) => continue,
                _ => {
                    has_own = true;
                    vec![self.own(part, keywords)?]
                }
            };
            all = self.both(part, keyword, all, &next)?;
        }
        self.unevaluated(part, &mut all);
        Ok(all)
    }

    fn referenced(&mut self, part: &Part<'a>, keyword: &str, value: &Value) -> Result<Alternatives<'a>> {
        let target = self.resolved(part, keyword, value)?;
        if self.followed.contains(&target.at) || self.followed.len() == MAX_REFERENCES {
            return part.refuse(keyword, "refers to itself");
        }
        self.followed.push(target.at.clone());
        let found = self.alternatives(&Part { is_derived: part.is_derived, ..target });
        self.followed.pop();
        found
    }

    fn combined(&mut self, part: &Part<'a>, keyword: &str, value: &Value) -> Result<Alternatives<'a>> {
        let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
            return part.refuse(keyword, "must be a list of schemas");
        };
        let inner: Vec<Part<'a>> =
            (0..list.len()).filter_map(|index| part.inner(&format!("/{keyword}/{index}"))).collect();
        match keyword {
            "allOf" => {
                let all = self.alternatives_of(&inner)?;
                if all.is_empty() {
                    self.note(&part.at, keyword, "no value fits all of these");
                }
                Ok(all)
            }
            "oneOf" if !self.are_disjoint(&inner) => self.exactly_one(part, list, &inner),
            _ => {
                let mut all = Vec::new();
                for one in &inner {
                    all.extend(self.alternatives(one)?);
                }
                Ok(all)
            }
        }
    }

    /// Alternatives of `oneOf`, each of which matches none of the other schemas.
    fn exactly_one(&mut self, part: &Part<'a>, list: &[Value], inner: &[Part<'a>]) -> Result<Alternatives<'a>> {
        let reason = "a value might fit two of these: only alternatives that exclude one another can be enforced";
        if list.len() > MAX_OVERLAPPING {
            return part.refuse("oneOf", reason);
        }
        let mut all = Vec::new();
        for (index, one) in inner.iter().enumerate() {
            let mut own = self.alternatives(one)?;
            for (at, other) in list.iter().enumerate() {
                let apart = self.are_disjoint(&[one.clone(), inner[at].clone()]);
                if at != index && !apart && !own.is_empty() {
                    let next = self.alternatives(&part.derived(json!({ "not": other })))?;
                    own = self.both(part, "oneOf", own, &next)?;
                }
            }
            all.extend(own);
        }
        if all.is_empty() { part.refuse("oneOf", reason) } else { Ok(all) }
    }

    /// Alternatives of a value that does not match the schema in `not`.
    fn excluded(&mut self, part: &Part<'a>) -> Result<Alternatives<'a>> {
        let Some(inner) = part.inner("/not") else { return Ok(Vec::new()) };
        if let Value::Object(keywords) = inner.schema.as_ref() {
            let is_literal = |name: &String| name == "enum" || name == "const";
            let others = keywords.keys().filter(|name| !is_literal(name) && !ANNOTATIONS.contains(&name.as_str()));
            if others.count() == 0
                && let [one] = &keywords.keys().filter(|name| is_literal(name)).collect::<Vec<_>>()[..]
            {
                let value = &keywords[*one];
                let excluded = match (one.as_str(), value) {
                    ("enum", Value::Array(list)) => list.clone(),
                    ("const", value) => vec![value.clone()],
                    _ => return inner.refuse("enum", "must be a list of values"),
                };
                return Ok(vec![Flat { excluded, ..Flat::default() }]);
            }
        }
        let negations = self.negations(&inner)?;
        self.is_narrow |= negations.is_partial;
        if negations.schemas.is_empty() && negations.is_partial && !part.is_derived {
            return part.refuse("not", "what is forbidden cannot be enforced: say what is allowed");
        }
        self.any_of(part, negations.schemas)
    }

    /// The alternatives of derived schemas.
    fn any_of(&mut self, part: &Part<'a>, schemas: Vec<Value>) -> Result<Alternatives<'a>> {
        let mut all = Vec::new();
        for schema in schemas {
            all.extend(self.alternatives(&part.derived(schema))?);
        }
        Ok(all)
    }

    /// Alternatives of `if`: the condition and `then`, or its negation and `else`.
    fn conditional(&mut self, part: &Part<'a>) -> Result<Alternatives<'a>> {
        let (then, otherwise) = (part.inner("/then"), part.inner("/else"));
        let Some(condition) = part.inner("/if").filter(|_| then.is_some() || otherwise.is_some()) else {
            return Ok(vec![Flat::default()]);
        };
        let holds: Vec<Part<'a>> = [condition.clone()].into_iter().chain(then).collect();
        let negated = part.derived(json!({ "not": condition.schema.as_ref() }));
        let fails: Vec<Part<'a>> = [negated].into_iter().chain(otherwise).collect();
        let mut all = self.alternatives_of(&holds)?;
        all.extend(self.alternatives_of(&fails)?);
        if all.is_empty() { part.refuse("if", "the condition cannot be enforced") } else { Ok(all) }
    }

    /// Alternatives of dependencies: without the property, or with it and what depends on it.
    fn dependent(&mut self, part: &Part<'a>, keyword: &str, value: &Value) -> Result<Alternatives<'a>> {
        let about = || Flat { about: OBJECT, ..Flat::default() };
        let mut all = vec![about()];
        for (name, needs) in value.as_object().into_iter().flatten() {
            if needs == &Value::Bool(true) || needs.as_array().is_some_and(Vec::is_empty) {
                continue;
            }
            let mut next = self.alternatives(&part.derived(json!({ "properties": { name: false } })))?;
            let present = part.derived(json!({ "required": [name] }));
            let depends = match needs {
                Value::Array(_) => Some(part.derived(json!({ "required": needs }))),
                _ => part.inner(&format!("/{keyword}/{}", escaped(name))),
            };
            next.extend(self.alternatives_of(&[present].into_iter().chain(depends).collect::<Vec<_>>())?);
            all = self.both(part, keyword, all, &next)?;
        }
        Ok(all)
    }

    /// Alternatives of `contains`: the items that match come one after another, after none or some others.
    fn contained(&mut self, part: &Part<'a>) -> Result<Alternatives<'a>> {
        let (Some(inner), Some(keywords)) = (part.inner("/contains"), part.schema.as_object()) else {
            return Ok(Vec::new());
        };
        let least = self.count(part, keywords, "minContains")?.unwrap_or(1);
        let most = self.count(part, keywords, "maxContains")?;
        let about = Flat { about: super::values::ARRAY, ..Flat::default() };
        self.is_narrow = true;
        if least > MAX_CONTAINED || most.is_some_and(|most| most < least) {
            return part.refuse("contains", format!("at most {MAX_CONTAINED} items can be enforced"));
        }
        let other = part.derived(json!({ "not": inner.schema.as_ref() }));
        let anything = part.derived(json!(true));
        let before = keywords.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len).clamp(1, 4);
        let mut all = Vec::new();
        for offset in 0..=if least == 0 { 0 } else { before } {
            let mut flat = about.clone();
            let skipped = if most.is_some() { &other } else { &anything };
            let mut first = vec![skipped.clone(); offset];
            first.extend(vec![inner.clone(); least as usize]);
            flat.arrays.least = first.len() as u64;
            // Items count as evaluated only if they match.
            flat.arrays.items.push(Items { first: first.clone(), rest: None, is_derived: offset > 0 });
            if most.is_some() {
                flat.arrays.items.push(Items { first, rest: Some(other.clone()), is_derived: true });
            }
            all.push(flat);
        }
        Ok(all)
    }

    /// Applies `unevaluatedProperties` and `unevaluatedItems` to what other keywords left.
    fn unevaluated(&mut self, part: &Part<'a>, all: &mut Alternatives<'a>) {
        let anything = part.derived(json!(true));
        self.is_narrow |=
            ["/unevaluatedProperties", "/unevaluatedItems"].iter().any(|place| part.inner(place).is_some());
        for flat in all {
            let objects = &mut flat.objects;
            if let Some(rest) = part.inner("/unevaluatedProperties")
                && !objects.properties.iter().any(|own| !own.is_derived && own.rest.is_some())
            {
                let mut closing =
                    Properties { named: Vec::new(), patterns: Vec::new(), rest: Some(rest), is_derived: false };
                for own in objects.properties.iter().filter(|own| !own.is_derived) {
                    closing.named.extend(own.named.iter().map(|(name, _)| (name.clone(), anything.clone())));
                    closing.patterns.extend(own.patterns.iter().map(|(name, _)| (name.clone(), anything.clone())));
                }
                objects.properties.push(closing);
            }
            if let Some(rest) = part.inner("/unevaluatedItems") {
                let evaluated = flat.arrays.items.iter().filter(|own| !own.is_derived);
                let (longest, open) = evaluated
                    .fold((0, false), |(most, open), own| (most.max(own.first.len()), open || own.rest.is_some()));
                if !open {
                    let first = vec![anything.clone(); longest];
                    flat.arrays.items.push(Items { first, rest: Some(rest), is_derived: false });
                }
            }
        }
    }

    /// Refuses keywords that are never supported.
    fn check(&self, part: &Part<'a>, keywords: &super::Keywords) -> Result<()> {
        if keywords.contains_key("$recursiveRef") {
            return part.refuse("$recursiveRef", "references that depend on who refers are not supported");
        }
        if keywords.get("nullable") == Some(&Value::Bool(true)) {
            return part.refuse("nullable", "is no keyword of JSON Schema: name \"null\" in type");
        }
        Ok(())
    }
}

/// Returns true if a schema does not constrain its value.
pub(super) fn is_anything(schema: &Value) -> bool {
    schema == &Value::Bool(true) || schema.as_object().is_some_and(says_nothing)
}
