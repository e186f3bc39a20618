//! The kernels, each generic over an instruction set, in modules of the names of `ocelli::kernels`.

#![expect(clippy::needless_range_loop, reason = "rows and columns of tiles index several arrays")]

pub(crate) mod accept;
pub(crate) mod activation;
pub(crate) mod add_features;
pub(crate) mod attention;
pub(crate) mod attention_join;
pub(crate) mod attention_step;
mod cache;
pub(crate) mod clamp;
pub(crate) mod coded;
pub(crate) mod delta_scan;
pub(crate) mod embed_rows;
mod few_rows;
pub(crate) mod formats;
pub(crate) mod gate_rows;
pub(crate) mod gated_head_norm;
pub(crate) mod gated_matvec;
pub(crate) mod glu;
pub(crate) mod halved;
mod heads;
mod inputs;
pub(crate) mod layer_norm;
mod math;
pub(crate) mod matmul;
mod matmul_integers;
mod matrix;
pub(crate) mod matvec;
mod outputs;
pub(crate) mod patch_merge;
pub(crate) mod patchify;
pub(crate) mod peak;
pub(crate) mod pool_rows;
pub(crate) mod position_rows;
pub(crate) mod qkv_matvec;
pub(crate) mod rms_norm;
pub(crate) mod rope;
pub(crate) mod rope_append;
mod rounded;
pub(crate) mod sample;
pub(crate) mod sample_filter;
pub(crate) mod sample_scan;
mod sampling;
mod scales;
pub(crate) mod soft_cap;
mod step;

pub(crate) use few_rows::group;
pub(crate) use formats::Format;
pub(crate) use inputs::Inputs;
pub(crate) use matmul::unpack;
pub(crate) use matmul_integers::{Rows, columns};
pub(crate) use matrix::Matrix;
pub(crate) use rounded::zero;

/// Index in memory of the number at `index` of a row in a lane layout for lanes with a block of 32 numbers each: groups of `1 << log_blocks`
/// blocks, whose fours are in the order in which the lanes of a group load them; 0 for the natural order.
#[inline(always)]
fn lane_place(index: usize, log_blocks: u32) -> usize {
    place(index, log_blocks, 3)
}

/// Index in memory of the number at `index`, if blocks are `1 << log_loads` fours and groups `1 << log_blocks` blocks, `// [groups, loads,
/// blocks, 4]`.
#[inline(always)]
fn place(index: usize, log_blocks: u32, log_loads: u32) -> usize {
    if log_blocks == 0 {
        return index;
    }
    // No layout has more; a job that says so is no reason to shift too far.
    let (log_blocks, log_loads) = (log_blocks & 7, log_loads & 7);
    let group_bits = 2 + log_blocks + log_loads;
    let (group, within) = (index >> group_bits, index & ((1 << group_bits) - 1));
    let (four, rest) = (within >> 2, within & 3);
    let (block, load) = (four >> log_loads, four & ((1 << log_loads) - 1));
    (group << group_bits) + (((load << log_blocks) + block) << 2) + rest
}
