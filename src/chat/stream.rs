//! Converts the bytes of generated tokens to displayable text.
//!
//! A token may end within a character, and a stop string may begin in one token and end in another, so undecided text is held back. The whole
//! text does not depend on how the bytes are divided.

/// Text of a growing answer.
#[derive(Debug, Clone, Default)]
pub struct TextStream {
    stop: Vec<String>,
    /// Incomplete character at the end.
    tail: Vec<u8>,
    /// Text that may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl TextStream {
    /// A stream that ends before the first completed string of `stop`. Empty strings are ignored.
    pub fn new(mut stop: Vec<String>) -> Self {
        stop.retain(|text| !text.is_empty());
        Self { stop, ..Self::default() }
    }

    /// Reads the bytes of one token and returns the text that is now certain, if any.
    ///
    /// Invalid UTF-8 becomes U+FFFD, as with [`String::from_utf8_lossy`] on the whole.
    pub fn push(&mut self, bytes: &[u8]) -> Option<String> {
        if self.stopped {
            return None;
        }
        self.tail.extend_from_slice(bytes);
        let incomplete = append_characters(&self.tail, &mut self.held);
        self.tail.drain(..self.tail.len() - incomplete);
        self.release(self.undecided())
    }

    /// Returns the text that was held back, and empties the stream.
    pub fn finish(&mut self) -> Option<String> {
        if self.stopped {
            return None;
        }
        if !self.tail.is_empty() {
            self.tail.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        self.release(0)
    }

    /// The stop string before which the text ended.
    pub fn stop_string(&self) -> Option<&str> {
        let found = self.stop.iter().filter(|stop| self.stopped && self.held.starts_with(stop.as_str()));
        found.min_by_key(|stop| stop.len()).map(String::as_str)
    }

    /// Returns true after a stop string: the text ends before it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Releases the held text except its last `keep` bytes, or up to a stop string.
    fn release(&mut self, keep: usize) -> Option<String> {
        let stop = self.first_stop();
        self.stopped = stop.is_some();
        let rest = self.held.split_off(stop.unwrap_or(self.held.len() - keep));
        let certain = std::mem::replace(&mut self.held, rest);
        (!certain.is_empty()).then_some(certain)
    }

    /// Offset of the stop string that is completed first; if two end together, of the longer one.
    fn first_stop(&self) -> Option<usize> {
        let found = self.stop.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop.len())));
        found.min_by_key(|&(at, len)| (at + len, at)).map(|(at, _)| at)
    }

    /// Length of the end of the held text that may be the beginning of a stop string.
    fn undecided(&self) -> usize {
        let held = self.held.as_bytes();
        let overlap = |stop: &String| {
            let longest = held.len().min(stop.len() - 1);
            (1..=longest).rev().find(|&n| held.ends_with(&stop.as_bytes()[..n])).unwrap_or(0)
        };
        self.stop.iter().map(overlap).max().unwrap_or(0)
    }
}

/// Appends the characters completed by `bytes` to `text`. Returns the number of trailing bytes of an incomplete character.
fn append_characters(bytes: &[u8], text: &mut String) -> usize {
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        match chunk.invalid() {
            [] => {}
            cut if chunks.peek().is_none() && str::from_utf8(cut).is_err_and(|e| e.error_len().is_none()) => {
                return cut.len();
            }
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    0
}
