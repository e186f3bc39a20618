//! One kernel run, watched: poisoned outputs, guards around everything, and the reference's answer beside the GPU's.

use bytemuck::NoUninit;
use ocelli::Result;
use ocelli::gpu::{Buffer, DeviceClass, Gpu, KernelConfig, Purpose, Recording, Slice};
use ocelli::reference::attention_step::HIDDEN;
use ocelli::reference::cache::from_half;

use crate::common::Random;

/// What an output holds before a run: a NaN, so that a number that is not written is wrong, however it is used.
pub(crate) const POISON: f32 = f32::from_bits(0x7fc0_dead);
/// What belongs to nobody: a number, since a NaN that is read and written back may come out the same.
pub(crate) const FOREIGN: f32 = -0.012_345_678;
/// What lies behind an input: another NaN.
const BEYOND: f32 = f32::from_bits(0x7fc0_0bad);
/// Words around every buffer: before it, outside the binding, and behind it, inside.
const GUARD: usize = 64;

/// Gathers the inputs and outputs of one run.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// The device.
    pub(crate) gpu: &'a Gpu,
    /// Where inputs come from.
    pub(crate) random: Random,
    /// What will run.
    pub(crate) recording: Recording,
    outputs: Vec<Output>,
}

/// A buffer the kernel writes, and what it should hold afterwards.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Buffer,
    /// What the kernel binds.
    pub(crate) slice: Slice,
    len: usize,
    words: Vec<f32>,
    /// What a difference counts against, if more than the largest expected number: the terms of a sum may cancel.
    pub(crate) magnitude: f32,
    holds: Holds,
}

/// What the words of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Numbers,
    /// Words, which are right or wrong.
    Words,
    /// Two 16-bit floats each, which may be the next ones.
    Halves,
}

impl Output {
    /// What the output holds now, for the reference to work on.
    pub(crate) fn expected(&mut self) -> &mut [f32] {
        &mut self.words[GUARD..GUARD + self.len]
    }

    /// What the kernel binds a part of.
    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// What all of it should hold in the end, as bytes.
    pub(crate) fn words(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// What the words are.
    pub(crate) fn holds(&self) -> &'static str {
        match self.holds {
            Holds::Numbers => "numbers",
            Holds::Words => "words",
            Holds::Halves => "halves",
        }
    }

    /// What a difference is told relative to.
    pub(crate) fn largest(&self) -> f32 {
        // What says that nothing was seen is no size.
        let counts = |x: &&f32| self.holds == Holds::Numbers && !is_left_alone(x) && **x != HIDDEN;
        let largest = self.words.iter().filter(counts).fold(self.magnitude, |max, x| max.max(x.abs()));
        largest.max(f32::MIN_POSITIVE)
    }

    /// The same in words.
    pub(crate) fn expected_words(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(self.expected())
    }
}

/// How far a run is from its reference, relative to the largest expected number of the output, or to [`Output::magnitude`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Difference {
    /// Largest difference.
    pub(crate) worst: f64,
    /// Numbers that were checked.
    pub(crate) checked: usize,
}

impl<'a> Bench<'a> {
    /// Nothing yet.
    pub(crate) fn new(gpu: &'a Gpu, seed: u64, kernel_config: Option<KernelConfig>) -> Self {
        // However a device would have the work divided, the numbers are the same.
        let class = if seed.is_multiple_of(2) { DeviceClass::Hardware } else { DeviceClass::Software };
        let recording = Recording::on(kernel_config.unwrap_or(KernelConfig::of(class)));
        Self { gpu, random: Random::new(seed), recording, outputs: Vec::new() }
    }

    fn guarded<T: NoUninit>(&self, words: &[T], guard: T) -> Result<(Buffer, Slice)> {
        let mut all = vec![guard; GUARD];
        all.extend_from_slice(words);
        all.resize(words.len() + 2 * GUARD, guard);
        let buffer = self.gpu.upload("bench", Purpose::Activations, &all)?;
        let slice = buffer.slice(GUARD as u64 * 4..all.len() as u64 * 4);
        Ok((buffer, slice))
    }

    /// Numbers on the GPU; whoever reads past them reads NaN.
    pub(crate) fn input(&self, numbers: &[f32]) -> Result<Slice> {
        Ok(self.guarded(numbers, BEYOND)?.1)
    }

    /// Words on the GPU.
    pub(crate) fn words(&self, words: &[u32]) -> Result<Slice> {
        Ok(self.guarded(words, u32::MAX)?.1)
    }

    /// A buffer of `len` poisoned numbers to write.
    pub(crate) fn output(&self, len: usize) -> Result<Output> {
        self.in_place(&vec![POISON; len])
    }

