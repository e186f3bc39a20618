//! A plain CPU implementation of every kernel, against which the WGSL file of the same name is tested.
//!
//! Loops over slices, in the structure of the shader; of the rest of the crate only enums of options are used. Sums, exponentials and error
//! functions are computed in `f64` and rounded once at the end, so that a difference is an error of the GPU. Nothing here is fast.

pub mod accept;
pub mod activation;
pub mod add_features;
pub mod attention;
pub mod attention_join;
pub mod attention_step;
pub mod cache;
pub mod clamp;
pub mod delta_scan;
pub mod embed_rows;
pub mod gate_rows;
pub mod gated_head_norm;
pub mod gated_matvec;
pub mod glu;
pub mod heads;
pub mod layer_norm;
pub mod matmul;
pub mod matvec;
pub mod patch_merge;
pub mod patchify;
pub mod peak;
pub mod pool_rows;
pub mod position_rows;
pub mod qkv_matvec;
pub mod rms_norm;
pub mod rope;
pub mod rope_append;
pub mod rounded;
pub mod sample;
pub mod sample_filter;
pub mod sample_scan;
pub mod soft_cap;
pub mod subgroup_probe;
