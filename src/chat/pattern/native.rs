use std::ops::Range;

use fancy_regex::Regex;

/// A regular expression.
pub(in crate::chat) struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern, or returns the reason why it is invalid.
    pub(in crate::chat) fn new(pattern: &str) -> Result<Self, String> {
        Regex::new(pattern).map(Self).map_err(|error| error.to_string())
    }

    /// Byte ranges of the matches, in order.
    pub(in crate::chat) fn find_all(&self, text: &str) -> Result<Vec<Range<usize>>, String> {
        let matches = self.0.find_iter(text);
        matches.map(|found| found.map(|found| found.range()).map_err(|error| error.to_string())).collect()
    }
}
