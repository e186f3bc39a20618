//! The next token, chosen on the GPU and written to the step buffer without a round trip to the CPU.

pub use super::sampling::{NONE, Rules, Sampling};
use super::{plain, sample_filter, sample_scan};
use crate::error::{Error, Result};
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

impl Sampling {
    /// Records the choice of a token: two launches, three with filters.
    ///
    /// `logits`: `// [rows, vocab]`, of which [`Rules::of_row`] selects one; `state`: token, position, tokens drawn. The launch writes the
    /// token and increments the others. If no token can be chosen, the token becomes [`NONE`] and the third word the reason (see [`read`]).
    pub fn record(&self, recording: &mut Recording, logits: &Slice, state: &Slice) -> Result<()> {
        sample_scan::record(recording, self, 1, logits, state)?;
        if self.rules.filters() {
            sample_filter::record(recording, self, logits, state)?;
        }
        record(recording, self, state)
    }
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("sample")
}

/// Records the choice among partial results, the last launch of [`Sampling::record`].
pub fn record(recording: &mut Recording, sampling: &Sampling, state: &Slice) -> Result<()> {
    let Sampling { rules, words, values, adjust, .. } = sampling;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: rules.bytes(),
        buffers: [words, values, state, adjust].map(Slice::clone).to_vec(),
        grid: [1, 1, 1],
        note: format!("from={}", rules.candidates),
    })
}

/// The token that a step chose, from the first words of its buffer: token, position, tokens drawn.
///
/// # Errors
/// [`Error::Gpu`] if logits were NaN, plus infinity or all minus infinity.
pub fn read([token, _, drawn]: [u32; 3]) -> Result<u32> {
    if token != NONE {
        return Ok(token);
    }
    // The first unusable token times 2, plus 1 for NaN.
    let kind = if drawn & 1 == 1 { f32::NAN } else { f32::INFINITY };
    let detail = match drawn {
        NONE => "every token is forbidden".into(),
        _ => format!("the logit of token {} is {kind}", drawn >> 1),
    };
    Err(Error::Gpu { stage: "logits".into(), detail })
}
