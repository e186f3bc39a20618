//! User key and budget of a request.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field::{Field, Fields};
use crate::error::Result;

/// Length limit of a key; further characters are ignored.
pub(super) const KEY_CHARACTERS: usize = 256;

/// Limits of tokens and engine time; absent means unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Tokens of prompts and answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Seconds of engine time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Limit {
    /// Returns whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Combines two limits; the stricter of each applies.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let tokens = self.tokens.into_iter().chain(other.tokens).min();
        Self { tokens, seconds: self.seconds.into_iter().chain(other.seconds).reduce(f64::min) }
    }
}

/// User key and budget of a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Asker {
    /// Field `safety_identifier`, otherwise `user`; empty if both are absent.
    pub key: String,
    /// Field `budget`.
    pub limit: Limit,
    /// The field `prompt_cache_key`, which keeps the KV cache of its prompts apart; empty if it is absent.
    pub cache_key: String,
}

impl Asker {
    /// Reads the fields of a request.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] if `budget` is malformed.
    pub fn of_request(request: &Value) -> Result<Self> {
        Self::read(&Fields::of_request(request)?)
    }

    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        let name = |names: &[&str]| -> String {
            let name = |name: &&str| fields.get(name)?.value.as_str().filter(|name| !name.is_empty());
            names.iter().find_map(name).unwrap_or_default().chars().take(KEY_CHARACTERS).collect()
        };
        let limit = fields.get("budget").map_or(Ok(Limit::default()), |budget| read_limit(&budget))?;
        Ok(Self { key: name(&["safety_identifier", "user"]), limit, cache_key: name(&["prompt_cache_key"]) })
    }
}

fn read_limit(budget: &Field<'_>) -> Result<Limit> {
    let mut limit = Limit::default();
    for (name, field) in budget.object()?.iter() {
        let number = field.value.as_f64().filter(|number| *number >= 0.0);
        match (name, number) {
            ("tokens", Some(number)) if number.fract() == 0.0 => limit.tokens = Some(number as u64),
            ("seconds", Some(number)) => limit.seconds = Some(number),
            ("tokens", _) => return Err(field.fault("must be a whole number of at least 0")),
            ("seconds", _) => return Err(field.fault("must be a number of at least 0")),
            _ => return Err(field.fault("must be tokens or seconds")),
        }
    }
    Ok(limit)
}
