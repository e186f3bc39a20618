//! Every kernel once more on the CPU, computed the straightforward way: what the WGSL of the same name is tested against.
//!
//! Plain loops over slices, standard library only, and easy to lay beside the shader. Sums, exponentials and error functions
//! are taken in `f64` and rounded once at the end, so that a difference to the GPU is the GPU's. Nothing here is fast.

pub mod activation;
pub mod attention;
pub mod embed_rows;
pub mod glu;
pub mod kv_append;
pub mod matmul;
pub mod matvec;
pub mod patch_merge;
pub mod patchify;
pub mod rms_norm;
pub mod rope;
