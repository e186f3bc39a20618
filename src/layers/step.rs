//! The step buffer: the values that change from token to token, kept on the GPU so that one recording of a step serves every token.
//!
//! Its words are those of [`cache`](mod@crate::kernels::cache): a header, the conversation's pages, the rope table. Kernels read entry, pages
//! and rotation there, and the sampler writes the next token there, so that a step can be submitted before the previous token was read back.

use std::ops::Range;

use crate::config::TextConfig;
use crate::kernels::attention_step::{MAX_SPLITS, Tuning, can_be_apart, partials_len, reach};
use crate::kernels::cache::{PAGE, rope_table_at};
use crate::kernels::rope_append::table_stride;

/// The word that holds the cache entry of the rope table's first row.
pub(crate) const TABLE_FIRST: usize = 3;
/// Bytes of the header that change with every token.
pub const RESULT: u64 = 16;
/// Rows of the rope table that are written at once.
pub(crate) const TABLE_ROWS: usize = 256;
/// The word of the step buffer that the rope table begins at, for a context of so many entries.
pub(crate) fn table_at(context: usize) -> usize {
    rope_table_at(context.div_ceil(PAGE))
}

/// Bytes of partial results where several workgroups share the attention of a step of so many rows.
pub(crate) fn partials_bytes(config: &TextConfig, rows: usize) -> u64 {
    (partials_len(rows, config.num_attention_heads, config.head_dim, MAX_SPLITS) * size_of::<f32>()) as u64
}

/// The rows, up to `rows`, of a step at `entry` that splits the context at the same places as a step of each row alone, so that
/// nothing is rounded otherwise. Splits are whole tiles.
pub(crate) fn alike(entry: usize, rows: usize, tuning: Tuning) -> usize {
    let shape = |entries: usize| {
        let splits = tuning.splits(reach(entries));
        (splits, entries.div_ceil(splits).div_ceil(tuning.tile()))
    };
    let first = shape(entry + 1);
    // One split is the whole context, however long.
    let same = |rows: &usize| shape(entry + rows) == first || (first.0 == 1 && shape(entry + rows).0 == 1);
    (1..=rows).rev().find(same).unwrap_or(1)
}

/// Conversations that a step of so many rows can continue; 1 where it continues one alone. Recurrent layers and pictures' own keys and values
/// are bound for one, and query heads that share a workgroup must be of one.
pub(crate) fn max_batch(config: &TextConfig, rows: usize) -> usize {
    let is_text = config.delta.is_none() && config.cross.is_none();
    let group = config.num_attention_heads / config.num_key_value_heads.max(1);
    if is_text && can_be_apart(group) { rows } else { 1 }
}

/// Words of each conversation where rows are of several: a header, its pages, the rotation of one position. Bindings begin there.
pub(crate) fn words_apart(config: &TextConfig, context: usize) -> usize {
    (table_at(context) + table_stride(config.head_dim)).next_multiple_of(64)
}

/// The input of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepHeader {
    /// The token.
    pub token: u32,
    /// Cache entry of its first row.
    pub entry: usize,
    /// Tokens drawn so far.
    pub drawn: usize,
}

impl StepHeader {
    /// The first words of the step buffer, whose rope table begins at the word `table_at` and has rows for `entries`.
    pub(crate) fn words(self, entries: &Range<usize>, table_at: usize) -> [u32; 5] {
        [self.token, self.entry as u32, self.drawn as u32, entries.start as u32, table_at as u32]
    }
}
