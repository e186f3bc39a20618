//! Pixels.

use crate::error::{PictureError, Result};

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb8 {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Rows from the top, 3 bytes a pixel. // [height, width, 3]
    pub pixels: Vec<u8>,
}

impl Rgb8 {
    /// A picture from pixels that a browser decoded: 4 bytes each, alpha not premultiplied. It is composited on white.
    ///
    /// # Errors
    /// [`PictureError::InvalidImage`] when there are no pixels or their number does not fit the size.
    pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Self> {
        check_len(width, height, 4, rgba.len())?;
        Ok(Self { width, height, pixels: rgba.as_chunks::<4>().0.iter().flat_map(|&pixel| on_white(pixel)).collect() })
    }

    /// Checks that the pixels fit the size.
    ///
    /// # Errors
    /// See [`Self::from_rgba`].
    pub fn check(&self) -> Result<()> {
        check_len(self.width, self.height, 3, self.pixels.len())
    }
}

/// One pixel over an opaque white background, rounded to nearest as Pillow's `alpha_composite`.
pub(crate) fn on_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let (alpha, white) = (u32::from(alpha), 255 * (255 - u32::from(alpha)));
    [red, green, blue].map(|value| ((u32::from(value) * alpha + white + 127) / 255) as u8)
}

fn check_len(width: u32, height: u32, channels: u64, len: usize) -> Result<()> {
    let wanted = u64::from(width).checked_mul(u64::from(height)).and_then(|pixels| pixels.checked_mul(channels));
    if wanted == Some(len as u64) && len > 0 {
        return Ok(());
    }
    Err(PictureError::invalid(format!("{len} bytes do not make {width} x {height} pixels of {channels} bytes")))
}
