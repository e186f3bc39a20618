//! Objects.

use serde_json::{Map, Value, json};

use super::Walk;
use super::flat::{Flat, Objects, Part, Strings};
use super::values::STRING;
use crate::error::Result;

/// Largest number of properties, and of optional ones, which the matcher tracks in parallel.
const MAX_PROPERTIES: usize = 1000;
const MAX_OPTIONAL: usize = 300;
/// Largest number of choices of the properties that an object has.
const MAX_CHOICES: usize = 64;

/// The properties of an object in the matcher's form.
struct Members {
    named: Vec<(String, Value)>,
    patterns: Vec<(String, Value)>,
    rest: Value,
}

impl Members {
    fn is_open(&self) -> bool {
        self.rest != Value::Bool(false) || self.patterns.iter().any(|(_, value)| value != &Value::Bool(false))
    }
}

impl Objects<'_> {
    /// True if no other properties than those named are mentioned.
    fn is_closed(&self) -> bool {
        let given = || self.properties.iter().filter(|own| !own.is_derived);
        given().all(|own| own.rest.is_none()) && given().any(|own| !own.named.is_empty() || !own.patterns.is_empty())
    }
}

impl<'a> Walk<'a> {
    /// The schemas of a property.
    pub(super) fn property(&mut self, flat: &Flat<'a>, name: &str) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        for own in &flat.objects.properties {
            let before = parts.len();
            parts.extend(own.named.iter().filter(|(known, _)| known == name).map(|(_, part)| part.clone()));
            for (pattern, part) in &own.patterns {
                if self.matches(pattern, name)? {
                    parts.push(part.clone());
                }
            }
            if parts.len() == before {
                parts.extend(own.rest.clone());
            }
        }
        Ok(parts)
    }

    /// Adds the schemas of objects.
    pub(super) fn object(&mut self, part: &Part<'a>, flat: &Flat<'a>, found: &mut Vec<Value>) -> Result<()> {
        let objects = &flat.objects;
        let mut members = Members { named: Vec::new(), patterns: Vec::new(), rest: Value::Bool(false) };
        let restricted = self.others(part, flat, &mut members)?;
        let mut names: Vec<String> =
            objects.properties.iter().flat_map(|own| own.named.iter().map(|(name, _)| name.clone())).collect();
        names.extend(objects.required.iter().cloned().chain(restricted));
        for name in names {
            if members.named.iter().any(|(known, _)| known == &name) {
                continue;
            }
            let parts = self.property(flat, &name)?;
            let is_allowed = self.fits(&objects.names, &json!(name))?;
            let value = if is_allowed { self.node(&parts)? } else { Value::Bool(false) };
            if value == Value::Bool(false) && objects.required.contains(&name) {
                let at =
                    parts.first().filter(|inner| inner.at.starts_with(&*part.at)).map_or(&part.at, |inner| &inner.at);
                let keyword =
                    if parts.first().is_none_or(|inner| *inner.schema == Value::Bool(false)) { "required" } else { "" };
                let at = if keyword.is_empty() { at } else { &part.at };
                self.note(at, keyword, format!("{name:?} is required, but no value of it is allowed"));
                return Ok(());
            }
            members.named.push((name, value));
        }
        if !members.is_open() {
            members.named.retain(|(_, value)| value != &Value::Bool(false));
        }
        let optional = members
            .named
            .iter()
            .filter(|(name, value)| !objects.required.contains(name) && value != &Value::Bool(false));
        let optional: Vec<String> = optional.map(|(name, _)| name.clone()).collect();
        if members.named.len() > MAX_PROPERTIES || optional.len() > MAX_OPTIONAL {
            let reason =
                format!("more than {MAX_PROPERTIES} properties, or more than {MAX_OPTIONAL} that may be left out");
            return part.refuse("properties", reason);
        }
        self.counted(part, objects, (members, optional), found)
    }

    /// Adds properties that are not named. Returns the names that may occur, if they are few.
    fn others(&mut self, part: &Part<'a>, flat: &Flat<'a>, members: &mut Members) -> Result<Vec<String>> {
        let objects = &flat.objects;
        let own = &objects.properties;
        let patterns: Vec<&String> =
            own.iter().flat_map(|own| own.patterns.iter().map(|(pattern, _)| pattern)).collect();
        for pattern in patterns {
            if members.patterns.iter().any(|(known, _)| known == pattern) {
                continue;
            }
            let mut parts = Vec::new();
            for own in own {
                let before = parts.len();
                parts.extend(own.patterns.iter().filter(|(known, _)| known == pattern).map(|(_, part)| part.clone()));
                if parts.len() == before {
                    parts.extend(own.rest.clone());
                }
            }
            let value = self.node(&parts)?;
            members.patterns.push((pattern.clone(), value));
        }
        let rest: Vec<Part<'a>> = own.iter().filter_map(|own| own.rest.clone()).collect();
        if !objects.is_closed() {
            members.rest = self.node(&rest)?;
        }
        if objects.names.is_empty() || !members.is_open() {
            return Ok(Vec::new());
        }
        let mut known = self.alternatives_of(&objects.names)?;
        known.retain(|flat| flat.types & STRING != 0);
        if known.iter().all(|flat| flat.values.is_some()) {
            (members.rest, members.patterns) = (Value::Bool(false), Vec::new());
            return Ok(known
                .iter()
                .flat_map(|flat| flat.values.iter().flatten())
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect());
        }
        let [one] = &known[..] else {
            return part.refuse("propertyNames", "alternatives of names cannot be enforced");
        };
        let Strings { least, most, patterns } = &one.strings;
        let mut all = patterns.clone();
        if *least > 0 || most.is_some() {
            all.push(format!("^(?s:.){{{least},{}}}$", most.map_or(String::new(), |most| most.to_string())));
        }
        match &all[..] {
            [] if one.excluded.is_empty() => {}
            [pattern] if one.excluded.is_empty() && members.patterns.is_empty() => {
                let rest = std::mem::replace(&mut members.rest, Value::Bool(false));
                members.patterns.push((pattern.clone(), rest));
            }
            _ => {
                let reason = "only names, or one pattern of them, can be enforced";
                return part.refuse("propertyNames", reason);
            }
        }
        Ok(Vec::new())
    }

    /// Adds the schemas of objects with as many properties as allowed.
    fn counted(
        &mut self,
        part: &Part<'a>,
        objects: &Objects<'a>,
        (mut members, optional): (Members, Vec<String>),
        found: &mut Vec<Value>,
    ) -> Result<()> {
        let (required, is_open) = (objects.required.len(), members.is_open());
        let need = (objects.least as usize).saturating_sub(required);
        let Some(room) = objects.most.map_or(Some(usize::MAX), |most| (most as usize).checked_sub(required)) else {
            self.note(&part.at, "maxProperties", "is less than the number of required properties");
            return Ok(());
        };
        let all: Vec<&str> = optional.iter().map(String::as_str).collect();
        if need > room || !is_open && need > all.len() {
            self.note(&part.at, "minProperties", "as many properties are not allowed");
            return Ok(());
        }
        if need == 0 && (room == usize::MAX || !is_open && room >= all.len()) {
            found.push(written(&members, &objects.required, &all));
            return Ok(());
        }
        if all.is_empty() {
            // A repeated name counts once.
            if need > 1 {
                let reason = "names that differ cannot be counted: list in `required` those that must occur";
                return part.refuse("minProperties", reason);
            }
            let mut schema = written(&members, &objects.required, &all);
            if let Value::Object(out) = &mut schema {
                if need > 0 {
                    out.insert("minProperties".into(), json!(objects.least));
                }
                out.extend(objects.most.map(|most| ("maxProperties".to_owned(), json!(most))));
            }
            found.push(schema);
            return Ok(());
        }
        if need > all.len() {
            return part.refuse("minProperties", "names that differ cannot be counted");
        }
        // Narrower than allowed: only named properties are counted.
        if room != usize::MAX {
            (members.rest, members.patterns) = (Value::Bool(false), Vec::new());
            members.named.retain(|(_, value)| value != &Value::Bool(false));
        }
        let mut choices = Vec::new();
        for allowed in subsets(&all, room.min(all.len())) {
            for chosen in subsets(&allowed, need) {
                let required: Vec<String> =
                    objects.required.iter().cloned().chain(chosen.iter().map(|name| (*name).to_owned())).collect();
                choices.push(written(&members, &required, &allowed));
            }
            if choices.len() > MAX_CHOICES {
                let reason = format!("more than {MAX_CHOICES} choices of properties");
                return part.refuse(if need > 0 { "minProperties" } else { "maxProperties" }, reason);
            }
        }
        found.extend(choices);
        Ok(())
    }
}

