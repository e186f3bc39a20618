//! The step buffer: the values that change from token to token, kept on the GPU so that one recording of a step serves every token.
//!
//! Its words are those of [`cache`](mod@crate::kernels::cache): a header, the conversation's pages, the rope table. Kernels read entry, pages
//! and rotation there, and the sampler writes the next token there, so that a step can be submitted before the previous token was read back.

use std::ops::Range;

use super::rope::words_of_position;
use crate::config::{KvHeads, LayerKind, TextConfig};
use crate::kernels::attention_step::{MAX_SPLITS, Tuning, can_be_apart, partials_len, reach};
use crate::kernels::cache::{PAGE, rope_table_at};

/// Word that holds the cache entry of the rope table's first row.
pub(crate) const TABLE_FIRST: usize = 3;
/// Bytes of the header that change with every token.
pub const RESULT: u64 = 16;
/// Positions of the rope table that are written at once.
pub(crate) const TABLE_ROWS: usize = 256;

/// First word of the rope table in the step buffer of a model with this context.
pub(crate) fn table_at(context: usize) -> usize {
    rope_table_at(context.div_ceil(PAGE))
}

/// Bytes of partial results where several workgroups share the attention of a step of so many rows.
pub(crate) fn partials_bytes(config: &TextConfig, rows: usize) -> u64 {
    (partials_len(rows, config.num_attention_heads, config.widest_head(), MAX_SPLITS) * size_of::<f32>()) as u64
}

/// Most rows, up to `rows`, of a step at `entry` whose attention is split at the same positions as in steps of one row, so that results are
/// rounded alike, with a window as well as without.
pub(crate) fn alike(entry: usize, rows: usize, window: Option<usize>, tuning: Tuning) -> usize {
    let all_keys = alike_within(entry, rows, usize::MAX, tuning);
    window.map_or(all_keys, |window| alike_within(entry, all_keys, window, tuning))
}

/// [`alike`] for attention over the last `window` keys.
fn alike_within(entry: usize, rows: usize, window: usize, tuning: Tuning) -> usize {
    // Splits are whole tiles, from the tile of the first key in the window on.
    let shape = |entries: usize| {
        let splits = tuning.splits(reach(entries.min(window)));
        let first_tile = entries.saturating_sub(window) / tuning.tile();
        let tiles = (entries - first_tile * tuning.tile()).div_ceil(splits).div_ceil(tuning.tile());
        (splits, first_tile, tiles)
    };
    let first = shape(entry + 1);
    // Tiles outside the window of a row change nothing: with one split, results do not depend on where it starts and ends.
    let same = |rows: &usize| shape(entry + rows) == first || (first.0 == 1 && shape(entry + rows).0 == 1);
    (1..=rows).rev().find(same).unwrap_or(1)
}

/// Most conversations in a step of `rows` rows. It is 1 for models with recurrent layers or cross-attention, whose state is bound for one
/// conversation, and where query heads of several conversations would share a workgroup.
pub(crate) fn max_batch(config: &TextConfig, rows: usize) -> usize {
    let is_text = config.delta.is_none() && config.cross.is_none();
    let can_be = |kind: &LayerKind| {
        let KvHeads { count, dim } = config.kv_heads(*kind);
        can_be_apart(config.num_attention_heads / count.max(1), dim)
    };
    if is_text && config.layers.iter().all(can_be) { rows } else { 1 }
}

/// Words of each conversation of a batch: a header, its page table, the rotation of one position. A multiple of the alignment of bindings.
pub(crate) fn words_apart(config: &TextConfig, context: usize) -> usize {
    (table_at(context) + words_of_position(config)).next_multiple_of(64)
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
    /// First words of a step buffer whose rope table starts at the word `table_at` and has rows for `entries`.
    pub(crate) fn words(self, entries: &Range<usize>, table_at: usize) -> [u32; 5] {
        [self.token, self.entry as u32, self.drawn as u32, entries.start as u32, table_at as u32]
    }
}
