//! Conjunctions of constraints without alternatives, and the intersection of two.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::values::{ALL, FRACTION, OBJECT, Types, equal, type_of};
use crate::error::{GrammarError, Result};

/// A schema of a value, which may have to match others too.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    /// JSON pointer to the schema, or to the schema from which it was derived.
    pub at: Rc<str>,
    pub schema: Cow<'a, Value>,
    /// True if the schema was derived from a negation or a condition; then it evaluates no properties and closes no objects.
    pub is_derived: bool,
}

impl<'a> Part<'a> {
    pub(super) fn given(at: &str, schema: &'a Value) -> Self {
        Self { at: at.into(), schema: Cow::Borrowed(schema), is_derived: false }
    }

    /// A schema derived from this one.
    pub(super) fn derived(&self, schema: Value) -> Self {
        Self { at: self.at.clone(), schema: Cow::Owned(schema), is_derived: true }
    }

    /// A subschema, by a JSON pointer within this schema.
    pub(super) fn inner(&self, place: &str) -> Option<Self> {
        Some(match &self.schema {
            Cow::Borrowed(schema) => Part {
                at: format!("{}{place}", self.at).into(),
                schema: Cow::Borrowed(schema.pointer(place)?),
                is_derived: self.is_derived,
            },
            Cow::Owned(schema) => Part {
                schema: Cow::Owned(schema.pointer(place)?.clone()),
                is_derived: self.is_derived,
                at: self.at.clone(),
            },
        })
    }

    /// The error of a keyword that cannot be enforced.
    pub(super) fn refuse<T>(&self, keyword: &str, reason: impl Into<String>) -> Result<T> {
        Err(GrammarError::schema(&self.at, keyword, reason))
    }

    /// A text that is the same only for the same schema.
    pub(super) fn key(&self) -> String {
        match &self.schema {
            Cow::Borrowed(schema) => format!("{:p}{}", *schema, self.is_derived),
            Cow::Owned(schema) => schema.to_string(),
        }
    }
}

/// A bound, and true if it is excluded.
pub(super) type Bound = (f64, bool);

#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    pub low: Option<Bound>,
    pub high: Option<Bound>,
    /// Least common multiple of all divisors.
    pub divisor: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Strings {
    pub least: u64,
    pub most: Option<u64>,
    /// Regular expressions, all of which match somewhere in the text.
    pub patterns: Vec<String>,
}

/// Items of one schema.
#[derive(Debug, Clone)]
pub(super) struct Items<'a> {
    pub first: Vec<Part<'a>>,
    pub rest: Option<Part<'a>>,
    pub is_derived: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Arrays<'a> {
    pub least: u64,
    pub most: Option<u64>,
    /// Pointer to a schema with `uniqueItems`.
    pub unique: Option<Rc<str>>,
    pub items: Vec<Items<'a>>,
}

/// Properties of one schema, in its order.
#[derive(Debug, Clone)]
pub(super) struct Properties<'a> {
    pub named: Vec<(String, Part<'a>)>,
    /// Schemas by patterns of names.
    pub patterns: Vec<(String, Part<'a>)>,
    pub rest: Option<Part<'a>>,
    pub is_derived: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Objects<'a> {
    pub least: u64,
    pub most: Option<u64>,
    pub required: Vec<String>,
    pub properties: Vec<Properties<'a>>,
    /// Schemas of names.
    pub names: Vec<Part<'a>>,
}

/// Constraints that must all hold; those of a type hold for values of this type alone.
#[derive(Debug, Clone)]
pub(super) struct Flat<'a> {
    pub types: Types,
    /// True if a schema names types.
    pub is_typed: bool,
    /// Types with constraints.
    pub about: Types,
    pub values: Option<Vec<Value>>,
    /// Values that must not occur.
    pub excluded: Vec<Value>,
    pub numbers: Numbers,
    pub strings: Strings,
    pub arrays: Arrays<'a>,
    pub objects: Objects<'a>,
}

impl Default for Flat<'_> {
    /// No constraint.
    fn default() -> Self {
        Self {
            types: ALL,
            is_typed: false,
            about: 0,
            values: None,
            excluded: Vec::new(),
            numbers: Numbers::default(),
            strings: Strings::default(),
            arrays: Arrays::default(),
            objects: Objects::default(),
        }
    }
}

/// The tighter of two bounds; `sign` is 1 for lower and -1 for upper ones.
fn tighter(a: Option<Bound>, b: Option<Bound>, sign: f64) -> Option<Bound> {
    match (a, b) {
        (Some(one), Some(other)) if one.0 == other.0 => Some((one.0, one.1 || other.1)),
        (Some(one), Some(other)) => Some(if one.0 * sign > other.0 * sign { one } else { other }),
        (one, other) => one.or(other),
    }
}

fn least_of(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

fn common_multiple(a: u64, b: u64) -> u64 {
    let (mut high, mut low) = (a, b);
    while low != 0 {
        (high, low) = (low, high % low);
    }
    (a / high).saturating_mul(b)
}

impl Flat<'_> {
    /// True if a required property is forbidden by its name.
    fn is_contradictory(&self) -> bool {
        let forbids = |name: &String| {
            let named = self.objects.properties.iter().flat_map(|own| &own.named);
            named.into_iter().any(|(known, part)| known == name && *part.schema == Value::Bool(false))
        };
        self.types == OBJECT && self.objects.required.iter().any(forbids)
    }
}

impl<'a> Flat<'a> {
    /// Adds the constraints of another conjunction. Returns nothing if it is known that no value matches both.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        both.types &= other.types;
        both.is_typed |= other.is_typed;
        both.about |= other.about;
        both.values = match (both.values, &other.values) {
            (Some(mut all), Some(others)) => {
                all.retain(|value| others.iter().any(|other| equal(value, other)));
                Some(all)
            }
            (one, other) => one.or_else(|| other.clone()),
        };
        if let Some(values) = &mut both.values {
            values.retain(|value| type_of(value) & both.types != 0);
            if values.is_empty() {
                return None;
            }
        }
        both.excluded.extend(other.excluded.iter().cloned());
        both.numbers.low = tighter(both.numbers.low, other.numbers.low, 1.0);
        both.numbers.high = tighter(both.numbers.high, other.numbers.high, -1.0);
        both.numbers.divisor = match (both.numbers.divisor, other.numbers.divisor) {
            (Some(one), Some(other)) => Some(common_multiple(one, other)),
            (one, other) => one.or(other),
        };
        both.strings.least = both.strings.least.max(other.strings.least);
        both.strings.most = least_of(both.strings.most, other.strings.most);
        for pattern in &other.strings.patterns {
            if !both.strings.patterns.contains(pattern) {
                both.strings.patterns.push(pattern.clone());
            }
        }
        both.arrays.least = both.arrays.least.max(other.arrays.least);
        both.arrays.most = least_of(both.arrays.most, other.arrays.most);
        both.arrays.unique = both.arrays.unique.or_else(|| other.arrays.unique.clone());
        both.arrays.items.extend(other.arrays.items.iter().cloned());
        both.and_objects(&other.objects);
        // Numbers with fractions alone cannot be told apart from others.
        (both.types & !FRACTION != 0 && !both.is_contradictory()).then_some(both)
    }

    fn and_objects(&mut self, other: &Objects<'a>) {
        let own = &mut self.objects;
        own.least = own.least.max(other.least);
        own.most = least_of(own.most, other.most);
        for name in &other.required {
            if !own.required.contains(name) {
                own.required.push(name.clone());
            }
        }
        own.properties.extend(other.properties.iter().cloned());
        own.names.extend(other.names.iter().cloned());
    }
}
