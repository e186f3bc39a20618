//! The cache of keys and values as kernels bind it: pages of positions, and a table that says which pages a conversation has.
//!
//! The table is part of the words of a step, which hold what changes from token to token: 0 the next token, 1 the position of the first
//! new row, 2 tokens drawn so far, 3 the position of the rope table's first row, 4 the word that this table begins at. Where each
//! row is one of another conversation, their words lie behind one another: 5 is then how many vec4s they are (else 0), 6 the splits of the
//! conversation's attention. From word [`PAGES`] on lies the table of pages, behind it the rope table: for each position [`table_stride`](super::rope_append::table_stride)
//! words, the cosines of all pairs, their sines, then the scale of the queries and three words of padding.

use crate::config::KvPrecision;
use crate::gpu::Slice;
pub use crate::reference::cache::PAGE;

/// The word of a step that the table of pages begins at.
pub const PAGES: usize = 64;

/// The word of a step that the rope table begins at behind a table of so many pages.
pub fn rope_table_at(pages: usize) -> usize {
    PAGES + pages.next_multiple_of(PAGES)
}

/// The cache of one layer, with pages of all conversations.
#[derive(Debug, Clone)]
pub struct Cache {
    /// How it holds a number.
    pub precision: KvPrecision,
    /// Keys, values, and of 8-bit integers a word with the 16-bit scale of a head's keys in its lower half and of its values in
    /// its upper. `// [pages, PAGE, kv_heads, head_dim]` twice, `// [pages, kv_heads, PAGE]`
    pub planes: Vec<Slice>,
}

impl Cache {
    /// What kernels bind of it: the planes, and the words of a step with the table of pages.
    pub(super) fn bindings<'a>(&'a self, step: &'a Slice) -> impl Iterator<Item = &'a Slice> {
        self.planes.iter().chain([step])
    }
}

/// The file that stores keys and values of a precision, through a binding for each plane.
pub(super) fn cache_file(precision: KvPrecision) -> &'static str {
    match precision {
        KvPrecision::F32 => "cache_f32",
        KvPrecision::F16 => "cache_f16",
        KvPrecision::Int8 => "cache_int8",
    }
}

/// Vectors of four numbers in 16 bytes.
pub(super) fn pack(precision: KvPrecision) -> usize {
    match precision {
        KvPrecision::F32 => 1,
        KvPrecision::F16 => 2,
        KvPrecision::Int8 => 4,
    }
}

/// The file that reads them.
pub(super) fn kv_file(precision: KvPrecision) -> &'static str {
    match precision {
        KvPrecision::F32 => "kv_f32",
        KvPrecision::F16 => "kv_f16",
        KvPrecision::Int8 => "kv_int8",
    }
}
