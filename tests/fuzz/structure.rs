//! Positions of numbers and values in a file, which mutations prefer to random bytes.

use std::ops::Range;

/// A valid file, and its parts.
#[derive(Clone, Default)]
pub(crate) struct Seed {
    pub(crate) bytes: Vec<u8>,
    /// Binary integers: counts, lengths, sizes, types, offsets.
    pub(crate) numbers: Vec<Range<usize>>,
    /// JSON values and keys.
    pub(crate) values: Vec<Range<usize>>,
}

impl Seed {
    /// A file of unknown structure.
    pub(crate) fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// A text of one or several JSON documents.
    pub(crate) fn json(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { values: json_values(&bytes, 0), numbers: Vec::new(), bytes }
    }

    /// A safetensors file: the header's length, and the header.
    pub(crate) fn safetensors(bytes: Vec<u8>) -> Self {
        let len = bytes.first_chunk().map_or(0, |len| u64::from_le_bytes(*len)) as usize;
        Self { numbers: std::iter::once(0..8).collect(), values: json_values(&bytes[..8 + len], 8), bytes }
    }

    /// A configuration, a byte of zero, and a safetensors file.
    pub(crate) fn checkpoint(config: &[u8], weights: &[u8]) -> Self {
        let (config, weights, at) = (Self::json(config), Self::safetensors(weights.to_vec()), config.len() + 1);
        let moved = |ranges: Vec<Range<usize>>| ranges.into_iter().map(move |range| range.start + at..range.end + at);
        Self {
            numbers: moved(weights.numbers).collect(),
            values: config.values.into_iter().chain(moved(weights.values)).collect(),
            bytes: [&config.bytes[..], &[0], &weights.bytes].concat(),
        }
    }

    /// A picture: the fields of its headers, two bytes at a time, and for WebP the sizes of all its chunks.
    pub(crate) fn picture(bytes: Vec<u8>) -> Self {
        let mut numbers: Vec<_> = (8..bytes.len().min(72)).map(|at| at..(at + 2).min(bytes.len())).collect();
        let chunk =
            |at: &usize| matches!(&bytes[*at..*at + 4], b"ALPH" | b"VP8 " | b"VP8L" | b"VP8X" | b"ANMF" | b"ANIM");
        for at in (8..bytes.len().saturating_sub(24)).filter(chunk) {
            numbers.push(at + 4..at + 8);
            numbers.extend((at + 8..at + 24).map(|at| at..at + 2));
        }
        Self { bytes, numbers, values: Vec::new() }
    }

    /// A snapshot: the numbers of its head.
    pub(crate) fn snapshot(bytes: Vec<u8>) -> Self {
        let end = bytes[12..].first_chunk().map_or(0, |len| u32::from_le_bytes(*len)) as usize;
        let numbers = std::iter::once(12..16).chain((48..end).step_by(4).map(|at| at..at + 4));
        Self { numbers: numbers.collect(), values: Vec::new(), bytes }
    }

    /// A GGUF file: all numbers in the header.
    pub(crate) fn gguf(bytes: Vec<u8>) -> Self {
        let mut walk = Walk { bytes: &bytes, at: 0, numbers: Vec::new() };
        walk.header();
        Self { numbers: walk.numbers, values: Vec::new(), bytes }
    }
}

/// Every value and every key of the JSON in `bytes[from..]`.
fn json_values(bytes: &[u8], from: usize) -> Vec<Range<usize>> {
    let mut values = Vec::new();
    let mut open = Vec::new();
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => open.push(start),
            b'}' | b']' => values.extend(open.pop().map(|start| start..at)),
            b'"' => {
                while let Some(&byte) = bytes.get(at) {
                    at += if byte == b'\\' { 2 } else { 1 };
                    if byte == b'"' {
                        break;
                    }
                }
                values.push(start..at.min(bytes.len()));
            }
            b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                at += bytes[at..].iter().take_while(|byte| inside(byte)).count();
                values.push(start..at);
            }
            _ => {}
        }
    }
    values
}

/// A reader of a valid GGUF file.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    numbers: Vec<Range<usize>>,
}

impl Walk<'_> {
    fn number(&mut self, width: usize) -> u64 {
        let range = self.at..self.at + width;
        self.at += width;
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(&self.bytes[range.clone()]);
        self.numbers.push(range);
        u64::from_le_bytes(wide)
    }

    fn text(&mut self) {
        self.at += self.number(8) as usize;
    }

    fn value(&mut self, kind: u64) {
        match kind {
            0 | 1 | 7 => drop(self.number(1)),
            2 | 3 => drop(self.number(2)),
            4..=6 => drop(self.number(4)),
            8 => self.text(),
            9 => {
                let (kind, count) = (self.number(4), self.number(8));
                (0..count).for_each(|_| self.value(kind));
            }
            _ => drop(self.number(8)),
        }
    }

    fn header(&mut self) {
        self.at = 4;
        self.number(4);
        let (tensors, pairs) = (self.number(8), self.number(8));
        for _ in 0..pairs {
            self.text();
            let kind = self.number(4);
            self.value(kind);
        }
        for _ in 0..tensors {
            self.text();
            let dimensions = self.number(4);
            // Sizes, type, offset.
            for _ in 0..dimensions {
                self.number(8);
            }
            self.number(4);
            self.number(8);
        }
    }
}

/// Corrects the checksums of a PNG's chunks, so that changes in them reach the parser.
pub(crate) fn repair_png(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(len) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let end = at + 8 + u32::from_be_bytes(*len) as usize;
        let Some(checked) = bytes.get(at + 4..end) else { return };
        let sum = crc32(checked);
        let Some(place) = bytes.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn values_of_json_are_found() {
    let text = br#" {"a": [1, -2.5e3, true], "b\"": ""} "#;
    let found: Vec<&str> =
        json_values(text, 0).into_iter().map(|range| str::from_utf8(&text[range]).unwrap()).collect();
    assert_eq!(
        found,
        [
            r#""a""#,
            "1",
            "-2.5e3",
            "true",
            "[1, -2.5e3, true]",
            r#""b\"""#,
            r#""""#,
            &str::from_utf8(text).unwrap()[1..36]
        ]
    );
}

#[test]
fn a_png_is_repaired() {
    let whole = include_bytes!("../fixtures/images/rgb.png");
    let mut damaged = whole.to_vec();
    for at in [29, whole.len() - 1] {
        damaged[at] ^= 0xff;
    }
    assert_ne!(damaged, whole);
    repair_png(&mut damaged);
    assert_eq!(damaged, whole);
}
