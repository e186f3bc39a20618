//! Metadata of PNG files before or after the pixels; the decoder returns only the former.

use crate::orientation::Metadata;

/// Longer texts are not unpacked; Pillow has the same limit.
const MAX_TEXT_BYTES: usize = 1 << 20;
const SIGNATURE_BYTES: usize = 8;

/// EXIF in its own chunk or as text, also in `ImageMagick`'s hexadecimal form, and XMP.
pub(super) fn metadata(bytes: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    let mut raw_profile = Vec::new();
    for (name, payload) in Chunks(bytes.get(SIGNATURE_BYTES..).unwrap_or_default()) {
        if name == b"eXIf" {
            metadata.exif = payload.to_vec();
        }
        match text(name, payload) {
            Some((b"exif", text)) => metadata.exif = text,
            Some((b"Raw profile type exif", text)) => raw_profile = text,
            Some((b"XML:com.adobe.xmp", text)) => metadata.xmp = text,
            _ => {}
        }
    }
    if metadata.exif.is_empty() {
        metadata.exif = from_hex(&raw_profile).unwrap_or_default();
    }
    metadata
}

/// Names and payloads of the complete chunks.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        // Checksum.
        self.0 = rest.get(4..)?;
        Some((name, payload))
    }
}

/// Keyword and text of a chunk, if it is one of the three text chunks.
fn text<'a>(name: &[u8; 4], payload: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let (keyword, rest) = split(payload)?;
    let text = match name {
        b"tEXt" => rest.to_vec(),
        b"zTXt" => unpacked(rest.strip_prefix(&[0])?)?,
        b"iTXt" => {
            let (flags, rest) = rest.split_first_chunk::<2>()?;
            let (_language, rest) = split(rest)?;
            let (_translated_keyword, text) = split(rest)?;
            if flags[0] == 0 { text.to_vec() } else { unpacked(text)? }
        }
        _ => return None,
    };
    Some((keyword, text))
}

/// Splits at the first zero byte.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn unpacked(zlib: &[u8]) -> Option<Vec<u8>> {
    fdeflate::decompress_to_vec_bounded(zlib, MAX_TEXT_BYTES).ok()
}

/// Decodes an empty line, the profile's name and its length in lines of their own, and bytes in hexadecimal.
fn from_hex(profile: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = profile.split(|&byte| byte == b'\n').skip(3).flatten().copied().collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits
        .trim_ascii()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&[high, low]| Some((digit(high)? * 16 + digit(low)?) as u8))
        .collect()
}
