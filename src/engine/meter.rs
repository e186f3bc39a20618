//! Meters: tokens and engine time that answers take, and may still take.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts tokens of prompts and answers, and the time that the engine was at work on them. Several requests may share one: each looks at it
/// before its next token, so that all together take one token each too much at most.
#[derive(Debug)]
pub struct Meter {
    most_tokens: AtomicU64,
    most_us: AtomicU64,
    tokens: AtomicU64,
    us: AtomicU64,
}

impl Default for Meter {
    /// Without a limit.
    fn default() -> Self {
        Self { most_tokens: u64::MAX.into(), most_us: u64::MAX.into(), tokens: 0.into(), us: 0.into() }
    }
}

impl Meter {
    /// Limits what is taken from now on to so many tokens and milliseconds.
    pub fn allow(&self, tokens: f64, ms: f64) {
        let (taken, us) = (self.tokens.load(Ordering::Relaxed), self.us.load(Ordering::Relaxed));
        self.most_tokens.store(taken.saturating_add(tokens as u64), Ordering::Relaxed);
        self.most_us.store(us.saturating_add((ms * 1e3) as u64), Ordering::Relaxed);
    }

    /// Counts tokens and milliseconds.
    pub fn spend(&self, tokens: usize, ms: f64) {
        self.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
        self.us.fetch_add((ms * 1e3) as u64, Ordering::Relaxed);
    }

    /// Tokens that may still be taken; none where the time is up.
    pub fn left(&self) -> usize {
        if self.us.load(Ordering::Relaxed) >= self.most_us.load(Ordering::Relaxed) {
            return 0;
        }
        let left = self.most_tokens.load(Ordering::Relaxed).saturating_sub(self.tokens.load(Ordering::Relaxed));
        left.min(usize::MAX as u64) as usize
    }

    /// Tokens and milliseconds so far.
    pub fn spent(&self) -> (u64, f64) {
        (self.tokens.load(Ordering::Relaxed), self.us.load(Ordering::Relaxed) as f64 / 1e3)
    }
}
