//! Reading a configuration object field by field, with errors that name the field.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// An object of a JSON file, and defaults for its missing fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The file.
    pub file: &'a str,
    /// Path of the object in the file: empty, or ending in a dot.
    path: &'a str,
    map: Option<&'a Map<String, Value>>,
    defaults: Option<&'a Value>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, found in `file` at `path`; no fields if there is no value.
    pub fn new(file: &'a str, path: &'a str, value: Option<&'a Value>) -> Result<Self> {
        match value.map(Value::as_object) {
            Some(None) => Err(Error::checkpoint(file, "", format!("{} is not an object", path.trim_end_matches('.')))),
            map => Ok(Self { file, path, map: map.flatten(), defaults: None }),
        }
    }

    /// Adds an object of defaults for fields that are absent or `null`.
    #[must_use]
    pub fn or(self, defaults: &'a Value) -> Self {
        Self { defaults: Some(defaults), ..self }
    }

    /// The object under the key that `path` ends in, before its dot.
    pub fn object(&self, path: &'a str) -> Result<Self> {
        Self::new(self.file, path, self.get(path.trim_end_matches('.')))
    }

    /// Returns true if there is an object.
    pub fn is_there(&self) -> bool {
        self.map.is_some()
    }

    /// An error about a field.
    pub fn refuse(&self, key: &str, reason: &str) -> Error {
        Error::checkpoint(self.file, "", format!("{}{key} {reason}", self.path))
    }

    /// An [`Error::UnsupportedArchitecture`] about a field.
    pub fn unsupported(&self, architecture: &str, key: &str, reason: &str) -> Error {
        Error::UnsupportedArchitecture {
            file: self.file.into(),
            architecture: architecture.into(),
            reason: format!("{}{key} {reason}", self.path),
        }
    }

    /// Returns true if the object itself has the field, even if it is `null`.
    pub fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(key))
    }

    /// The field, unless it is absent or `null`.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let own = self.map.and_then(|map| map.get(key)).filter(|value| !value.is_null());
        own.or_else(|| self.defaults?.get(key))
    }

    /// Drops the defaults if the object has the field `key`, because `null` has its own meaning there.
    #[must_use]
    pub fn unless_null(self, key: &str) -> Self {
        Self { defaults: self.defaults.filter(|_| !self.has(key)), ..self }
    }

    /// Every field of its own.
    pub fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.into_iter().flatten()
    }

    /// The value of a required field, read by `read`.
    pub fn needed<T>(&self, key: &str, read: impl Fn(&Self, &str) -> Result<Option<T>>) -> Result<T> {
        read(self, key)?.ok_or_else(|| self.refuse(key, "is missing"))
    }

    fn read<T>(&self, key: &str, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let read = |value| read(value).ok_or_else(|| self.refuse(key, &format!("is {value}, not {what}")));
        self.get(key).map(read).transpose()
    }

    /// A size or count.
    pub fn size(&self, key: &str) -> Result<Option<usize>> {
        // A count written as 32.0 is still a count.
        let whole = |value: &Value| match value.as_f64() {
            Some(x) if x >= 0.0 && x.fract() == 0.0 && x < 9e15 => usize::try_from(x as u64).ok(),
            _ => None,
        };
        self.read(key, "a whole number", whole)
    }

    /// A number.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a number", Value::as_f64)
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.read(key, "a string", Value::as_str)
    }

    /// A token's id.
    pub fn id(&self, key: &str) -> Result<Option<u32>> {
        self.read(key, "a token id", token_id)
    }

    /// One token's id or a list of them.
    pub fn ids(&self, key: &str) -> Result<Option<Vec<u32>>> {
        let ids = |value: &Value| match value {
            Value::Array(list) => list.iter().map(token_id).collect(),
            one => token_id(one).map(|id| vec![id]),
        };
        self.read(key, "a token id or a list of them", ids)
    }

    /// The side of a square: one number, two equal ones, or `height` and `width`.
    pub fn side(&self, key: &str) -> Result<Option<usize>> {
        let side = |value: &Value| {
            let [height, width] = match value {
                Value::Array(list) => <[&Value; 2]>::try_from(list.iter().collect::<Vec<_>>()).ok()?,
                Value::Object(map) => [map.get("height")?, map.get("width")?],
                one => [one, one],
            };
            let height = usize::try_from(height.as_u64()?).ok()?;
            (width.as_u64() == Some(height as u64)).then_some(height)
        };
        self.read(key, "the side of a square", side)
    }

    /// Three numbers.
    pub fn triple(&self, key: &str) -> Result<Option<[f32; 3]>> {
        let triple = |value: &Value| {
            let numbers: Option<Vec<f32>> = value.as_array()?.iter().map(|x| x.as_f64().map(|x| x as f32)).collect();
            numbers?.try_into().ok()
        };
        self.read(key, "three numbers", triple)
    }
}

fn token_id(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}
