//! Work that is timed on a device.

use std::fmt;

/// Kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// A token after a context.
    Decode {
        /// Tokens of the context.
        tokens: usize,
    },
    /// A prompt.
    Prompt {
        /// Its tokens.
        tokens: usize,
    },
    /// A square picture through the tower.
    Picture {
        /// Its edge in pixels.
        side: usize,
    },
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode { tokens } => write!(f, "a token after {tokens}"),
            Self::Prompt { tokens } => write!(f, "a prompt of {tokens}"),
            Self::Picture { side } => write!(f, "a picture of {side} x {side}"),
        }
    }
}
