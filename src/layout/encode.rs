//! Numbers to bytes, a block at a time, by ggml's rules (`quantize_row_q4_0_ref` and `quantize_row_q8_0_ref` in `ggml-quants.c`), and for
//! [`Layout::Q4_64`](super::Layout::Q4_64), which ggml does not have, by those of `scale_search`.

use half::f16;

use super::{BLOCK, WIDE_BLOCK, scale_search};

/// A number or scale that cannot be stored, and the reason.
pub type Fault = (f32, &'static str);
/// Appends the bytes of the numbers that share a scale and returns the scale. The last block of a row may have half as many numbers.
pub type Encode = fn(&[f32], &mut Vec<u8>) -> Result<f16, Fault>;

const TOO_LARGE: &str = "is too large for the 16-bit floats of this layout (try f32)";

pub(super) fn f32(block: &[f32], out: &mut Vec<u8>) -> Result<f16, Fault> {
    out.extend(block.iter().flat_map(|x| x.to_le_bytes()));
    Ok(f16::ONE)
}

pub(super) fn f16(block: &[f32], out: &mut Vec<u8>) -> Result<f16, Fault> {
    for x in block {
        out.extend(to_f16(*x)?.to_le_bytes());
    }
    Ok(f16::ONE)
}

/// `d = max |x| / 127`, `q = round(x / d)`.
pub(super) fn q8_0(block: &[f32], out: &mut Vec<u8>) -> Result<f16, Fault> {
    let max = block.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let d = max / 127.0;
    let inverse = reciprocal(d);
    // `as` saturates and takes NaN to 0: a subnormal `d`, whose inverse is infinite, is stored as a scale of 0.
    out.extend(block.iter().map(|x| ((x * inverse).round() as i8).cast_unsigned()));
    to_f16(d)
}

/// `d = m / -8` of the value `m` of largest magnitude, `q = min(15, floor(x / d + 8.5))`.
pub(super) fn q4_0(block: &[f32], out: &mut Vec<u8>) -> Result<f16, Fault> {
    let max = block.iter().fold(0.0f32, |max, &x| if max.abs() < x.abs() { x } else { max });
    let d = max / -8.0;
    let inverse = reciprocal(d);
    let quants: Vec<u8> = block.iter().map(|x| ((x * inverse + 8.5) as u8).min(15)).collect();
    out.extend(nibbles(&quants));
    to_f16(d)
}

pub(super) fn q4_64(block: &[f32], out: &mut Vec<u8>) -> Result<f16, Fault> {
    let mut padded = [0.0; WIDE_BLOCK];
    padded[..block.len()].copy_from_slice(block);
    let largest = block.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let (d, quants) = scale_search::q4(&padded).ok_or((largest, TOO_LARGE))?;
    out.extend(quants[..block.len()].chunks_exact(BLOCK).flat_map(nibbles));
    Ok(d)
}

/// Element `j` in the low and `16 + j` in the high half of byte `j`.
fn nibbles(quants: &[u8]) -> [u8; BLOCK / 2] {
    std::array::from_fn(|j| quants[j] | quants[j + BLOCK / 2] << 4)
}

fn to_f16(x: f32) -> Result<f16, Fault> {
    let half = f16::from_f32(x);
    if half.is_finite() { Ok(half) } else { Err((x, TOO_LARGE)) }
}

fn reciprocal(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}
