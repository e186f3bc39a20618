//! The segments of JPEG files before the first scan.

use crate::orientation::Metadata;

/// EXIF, which may continue in further segments, and XMP.
pub(super) fn metadata(bytes: &[u8]) -> Metadata {
    const APP1: u8 = 0xe1;
    const EXIF: &[u8] = b"Exif\0\0";
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    let mut metadata = Metadata::default();
    for segment in Segments::of(bytes).filter(|segment| segment.marker == APP1) {
        if let Some(exif) = segment.payload.strip_prefix(EXIF) {
            metadata.exif.extend(exif);
        } else if let Some(xmp) = segment.payload.strip_prefix(XMP) {
            metadata.xmp = xmp.to_vec();
        }
    }
    metadata
}

/// Returns true if the file has an end marker. The decoder fills missing parts of a truncated file with grey.
pub(super) fn ends(bytes: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    let mut segments = Segments::of(bytes);
    // Segments before the scan may contain any bytes, such as thumbnails with end markers.
    segments.by_ref().for_each(drop);
    bytes.get(segments.at..).is_some_and(|scan| scan.windows(2).any(|marker| marker == END))
}

struct Segment<'a> {
    marker: u8,
    payload: &'a [u8],
}

/// The segments up to the first scan or the end of the file; `at` is where they stop.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        const SCAN: u8 = 0xda;
        loop {
            match *self.bytes.get(self.at..)? {
                [0xff, SCAN, ..] => return None,
                [0xff, marker, high, low, ref rest @ ..] if marker != 0xff => {
                    let len = usize::from(u16::from_be_bytes([high, low])).max(2);
                    self.at += 2 + len;
                    let payload = rest.get(..len - 2).unwrap_or(rest);
                    return Some(Segment { marker, payload });
                }
                [] => return None,
                _ => self.at += 1,
            }
        }
    }
}
