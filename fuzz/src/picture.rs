//! Picture files to what the tower sees.

use ocelli::Result;
use ocelli::families::{definition, published};
use ocelli::image::{decode, fingerprint};

/// The limit given to the decoder: it bounds what a picture may take.
pub const LIMIT_MEGAPIXELS: u32 = 1;

/// Longest edge that pictures are brought down to.
const EDGE: usize = 112;

/// A PNG, JPEG or WebP file: decoded, told apart, resampled, cut into whole patches.
///
/// # Errors
/// As [`decode`].
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
