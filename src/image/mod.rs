//! Bytes of a picture file to the pixels the vision tower sees.
//!
//! [`decode`](mod@decode) reads a file, [`prepare`](mod@prepare) chooses the size the model wants, [`resize`] resamples.
//! Knows nothing of tokens' ids and nothing of GPUs.

pub mod decode;
pub mod prepare;
pub mod resize;

mod webp;

pub use crate::config::ImageGrid;
pub use decode::{Rgb8, decode};
pub use prepare::{Fingerprint, PreparedImage, fingerprint, grid, normalise, prepare};
