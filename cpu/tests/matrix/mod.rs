//! Random matrices in every layout, with their numbers by a decoder of its own.

#![allow(dead_code, reason = "tests and the bench use different parts")]

use half::f16;
use ocelli_cpu::native::Machine;
use ocelli_cpu::{Layout, Span};

/// Numbers of a block.
pub(crate) const BLOCK: usize = 32;

const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const FP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Random numbers, the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Random bits.
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// A number from -1 to 1.
    pub(crate) fn number(&mut self) -> f32 {
        self.bits() as f32 / (1u32 << 30) as f32 - 1.0
    }

    /// So many numbers from -1 to 1.
    pub(crate) fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.number()).collect()
    }
}

/// Content of a plane.
#[derive(Clone, Copy, PartialEq)]
enum Content {
    Floats,
    Halves,
    Exponents,
    Bits,
}

/// A plane of a layout: bytes for so many blocks of four rows.
struct Plane {
    content: Content,
    bytes: usize,
    blocks: usize,
}

fn planes_of(layout: Layout) -> Vec<Plane> {
    let plane = |content, bytes, blocks| Plane { content, bytes, blocks };
    let (nibbles, scales) = (plane(Content::Bits, 64, 1), plane(Content::Halves, 8, 1));
    let (integers, pairs) = (plane(Content::Bits, 8, 1), plane(Content::Halves, 16, 8));
    match layout {
        Layout::F32 => vec![plane(Content::Floats, 512, 1)],
        Layout::F16 => vec![plane(Content::Halves, 256, 1)],
        Layout::Q8_0 => vec![plane(Content::Bits, 128, 1), scales],
        Layout::Q6K => vec![nibbles, plane(Content::Bits, 32, 1), integers, plane(Content::Halves, 8, 8)],
        Layout::Q5K => vec![nibbles, plane(Content::Bits, 16, 1), integers, pairs],
        Layout::Q5_1 => vec![nibbles, plane(Content::Bits, 16, 1), plane(Content::Halves, 16, 1)],
        Layout::Q5_0 => vec![nibbles, plane(Content::Bits, 16, 1), scales],
        Layout::Q4_1 => vec![nibbles, plane(Content::Halves, 16, 1)],
        Layout::Q4K | Layout::Q2K => vec![nibbles, integers, pairs],
        Layout::Q3K => vec![nibbles, integers, plane(Content::Halves, 8, 8)],
        Layout::Mxfp4 => vec![nibbles, plane(Content::Exponents, 4, 1)],
        Layout::Q4_0 | Layout::Iq4Nl => vec![nibbles, scales],
        Layout::Iq4Xs => vec![nibbles, plane(Content::Bits, 4, 1), plane(Content::Halves, 8, 8)],
        Layout::Q4_64 => vec![nibbles, plane(Content::Halves, 8, 2)],
    }
}

/// A matrix of random numbers.
pub(crate) struct Matrix {
    pub(crate) layout: Layout,
    pub(crate) blocks: usize,
    pub(crate) planes: Vec<Vec<u8>>,
}

impl Matrix {
    /// `rows` rows of `k` numbers; those past `k` are not zero, so that a kernel that reads them is found.
    pub(crate) fn random(layout: Layout, rows: usize, k: usize, random: &mut Random) -> Self {
        let blocks = k.div_ceil(BLOCK);
        let mut fill = |plane: Plane| {
            let bytes = rows.div_ceil(4) * blocks.div_ceil(plane.blocks) * plane.bytes;
            match plane.content {
                Content::Floats => random.numbers(bytes / 4).iter().flat_map(|x| x.to_le_bytes()).collect(),
                Content::Halves => {
                    random.numbers(bytes / 2).iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
                }
                Content::Exponents => (0..bytes).map(|_| 120 + (random.bits() >> 9) as u8 % 8).collect(),
                Content::Bits => (0..bytes).map(|_| (random.bits() >> 9) as u8).collect::<Vec<u8>>(),
            }
        };
        Self { layout, blocks, planes: planes_of(layout).into_iter().map(&mut fill).collect() }
    }

    /// Bytes of all planes.
    pub(crate) fn bytes(&self) -> usize {
        self.planes.iter().map(Vec::len).sum()
    }

    /// Its planes in the memory of a machine.
    pub(crate) fn upload(&self, machine: &Machine) -> Vec<Span> {
        self.planes.iter().map(|plane| buffer(machine, plane)).collect()
    }

    fn half(&self, plane: usize, index: usize) -> f64 {
        let plane = &self.planes[plane];
        f16::from_le_bytes([plane[2 * index], plane[2 * index + 1]]).to_f64()
    }

