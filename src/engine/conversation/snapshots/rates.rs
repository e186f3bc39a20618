//! Costs and gains of snapshots, from what this device has taken so far.

/// Milliseconds that a file takes, however short it is: to be found, opened and checked.
const FILE_MS: f64 = 2.0;
/// Tokens, or bytes, that an average is over: what was measured long ago counts less.
const MEMORY: [f64; 3] = [4096.0, 4096.0, 256e6];

/// What is done again and again, by what it took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mean {
    amount: f64,
    ms: f64,
}

/// What this device takes in milliseconds, as far as it has been measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates([Mean; 3]);

/// Kinds of work that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Tokens of a prompt through the decoder.
    Tokens,
    /// Tokens of pictures through the tower.
    Pictures,
    /// Bytes of a snapshot, read, checked and sent to the device.
    Bytes,
}

/// Work that a snapshot saves, and its cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gain {
    /// Entries.
    pub entries: usize,
    /// Those of pictures among them.
    pub pictures: usize,
    /// Bytes to be read.
    pub bytes: u64,
}

impl Rates {
    /// Milliseconds for a token, for a token of a picture in the tower, for a byte; 0 for what is not known, and for what is no such number.
    pub fn new(rates: [f64; 3]) -> Self {
        Self(rates.map(|ms| if ms.is_finite() && ms > 0.0 { Mean { amount: 1.0, ms } } else { Mean::default() }))
    }

    /// As [`Self::new`] takes them.
    pub fn known(&self) -> [f64; 3] {
        self.0.map(|Mean { amount, ms }| if amount > 0.0 { ms / amount } else { 0.0 })
    }

    /// Notes what so much work has taken.
    pub fn note(&mut self, work: Work, amount: f64, took: f64) {
        // A clock that stands still tells nothing.
        if amount <= 0.0 || took <= 0.0 || !took.is_finite() {
            return;
        }
        let mean = &mut self.0[work as usize];
        // What earlier processes have found out weighs little.
        let share = (MEMORY[work as usize] / mean.amount.max(1.0)).min(1.0);
        *mean = Mean { amount: mean.amount * share + amount, ms: mean.ms * share + took };
    }

    /// Whether reading a snapshot takes less time than computing what it holds. What has never been measured is tried.
    pub fn pays(&self, gain: Gain) -> bool {
        let [token, picture, byte] = self.known();
        if gain.entries == 0 {
            return false;
        }
        let computed = gain.entries as f64 * token + gain.pictures as f64 * picture;
        token == 0.0 || FILE_MS + gain.bytes as f64 * byte < computed
    }
}
