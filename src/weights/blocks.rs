//! ggml's blocks to planes: bits move, none change. How they lie in a block: `ggml-common.h`.

use half::f16;

use super::layout::{BLOCK, Layout, ROW_GROUP, SUPER_BLOCK};

/// The parts of a block, one a plane.
type Parts = [[u8; SUPER_BLOCK / 2]; 4];

/// Bytes of one of ggml's blocks, and the elements it holds. `None` for layouts whose rows are plain numbers, and for our own.
pub fn block_size(layout: Layout) -> Option<(usize, usize)> {
    match layout {
        Layout::F32 | Layout::F16 | Layout::Q4_64 => None,
        Layout::Q8_0 => Some((34, BLOCK)),
        Layout::Q4_0 => Some((18, BLOCK)),
        Layout::Q4K => Some((144, SUPER_BLOCK)),
        Layout::Q5K => Some((176, SUPER_BLOCK)),
        Layout::Q6K => Some((210, SUPER_BLOCK)),
    }
}

/// The first of some blocks whose 16-bit scale is infinite or no number, which no quantiser writes.
pub fn first_not_finite(layout: Layout, blocks: &[u8]) -> Option<usize> {
    let (bytes, _) = block_size(layout)?;
    let scales: &[usize] = match layout {
        Layout::Q4K | Layout::Q5K => &[0, 2],
        Layout::Q6K => &[208],
        _ => &[0],
    };
    let finite = |block: &[u8], at: usize| f16::from_le_bytes([block[at], block[at + 1]]).is_finite();
    blocks.chunks_exact(bytes).position(|block| !scales.iter().all(|&at| finite(block, at)))
}

/// Appends whole rows of ggml's blocks, `blocks` to a row, to the planes of a matrix. The number of rows must be a multiple of
/// [`ROW_GROUP`] in every call but the last, which completes the group with zeros.
pub fn append_rows(layout: Layout, blocks: usize, rows: &[u8], planes: &mut [Vec<u8>]) {
    let Some((block_bytes, _)) = block_size(layout).filter(|_| blocks > 0) else { return };
    let units = layout.plane_units();
    let mut parts: Parts = [[0; SUPER_BLOCK / 2]; 4];
    for group in rows.chunks(block_bytes * blocks * ROW_GROUP) {
        let starts: Vec<usize> = planes.iter().map(Vec::len).collect();
        for (plane, unit) in planes.iter_mut().zip(units) {
            plane.resize(plane.len() + unit.bytes * blocks * ROW_GROUP, 0);
        }
        for (index, block) in group.chunks_exact(block_bytes).enumerate() {
            split(layout, block, &mut parts);
            let (row, at) = (index / blocks, index % blocks);
            for (((plane, start), unit), part) in planes.iter_mut().zip(&starts).zip(units).zip(&parts) {
                let (out, part) = (&mut plane[*start..], &part[..unit.bytes]);
                let Some(piece) = unit.interleaved else {
                    out[index * unit.bytes..][..unit.bytes].copy_from_slice(part);
                    continue;
                };
                for (i, bytes) in part.chunks_exact(piece).enumerate() {
                    let place = (at * (unit.bytes / piece) + i) * ROW_GROUP + row;
                    out[place * piece..][..piece].copy_from_slice(bytes);
                }
            }
        }
    }
}

/// Takes a block apart.
fn split(layout: Layout, block: &[u8], parts: &mut Parts) {
    match layout {
        Layout::F32 | Layout::F16 | Layout::Q4_64 => {}
        Layout::Q8_0 | Layout::Q4_0 => {
            let (d, quants) = block.split_at(2);
            parts[0][..quants.len()].copy_from_slice(quants);
            parts[1][..2].copy_from_slice(d);
        }
        Layout::Q4K => {
            let (head, quants) = block.split_at(16);
            let [out, scales, supers, _] = parts;
            six_bit_scales(&head[4..], scales);
            supers[..4].copy_from_slice(&head[..4]);
            pack_nibbles(out, |b, e| nibble(quants[b / 2 * 32 + e], b % 2));
        }
        Layout::Q5K => {
            let (head, rest) = block.split_at(16);
            let (fifth, quants) = rest.split_at(32);
            let [out, tops, scales, supers] = parts;
            six_bit_scales(&head[4..], scales);
            supers[..4].copy_from_slice(&head[..4]);
            pack_nibbles(out, |b, e| nibble(quants[b / 2 * 32 + e], b % 2));
            pack_tops::<1>(tops, |b, e| fifth[e] >> b & 1);
        }
        Layout::Q6K => {
            let (low, rest) = block.split_at(128);
            let (high, rest) = rest.split_at(64);
            let (own_scales, d) = rest.split_at(16);
            let [out, tops, scales, supers] = parts;
            scales[..16].copy_from_slice(own_scales);
            supers[..2].copy_from_slice(d);
            // Block `b` is quarter `b % 4` of half `b / 4`.
            pack_nibbles(out, |b, e| nibble(low[b / 4 * 64 + b % 2 * 32 + e], b % 4 / 2));
            pack_tops::<2>(tops, |b, e| high[b / 4 * 32 + e] >> (b % 4 * 2) & 3);
        }
    }
}

fn nibble(byte: u8, high: usize) -> u8 {
    byte >> (high * 4) & 15
}

/// The lower four bits of element `e` of block `b`, in the order of [`Layout::Q4_0`].
fn pack_nibbles(out: &mut [u8], value: impl Fn(usize, usize) -> u8) {
    for (i, byte) in out.iter_mut().enumerate() {
        let (b, e) = (i / 16, i % 16);
        *byte = value(b, e) | value(b, e + 16) << 4;
    }
}

/// The upper `BITS` bits of element `e` of block `b`: those of element `4j + i` in byte `i`, from bit `BITS * j` on, over as many
/// groups of four bytes as it takes.
fn pack_tops<const BITS: usize>(out: &mut [u8], value: impl Fn(usize, usize) -> u8) {
    for (index, byte) in out[..BITS * SUPER_BLOCK / 8].iter_mut().enumerate() {
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
