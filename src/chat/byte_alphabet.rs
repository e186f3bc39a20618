//! GPT-2's printable alphabet of bytes, in which byte-level vocabularies are written.
//!
//! Printable bytes are written as themselves, the others as consecutive characters from U+0100.

/// The character that spells a byte.
pub(super) fn byte_to_char(byte: u8) -> char {
    let spare = match byte {
        0..=0x20 => 0x100 + u32::from(byte),
        0x7f..=0xa0 => 0x121 + u32::from(byte - 0x7f),
        0xad => 0x143,
        _ => return char::from(byte),
    };
    char::from_u32(spare).unwrap_or_default()
}

/// The byte that a character represents, if it belongs to the alphabet.
pub(super) fn char_to_byte(c: char) -> Option<u8> {
    let byte = match u32::from(c) {
        point @ 0x100..=0x120 => point - 0x100,
        point @ 0x121..=0x142 => point - 0x121 + 0x7f,
        0x143 => 0xad,
        point @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => point,
        _ => return None,
    };
    u8::try_from(byte).ok()
}
