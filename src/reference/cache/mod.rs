//! The KV cache: storing keys and values in its formats, and reading them.

use crate::config::KvPrecision;

/// Positions of a page.
pub const PAGE: usize = 256;

/// Cache row of a position. `pages` holds the page of every [`PAGE`] positions.
pub fn row(pages: &[u32], position: usize) -> usize {
    pages[position / PAGE] as usize * PAGE + position % PAGE
}

/// Index of the scales of a head in a row. The scales of a head in a page are contiguous.
pub fn scales_at(row: usize, kv_head: usize, kv_heads: usize) -> usize {
    (row / PAGE * kv_heads + kv_head) * PAGE + row % PAGE
}

/// Place of the new keys and values in rows, and in the cache.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    /// New tokens.
    pub tokens: usize,
    /// Tokens in the cache before them.
    pub past: usize,
    /// The page table.
    pub pages: &'a [u32],
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of a row of `qkv`.
    pub stride: usize,
    /// Column of the keys; the values follow them.
    pub k_offset: usize,
}

/// Words of a cache.
#[derive(Debug)]
pub struct Cache<'a> {
    /// Keys. `// [pages, PAGE, kv_heads, words of a head]`
    pub k: &'a mut [u32],
    /// Values. `// [pages, PAGE, kv_heads, words of a head]`
    pub v: &'a mut [u32],
    /// Scales of the keys in the lower halves, of the values in the upper; empty for floats. `// [pages, kv_heads, PAGE]`
    pub scales: &'a mut [u32],
}

/// Stores new keys and values. `qkv`: `// [tokens, stride]`.
pub fn append(append: Append<'_>, precision: KvPrecision, qkv: &[f32], cache: Cache<'_>) {
    let Append { tokens, past, pages, kv_heads, head_dim, stride, k_offset } = append;
    for (token, kv_head) in (0..tokens).flat_map(|token| (0..kv_heads).map(move |kv_head| (token, kv_head))) {
        let column = token * stride + k_offset + kv_head * head_dim;
        let (k, k_scale) = pack(precision, &qkv[column..column + head_dim]);
        let column = column + kv_heads * head_dim;
        let (v, v_scale) = pack(precision, &qkv[column..column + head_dim]);
        let row = row(pages, past + token);
        let head = row * kv_heads + kv_head;
        cache.k[head * k.len()..(head + 1) * k.len()].copy_from_slice(&k);
        cache.v[head * v.len()..(head + 1) * v.len()].copy_from_slice(&v);
        if precision == KvPrecision::Int8 {
            cache.scales[scales_at(row, kv_head, kv_heads)] = u32::from(k_scale) | u32::from(v_scale) << 16;
        }
    }
}

/// Words of one head's keys or values, and the bits of their scale, which is 1 for floats.
pub fn pack(precision: KvPrecision, head: &[f32]) -> (Vec<u32>, u16) {
    match precision {
        KvPrecision::F32 => (head.iter().map(|x| x.to_bits()).collect(), to_half(1.0)),
        KvPrecision::F16 => {
            let halves: Vec<u32> = head.iter().map(|&x| to_half(x).into()).collect();
            (halves.chunks_exact(2).map(|two| two[0] | two[1] << 16).collect(), to_half(1.0))
        }
        KvPrecision::Int8 => {
            let scale = to_half(scale(head));
            let quant = |x: f32| (x / from_half(scale)).round_ties_even().clamp(-127.0, 127.0) as i8;
            let quants: Vec<u8> = head.iter().map(|&x| quant(x).cast_unsigned()).collect();
            (quants.as_chunks().0.iter().map(|&four| u32::from_le_bytes(four)).collect(), scale)
        }
    }
}

/// The numbers that the words of a head encode.
pub fn unpack(precision: KvPrecision, words: &[u32], scale: u16) -> Vec<f32> {
    match precision {
        KvPrecision::F32 => words.iter().map(|&word| f32::from_bits(word)).collect(),
        KvPrecision::F16 => words.iter().flat_map(|&two| [two as u16, (two >> 16) as u16].map(from_half)).collect(),
        KvPrecision::Int8 => {
            let quants = words.iter().flat_map(|word| word.to_le_bytes());
            quants.map(|quant| f32::from(quant.cast_signed()) * from_half(scale)).collect()
        }
    }
}

/// The largest magnitude divided by 127: at least the smallest normal 16-bit float, NaN if there is one.
fn scale(head: &[f32]) -> f32 {
    let peak = head.iter().map(|x| x.abs()).fold(0.0, |peak, x| if peak > x || f32::is_nan(peak) { peak } else { x });
    if peak.is_nan() { peak } else { (peak.min(127.0 * 65_504.0) * (1.0 / 127.0)).max(2.0_f32.powi(-14)) }
}

/// Bits of the nearest 16-bit float, ties to even, after clamping to its range.
pub fn to_half(x: f32) -> u16 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    if x.is_nan() {
        return sign | 0x7e00;
    }
    let size = f64::from(x.abs()).min(65_504.0);
    let exponent = (size.log2().floor() as i32).clamp(-14, 15);
    let steps = (size / 2.0_f64.powi(exponent - 10)).round_ties_even() as u16; // 1024.. in a normal number
    sign | ((((exponent + 14) as u16) << 10) + steps)
}

/// The value of a 16-bit float.
pub fn from_half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (fraction + 1024.0) * 2.0_f32.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}
