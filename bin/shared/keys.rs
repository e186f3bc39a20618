//! The file of API keys: a list of names, each with the hash of its key, its budget and its end. The keys themselves are in no file.

use std::collections::BTreeSet;
use std::path::Path;

use ocelli::api::Limit;
use ocelli::usage::is_day;
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::io;

/// Names in reports of usage that no key may have: the key of `--api-key`, and the sum of keys beyond the limit of a day.
const RESERVED: [&str; 2] = ["api-key", "other"];
/// Most characters of a name.
const MOST_NAME: usize = 64;

/// SHA-256 of a key. Comparing hashes reveals nothing by timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

impl TryFrom<String> for KeyHash {
    type Error = &'static str;

    fn try_from(hex: String) -> std::result::Result<Self, Self::Error> {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let pair = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
        let bytes: Option<Vec<u8>> = hex.as_bytes().chunks_exact(2).map(pair).collect();
        let bytes = bytes.filter(|_| hex.len() == 64).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a SHA-256 has 64 hexadecimal digits")
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A day (UTC), such as `2027-01-31`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Day(pub(crate) String);

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        let is_real = is_day(&text) && ("01"..="12").contains(&&text[5..7]) && ("01"..="31").contains(&&text[8..]);
        if is_real { Ok(Self(text)) } else { Err("a day is written as 2027-01-31") }
    }
}

/// Budget of a key in a day (UTC).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyBudget {
    /// Tokens of prompts and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<u64>,
    /// Seconds of the engine's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
}

impl KeyBudget {
    pub(crate) fn limit(self) -> Limit {
        Limit { tokens: self.tokens, seconds: self.seconds }
    }

    fn is_none(&self) -> bool {
        self.limit().is_none()
    }
}

/// A key in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    /// Name under which usage is counted. Files and batches belong to it.
    pub(crate) name: String,
    pub(crate) sha256: KeyHash,
    /// Limits in place of `--key-tokens` and `--key-seconds`.
    #[serde(default, skip_serializing_if = "KeyBudget::is_none")]
    pub(crate) budget: KeyBudget,
    /// First day on which the key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Day>,
    /// True if it reads the files, batches and usage of all keys, and the metrics.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) admin: bool,
}

impl KeyEntry {
    /// The reason for which the entry is refused.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let Self { name, budget, .. } = self;
        if name.is_empty() || name.chars().count() > MOST_NAME || name.chars().any(char::is_control) {
            return Some("a name has 1 to 64 characters, no control characters");
        }
        if RESERVED.contains(&name.as_str()) {
            return Some("this name is reserved");
        }
        let is_wrong = |seconds: f64| !seconds.is_finite() || seconds < 0.0;
        budget.seconds.is_some_and(is_wrong).then_some("budget.seconds must be 0 or more")
    }
}

/// Reads the file.
///
/// # Errors
/// `io`; `invalid-request` with the line, or with the name of the key.
pub(crate) fn read(path: &Path) -> Result<Vec<KeyEntry>> {
    parse(&io::read(path)?).map_err(|reason| Error::request(path.display().to_string(), reason))
}

fn parse(json: &[u8]) -> std::result::Result<Vec<KeyEntry>, String> {
    let entries: Vec<KeyEntry> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let (mut names, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    for entry in &entries {
        let twice = (!names.insert(&entry.name)).then_some("another key has this name");
        let same = (!hashes.insert(entry.sha256)).then_some("another name has the same key");
        if let Some(reason) = entry.fault().or(twice).or(same) {
            return Err(format!("key {:?}: {reason}", entry.name));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_budgets_and_ends() {
        let hash = String::from(KeyHash::of("secret"));
        let text = format!(
            r#"[{{"name": "ann", "sha256": "{hash}"}}, {{"name": "bob", "sha256": "{}", "budget": {{"tokens": 5}},
            "expires": "2027-01-31", "admin": true}}]"#,
            "A".repeat(64)
        );
        let entries = parse(text.as_bytes()).expect("a good file");
        assert_eq!((entries[0].sha256, entries[0].budget.limit()), (KeyHash::of("secret"), Limit::default()));
        let bob = &entries[1];
        assert_eq!((bob.budget.tokens, bob.expires.as_ref().map(|day| day.0.as_str())), (Some(5), Some("2027-01-31")));
        assert!(bob.admin && !entries[0].admin);
        assert_eq!(serde_json::to_string(&entries[0]).expect("JSON"), format!(r#"{{"name":"ann","sha256":"{hash}"}}"#));
    }

    #[test]
    fn faults_of_a_file_name_their_line_or_key() {
        let hash = String::from(KeyHash::of("secret"));
        let one = |fields: &str| format!("[\n{{\"name\": \"ann\", \"sha256\": \"{hash}\"{fields}}}\n]");
        let ann = format!(r#"{{"name": "ann", "sha256": "{hash}"}}"#);
        let cases = [
            ("{}".into(), "line 1"),
            ("[\n{\"name\": \"ann\"}]".into(), "missing field `sha256` at line 2"),
            ("[\n\n{\"name\": \"ann\", \"sha256\": \"abc\"}]".into(), "64 hexadecimal digits at line 3"),
            (one(r#", "budgets": {}"#), "unknown field `budgets`"),
            (one(r#", "budget": {"token": 5}"#), "unknown field `token`"),
            (one(r#", "budget": {"tokens": -5}"#), "line 2"),
            (one(r#", "budget": {"seconds": -5}"#), "key \"ann\": budget.seconds"),
            (one(r#", "expires": "31.1.2027""#), "2027-01-31 at line 2"),
            (one(r#", "expires": "2027-13-01""#), "2027-01-31 at line 2"),
            (format!("[{ann}, {ann}]"), "key \"ann\": another key has this name"),
            (format!("[{ann}, {}]", ann.replace("ann", "bob")), "key \"bob\": another name has the same key"),
            (ann.replace("ann", "api-key"), "line 1"),
            (format!("[{}]", ann.replace("ann", "other")), "reserved"),
            (format!("[{}]", ann.replace("ann", "a\\nb")), "control characters"),
        ];
        for (text, wanted) in cases {
            let told = parse(text.as_bytes()).expect_err(&text);
            assert!(told.contains(wanted), "{told}: {text}");
        }
    }
}