/// At most slightly more than [`MAX_CHOICES`] subsets of a size, in order.
fn subsets<'n>(names: &[&'n str], size: usize) -> Vec<Vec<&'n str>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, name) in names.iter().enumerate().take(names.len() + 1 - size.min(names.len())) {
        if all.len() > MAX_CHOICES {
            break;
        }
        all.extend(subsets(&names[index + 1..], size - 1).into_iter().map(|mut rest| {
            rest.insert(0, *name);
            rest
        }));
    }
    all.retain(|subset| subset.len() == size);
    all
}

fn written(members: &Members, required: &[String], allowed: &[&str]) -> Value {
    let mut out = Map::from_iter([("type".to_owned(), json!("object"))]);
    let is_kept = |(name, value): &&(String, Value)| {
        value == &Value::Bool(false) || required.contains(name) || allowed.contains(&name.as_str())
    };
    let properties: Map<String, Value> = members.named.iter().filter(is_kept).cloned().collect();
    if !properties.is_empty() {
        out.insert("properties".into(), Value::Object(properties));
    }
    if !members.patterns.is_empty() {
        out.insert("patternProperties".into(), members.patterns.iter().cloned().collect());
    }
    if !required.is_empty() {
        out.insert("required".into(), json!(required));
    }
    out.insert("additionalProperties".into(), members.rest.clone());
    Value::Object(out)
}
