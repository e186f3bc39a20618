//! Mutations of valid files.

use super::random::Random;
use super::structure::{Seed, repair_png};

/// Integers at which behaviour changes: widths, limits, signs.
const EDGES: [u64; 28] = [
    0,
    1,
    2,
    3,
    4,
    7,
    9,
    31,
    33,
    255,
    256,
    1 << 10,
    (1 << 10) + 1,
    0x7fff,
    0xffff,
    1 << 20,
    (1 << 20) + 1,
    1 << 22,
    1 << 24,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    (1 << 62) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 31,
    u64::MAX,
];

/// JSON values that are invalid, of the wrong type, or at an edge.
const JSON: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "4",
    "-1",
    "-0",
    "0.5",
    "2.5",
    "16.0",
    "1e-400",
    "1e300",
    "-1e300",
    "1e999",
    "NaN",
    "255",
    "256",
    "1024",
    "1025",
    "65536",
    "1048576",
    "1048577",
    "4194303",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "[]",
    "{}",
    "[[]]",
    "{\"\":{}}",
    "[1,1]",
    "[0,18446744073709551615]",
    "\"\"",
    "\"[IMG]\"",
    "\"a b\"",
    "\"../a\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
];

/// Longest part that is inserted, removed or copied.
const PIECE: usize = 256;
/// Longest input.
const LONGEST: usize = 64 << 10;

/// The input with this number; the first ones are the seeds themselves.
pub(crate) fn input(parser: &str, seeds: &[Seed], case: u64) -> Vec<u8> {
    if let Some(seed) = seeds.get(usize::try_from(case).unwrap_or(usize::MAX)) {
        return seed.bytes.clone();
    }
    let mut random = Random::of(parser, case);
    let Some(seed) = random.pick(seeds) else { return Vec::new() };
    let mut bytes = seed.bytes.clone();
    loop {
        let plain = seed.numbers.is_empty() && seed.values.is_empty();
        let structured = !plain && !random.one_in(3);
        match structured {
            true => change_structure(&mut bytes, seed, seeds, &mut random),
            false => change_bytes(&mut bytes, seeds, &mut random),
        }
        if random.one_in(2) {
            break;
        }
    }
    bytes.truncate(LONGEST);
    if bytes.starts_with(b"\x89PNG") && !random.one_in(4) {
        repair_png(&mut bytes);
    }
    bytes
}

/// Changes a number or a value. After an earlier change the offsets may be wrong: that is a mutation too.
fn change_structure(bytes: &mut Vec<u8>, seed: &Seed, seeds: &[Seed], random: &mut Random) {
    let numbers = seed.numbers.len();
    let chosen = random.below(numbers + seed.values.len());
    if let Some(range) = seed.numbers.get(chosen) {
        let old = bytes.get(range.clone()).map_or(0, little_endian);
        let new = number(old, bytes.len(), random);
        let mut new = new.to_le_bytes();
        if random.one_in(4) {
            new[..range.len()].reverse();
        }
        write(bytes, range.start, &new[..range.len()]);
        return;
    }
    let mut range = seed.values[chosen - numbers].clone();
    if random.one_in(2) {
        // Most values are in lists of tokens; prefer files with many other values.
        let longest = (0..8).filter_map(|_| random.pick(&seed.values)).max_by_key(|range| range.len());
        range = longest.unwrap_or(&range).clone();
    }
    if range.end > bytes.len() {
        return;
    }
    let new = match random.below(8) {
        0 => Vec::new(),
        1 => [&bytes[range.clone()], b",", &bytes[range.clone()]].concat(),
        2 => other_value(seeds, random),
        3 => b"[".repeat(1 + random.below(200)),
        4 => format!("{}", number(0, bytes.len(), random)).into_bytes(),
        _ => random.pick(&JSON).map_or(Vec::new(), |text| text.as_bytes().to_vec()),
    };
    bytes.splice(range, new);
}

fn other_value(seeds: &[Seed], random: &mut Random) -> Vec<u8> {
    let value = random.pick(seeds).and_then(|seed| Some(&seed.bytes[random.pick(&seed.values)?.clone()]));
    value.unwrap_or_default().to_vec()
}

fn change_bytes(bytes: &mut Vec<u8>, seeds: &[Seed], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(9) {
        0 | 1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.byte()),
        3 => {
            let width = 1 << random.below(4);
            let old = bytes.get(at..at + width).map_or(0, little_endian);
            let mut new = number(old, bytes.len(), random).to_le_bytes();
            if random.one_in(2) {
                new[..width].reverse();
            }
            write(bytes, at, &new[..width]);
        }
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(random.part(bytes.len(), PIECE))),
        6 => {
            let piece: Vec<u8> = match random.one_in(2) {
                true => vec![random.byte(); random.below(PIECE)],
                false => (0..random.below(16)).map(|_| random.byte()).collect(),
            };
            bytes.splice(at..at, piece);
        }
        7 => {
            let piece = bytes[random.part(bytes.len(), PIECE)].to_vec();
            let copies = 1 + random.below(4);
            bytes.splice(at..at, piece.repeat(copies));
        }
        _ => {
            let other = random.pick(seeds).map_or(&[][..], |seed| &seed.bytes);
            // Often from the same offset, so that the tail still fits.
            let from = if random.one_in(2) { at.min(other.len()) } else { random.below(other.len() + 1) };
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
    }
}

/// A replacement for `old` that may do harm.
fn number(old: u64, len: usize, random: &mut Random) -> u64 {
    match random.below(8) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => old.wrapping_mul(2),
        3 => (len as u64).wrapping_sub(random.below(64) as u64),
        4 => random.below(64) as u64,
        _ => random.pick(&EDGES).copied().unwrap_or(0),
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn write(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
}
