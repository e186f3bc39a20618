//! The WGSL that reads blocks of four rows of weights.

use crate::weights::layout::Layout;

/// Where a block of four rows of quants lies. `None` for floats, of whose rows no more than quads are ever held.
pub(in crate::kernels) fn blocks(layout: Layout) -> Option<&'static str> {
    match layout {
        Layout::F32 | Layout::F16 => None,
        Layout::Q8_0 => Some(include_str!("../../../shaders/shared/blocks_q8_0.wgsl")),
        Layout::Q4_0 | Layout::Q4_64 | Layout::Q4K => Some(include_str!("../../../shaders/shared/blocks_q4.wgsl")),
        Layout::Q5K => Some(include_str!("../../../shaders/shared/blocks_q5_k.wgsl")),
        Layout::Q6K => Some(include_str!("../../../shaders/shared/blocks_q6_k.wgsl")),
    }
}

/// Four rows' quads as floats.
pub(super) fn quads(layout: Layout) -> &'static str {
    match layout {
        Layout::F32 => include_str!("../../../shaders/shared/quads_f32.wgsl"),
        Layout::F16 => include_str!("../../../shaders/shared/quads_f16.wgsl"),
        Layout::Q8_0 => include_str!("../../../shaders/shared/quads_q8_0.wgsl"),
        Layout::Q4_0 | Layout::Q4_64 | Layout::Q4K => include_str!("../../../shaders/shared/quads_q4.wgsl"),
        Layout::Q5K => include_str!("../../../shaders/shared/quads_q5_k.wgsl"),
        Layout::Q6K => include_str!("../../../shaders/shared/quads_q6_k.wgsl"),
    }
}

/// A block's quants as words of four 8-bit integers. `None` for floats.
pub(in crate::kernels) fn words(layout: Layout) -> Option<&'static str> {
    match layout {
        Layout::F32 | Layout::F16 => None,
        Layout::Q8_0 => Some(include_str!("../../../shaders/shared/words_q8_0.wgsl")),
        Layout::Q4_0 | Layout::Q4_64 | Layout::Q4K => Some(include_str!("../../../shaders/shared/words_q4.wgsl")),
        Layout::Q5K => Some(include_str!("../../../shaders/shared/words_q5_k.wgsl")),
        Layout::Q6K => Some(include_str!("../../../shaders/shared/words_q6_k.wgsl")),
    }
}

/// The products of a block with what its integers are worth.
pub(super) fn scaled(layout: Layout) -> &'static str {
    match layout {
        Layout::F32 | Layout::F16 => include_str!("../../../shaders/shared/scaled_floats.wgsl"),
        Layout::Q8_0 | Layout::Q4_0 | Layout::Q4_64 => include_str!("../../../shaders/shared/scaled_blocks.wgsl"),
        Layout::Q4K | Layout::Q5K => include_str!("../../../shaders/shared/scaled_q4_k.wgsl"),
        Layout::Q6K => include_str!("../../../shaders/shared/scaled_q6_k.wgsl"),
    }
}
