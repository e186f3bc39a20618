//! Picture files to the pixels that the vision tower reads.
//!
//! [`decode`] reads a file, [`prepare`](mod@prepare) resizes it for the model's family, [`resize`] resamples. Independent of token ids and
//! GPUs.

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

/// Decoder of picture files of at most this many megapixels.
pub type Decode = fn(&[u8], u32) -> Result<Rgb8>;

/// Reader of the size in the header of a picture file; `None` for files without one.
pub type ReadSize = fn(&[u8]) -> Option<PixelSize>;

/// The size in the header of a PNG, JPEG or WebP file, before the picture is turned upright.
pub fn size(bytes: &[u8]) -> Option<PixelSize> {
    let (width, height) = ocelli_pictures::size(bytes)?;
    Some(PixelSize { width: width as usize, height: height as usize })
}

/// Decodes a PNG, JPEG or WebP file. The size in the header is checked against `limit_megapixels` before any pixel is allocated.
///
/// # Errors
/// [`ImageTooLarge`](crate::Error::ImageTooLarge) over the limit, [`InvalidImage`](crate::Error::InvalidImage) for incomplete or damaged files.
pub fn decode(bytes: &[u8], limit_megapixels: u32) -> Result<Rgb8> {
    Ok(ocelli_pictures::decode(bytes, limit_megapixels)?)
}
