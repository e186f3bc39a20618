//! PNG, JPEG and WebP files to upright, opaque 8-bit RGB.
//!
//! What a file means follows Pillow, which the model's own processors use: the orientation in EXIF or XMP is applied, transparency is
//! composited on white, 16-bit samples keep their high byte, colour profiles are ignored, animations give their first
//! frame.

use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, ImageResult, Limits, RgbImage, imageops};

use super::orientation::Metadata;
use super::{jpeg, png, webp};
use crate::error::{Error, Result};

/// Decoders may hold a few copies of the pixels in wider types, and some memory that does not grow with the picture.
const DECODER_BYTES_PER_PIXEL: u64 = 24;
const DECODER_BYTES: u64 = 16 << 20;

/// Longest side, however few pixels there are: resampling takes memory for each position of a side.
const MAX_SIDE: u32 = 65_536;

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
    /// A picture from pixels a browser decoded: 4 bytes each, alpha not premultiplied. It is composited on white.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] when there are no pixels or their number does not fit the size.
    pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Self> {
        check_len(width, height, 4, rgba.len())?;
        Ok(Self { width, height, pixels: rgba.as_chunks::<4>().0.iter().flat_map(|&pixel| on_white(pixel)).collect() })
    }

    /// Checks that the pixels fit the size.
    pub(crate) fn check(&self) -> Result<()> {
        check_len(self.width, self.height, 3, self.pixels.len())
    }
}

/// Decodes a picture file. The header's size is checked against `limit_megapixels` before any pixel is allocated.
///
/// # Errors
/// [`Error::ImageTooLarge`] over the limit, [`Error::InvalidImage`] for bytes that are no whole picture.
pub fn decode(bytes: &[u8], limit_megapixels: u32) -> Result<Rgb8> {
    if bytes.is_empty() {
        return Err(invalid("the file is empty"));
    }
    let reader = Cursor::new(bytes);
    match image::guess_format(bytes) {
        // Bounds what text and profile chunks may unpack to before the size is known.
        Ok(ImageFormat::Png) => {
            read(PngDecoder::with_limits(reader, limits(DECODER_BYTES)), &png::metadata(bytes), limit_megapixels)
        }
        Ok(ImageFormat::Jpeg) if !jpeg::ends(bytes) => Err(invalid("the JPEG ends in the middle")),
        Ok(ImageFormat::Jpeg) => read(JpegDecoder::new(reader), &jpeg::metadata(bytes), limit_megapixels),
        Ok(ImageFormat::WebP) => {
            webp::fault(bytes).map_or(Ok(()), |reason| Err(invalid(reason)))?;
            read(WebPDecoder::new(reader), &webp::metadata(bytes), limit_megapixels)
        }
        Ok(other) => {
            let name = other.extensions_str().first().copied().unwrap_or("this format");
            Err(invalid(format!("{name} is not supported, only PNG, JPEG and WebP are")))
        }
        Err(_) => Err(invalid("not a PNG, JPEG or WebP")),
    }
}

fn read(decoder: ImageResult<impl ImageDecoder>, metadata: &Metadata, limit_megapixels: u32) -> Result<Rgb8> {
    let mut decoder = decoder.map_err(|error| invalid(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > u64::from(limit_megapixels) * 1_000_000 {
        return Err(Error::ImageTooLarge { width, height, limit_megapixels });
    }
    if pixels == 0 || width.max(height) > MAX_SIDE {
        return Err(invalid(format!("its size is {width} x {height}")));
    }
    let limits = limits(pixels * DECODER_BYTES_PER_PIXEL + DECODER_BYTES);
    decoder.set_limits(limits).map_err(|error| invalid(error.to_string()))?;
    let (color, fault) = (decoder.color_type(), |error: image::ImageError| invalid(error.to_string()));
    // The limit on pixels bounds it.
    let mut samples = vec![0; decoder.total_bytes() as usize]; // [height, width, channels]
    decoder.read_image(&mut samples).map_err(fault)?;
    upright(Rgb8 { width, height, pixels: flatten(samples, color)? }, metadata.orientation())
}

/// The library's own `apply_orientation` would be compiled for every kind of samples.
fn upright(picture: Rgb8, orientation: Orientation) -> Result<Rgb8> {
    let Rgb8 { width, height, pixels } = picture;
    let lying = RgbImage::from_raw(width, height, pixels).ok_or_else(|| invalid("pixels are missing"))?;
    let turned = match orientation {
        Orientation::NoTransforms => lying,
        Orientation::Rotate90 => imageops::rotate90(&lying),
        Orientation::Rotate180 => imageops::rotate180(&lying),
        Orientation::Rotate270 => imageops::rotate270(&lying),
        Orientation::FlipHorizontal => imageops::flip_horizontal(&lying),
        Orientation::FlipVertical => imageops::flip_vertical(&lying),
        Orientation::Rotate90FlipH => imageops::flip_horizontal(&imageops::rotate90(&lying)),
        Orientation::Rotate270FlipH => imageops::flip_horizontal(&imageops::rotate270(&lying)),
    };
    Ok(Rgb8 { width: turned.width(), height: turned.height(), pixels: turned.into_raw() })
}

fn limits(max_alloc: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_alloc);
    limits
}

/// Any kind of samples to RGB.
fn flatten(samples: Vec<u8>, color: ColorType) -> Result<Vec<u8>> {
    let channels = color.channel_count();
    let samples = match color.bytes_per_pixel() / channels {
        1 => samples,
        2 => samples.as_chunks::<2>().0.iter().map(|&sample| (u16::from_ne_bytes(sample) >> 8) as u8).collect(),
        _ => return Err(invalid("its samples are no integers")),
    };
    Ok(match channels {
        1 => samples.into_iter().flat_map(|grey| [grey; 3]).collect(),
        2 => samples.as_chunks::<2>().0.iter().flat_map(|&[l, a]| on_white([l, l, l, a])).collect(),
        3 => samples,
        _ => samples.as_chunks::<4>().0.iter().flat_map(|&pixel| on_white(pixel)).collect(),
    })
}

/// One pixel over an opaque white background, rounded to nearest as Pillow's `alpha_composite`.
fn on_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let (alpha, white) = (u32::from(alpha), 255 * (255 - u32::from(alpha)));
    [red, green, blue].map(|value| ((u32::from(value) * alpha + white + 127) / 255) as u8)
}

fn check_len(width: u32, height: u32, channels: u64, len: usize) -> Result<()> {
    let wanted = u64::from(width).checked_mul(u64::from(height)).and_then(|pixels| pixels.checked_mul(channels));
    if wanted == Some(len as u64) && len > 0 {
        return Ok(());
    }
    Err(invalid(format!("{len} bytes do not make {width} x {height} pixels of {channels} bytes")))
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidImage { reason: reason.into() }
}
