//! Formats that are read natively only.

use std::io::Cursor;

use image::ImageFormat;
use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, tiff::TiffDecoder};

use crate::error::{PictureError, Result};
use crate::orientation::Metadata;
use crate::pixels::read;
use crate::rgb::Rgb8;

/// Decodes a GIF (its first frame), BMP or TIFF file (its first picture).
pub(crate) fn decode(bytes: &[u8], format: ImageFormat, limit_megapixels: u32) -> Result<Rgb8> {
    let (reader, none) = (Cursor::new(bytes), Metadata::default());
    match format {
        ImageFormat::Gif => read(GifDecoder::new(reader), &none, limit_megapixels),
        ImageFormat::Bmp => read(BmpDecoder::new(reader), &none, limit_megapixels),
        // An EXIF block is a TIFF file without pixels, and Pillow reads the orientation of both alike.
        ImageFormat::Tiff => {
            let metadata = Metadata { exif: bytes.to_vec(), ..Metadata::default() };
            read(TiffDecoder::new(reader), &metadata, limit_megapixels)
        }
        _ => Err(PictureError::invalid("this format is not read here")),
    }
}
