//! Bindings of the KV cache: pages of positions, and a page table for each conversation.
//!
//! The page table is part of a step buffer, which holds the data that change from token to token. Words: 0 the next token, 1 the position
//! of the first new row, 2 tokens drawn so far, 3 the position of the rope table's first row, 4 the first word of the rope table. If each
//! row belongs to another conversation, the words of all conversations follow one another: 5 is then the number of vec4s of each (else 0),
//! 6 the splits of its attention. The page table starts at word [`PAGES`]. The rope table follows it: for each position
//! [`table_stride`](super::rope_append::table_stride) words, the cosines of all pairs, their sines, the scale of the queries and three
//! words of padding.

use crate::config::KvPrecision;
use crate::gpu::Slice;
pub use crate::reference::cache::PAGE;

/// First word of the page table in a step buffer.
pub const PAGES: usize = 64;

/// First word of the rope table after a page table of `pages` pages.
pub fn rope_table_at(pages: usize) -> usize {
    PAGES + pages.next_multiple_of(PAGES)
}

/// The cache of one layer, with the pages of all conversations.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Number format of keys and values.
    pub precision: KvPrecision,
    /// Keys, values, and for 8-bit integers their scales, in each word the 16-bit scale of a head's keys (lower half) and values (upper
    /// half). `// [pages, PAGE, kv_heads, head_dim]` twice, `// [pages, kv_heads, PAGE]`
    pub planes: Vec<Slice>,
}

impl Cache {
    /// Buffers that kernels bind: the planes, and the step buffer with the page table.
    pub(super) fn bindings<'a>(&'a self, step: &'a Slice) -> impl Iterator<Item = &'a Slice> {
        self.planes.iter().chain([step])
    }
}

/// Shader file that stores keys and values, with a binding for each plane.
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

/// Shader file that reads keys and values.
pub(super) fn kv_file(precision: KvPrecision) -> &'static str {
    match precision {
        KvPrecision::F32 => "kv_f32",
        KvPrecision::F16 => "kv_f16",
        KvPrecision::Int8 => "kv_int8",
    }
}
