//! Bytes of a picture file to the pixels the vision tower sees.
//!
//! [`decode`](mod@decode) reads a file, [`prepare`](mod@prepare) brings it to the size that the model's family wants, [`resize`] resamples.
//! Knows nothing of tokens' ids and nothing of GPUs.

pub mod decode;
pub mod prepare;
pub mod resize;

mod jpeg;
mod orientation;
mod png;
mod webp;

pub use crate::config::ImageGrid;
pub use decode::{Rgb8, decode};
pub use prepare::{Fingerprint, PreparedImage, fingerprint, fingerprint_in, resample};
