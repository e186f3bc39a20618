//! A JSON value with its path in the request, so that every error can name it.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A value and its path, such as `messages[1].content[0].image_url.url`.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

/// The fields of an object; null counts as absent.
pub(super) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

pub(super) const UNKNOWN: &str = "is not a field this API knows";

pub(super) fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::request("body", format!("not JSON: {error}")))
}

impl<'a> Field<'a> {
    pub(super) fn fault(&self, reason: impl Into<String>) -> Error {
        Error::request(self.path.clone(), reason)
    }

    pub(super) fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::UnsupportedOption { field: self.path.clone(), reason: reason.into() }
    }

    fn expected(&self, what: &str) -> Error {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.fault(format!("must be {what}, not {found}"))
    }

    pub(super) fn str(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// The path as a JSON pointer.
    pub(super) fn pointer(&self) -> String {
        let steps = self.path.split(['.', '[']).filter(|step| !step.is_empty());
        steps.map(|step| format!("/{}", step.trim_end_matches(']'))).collect()
    }

    pub(super) fn string(&self) -> Result<String> {
        self.str().map(str::to_owned)
    }

    pub(super) fn f32(&self) -> Result<f32> {
        self.value.as_f64().map(|value| value as f32).ok_or_else(|| self.expected("a number"))
    }

    /// A whole number, also written as `5.0`, because some clients have no integers.
    pub(super) fn integer(&self) -> Result<i128> {
        let whole = |value: f64| (value.fract() == 0.0 && value.abs() < 2f64.powi(53)).then_some(value as i128);
        let number = self.value.as_number().ok_or_else(|| self.expected("a whole number"))?;
        number
            .as_i128()
            .or_else(|| number.as_f64().and_then(whole))
            .ok_or_else(|| self.fault(format!("must be a whole number, not {number}")))
    }

    /// A whole number of at least 1.
    pub(super) fn count(&self) -> Result<usize> {
        let value = self.integer()?;
        let out = || self.fault(format!("is {value}, must be at least 1 and fit 32 bits"));
        u32::try_from(value).ok().filter(|&count| count > 0).map(|count| count as usize).ok_or_else(out)
    }

    pub(super) fn token_id(&self) -> Result<u32> {
        let value = self.integer()?;
        u32::try_from(value).map_err(|_| self.fault(format!("{value} is no token id")))
    }

    pub(super) fn array(&self) -> Result<impl Iterator<Item = Field<'a>> + use<'a>> {
        let items = self.value.as_array().ok_or_else(|| self.expected("an array"))?;
        let path = self.path.clone();
        Ok(items.iter().enumerate().map(move |(i, value)| Field { path: format!("{path}[{i}]"), value }))
    }

    pub(super) fn object(&self) -> Result<Fields<'a>> {
        let map = self.value.as_object().ok_or_else(|| self.expected("an object"))?;
        Ok(Fields { path: self.path.clone(), map })
    }
}

impl<'a> Fields<'a> {
    pub(super) fn of_request(request: &'a Value) -> Result<Self> {
        let map = request.as_object().ok_or_else(|| Error::request("body", "must be an object"))?;
        Ok(Self { path: String::new(), map })
    }

    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Field { path: self.join(name), value })
    }

    pub(super) fn need(&self, name: &str) -> Result<Field<'a>> {
        self.get(name).ok_or_else(|| Error::request(self.join(name), "is missing"))
    }

    /// The value of a boolean field; absent means false.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        let Some(field) = self.get(name) else { return Ok(false) };
        field.value.as_bool().ok_or_else(|| field.expected("true or false"))
    }

    /// Refuses every field not in `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        match self.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((_, field)) => Err(field.unsupported(UNKNOWN)),
        }
    }

    /// All fields that are not null, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        let present = self.map.iter().filter(|(_, value)| !value.is_null());
        present.map(|(name, value)| (name.as_str(), Field { path: self.join(name), value }))
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}
