//! New keys and values into the cache.

/// Where the new keys and values are, and where they go.
#[derive(Debug, Clone, Copy)]
pub struct Append {
    /// New tokens.
    pub tokens: usize,
    /// Tokens in the cache before them.
    pub past: usize,
    /// Width of the keys of a token, and of its values.
    pub width: usize,
    /// Width of a row of `qkv`.
    pub stride: usize,
    /// Column of the keys in it; the values follow them.
    pub k_offset: usize,
}

/// Copies. `qkv`: `// [tokens, stride]`; `k_cache`, `v_cache`: `// [capacity, width]`.
pub fn compute(append: Append, qkv: &[f32], k_cache: &mut [f32], v_cache: &mut [f32]) {
    let Append { tokens, past, width, stride, k_offset } = append;
    for token in 0..tokens {
        let (k, v) = qkv[token * stride + k_offset..][..2 * width].split_at(width);
        let first = (past + token) * width;
        k_cache[first..first + width].copy_from_slice(k);
        v_cache[first..first + width].copy_from_slice(v);
    }
}
