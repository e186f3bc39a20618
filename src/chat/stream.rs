//! Bytes of generated tokens to text a caller can show at once.
//!
//! A token may end in the middle of a character, and a stop string may begin in one token and end in another: what
//! cannot be shown yet is held back. However the bytes are cut into pushes, the whole text is the same.

/// The text of one answer as it grows.
#[derive(Debug, Clone, Default)]
pub struct TextStream {
    stop: Vec<String>,
    /// The beginning of a character whose end has not arrived.
    tail: Vec<u8>,
    /// Text that may turn out to be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl TextStream {
    /// A stream that ends before the first of `stop` to be completed. Empty stop strings are ignored.
    pub fn new(mut stop: Vec<String>) -> Self {
        stop.retain(|text| !text.is_empty());
        Self { stop, ..Self::default() }
    }

    /// Takes the bytes of one token and gives the text that is now certain, if any.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, just as [`String::from_utf8_lossy`] would have it on the whole.
    pub fn push(&mut self, bytes: &[u8]) -> Option<String> {
        if self.stopped {
            return None;
        }
        self.tail.extend_from_slice(bytes);
        let incomplete = append_characters(&self.tail, &mut self.held);
        self.tail.drain(..self.tail.len() - incomplete);
        self.release(self.undecided())
    }

    /// Gives what was held back. The stream is then empty and may be dropped.
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

    /// Whether a stop string was completed: the text ends before it, and nothing more will come.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Releases the held text but for its last `keep` bytes, or up to a stop string.
    fn release(&mut self, keep: usize) -> Option<String> {
        let stop = self.first_stop();
        self.stopped = stop.is_some();
        let rest = self.held.split_off(stop.unwrap_or(self.held.len() - keep));
        let certain = std::mem::replace(&mut self.held, rest);
        (!certain.is_empty()).then_some(certain)
    }

    /// Where the stop string that is completed first begins. Of two that end together, the longer counts.
    fn first_stop(&self) -> Option<usize> {
        let found = self.stop.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop.len())));
        found.min_by_key(|&(at, len)| (at + len, at)).map(|(at, _)| at)
    }

    /// Bytes at the end of the held text that a stop string begins with.
    fn undecided(&self) -> usize {
        let held = self.held.as_bytes();
        let overlap = |stop: &String| {
            let longest = held.len().min(stop.len() - 1);
            (1..=longest).rev().find(|&n| held.ends_with(&stop.as_bytes()[..n])).unwrap_or(0)
        };
        self.stop.iter().map(overlap).max().unwrap_or(0)
    }
}

/// Appends the characters that `bytes` completes to `text`; returns how many bytes at the end begin another.
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
