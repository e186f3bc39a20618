//! Meters of tokens and engine time.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts tokens of prompts and answers, and the engine's time on them. Requests that share a meter check it before each token, so that
/// together they overshoot by at most one token each.
#[derive(Debug)]
pub struct Meter {
    most_tokens: AtomicU64,
    most_us: AtomicU64,
    tokens: AtomicU64,
    us: AtomicU64,
}

impl Default for Meter {
    /// Creates a meter without limits.
    fn default() -> Self {
        Self { most_tokens: u64::MAX.into(), most_us: u64::MAX.into(), tokens: 0.into(), us: 0.into() }
    }
}

impl Meter {
    /// Limits further use to so many tokens and milliseconds.
    pub fn allow(&self, tokens: f64, ms: f64) {
        let (taken, us) = (self.tokens.load(Ordering::Relaxed), self.us.load(Ordering::Relaxed));
        self.most_tokens.store(taken.saturating_add(tokens as u64), Ordering::Relaxed);
        self.most_us.store(us.saturating_add((ms * 1e3) as u64), Ordering::Relaxed);
    }

    /// Adds tokens and milliseconds.
    pub fn spend(&self, tokens: usize, ms: f64) {
        self.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
        self.us.fetch_add((ms * 1e3) as u64, Ordering::Relaxed);
    }

    /// Tokens that may still be used; 0 if the time is used up.
    pub fn left(&self) -> usize {
        if self.us.load(Ordering::Relaxed) >= self.most_us.load(Ordering::Relaxed) {
            return 0;
        }
        let left = self.most_tokens.load(Ordering::Relaxed).saturating_sub(self.tokens.load(Ordering::Relaxed));
        left.min(usize::MAX as u64) as usize
    }

    /// Tokens and milliseconds used so far.
    pub fn spent(&self) -> (u64, f64) {
        (self.tokens.load(Ordering::Relaxed), self.us.load(Ordering::Relaxed) as f64 / 1e3)
    }
}
