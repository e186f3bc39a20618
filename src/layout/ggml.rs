//! ggml's blocks, taken apart: bits move, none change. How they lie in a block: `ggml-common.h`.

use half::f16;

use super::{BLOCK, SUPER_BLOCK};

/// The parts of a block, one a plane.
pub type Parts = [[u8; SUPER_BLOCK / 2]; 4];

/// A scale, then quants as they are.
pub(super) fn split_scale(block: &[u8], [out, scales, ..]: &mut Parts) {
    let (d, quants) = block.split_at(2);
    out[..quants.len()].copy_from_slice(quants);
    scales[..2].copy_from_slice(d);
}

/// A scale and a minimum, then nibbles as they are.
pub(super) fn split_q4_1(block: &[u8], [out, scales, ..]: &mut Parts) {
    let (head, quants) = block.split_at(4);
    out[..quants.len()].copy_from_slice(quants);
    scales[..4].copy_from_slice(head);
}

/// A scale and a minimum, fifth bits in the order of the elements, nibbles as they are.
pub(super) fn split_q5_1(block: &[u8], [out, high_bits, scales, _]: &mut Parts) {
    let (head, rest) = block.split_at(4);
    split_fifth_bits(rest, out, high_bits);
    scales[..4].copy_from_slice(head);
}

fn split_fifth_bits(rest: &[u8], out: &mut [u8], high_bits: &mut [u8]) {
    let (fifth, quants) = rest.split_at(4);
    out[..quants.len()].copy_from_slice(quants);
    pack_high_bits::<1>(&mut high_bits[..4], |_, e| fifth[e / 8] >> (e % 8) & 1);
}

/// An exponent, nibbles as they are.
pub(super) fn split_mxfp4(block: &[u8], [out, exponents, ..]: &mut Parts) {
    exponents[0] = block[0];
    out[..16].copy_from_slice(&block[1..]);
}

/// A scale, the upper two bits of the integer scales, their lower four, nibbles as they are.
pub(super) fn split_iq4_xs(block: &[u8], [out, scales, super_scales, _]: &mut Parts) {
    let (head, quants) = block.split_at(8);
    out[..quants.len()].copy_from_slice(quants);
    let upper = u16::from_le_bytes([head[2], head[3]]);
    for (b, scale) in scales[..8].iter_mut().enumerate() {
        let six_bits = nibble(head[4 + b / 2], b % 2) | ((upper >> (2 * b) & 3) as u8) << 4;
        *scale = six_bits.wrapping_sub(32);
    }
    super_scales[..2].copy_from_slice(&head[..2]);
}

/// A scale, fifth bits in the order of the elements, nibbles as they are.
pub(super) fn split_q5_0(block: &[u8], [out, high_bits, scales, _]: &mut Parts) {
    let (d, rest) = block.split_at(2);
    split_fifth_bits(rest, out, high_bits);
    scales[..2].copy_from_slice(d);
}

pub(super) fn split_q4_k(block: &[u8], [out, scales, super_scales, _]: &mut Parts) {
    let (head, quants) = block.split_at(16);
    six_bit_scales(&head[4..], scales);
    super_scales[..4].copy_from_slice(&head[..4]);
    pack_nibbles(out, |b, e| nibble(quants[b / 2 * 32 + e], b % 2));
}

pub(super) fn split_q5_k(block: &[u8], [out, high_bits, scales, super_scales]: &mut Parts) {
    let (head, rest) = block.split_at(16);
    let (fifth, quants) = rest.split_at(32);
    six_bit_scales(&head[4..], scales);
    super_scales[..4].copy_from_slice(&head[..4]);
    pack_nibbles(out, |b, e| nibble(quants[b / 2 * 32 + e], b % 2));
    pack_high_bits::<1>(&mut high_bits[..32], |b, e| fifth[e] >> b & 1);
}

pub(super) fn split_q6_k(block: &[u8], [out, high_bits, scales, super_scales]: &mut Parts) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (own_scales, d) = rest.split_at(16);
    scales[..16].copy_from_slice(own_scales);
    super_scales[..2].copy_from_slice(d);
    // Block `b` is quarter `b % 4` of half `b / 4`.
    pack_nibbles(out, |b, e| nibble(low[b / 4 * 64 + b % 2 * 32 + e], b % 4 / 2));
    pack_high_bits::<2>(&mut high_bits[..64], |b, e| high[b / 4 * 32 + e] >> (b % 4 * 2) & 3);
}

