//! Reading a header front to back, a window at a time.

use crate::error::{Error, Result};
use crate::package::source::ByteSource;

/// Bytes of the first request: enough for the header of a vision half.
const FIRST_WINDOW: u64 = 16 << 10;
/// Most bytes of a request; each is twice as large as the one before. The header of a 3B model has eight of these.
const LAST_WINDOW: u64 = 1 << 20;

/// A forward reader of a file.
pub(super) struct Cursor<'a, S> {
    source: &'a S,
    /// No byte from here on is read.
    end: u64,
    window: Vec<u8>,
    /// Bytes of the next request.
    step: u64,
    /// Consumed bytes of the window.
    taken: usize,
    /// End of the window in the file.
    window_end: u64,
}

impl<'a, S: ByteSource> Cursor<'a, S> {
    /// A cursor at the start of `source` that never goes past `end`.
    pub(super) fn new(source: &'a S, end: u64) -> Self {
        Self { source, end, window: Vec::new(), step: FIRST_WINDOW, taken: 0, window_end: 0 }
    }

    /// An error about the file.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(self.source.name(), "", reason)
    }

    /// Position of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.window_end - (self.window.len() - self.taken) as u64
    }

    /// Remaining bytes.
    pub(super) fn left(&self) -> u64 {
        self.end - self.position()
    }

    /// The next `count` bytes.
    pub(super) async fn take(&mut self, count: u64) -> Result<&[u8]> {
        if count > self.left() {
            let (position, end) = (self.position(), self.end);
            return Err(self.refuse(format!("truncated or damaged: {count} bytes at {position} end past {end}")));
        }
        let held = (self.window.len() - self.taken) as u64;
        if held < count {
            let more = (count - held).max(self.step).min(self.end - self.window_end);
            self.step = LAST_WINDOW.min(2 * self.step);
            let bytes = self.source.read(self.window_end..self.window_end + more).await?;
            self.window.drain(..self.taken);
            self.window.extend_from_slice(&bytes);
            self.taken = 0;
            self.window_end += more;
        }
        // No more than the window holds.
        let start = self.taken;
        self.taken += count as usize;
        Ok(&self.window[start..self.taken])
    }

    async fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N as u64).await?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    pub(super) async fn u32(&mut self) -> Result<u32> {
        self.array().await.map(u32::from_le_bytes)
    }

    pub(super) async fn u64(&mut self) -> Result<u64> {
        self.array().await.map(u64::from_le_bytes)
    }

    /// A string of at most `limit` bytes; `what` names it in errors.
    pub(super) async fn text(&mut self, limit: u64, what: &str) -> Result<String> {
        let len = self.u64().await?;
        if len > limit {
            return Err(self.refuse(format!("damaged: {what} of {len} bytes")));
        }
        let text = String::from_utf8(self.take(len).await?.to_vec());
        text.map_err(|_| self.refuse(format!("damaged: {what} is not UTF-8")))
    }
}
