//! Errors of grammars, as data.

/// The crate's result type.
pub type Result<T> = std::result::Result<T, GrammarError>;

/// Longest description of an error, in characters.
const MAX_REASON: usize = 2000;

/// An error of a grammar. Serializes as its data alone, without the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, strum::IntoStaticStr)]
#[serde(untagged)]
#[strum(serialize_all = "kebab-case")]
pub enum GrammarError {
    /// A JSON schema has a constraint that cannot be enforced while an answer is generated.
    #[error("{}{reason}", at(.pointer, .keyword))]
    UnsupportedSchema {
        /// JSON pointer to the schema with the constraint; empty for the root.
        pointer: String,
        /// The keyword; empty if no single keyword is the reason.
        keyword: String,
        /// Reason of the refusal.
        reason: String,
    },
    /// A regular expression or grammar is malformed, or takes more time or memory than allowed.
    #[error("{reason}")]
    InvalidGrammar {
        /// Description of the error.
        reason: String,
    },
}

impl GrammarError {
    /// The stable name of the variant.
    pub fn code(&self) -> &'static str {
        self.into()
    }

    pub(crate) fn schema(pointer: &str, keyword: &str, reason: impl Into<String>) -> Self {
        Self::UnsupportedSchema { pointer: pointer.into(), keyword: keyword.into(), reason: reason.into() }
    }

    /// Returns the same error for a schema at `place`.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::UnsupportedSchema { pointer, keyword, reason } => {
                Self::UnsupportedSchema { pointer: format!("{place}{pointer}"), keyword, reason }
            }
            other => other,
        }
    }

    pub(crate) fn invalid(reason: impl ToString) -> Self {
        // llguidance quotes whole lines of a grammar.
        Self::InvalidGrammar { reason: reason.to_string().chars().take(MAX_REASON).collect() }
    }
}

/// The parts of a place that are known, each followed by a colon.
fn at(pointer: &str, keyword: &str) -> String {
    [pointer, keyword].iter().filter(|part| !part.is_empty()).map(|part| format!("{part}: ")).collect()
}
