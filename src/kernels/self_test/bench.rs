//! Inputs made from a seed, outputs beside what the reference says they should be.

use super::Outcome;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Features, Gpu, Purpose, Recording, Slice};
use crate::reference::cache::from_half;
use crate::weights::layout::BLOCK;

/// What outputs hold before: a number that is not written is wrong.
pub(super) const UNWRITTEN: f32 = f32::NAN;
/// Slices of a buffer start at multiples of this.
const ALIGNMENT: u64 = 256;

/// Gathers launches and what should come of them.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) gpu: &'a Gpu,
    /// The launches.
    pub(super) recording: Recording,
    random: u64,
    expected: Vec<Expected>,
}

#[derive(Debug)]
struct Expected {
    kernel: String,
    uses: Features,
    output: Buffer,
    right: Right,
}

#[derive(Debug)]
enum Right {
    /// To within rounding.
    Numbers(Vec<f32>),
    /// To the bit.
    Words(Vec<u32>),
    /// Two 16-bit floats each, rounded from numbers that may differ in their last bits.
    Halves(Vec<u32>),
}

impl Right {
    fn bytes(&self) -> u64 {
        let words = match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) | Self::Halves(words) => words.len(),
        };
        (words * size_of::<u32>()) as u64
    }
}

impl<'a> Bench<'a> {
    pub(super) fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, recording: Recording::on(gpu.kernel_config()), random: 0x9e37_79b9_7f4a_7c15, expected: Vec::new() }
    }

    /// The next 32 bits of xorshift64* (<https://www.jstatsoft.org/article/view/v008i14>).
    pub(super) fn bits(&mut self) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// `len` numbers in -1..1.
    pub(super) fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// Numbers that 8-bit integers with a scale to each block of 32 hold as they are. Scales differ from block to block.
    pub(super) fn whole(&mut self, len: usize) -> Vec<f32> {
        let mut scale = 1.0;
        let mut number = |index: usize| {
            if index.is_multiple_of(BLOCK) {
                scale = 1.0 / (64 << (self.bits() % 4)) as f32;
                return 127.0 * scale;
            }
            ((self.bits() % 255) as f32 - 127.0) * scale
        };
        (0..len).map(&mut number).collect()
    }

    /// Words or numbers on the GPU.
    pub(super) fn upload<T: bytemuck::NoUninit>(&self, data: &[T]) -> Result<Slice> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.gpu.alloc_beside("self-test", Purpose::Activations, bytes.len() as u64)?;
        self.gpu.write(&buffer, 0, bytes)?;
        Ok(buffer.all())
    }

    /// States what the launch recorded last should leave in `output`; numbers that are [`UNWRITTEN`] it should leave alone.
    pub(super) fn expect(&mut self, output: &Slice, numbers: Vec<f32>) {
        self.state(output, Right::Numbers(numbers));
    }

    /// As [`Self::expect`], bit by bit.
    pub(super) fn expect_words(&mut self, output: &Slice, words: Vec<u32>) {
        self.state(output, Right::Words(words));
    }

    /// As [`Self::expect`], of two 16-bit floats in each word.
    pub(super) fn expect_halves(&mut self, output: &Slice, words: Vec<u32>) {
        self.state(output, Right::Halves(words));
    }

    fn state(&mut self, output: &Slice, right: Right) {
        let kernel = self.recording.dispatches().last().map(|dispatch| &dispatch.kernel);
        let (kernel, uses) = kernel.map(|kernel| (kernel.name().to_owned(), kernel.needs())).unwrap_or_default();
        self.expected.push(Expected { kernel, uses, output: output.buffer.clone(), right });
    }

    /// Runs everything and compares. `on_compiled` is told kernels compiled, and all.
    pub(super) async fn finish(mut self, on_compiled: &mut dyn FnMut(usize, usize)) -> Result<Vec<Outcome>> {
        let bytes = |expected: &Expected| expected.right.bytes();
        let total = self.expected.iter().map(|one| bytes(one).next_multiple_of(ALIGNMENT)).sum();
        let results = self.gpu.alloc_beside("self-test results", Purpose::Activations, total)?;
        let mut first = 0;
        for one in &self.expected {
            self.recording.copy(one.output.slice(0..bytes(one)), results.slice(first..first + bytes(one)));
            first += bytes(one).next_multiple_of(ALIGNMENT);
        }
        self.gpu.compile(&self.recording, on_compiled).await?;
        self.gpu.run("self-test", &self.recording)?;
        let found: Vec<u32> = self.gpu.read_as(&results.slice(0..total)).await?;
        let mut rest = found.as_slice();
        let mut outcomes = Vec::with_capacity(self.expected.len());
        for one in self.expected {
            let words = bytes(&one).next_multiple_of(ALIGNMENT) as usize / size_of::<u32>();
            let Some((mine, others)) = rest.split_at_checked(words) else {
                return Err(Error::Internal { detail: "the self-test read too little".into() });
            };
            let kernel = (one.kernel, one.uses);
            outcomes.push(match one.right {
                Right::Numbers(numbers) => compare(kernel, &numbers, mine),
                Right::Words(words) => compare_words(kernel, &words, mine),
                Right::Halves(words) => compare_halves(kernel, &words, mine),
            });
            rest = others;
        }
        Ok(outcomes)
    }
}

fn compare_words((kernel, uses): (String, Features), expected: &[u32], found: &[u32]) -> Outcome {
    let wrong = expected.iter().zip(found).enumerate().find(|(_, (e, f))| e != f);
    let (worst, detail) = match wrong {
        None => (0.0, String::new()),
        Some((at, (e, f))) => (f64::INFINITY, format!("{f:#010x} at {at} where {e:#010x} is right, off by some bits")),
    };
    Outcome { kernel, uses, worst, detail }
}

/// Halves may be neighbours: a step is 2^-10 of a number at most.
fn compare_halves((kernel, uses): (String, Features), expected: &[u32], found: &[u32]) -> Outcome {
    let numbers = |words: &[u32]| -> Vec<f32> {
        words.iter().flat_map(|word| [*word as u16, (word >> 16) as u16]).map(from_half).collect()
    };
    let (expected, mut found) = (numbers(expected), numbers(found));
    for (e, f) in expected.iter().zip(&mut found) {
        if (*e - *f).abs() <= e.abs() / 1024.0 + f32::MIN_POSITIVE {
            *f = *e;
        }
    }
    let found: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
    compare((kernel, uses), &expected, &found)
}

fn compare((kernel, uses): (String, Features), expected: &[f32], found: &[u32]) -> Outcome {
    let found: Vec<f32> = found.iter().copied().map(f32::from_bits).collect();
    let largest = expected.iter().filter(|x| !x.is_nan()).fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()));
    let (mut worst, mut at) = (0.0, 0);
    for (index, (e, f)) in expected.iter().zip(&found).enumerate() {
        let off = if e.is_nan() && f.is_nan() { 0.0 } else { f64::from((e - f).abs()) / f64::from(largest) };
        if off > worst || off.is_nan() {
            (worst, at) = (off, index);
        }
        if worst.is_nan() {
            break;
        }
    }
    let at_worst = |numbers: &[f32]| numbers.get(at).copied().unwrap_or(UNWRITTEN);
    let (e, f) = (at_worst(expected), at_worst(&found));
    let detail = format!("{f} at {at} where {e} is right, off by {worst:.1e} of the largest number");
    Outcome { kernel, uses, worst, detail }
}
