//! Picture files, up to the input of the tower.

use ocelli::Result;
use ocelli::families::definition;
use ocelli::image::{decode, fingerprint};
use ocelli_synth::published;

/// The decoder's limit, which bounds the memory of a picture.
pub const LIMIT_MEGAPIXELS: u32 = 1;

/// Longest edge after resizing.
const EDGE: usize = 112;

/// A PNG, JPEG or WebP file: decoded, fingerprinted, resampled, cut into patches.
///
/// # Errors
/// Errors of [`decode`].
pub fn picture(bytes: &[u8]) -> Result<()> {
    let rgb = decode(bytes, LIMIT_MEGAPIXELS)?;
    assert_eq!(rgb.pixels.len(), rgb.width as usize * rgb.height as usize * 3);
    assert_eq!(fingerprint(&rgb), fingerprint(&rgb.clone()));
    let config = published("ministral-3-3b").expect("a shape");
    let rules = definition(&config).pictures().expect("a model that reads pictures");
    let prepared = rules.prepare(&rgb, EDGE)?;
    let side = rules.cell();
    assert_eq!((prepared.width, prepared.height), (prepared.grid.cols * side, prepared.grid.rows * side));
    assert!(prepared.width.max(prepared.height) < EDGE + side, "no larger than the model wants");
    assert_eq!(prepared.rgb.len(), prepared.width * prepared.height * 3);
    Ok(())
}
