//! The numbers of a K-quant's planes, with ggml's operations in ggml's order (`dequantize_row_q4_K`, `_q5_K`, `_q6_K`).

use half::f16;

use super::layout::{BLOCK, Layout, MatrixShape, ROW_GROUP, SUPER_BLOCK};

/// The numbers of the planes that [`Layout::matrix_planes`] asks for. `// [rows_padded, cols]`
pub(super) fn decode(layout: Layout, shape: MatrixShape, planes: &[&[u8]]) -> Vec<f32> {
    let blocks = shape.blocks();
    (0..shape.rows_padded() * blocks).flat_map(|index| decode_block(layout, index, blocks, planes)).collect()
}

fn decode_block(layout: Layout, index: usize, blocks: usize, planes: &[&[u8]]) -> [f32; BLOCK] {
    let (row, block) = (index / blocks, index % blocks);
    let (group, lane) = (row / ROW_GROUP, row % ROW_GROUP);
    let half = |plane: &[u8], at: usize| f16::from_le_bytes([plane[2 * at], plane[2 * at + 1]]).to_f32();
    let [.., scales, supers] = planes else { return [0.0; BLOCK] };
    let scales = &scales[((group * blocks + block) * ROW_GROUP + lane) * 2..][..2];
    let supers_at = (group * (blocks * BLOCK / SUPER_BLOCK) + block * BLOCK / SUPER_BLOCK) * ROW_GROUP + lane;
    let low = |e: usize| planes[0][index * 16 + e % 16] >> (e / 16 * 4) & 15;
    match layout {
        Layout::Q6K => {
            let d = half(supers, supers_at);
            let scale = [scales[0], scales[1]].map(|scale| d * f32::from(scale.cast_signed()));
            let top = |e: usize| planes[1][index * 8 + e / 16 * 4 + e % 4] >> (e % 16 / 4 * 2) & 3;
            std::array::from_fn(|e| scale[e / 16] * (f32::from(low(e) | top(e) << 4) - 32.0))
        }
        _ => {
            let (d, dmin) = (half(supers, 2 * supers_at), half(supers, 2 * supers_at + 1));
            let (scale, min) = (d * f32::from(scales[0]), dmin * f32::from(scales[1]));
            let top = |e: usize| match layout {
                Layout::Q5K => planes[1][index * 4 + e % 4] >> (e / 4) & 1,
                _ => 0,
            };
            std::array::from_fn(|e| scale * f32::from(low(e) | top(e) << 4) - min)
        }
    }
}
