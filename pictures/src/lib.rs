//! PNG, JPEG and WebP files to upright, opaque 8-bit RGB.
//!
//! Follows Pillow, which the models' own processors use: the orientation in EXIF or XMP is applied, transparency is composited on white, 16-bit
//! samples keep their high byte, colour profiles are ignored, and the first frame of an animation is used. Independent of models and GPUs.

#![forbid(unsafe_code)]

mod decode;
mod error;
mod jpeg;
mod orientation;
mod png;
mod rgb;
mod webp;

pub use decode::{decode, size};
pub use error::{PictureError, Result};
pub use rgb::Rgb8;
