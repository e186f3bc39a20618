//! Constraints of a schema's own keywords, without combinations.

use serde_json::{Number, Value};

use super::flat::{Bound, Flat, Items, Part, Properties};
use super::formats::{format, known_pattern};
use super::numbers::MOST_DIVISOR;
use super::values::{ALL, ARRAY, NUMBER, OBJECT, STRING, TYPES, Types, equal, type_of, unwritable};
use super::{Keywords, Walk, escaped};
use crate::error::Result;
use crate::pattern::to_rust;

/// Most values of an `enum`.
const MAX_VALUES: usize = 5000;
/// Largest length of a string, and largest number of items, that is enforced; a larger maximum is not enforced.
pub(super) const MAX_LENGTH: u64 = 4096;
/// Keywords by the type that they are about.
const ABOUT: [(Types, &[&str]); 4] = [
    (NUMBER, &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    (STRING, &["minLength", "maxLength", "pattern", "format"]),
    (
        ARRAY,
        &[
            "items",
            "prefixItems",
            "additionalItems",
            "minItems",
            "maxItems",
            "uniqueItems",
            "contains",
            "unevaluatedItems",
        ],
    ),
    (
        OBJECT,
        &[
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "unevaluatedProperties",
        ],
    ),
];

impl<'a> Walk<'a> {
    /// The constraints of a schema's own keywords.
    pub(super) fn own(&mut self, part: &Part<'a>, given: &Keywords) -> Result<Flat<'a>> {
        let mut flat =
            Flat { is_typed: given.contains_key("type"), types: self.types(part, given)?, ..Flat::default() };
        for (types, keywords) in ABOUT {
            if keywords.iter().any(|keyword| given.contains_key(*keyword)) {
                flat.about |= types;
            }
        }
        flat.values = self.literals(part, given, flat.types)?;
        if flat.values.is_some() {
            flat.is_typed = true;
        }
        flat.numbers.low = self.bound(part, given, ["minimum", "exclusiveMinimum"], |a, b| a >= b)?;
        flat.numbers.high = self.bound(part, given, ["maximum", "exclusiveMaximum"], |a, b| a <= b)?;
        flat.numbers.divisor = self.divisor(part, given)?;
        self.strings(part, given, &mut flat)?;
        self.arrays(part, given, &mut flat)?;
        self.objects(part, given, &mut flat)?;
        Ok(flat)
    }

    /// The types that a schema names.
    fn types(&self, part: &Part<'a>, given: &Keywords) -> Result<Types> {
        let names: Vec<&str> = match given.get("type") {
            None => return Ok(ALL),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list.iter().map(|name| name.as_str().unwrap_or_default()).collect(),
            Some(_) => return part.refuse("type", "must be a name or a list of names"),
        };
        if names.is_empty() {
            return part.refuse("type", "names no type");
        }
        let mut types = 0;
        for name in names {
            match TYPES.iter().find(|(known, _)| *known == name) {
                Some((_, bits)) => types |= bits,
                None => return part.refuse("type", format!("{name:?} is no type")),
            }
        }
        Ok(types)
    }

    fn literals(&self, part: &Part<'a>, given: &Keywords, types: Types) -> Result<Option<Vec<Value>>> {
        let mut values = match (given.get("const"), given.get("enum")) {
            (Some(one), None) => vec![one.clone()],
            (Some(one), Some(Value::Array(list))) => list.iter().filter(|value| equal(value, one)).cloned().collect(),
            (None, Some(Value::Array(list))) => list.clone(),
            (None, None) => return Ok(None),
            (_, Some(_)) => return part.refuse("enum", "must be a list of values"),
        };
        let keyword = if given.contains_key("enum") { "enum" } else { "const" };
        if values.len() > MAX_VALUES {
            let reason = format!("has {} values, {MAX_VALUES} are allowed", values.len());
            return part.refuse(keyword, reason);
        }
        if let Some(reason) = values.iter().find_map(unwritable) {
            return part.refuse(keyword, reason);
        }
        values.retain(|value| type_of(value) & types != 0);
        if values.is_empty() {
            return part.refuse(keyword, "no value fits");
        }
        Ok(Some(values))
    }

    /// The tighter of a bound and its exclusive form. In draft 4 the exclusive form is a Boolean.
    fn bound(
        &self,
        part: &Part<'a>,
        given: &Keywords,
        [plain, strict]: [&str; 2],
        is_tighter: fn(f64, f64) -> bool,
    ) -> Result<Option<Bound>> {
        let number = |keyword: &str| match given.get(keyword) {
            None | Some(Value::Bool(_)) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => part.refuse(keyword, "must be a number"),
            },
        };
        let (inclusive, exclusive) = (number(plain)?, number(strict)?);
        Ok(match (inclusive, exclusive, given.get(strict)) {
            (Some(bound), _, Some(Value::Bool(true))) => Some((bound, true)),
            (Some(a), Some(b), _) if is_tighter(b, a) => Some((b, true)),
            (Some(bound), _, _) => Some((bound, false)),
            (None, bound, _) => bound.map(|bound| (bound, true)),
        })
    }

    fn divisor(&self, part: &Part<'a>, given: &Keywords) -> Result<Option<u64>> {
        let Some(value) = given.get("multipleOf") else { return Ok(None) };
        let reason = match value.as_f64() {
            Some(number) if (1.0..=MOST_DIVISOR as f64).contains(&number) && number.fract() == 0.0 => {
                return Ok(Some(number as u64));
            }
            Some(number) if number > 0.0 && number.fract() != 0.0 => {
                "validators divide binary fractions, which is not exact: only whole numbers can be enforced".into()
            }
            _ => format!("must be a whole number from 1 to {MOST_DIVISOR}"),
        };
        part.refuse("multipleOf", reason)
    }

    fn strings(&self, part: &Part<'a>, given: &Keywords, flat: &mut Flat<'a>) -> Result<()> {
        if let Some(value) = given.get("pattern") {
            let Some(pattern) = value.as_str() else { return part.refuse("pattern", "must be a string") };
            match known_pattern(pattern).map_or_else(|| to_rust(pattern), |known| Ok(vec![known])) {
                Ok(all) => flat.strings.patterns = all,
                Err(reason) => return part.refuse("pattern", reason),
            }
        }
        match given.get("format") {
            None => {}
            Some(Value::String(name)) => flat.strings.patterns.extend(format(name)),
            Some(_) => return part.refuse("format", "must be a string"),
        }
        flat.strings.least = self.count(part, given, "minLength")?.unwrap_or(0);
        flat.strings.most = self.count(part, given, "maxLength")?;
        if flat.strings.least > MAX_LENGTH {
            let reason = format!("more than {MAX_LENGTH} characters cannot be counted");
            return part.refuse("minLength", reason);
        }
        if flat.strings.most.is_some_and(|most| most < flat.strings.least) {
            return part.refuse("minLength", "is more than maxLength");
        }
        Ok(())
    }

    fn arrays(&self, part: &Part<'a>, given: &Keywords, flat: &mut Flat<'a>) -> Result<()> {
        flat.arrays.least = self.count(part, given, "minItems")?.unwrap_or(0);
        flat.arrays.most = self.count(part, given, "maxItems")?;
        if flat.arrays.least > MAX_LENGTH {
            return part.refuse("minItems", format!("more than {MAX_LENGTH} items cannot be counted"));
        }
        if given.get("uniqueItems") == Some(&Value::Bool(true)) {
            flat.arrays.unique = Some(part.at.clone());
        }
        // Before draft 2020-12, a list in `items` had the meaning of `prefixItems`, and `additionalItems` that of `items`.
        let (first, rest) = match given.get("items") {
            Some(Value::Array(_)) => ("items", "/additionalItems"),
            _ => ("prefixItems", "/items"),
        };
        let count = given.get(first).and_then(Value::as_array).map_or(0, Vec::len);
        let first: Vec<Part<'a>> = (0..count).filter_map(|index| part.inner(&format!("/{first}/{index}"))).collect();
        let rest = part.inner(rest);
        if count > 0 || rest.is_some() {
            flat.arrays.items.push(Items { first, rest, is_derived: part.is_derived });
        }
        Ok(())
    }

    fn objects(&self, part: &Part<'a>, given: &Keywords, flat: &mut Flat<'a>) -> Result<()> {
        flat.objects.least = self.count(part, given, "minProperties")?.unwrap_or(0);
        flat.objects.most = self.count(part, given, "maxProperties")?;
        match given.get("required") {
            // The form of draft 3, which tools still write.
            None | Some(Value::Bool(_)) => {}
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                for name in list.iter().filter_map(Value::as_str) {
                    if !flat.objects.required.iter().any(|known| known == name) {
                        flat.objects.required.push(name.to_owned());
                    }
                }
            }
            Some(_) => return part.refuse("required", "must be a list of names"),
        }
        flat.objects.names.extend(part.inner("/propertyNames"));
        let rest = part.inner("/additionalProperties");
        let (mut named, mut patterns) = (Vec::new(), Vec::new());
        for name in self.map(part, given, "properties")? {
            named.extend(part.inner(&format!("/properties/{}", escaped(name))).map(|inner| (name.clone(), inner)));
        }
        for pattern in self.map(part, given, "patternProperties")? {
            let inner = part.inner(&format!("/patternProperties/{}", escaped(pattern)));
            let translated = match to_rust(pattern).as_deref() {
                Ok([one]) => one.clone(),
                Ok(_) => {
                    return part.refuse("patternProperties", "look-ahead cannot be enforced in names");
                }
                Err(reason) => return part.refuse("patternProperties", reason.as_str()),
            };
            patterns.extend(inner.map(|inner| (translated, inner)));
        }
        if rest.is_some() || !named.is_empty() || !patterns.is_empty() {
            flat.objects.properties.push(Properties { named, patterns, rest, is_derived: part.is_derived });
        }
        Ok(())
    }

    fn map<'g>(&self, part: &Part<'a>, given: &'g Keywords, keyword: &str) -> Result<Vec<&'g String>> {
        match given.get(keyword) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => Ok(map.keys().collect()),
            Some(_) => part.refuse(keyword, "must be an object of schemas"),
        }
    }

    /// A non-negative integer.
    pub(super) fn count(&self, part: &Part<'a>, given: &Keywords, keyword: &str) -> Result<Option<u64>> {
        let Some(value) = given.get(keyword) else { return Ok(None) };
        let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64);
        match value.as_u64().or_else(|| value.as_number().and_then(Number::as_f64).and_then(whole)) {
            Some(count) => Ok(Some(count)),
            None => part.refuse(keyword, "must be a whole number of at least 0"),
        }
    }
}
