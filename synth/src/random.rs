//! Fast random weights: most bytes come directly from the generator, the others from small tables.

use half::f16;
use ocelli::families::TensorSpec;
use ocelli::families::tensor_spec::Stored;
use ocelli::layout::Layout;

/// xoshiro256++ (<https://prng.di.unimi.it/xoshiro256plusplus.c>).
#[derive(Debug, Clone)]
pub(crate) struct Random([u64; 4]);

impl Random {
    /// A generator; every seed has its own sequence.
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        // splitmix64, as its authors advise.
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ b << 17, d.rotate_left(45)];
        result
    }

    /// Fills bytes.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Uniform in -1..1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / f64::from(1u32 << 26) / f64::from(1u32 << 26) - 1.0
    }
}

/// Numbers to pick from, about normally distributed, in the bytes of one number format.
#[derive(Debug)]
pub(crate) struct Palette {
    bytes: Vec<u8>,
    /// Bytes of a number.
    width: usize,
}

const PALETTE: usize = 1 << 12;

impl Palette {
    /// Numbers of that standard deviation, as `bytes` writes them.
    pub(crate) fn new<const N: usize>(random: &mut Random, deviation: f64, bytes: impl Fn(f32) -> [u8; N]) -> Self {
        // Twelve uniform numbers in -1..1 have a variance of 4.
        let mut normal = || (0..12).map(|_| random.uniform()).sum::<f64>() / 2.0;
        Self { bytes: (0..PALETTE).flat_map(|_| bytes((normal() * deviation) as f32)).collect(), width: N }
    }

    /// Numbers of a vector, such as the gains of a norm: `f32` of about 1, about -1 for decay rates, about 8 or -8 for bounds.
    pub(crate) fn of_vector(spec: &TensorSpec, random: &mut Random) -> Self {
        let size = match spec.stored {
            Stored::LogOfRate => -1.0,
            Stored::Bound if spec.name.ends_with("_min") => -8.0,
            Stored::Bound => 8.0,
            Stored::Plain | Stored::LessOne => 1.0,
        };
        Self::new(random, 0.05, |x| (size * (1.0 + x)).to_le_bytes())
    }

    /// Appends `count` numbers.
    pub(crate) fn extend(&self, random: &mut Random, count: usize, out: &mut Vec<u8>) {
        out.reserve(count * self.width);
        let mut left = count;
        while left > 0 {
            let bits = random.next();
            for index in 0..left.min(5) {
                let at = (bits >> (12 * index)) as usize % PALETTE * self.width;
                out.extend_from_slice(&self.bytes[at..at + self.width]);
            }
            left -= left.min(5);
        }
    }
}

/// 16-bit scales of both signs and slightly different magnitudes.
#[derive(Debug)]
pub(crate) struct Scales(Vec<f16>);

impl Scales {
    /// Scales with which integers of random bits have that standard deviation.
    pub(crate) fn new(layout: Layout, deviation: f64) -> Self {
        let scale = deviation * layout.spec().deviation.recip();
        let number = |index: u32| {
            let size = scale * (0.75 + f64::from(index / 2) / 256.0);
            f16::from_f64(if index.is_multiple_of(2) { size } else { -size })
        };
        Self((0..256).map(number).collect())
    }

    pub(crate) fn pick(&self, random: u64) -> f16 {
        self.0[random as usize % 256]
    }
}

/// Fills a ggml block.
pub(crate) fn block(layout: Layout, random: &mut Random, scales: &Scales, block: &mut [u8]) {
    random.fill(block);
    let d = scales.pick(random.next());
    if let Some(ggml) = &layout.spec().ggml {
        (ggml.fill)(d, block);
    }
}
