//! The cache of keys and values as kernels bind it.

use crate::config::KvPrecision;
use crate::gpu::Slice;

/// The cache of one layer.
#[derive(Debug, Clone)]
pub struct Cache {
    /// How it holds a number.
    pub precision: KvPrecision,
    /// Keys, values, and of 8-bit integers a word with the 16-bit scale of a head's keys in its lower half and of its values in
    /// its upper. `// [capacity, kv_heads, head_dim]` twice, `// [capacity, kv_heads]`
    pub planes: Vec<Slice>,
}

/// The file that stores keys and values of a precision, through a binding for each plane.
pub(super) fn cache_file(precision: KvPrecision) -> &'static str {
    match precision {
        KvPrecision::F32 => "cache_f32",
        KvPrecision::F16 => "cache_f16",
        KvPrecision::Int8 => "cache_int8",
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
