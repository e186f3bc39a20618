//! GPT-2's printable spelling of bytes, in which byte-level vocabularies are written.
//!
//! Bytes that print stand for themselves; the others are counted up from U+0100.

/// The character that spells a byte.
pub(super) const fn byte_to_char(byte: u8) -> char {
    CHARS[byte as usize]
}

/// The byte a character spells, if it is of the alphabet.
pub(super) fn char_to_byte(c: char) -> Option<u8> {
    BYTES.get(c as usize).copied().flatten()
}

const CHARS: [char; 256] = {
    let mut chars = ['\0'; 256];
    let (mut byte, mut spare) = (0, 0x100u32);
    while byte < 256 {
        let prints = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let point = if prints { byte as u32 } else { spare };
        spare += !prints as u32;
        // Every point is below U+0144.
        if let Some(c) = char::from_u32(point) {
            chars[byte] = c;
        }
        byte += 1;
    }
    chars
};

const BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        bytes[CHARS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    bytes
};
