//! Pixels of a file, after a check of its size, upright and in RGB.

use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageResult, Limits, RgbImage, imageops};

use crate::error::{PictureError, Result};
use crate::orientation::Metadata;
use crate::rgb::{Rgb8, on_white};

/// Decoders may hold a few copies of the pixels in wider types, and memory that does not depend on the size.
const DECODER_BYTES_PER_PIXEL: u64 = 24;
pub(crate) const DECODER_BYTES: u64 = 16 << 20;

/// Longest side, for any number of pixels: resampling needs memory for each position of a side.
const MAX_SIDE: u32 = 65_536;

/// Decodes the pixels after a check of the size.
pub(crate) fn read(
    decoder: ImageResult<impl ImageDecoder>,
    metadata: &Metadata,
    limit_megapixels: u32,
) -> Result<Rgb8> {
    let mut decoder = decoder.map_err(|error| PictureError::invalid(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > u64::from(limit_megapixels) * 1_000_000 {
        return Err(PictureError::ImageTooLarge { width, height, limit_megapixels });
    }
    if pixels == 0 || width.max(height) > MAX_SIDE {
        return Err(PictureError::invalid(format!("its size is {width} x {height}")));
    }
    let limits = limits(pixels * DECODER_BYTES_PER_PIXEL + DECODER_BYTES);
    decoder.set_limits(limits).map_err(|error| PictureError::invalid(error.to_string()))?;
    let (color, fault) = (decoder.color_type(), |error: image::ImageError| PictureError::invalid(error.to_string()));
    // Bounded by the limit of pixels.
    let mut samples = vec![0; decoder.total_bytes() as usize]; // [height, width, channels]
    decoder.read_image(&mut samples).map_err(fault)?;
    upright(Rgb8 { width, height, pixels: flatten(samples, color)? }, metadata.orientation())
}

/// Turns a picture upright. The library's `apply_orientation` would be compiled for every sample type.
fn upright(picture: Rgb8, orientation: Orientation) -> Result<Rgb8> {
    let Rgb8 { width, height, pixels } = picture;
    let lying = RgbImage::from_raw(width, height, pixels).ok_or_else(|| PictureError::invalid("pixels are missing"))?;
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

/// Limits of a decoder.
pub(crate) fn limits(max_alloc: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_alloc);
    limits
}

/// Converts any sample type to RGB.
fn flatten(samples: Vec<u8>, color: ColorType) -> Result<Vec<u8>> {
    let channels = color.channel_count();
    let samples = match color.bytes_per_pixel() / channels {
        1 => samples,
        2 => samples.as_chunks::<2>().0.iter().map(|&sample| (u16::from_ne_bytes(sample) >> 8) as u8).collect(),
        _ => return Err(PictureError::invalid("its samples are no integers")),
    };
    Ok(match channels {
        1 => samples.into_iter().flat_map(|grey| [grey; 3]).collect(),
        2 => samples.as_chunks::<2>().0.iter().flat_map(|&[l, a]| on_white([l, l, l, a])).collect(),
        3 => samples,
        _ => samples.as_chunks::<4>().0.iter().flat_map(|&pixel| on_white(pixel)).collect(),
    })
}
