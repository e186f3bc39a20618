//! Layers of decoders and vision towers. A decoder's layer records its work into a [`Pass`]; the form of the pass selects the kernels, so that
//! the same decoder runs prefill, decoding and drafts. Functions that record fail as [`crate::gpu::Recording::dispatch`].

mod attend;
pub mod attention;
pub mod cross;
pub mod decoder;
pub mod delta;
pub mod linear;
pub mod mlp;
pub mod pass;
pub mod per_layer;
pub mod rope;
pub mod step;
pub mod vision;

pub use attention::Attention;
pub use cross::CrossAttention;
pub use decoder::{Decoder, Layer, Mixer};
pub use delta::DeltaNet;
pub use linear::{FusedLinear, Norm, Residual, project};
pub use mlp::Mlp;
pub use pass::{Form, Pass, TextRows, Workspace};
pub use per_layer::{PerLayerGate, PerLayerInputs};