    /// A buffer of `len` poisoned words to write, every bit of which counts.
    pub(crate) fn output_words(&self, len: usize) -> Result<Output> {
        Ok(Output { holds: Holds::Words, ..self.output(len)? })
    }

    /// A buffer of `len` poisoned words to write, of two 16-bit floats each, rounded from numbers that may differ in their last bits.
    pub(crate) fn output_halves(&self, len: usize) -> Result<Output> {
        Ok(Output { holds: Holds::Halves, ..self.output(len)? })
    }

    /// A buffer to change.
    pub(crate) fn in_place(&self, numbers: &[f32]) -> Result<Output> {
        let (buffer, slice) = self.guarded(numbers, FOREIGN)?;
        let mut words = vec![FOREIGN; GUARD];
        words.extend_from_slice(numbers);
        words.resize(numbers.len() + 2 * GUARD, FOREIGN);
        Ok(Output { buffer, slice, len: numbers.len(), words, magnitude: 0.0, holds: Holds::Numbers })
    }

    /// Words to change, every bit of which counts.
    pub(crate) fn in_place_words(&self, words: &[u32]) -> Result<Output> {
        Ok(Output { holds: Holds::Words, ..self.in_place(bytemuck::cast_slice(words))? })
    }

    /// Hands in an output whose expected numbers the reference has written.
    pub(crate) fn expect(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// The outputs that were handed in.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter()
    }

    /// Names of the kernels that will run.
    pub(crate) fn kernels(&self) -> impl Iterator<Item = &str> {
        self.recording.dispatches().filter_map(|dispatch| dispatch.kernel.name().split('<').next())
    }

    /// Runs and compares.
    ///
    /// # Errors
    /// A line that says which number is wrong, or what the device complained about.
    pub(crate) fn finish(self, tolerance: f64) -> std::result::Result<Difference, String> {
        let complaint = |error: ocelli::Error| error.to_string();
        self.gpu.run("case", &self.recording).map_err(complaint)?;
        let mut difference = Difference::default();
        for output in &self.outputs {
            let found: Vec<f32> = pollster::block_on(self.gpu.read_as(&output.buffer.all())).map_err(complaint)?;
            let one = compare(output, &found, tolerance)?;
            difference.worst = difference.worst.max(one.worst);
            difference.checked += one.checked;
        }
        if difference.checked == 0 { Err("the reference wrote nothing".into()) } else { Ok(difference) }
    }
}

/// The larger of the distances between two pairs of 16-bit floats.
fn halves_apart(e: f32, f: f32) -> f64 {
    let halves = |x: f32| [x.to_bits() as u16, (x.to_bits() >> 16) as u16].map(|bits| f64::from(from_half(bits)));
    let ([e0, e1], [f0, f1]) = (halves(e), halves(f));
    let (low, high) = ((e0 - f0).abs(), (e1 - f1).abs());
    if low > high || low.is_nan() { low } else { high }
}

/// Whether this says that a number is to stay what it is.
fn is_left_alone(x: &f32) -> bool {
    [POISON, FOREIGN].iter().any(|left| left.to_bits() == x.to_bits())
}

fn compare(output: &Output, found: &[f32], tolerance: f64) -> std::result::Result<Difference, String> {
    let expected = &output.words;
    let largest = output.largest();
    let mut difference = Difference::default();
    for (index, (e, f)) in expected.iter().zip(found).enumerate() {
        // Inside the output; negative in the guard before it.
        let at = index.cast_signed() - GUARD.cast_signed();
        if is_left_alone(e) {
            if e.to_bits() != f.to_bits() {
                return Err(format!("wrote {f} at {at}, outside its output"));
            }
            continue;
        }
        let same = e.to_bits() == f.to_bits();
        if output.holds == Holds::Words && !same {
            return Err(format!("{:08x} at {at} where the reference has {:08x}", f.to_bits(), e.to_bits()));
        }
        let (apart, tolerance) = match output.holds {
            _ if same => (0.0, tolerance),
            // One step of a number in 1..2, as large as steps get beside their number.
            Holds::Halves => (halves_apart(*e, *f), tolerance.max(1.0 / 1024.0)),
            Holds::Numbers | Holds::Words => (f64::from((e - f).abs()), tolerance),
        };
        let off = apart / f64::from(largest);
        if off.is_nan() || off > tolerance {
            return Err(format!("{f} at {at} where the reference has {e} (largest {largest}, off by {off:.1e})"));
        }
        difference = Difference { worst: difference.worst.max(off), checked: difference.checked + 1 };
    }
    Ok(difference)
}