    /// Four rows and a number of units are interleaved.
    fn unit(&self, row: usize, block: usize, width: usize) -> usize {
        (row / 4 * self.blocks.div_ceil(width) + block / width) * 4 + row % 4
    }

    fn nibble(&self, index: usize, e: usize) -> i32 {
        i32::from(self.planes[0][index * 16 + e % 16] >> (e / 16 * 4) & 15)
    }

    /// The number in a column of a row.
    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        let (block, e) = (column / BLOCK, column % BLOCK);
        let index = row * self.blocks + block;
        let own = self.unit(row, block, 1);
        let fifth = || i32::from(self.planes[1][index * 4 + e % 4] >> (e / 4) & 1) << 4;
        let upper = || i32::from(self.planes[1][index * 8 + e / 16 * 4 + e % 4] >> (e % 16 / 4 * 2) & 3) << 4;
        let coded = |codes: [i8; 16]| f64::from(codes[self.nibble(index, e) as usize]);
        let integer = |plane: usize, side: usize| self.planes[plane][2 * own + side];
        let above = self.unit(row, block, 8);
        let scaled = |quant: i32, planes: [usize; 2]| {
            let [d, least] = [0, 1]
                .map(|side| self.half(planes[1], 2 * above + side) / 1024.0 * f64::from(integer(planes[0], side)));
            d * f64::from(quant) - least
        };
        match self.layout {
            Layout::F32 => {
                let four = &self.planes[0][(index * BLOCK + e) * 4..][..4];
                f32::from_le_bytes([four[0], four[1], four[2], four[3]]).into()
            }
            Layout::F16 => self.half(0, index * BLOCK + e),
            Layout::Q8_0 => self.half(1, own) * f64::from(self.planes[0][index * BLOCK + e].cast_signed()),
            Layout::Q6K => {
                let scale = self.half(3, above) / 1024.0 * f64::from(integer(2, e / 16).cast_signed());
                scale * f64::from((self.nibble(index, e) | upper()) - 32)
            }
            Layout::Q5K => scaled(self.nibble(index, e) | fifth(), [2, 3]),
            Layout::Q5_1 => {
                let [d, least] = [0, 1].map(|side| self.half(2, 2 * own + side));
                d * f64::from(self.nibble(index, e) | fifth()) + least
            }
            Layout::Q5_0 => self.half(2, own) * f64::from((self.nibble(index, e) | fifth()) - 16),
            Layout::Q4_1 => self.half(1, 2 * own) * f64::from(self.nibble(index, e)) + self.half(1, 2 * own + 1),
            Layout::Q4K => scaled(self.nibble(index, e), [1, 2]),
            Layout::Q4_0 => self.half(1, own) * f64::from(self.nibble(index, e) - 8),
            Layout::Iq4Nl => self.half(1, own) * coded(IQ4),
            Layout::Iq4Xs => {
                let scale = self.half(2, above) / 1024.0 * f64::from(self.planes[1][own].cast_signed());
                scale * coded(IQ4)
            }
            Layout::Mxfp4 => f64::from(i32::from(self.planes[1][own]) - 128).exp2() * coded(FP4),
            Layout::Q3K => {
                let scale = self.half(2, above) / 1024.0 * f64::from(integer(1, e / 16).cast_signed());
                scale * f64::from(self.nibble(index, e) - 4)
            }
            Layout::Q2K => {
                let [d, least] = [0, 1].map(|side| self.half(2, 2 * above + side) / 1024.0);
                let both = integer(1, e / 16);
                d * f64::from(both & 15) * f64::from(self.nibble(index, e)) - least * f64::from(both >> 4)
            }
            Layout::Q4_64 => self.half(1, self.unit(row, block, 2)) * f64::from(self.nibble(index, e) - 8),
        }
    }
}

/// Bytes in the memory of a machine.
pub(crate) fn buffer(machine: &Machine, bytes: &[u8]) -> Span {
    let at = machine.alloc(bytes.len() as u64).expect("memory");
    machine.write(at, bytes).expect("room");
    Span { at, bytes: bytes.len() as u64 }
}

/// Floats in the memory of a machine.
pub(crate) fn floats(machine: &Machine, numbers: &[f32]) -> Span {
    buffer(machine, bytemuck::cast_slice(numbers))
}

/// The floats of a buffer.
pub(crate) fn read(machine: &Machine, span: Span) -> Vec<f32> {
    let bytes = machine.read(span).expect("a buffer");
    bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
}