/// The third bits, then pairs of bits, scales of 6 bits plus 32, and their scale.
pub(super) fn split_q3_k(block: &[u8], [out, scales, super_scales, _]: &mut Parts) {
    let (third, rest) = block.split_at(32);
    let (pairs, rest) = rest.split_at(64);
    let (packed, d) = rest.split_at(12);
    for (g, scale) in scales[..16].iter_mut().enumerate() {
        let six_bits = nibble(packed[g % 8], g / 8) | (packed[8 + g % 4] >> (g / 4 * 2) & 3) << 4;
        *scale = six_bits.wrapping_sub(32);
    }
    super_scales[..2].copy_from_slice(d);
    pack_nibbles(out, |b, e| pair(pairs, b, e) | (third[e] >> b & 1) << 2);
}

/// Scales and minima of 4 bits, pairs of bits, and their scales.
pub(super) fn split_q2_k(block: &[u8], [out, scales, super_scales, _]: &mut Parts) {
    let (own_scales, rest) = block.split_at(16);
    let (pairs, head) = rest.split_at(64);
    scales[..16].copy_from_slice(own_scales);
    super_scales[..4].copy_from_slice(head);
    pack_nibbles(out, |b, e| pair(pairs, b, e));
}

/// Two bits of element `e` of block `b`, which is quarter `b % 4` of half `b / 4`.
fn pair(pairs: &[u8], b: usize, e: usize) -> u8 {
    pairs[b / 4 * 32 + e] >> (b % 4 * 2) & 3
}

fn nibble(byte: u8, high: usize) -> u8 {
    byte >> (high * 4) & 15
}

/// The lower four bits of element `e` of block `b`, in the order of [`Layout::Q4_0`](super::Layout::Q4_0).
fn pack_nibbles(out: &mut [u8], value: impl Fn(usize, usize) -> u8) {
    for (i, byte) in out.iter_mut().enumerate() {
        let (b, e) = (i / 16, i % 16);
        *byte = value(b, e) | value(b, e + 16) << 4;
    }
}

/// The upper `BITS` bits of element `e` of block `b`: those of element `4j + i` in byte `i`, from bit `BITS * j` on, over as many
/// groups of four bytes as it takes.
fn pack_high_bits<const BITS: usize>(out: &mut [u8], value: impl Fn(usize, usize) -> u8) {
    for (index, byte) in out.iter_mut().enumerate() {
        let (b, i) = (index / (4 * BITS), index % (4 * BITS));
        let first = i / 4 * (BLOCK / BITS) + i % 4;
        *byte = (0..8 / BITS).map(|j| value(b, first + 4 * j) << (BITS * j)).sum();
    }
}

/// Eight scales and eight minima of 6 bits (`get_scale_min_k4`), a byte each, in pairs.
fn six_bit_scales(packed: &[u8], out: &mut [u8]) {
    for j in 0..4 {
        let (scale, min, rest) = (packed[j], packed[j + 4], packed[j + 8]);
        out[2 * j] = scale & 63;
        out[2 * j + 1] = min & 63;
        out[2 * j + 8] = rest & 15 | scale >> 6 << 4;
        out[2 * j + 9] = rest >> 4 | min >> 6 << 4;
    }
}

fn set(block: &mut [u8], at: usize, scale: f16) {
    block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
}

pub(super) fn fill_scale(d: f16, block: &mut [u8]) {
    set(block, 0, d);
}

/// The mean of the numbers is 0.
pub(super) fn fill_q4_1(d: f16, block: &mut [u8]) {
    set(block, 0, d);
    set(block, 2, f16::from_f32(d.to_f32() * -7.5));
}

/// The mean of the numbers is 0.
pub(super) fn fill_q5_1(d: f16, block: &mut [u8]) {
    set(block, 0, d);
    set(block, 2, f16::from_f32(d.to_f32() * -15.5));
}

/// The power of two next below the scale.
pub(super) fn fill_mxfp4(d: f16, block: &mut [u8]) {
    let exponent = d.to_f32().to_bits() >> 23 & 255;
    block[0] = exponent as u8 + 1;
}

/// Minima are half as large as the range: the mean of the numbers is 0.
fn fill_k(d: f16, half_range: f32, block: &mut [u8]) {
    set(block, 0, d);
    set(block, 2, f16::from_f32(d.to_f32() * half_range));
}

pub(super) fn fill_q4_k(d: f16, block: &mut [u8]) {
    fill_k(d, 7.5, block);
}

pub(super) fn fill_q5_k(d: f16, block: &mut [u8]) {
    fill_k(d, 15.5, block);
}

pub(super) fn fill_q6_k(d: f16, block: &mut [u8]) {
    set(block, 208, d);
}

pub(super) fn fill_q3_k(d: f16, block: &mut [u8]) {
    set(block, 108, d);
}

/// The mean of the numbers is 0.
pub(super) fn fill_q2_k(d: f16, block: &mut [u8]) {
    set(block, 80, d);
    set(block, 82, f16::from_f32(d.to_f32() * 1.5));
}
