//! Strings.

use serde_json::{Value, json};

use super::applicators::also;
use super::formats::{format, known_pattern};
use super::{Keywords, Walk};
use crate::error::Result;
use crate::pattern::to_rust;

/// Keywords about strings.
pub(super) const KEYWORDS: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];

/// Largest length that is enforced; a larger maximum is not enforced.
const MAX_LENGTH: u64 = 4096;

impl Walk<'_> {
    /// Adds constraints on strings.
    pub(super) fn strings(&self, given: &Keywords, out: &mut Keywords) -> Result<()> {
        let mut patterns = Vec::new();
        if let Some(value) = given.get("pattern") {
            let Some(pattern) = value.as_str() else { return self.refuse("pattern", "must be a string") };
            match known_pattern(pattern).map_or_else(|| to_rust(pattern), |known| Ok(vec![known])) {
                Ok(all) => patterns.extend(all),
                Err(reason) => return self.refuse("pattern", reason),
            }
        }
        match given.get("format") {
            None => {}
            Some(Value::String(name)) => patterns.extend(format(name)),
            Some(_) => return self.refuse("format", "must be a string"),
        }
        let (least, most) = (self.count(given, "minLength")?, self.count(given, "maxLength")?);
        if least.is_some_and(|least| least > MAX_LENGTH) {
            return self.refuse("minLength", format!("more than {MAX_LENGTH} characters cannot be counted"));
        }
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            return self.refuse("minLength", "is more than maxLength");
        }
        if let Some(least) = least.filter(|least| *least > 0) {
            out.insert("minLength".into(), json!(least));
        }
        if let Some(most) = most {
            // Narrower than allowed.
            out.insert("maxLength".into(), json!(most.min(MAX_LENGTH)));
        }
        let mut patterns = patterns.into_iter();
        if let Some(first) = patterns.next() {
            out.insert("pattern".into(), json!(first));
        }
        for pattern in patterns {
            also(out, json!({ "type": "string", "pattern": pattern }));
        }
        Ok(())
    }
}
