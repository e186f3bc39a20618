//! Bytes of a picture file to the pixels the vision tower sees.
//!
//! [`decode`] reads a file, [`prepare`](mod@prepare) brings it to the size that the model's family wants, [`resize`] resamples.
//! Knows nothing of tokens' ids and nothing of GPUs.

pub mod prepare;
pub mod resize;

pub use ocelli_pictures::Rgb8;

pub use crate::config::ImageGrid;
use crate::config::PixelSize;
use crate::error::Result;
pub use prepare::{Fingerprint, PreparedImage, fingerprint, fingerprint_in, resample};

impl From<&Rgb8> for PixelSize {
    fn from(picture: &Rgb8) -> Self {
        Self { width: picture.width as usize, height: picture.height as usize }
    }
}

/// Reads a picture file of at most so many megapixels.
pub type Decode = fn(&[u8], u32) -> Result<Rgb8>;

/// Decodes a PNG, JPEG or WebP file. The header's size is checked against `limit_megapixels` before any pixel is allocated.
///
/// # Errors
/// [`ImageTooLarge`](crate::Error::ImageTooLarge) over the limit, [`InvalidImage`](crate::Error::InvalidImage) for bytes that are no
/// whole picture.
pub fn decode(bytes: &[u8], limit_megapixels: u32) -> Result<Rgb8> {
    Ok(ocelli_pictures::decode(bytes, limit_megapixels)?)
}
