//! Costs and gains of snapshots, from measurements on this device.

/// Milliseconds to find, open and check a file of any length.
const FILE_MS: f64 = 2.0;
/// Tokens or bytes that a mean covers, so that older measurements count less.
const MEMORY: [f64; 3] = [4096.0, 4096.0, 256e6];

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mean {
    amount: f64,
    ms: f64,
}

/// Milliseconds per unit of work on this device, as far as measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates([Mean; 3]);

/// Kinds of work that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Tokens of a prompt in the decoder.
    Tokens,
    /// Tokens of pictures in the tower.
    Pictures,
    /// Bytes of a snapshot, read, checked and uploaded.
    Bytes,
}

/// Work that a snapshot saves, and its cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gain {
    /// Entries that need not be computed.
    pub entries: usize,
    /// Entries of pictures among them.
    pub pictures: usize,
    /// Bytes that must be read.
    pub bytes: u64,
}

impl Rates {
    /// Creates rates from milliseconds per token, per token of a picture in the tower, and per byte; 0 or an invalid number for unknown.
    pub fn new(rates: [f64; 3]) -> Self {
        Self(rates.map(|ms| if ms.is_finite() && ms > 0.0 { Mean { amount: 1.0, ms } } else { Mean::default() }))
    }

    /// Rates in the order of [`Self::new`]; 0 for unknown ones.
    pub fn known(&self) -> [f64; 3] {
        self.0.map(|Mean { amount, ms }| if amount > 0.0 { ms / amount } else { 0.0 })
    }

    /// Adds a measurement.
    pub fn note(&mut self, work: Work, amount: f64, took: f64) {
        // Work below the clock's resolution gives no rate.
        if amount <= 0.0 || took <= 0.0 || !took.is_finite() {
            return;
        }
        let mean = &mut self.0[work as usize];
        // Rates of earlier processes begin with an amount of 1, so they count little.
        let share = (MEMORY[work as usize] / mean.amount.max(1.0)).min(1.0);
        *mean = Mean { amount: mean.amount * share + amount, ms: mean.ms * share + took };
    }

    /// Returns true if reading a snapshot takes less time than computing its entries, or if no rate is known yet.
    pub fn pays(&self, gain: Gain) -> bool {
        let [token, picture, byte] = self.known();
        if gain.entries == 0 {
            return false;
        }
        let computed = gain.entries as f64 * token + gain.pictures as f64 * picture;
        token == 0.0 || FILE_MS + gain.bytes as f64 * byte < computed
    }
}
