//! Decoding of picture files.

use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{ImageFormat, ImageReader};

use crate::error::{PictureError, Result};
#[cfg(not(target_arch = "wasm32"))]
use crate::native;
use crate::pixels::{DECODER_BYTES, limits, read};
use crate::rgb::Rgb8;
use crate::{jpeg, png, webp};

/// The formats that are read.
#[cfg(not(target_arch = "wasm32"))]
const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP or TIFF";
#[cfg(target_arch = "wasm32")]
const FORMATS: &str = "PNG, JPEG or WebP";

/// Width and height in the header of a file of the [formats](crate), before it is turned upright; none for other bytes.
pub fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    match reader.format()? {
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP => {}
        #[cfg(not(target_arch = "wasm32"))]
        ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::Tiff => {}
        _ => return None,
    }
    reader.into_dimensions().ok()
}

/// Decodes a picture file. The size in the header is checked against `limit_megapixels` before any pixel is allocated.
///
/// # Errors
/// [`PictureError::ImageTooLarge`] over the limit, [`PictureError::InvalidImage`] for damaged or incomplete files.
pub fn decode(bytes: &[u8], limit_megapixels: u32) -> Result<Rgb8> {
    if bytes.is_empty() {
        return Err(PictureError::invalid("the file is empty"));
    }
    let reader = Cursor::new(bytes);
    match image::guess_format(bytes) {
        // Limits the unpacked size of text and profile chunks before the size is known.
        Ok(ImageFormat::Png) => {
            read(PngDecoder::with_limits(reader, limits(DECODER_BYTES)), &png::metadata(bytes), limit_megapixels)
        }
        Ok(ImageFormat::Jpeg) if !jpeg::ends(bytes) => Err(PictureError::invalid("the JPEG ends in the middle")),
        Ok(ImageFormat::Jpeg) => read(JpegDecoder::new(reader), &jpeg::metadata(bytes), limit_megapixels),
        Ok(ImageFormat::WebP) => {
            webp::fault(bytes).map_or(Ok(()), |reason| Err(PictureError::invalid(reason)))?;
            read(WebPDecoder::new(reader), &webp::metadata(bytes), limit_megapixels)
        }
        #[cfg(not(target_arch = "wasm32"))]
        Ok(format @ (ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::Tiff)) => {
            native::decode(bytes, format, limit_megapixels)
        }
        Ok(other) => {
            let name = other.extensions_str().first().copied().unwrap_or("this format");
            Err(PictureError::invalid(format!("{name} is not supported, only {FORMATS}")))
        }
        Err(_) => Err(PictureError::invalid(format!("not a {FORMATS}"))),
    }
}
