//! The size a picture is shown to the model at.

use sha2::{Digest, Sha256};

use super::decode::Rgb8;
use super::resize::bicubic_u8;
use crate::config::ImageGrid;
use crate::error::{Error, Result};
use crate::families::mistral3::VisionConfig;

/// A picture ready for the vision tower, but for the normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedImage {
    /// Width in pixels: whole merged patches.
    pub width: usize,
    /// Height in pixels: whole merged patches.
    pub height: usize,
    /// Pixels. // [height, width, 3]
    pub rgb: Vec<u8>,
    /// Size in tokens.
    pub grid: ImageGrid,
}

/// Resamples a picture to the size the model wants.
///
/// Its longer edge is brought down to `image_size`, then both are rounded up to whole merged patches; the aspect ratio is
/// not quite kept and nothing is padded. Source: `get_resize_output_image_size` of Hugging Face `transformers`,
/// `image_processing_pixtral.py`.
///
/// # Errors
/// [`Error::InvalidImage`] when the pixels do not fit the size, [`Error::Internal`] for sizes of zero in `config`.
pub fn prepare(picture: &Rgb8, config: &VisionConfig) -> Result<PreparedImage> {
    picture.check()?;
    let from = (picture.width as usize, picture.height as usize);
    let grid = grid(from, config)?;
    let step = config.patch_size * config.spatial_merge_size;
    let (width, height) = (grid.cols * step, grid.rows * step);
    let rgb = bicubic_u8(&picture.pixels, from, (width, height));
    Ok(PreparedImage { width, height, rgb, grid })
}

/// The size in tokens at which a picture of `from` pixels, width and height, is shown to the model.
///
/// # Errors
/// [`Error::Internal`] for sizes of zero in `config`.
pub fn grid(from: (usize, usize), config: &VisionConfig) -> Result<ImageGrid> {
    let step = config.patch_size * config.spatial_merge_size;
    if step == 0 || config.image_size == 0 {
        return Err(Error::Internal { detail: "the vision config has a size of zero".into() });
    }
    let longest = config.image_size as f64;
    let ratio = (from.0 as f64 / longest).max(from.1 as f64 / longest);
    // A very thin picture would shrink to nothing.
    let fit = |edge: usize| if ratio > 1.0 { ((edge as f64 / ratio).floor() as usize).max(1) } else { edge };
    Ok(ImageGrid { rows: fit(from.1).div_ceil(step), cols: fit(from.0).div_ceil(step) })
}

/// The tower's input: `(value / 255 - mean) / std`, planes of one colour after another. // [3, height, width]
pub fn normalise(picture: &PreparedImage, config: &VisionConfig) -> Vec<f32> {
    let plane = |channel: usize| {
        let (mean, std) = (config.image_mean[channel], config.image_std[channel]);
        let values = picture.rgb.iter().skip(channel).step_by(3);
        values.map(move |&value| (f32::from(value) / 255.0 - mean) / std)
    };
    (0..3).flat_map(plane).collect()
}

/// Tells pictures apart.
pub type Fingerprint = [u8; 32];

/// SHA-256 of a picture's size and pixels: equal pictures have equal fingerprints, whatever file they came from.
pub fn fingerprint(picture: &Rgb8) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(picture.width.to_le_bytes());
    hash.update(picture.height.to_le_bytes());
    hash.update(&picture.pixels);
    hash.finalize().into()
}
