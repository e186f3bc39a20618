//! PNG, JPEG and WebP files, natively also GIF, BMP and TIFF files, to upright, opaque 8-bit RGB. Browsers have decoders of their own for the latter.
//!
//! Follows Pillow, which the models' own processors use: the orientation in EXIF or XMP is applied, transparency is composited on white, 16-bit
//! samples keep their high byte, colour profiles are ignored, and the first frame of an animation is used. Independent of models and GPUs.

#![forbid(unsafe_code)]

mod decode;
mod error;
mod jpeg;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod orientation;
mod pixels;
mod png;
mod rgb;
mod webp;

pub use decode::{decode, size};
pub use error::{PictureError, Result};
pub use rgb::Rgb8;
