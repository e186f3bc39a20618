//! Literal values that match constraints.

use llguidance::derivre::RegexBuilder;
use serde_json::Value;

use super::Walk;
use super::flat::{Flat, Part};
use super::values::{equal, type_of};
use crate::error::{GrammarError, Result};

/// Limit of the work to compile a pattern.
const FUEL: u64 = 50_000;

impl<'a> Walk<'a> {
    /// Returns true if a pattern matches somewhere in a text.
    pub(super) fn matches(&mut self, pattern: &str, text: &str) -> Result<bool> {
        if !self.regexes.contains_key(pattern) {
            let mut builder = RegexBuilder::new();
            let built = builder
                .mk_regex_for_serach(&llguidance::regex_to_lark(pattern, "dw"))
                .and_then(|expression| builder.to_regex_limited(expression, FUEL));
            let Ok(regex) = built else {
                return Err(GrammarError::schema("", "pattern", "is too large, or malformed"));
            };
            self.regexes.insert(pattern.to_owned(), regex);
        }
        Ok(self.regexes.get_mut(pattern).is_some_and(|regex| regex.is_match(text)))
    }

    /// Returns true if a value matches all schemas.
    pub(super) fn fits(&mut self, parts: &[Part<'a>], value: &Value) -> Result<bool> {
        for flat in self.alternatives_of(parts)? {
            if self.accepts(&flat, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns true if a value matches all constraints.
    pub(super) fn accepts(&mut self, flat: &Flat<'a>, value: &Value) -> Result<bool> {
        let is_listed = |values: &[Value]| values.iter().any(|known| equal(known, value));
        if type_of(value) & flat.types == 0
            || flat.values.as_ref().is_some_and(|values| !is_listed(values))
            || is_listed(&flat.excluded)
        {
            return Ok(false);
        }
        match value {
            Value::Number(number) => Ok(number.as_f64().is_some_and(|number| {
                let range = &flat.numbers;
                range.low.is_none_or(|(low, strict)| if strict { number > low } else { number >= low })
                    && range.high.is_none_or(|(high, strict)| if strict { number < high } else { number <= high })
                    && range.divisor.is_none_or(|divisor| number % divisor as f64 == 0.0)
            })),
            Value::String(text) => {
                let length = text.chars().count() as u64;
                if length < flat.strings.least || flat.strings.most.is_some_and(|most| length > most) {
                    return Ok(false);
                }
                for pattern in &flat.strings.patterns {
                    if !self.matches(pattern, text)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Array(list) => self.accepts_list(flat, list),
            Value::Object(map) => self.accepts_map(flat, map),
            _ => Ok(true),
        }
    }

    fn accepts_list(&mut self, flat: &Flat<'a>, list: &[Value]) -> Result<bool> {
        let length = list.len() as u64;
        let repeats = |(at, value): (usize, &Value)| list[..at].iter().any(|other| equal(other, value));
        if length < flat.arrays.least
            || flat.arrays.most.is_some_and(|most| length > most)
            || flat.arrays.unique.is_some() && list.iter().enumerate().any(repeats)
        {
            return Ok(false);
        }
        for (index, item) in list.iter().enumerate() {
            if !self.fits(&flat.arrays.item(index), item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn accepts_map(&mut self, flat: &Flat<'a>, map: &super::Keywords) -> Result<bool> {
        let length = map.len() as u64;
        if length < flat.objects.least
            || flat.objects.most.is_some_and(|most| length > most)
            || flat.objects.required.iter().any(|name| !map.contains_key(name))
        {
            return Ok(false);
        }
        for (name, value) in map {
            let parts = self.property(flat, name)?;
            if !self.fits(&flat.objects.names, &Value::String(name.clone()))? || !self.fits(&parts, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
