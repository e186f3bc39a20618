//! Chunks of WebP files: metadata, and faults that the decoder detects too late.
//!
//! `image-webp` 0.2.4 uses the size in a lossy bitstream before it compares it with the size of the file: a small file then takes hundreds of
//! megabytes, or panics in an animation with alpha.

use crate::orientation::Metadata;

/// EXIF and XMP, if the header announces them.
pub(super) fn metadata(bytes: &[u8]) -> Metadata {
    const EXIF: u8 = 1 << 3;
    const XMP: u8 = 1 << 2;
    let mut metadata = Metadata::default();
    let Some(header) = Chunk::at(bytes, FIRST_CHUNK).filter(|chunk| &chunk.name == b"VP8X") else {
        return metadata;
    };
    let flags = header.payload.first().copied().unwrap_or_default();
    let mut at = header.end;
    while let Some(chunk) = Chunk::at(bytes, at) {
        at = chunk.end;
        let field = match &chunk.name {
            b"EXIF" if flags & EXIF != 0 => &mut metadata.exif,
            b"XMP " if flags & XMP != 0 => &mut metadata.xmp,
            _ => continue,
        };
        if field.is_empty() {
            *field = chunk.payload.to_vec();
        }
    }
    metadata
}

/// The reason to refuse a file, if any: every lossy bitstream must have the size of its frame, and every frame must be inside the picture.
pub(super) fn fault(bytes: &[u8]) -> Option<&'static str> {
    let mut canvas = None;
    let mut at = FIRST_CHUNK;
    while let Some(chunk) = Chunk::at(bytes, at) {
        at = chunk.end;
        match &chunk.name {
            b"VP8X" => canvas = canvas.or(chunk.payload.get(4..).and_then(size)),
            b"VP8 " if !chunk.fits(canvas) => return Some(DIFFERS),
            b"ANMF" => {
                let frame = chunk.payload.get(6..).and_then(size);
                if frame.zip(canvas).is_some_and(|(frame, canvas)| frame[0] > canvas[0] || frame[1] > canvas[1]) {
                    return Some("a frame is larger than the picture");
                }
                let mut inner = chunk.start + 16;
                while let Some(part) = Chunk::at(bytes, inner).filter(|_| inner < chunk.end) {
                    inner = part.end;
                    if &part.name == b"VP8 " && !part.fits(frame) {
                        return Some(DIFFERS);
                    }
                }
            }
            _ => {}
        }
    }
    None
}

/// Offset after `RIFF`, a length and `WEBP`.
const FIRST_CHUNK: usize = 12;
const DIFFERS: &str = "a frame has another size than the file says";

struct Chunk<'a> {
    name: [u8; 4],
    /// Offsets of the payload and of the next chunk.
    start: usize,
    end: usize,
    /// The payload, possibly truncated.
    payload: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let (name, rest) = bytes.get(at..)?.split_first_chunk()?;
        let (len, payload) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes(*len) as usize;
        let end = at.checked_add(8)?.checked_add(len)?.checked_add(len % 2)?;
        Some(Self { name: *name, start: at + 8, end, payload: payload.get(..len).unwrap_or(payload) })
    }

    /// Returns true if a lossy bitstream has this size; other chunks have none.
    fn fits(&self, expected: Option<[u32; 2]>) -> bool {
        let side = |at: usize| Some(u32::from(u16::from_le_bytes(*self.payload.get(at..)?.first_chunk()?) & 0x3fff));
        match (expected, side(6), side(8)) {
            (Some(expected), Some(width), Some(height)) => expected == [width, height],
            // Too short to be decoded.
            _ => true,
        }
    }
}

/// Two sides of 24 bits, each stored minus one.
fn size(bytes: &[u8]) -> Option<[u32; 2]> {
    let [w0, w1, w2, h0, h1, h2] = *bytes.first_chunk()?;
    Some([u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1])
}
