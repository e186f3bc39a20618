//! What decoders are made of. A layer records its work into a [`Pass`]; the form of the pass decides which kernels do it, so that one
//! decoder serves prompts, single tokens and drafts alike. What records fails as [`crate::gpu::Recording::dispatch`].

pub mod attention;
mod biased;
pub mod cross;
pub mod decoder;
pub mod delta;
pub mod linear;
pub mod mlp;
pub mod pass;
mod patch_keys;
pub mod rope;
pub mod step;

pub use attention::Attention;
pub(crate) use biased::{Biased, LayerNorm};
pub use cross::CrossAttention;
pub use decoder::{Decoder, Layer, Mixer};
pub use delta::DeltaNet;
pub use linear::{FusedLinear, Norm, project};
pub use mlp::Mlp;
pub use pass::{Form, Pass, TextRows, Workspace};
pub(crate) use patch_keys::{Fresh, PatchHeads, PatchKeys};
