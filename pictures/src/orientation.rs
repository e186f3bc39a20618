//! Orientation in a file's metadata, and the turn that makes the picture upright.
//!
//! Follows Pillow's `ImageOps.exif_transpose`: the EXIF block has priority over the XMP packet.

use image::metadata::Orientation;

/// Metadata of a file; empty if absent.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// A TIFF header and its directories, with or without `Exif\0\0` before them.
    pub(super) exif: Vec<u8>,
    /// XML.
    pub(super) xmp: Vec<u8>,
}

/// Prefix of the EXIF block, which some writers repeat.
const EXIF_PREFIX: &[u8] = b"Exif\0\0";

impl Metadata {
    /// Damaged metadata has no effect.
    pub(super) fn orientation(&self) -> Orientation {
        let mut exif = self.exif.as_slice();
        for _ in 0..2 {
            exif = exif.strip_prefix(EXIF_PREFIX).unwrap_or(exif);
        }
        let found = Orientation::from_exif_chunk(exif).or_else(|| Orientation::from_exif(in_xmp(&self.xmp)?));
        found.unwrap_or(Orientation::NoTransforms)
    }
}

/// The digit of the first `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn in_xmp(xmp: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    xmp.windows(NAME.len() + 3).find_map(|window| match window.strip_prefix(NAME)? {
        [b'=', b'"', digit @ b'0'..=b'9'] | [b'>', digit @ b'0'..=b'9', _] => Some(digit - b'0'),
        _ => None,
    })
}
