//! Runs kernels on known inputs, with poisoned outputs and guards around all buffers, and compares the results with the reference's.

use bytemuck::NoUninit;

use crate::error::{Error, Result};
use crate::gpu::{Buffer, Features, Gpu, Purpose, Recording, Slice};
use crate::layout::LaneLayout;
use crate::reference::attention_step::HIDDEN;
use crate::reference::cache::from_half;

/// Content of outputs before a run: a NaN, so that an unwritten number is always found.
pub const POISON: f32 = f32::from_bits(0x7fc0_dead);
/// Content that no kernel may overwrite: a number, because a NaN that is read and written back may have the same bits.
pub const FOREIGN: f32 = -0.012_345_678;
/// Content after the end of an input: another NaN.
const BEYOND: f32 = f32::from_bits(0x7fc0_0bad);
/// Words of guards around every buffer: before it, outside the binding, and after it, inside.
const GUARD: usize = 64;
/// Alignment of slices in a buffer.
const ALIGNMENT: u64 = 256;

/// Marsaglia's xorshift64* (<https://www.jstatsoft.org/article/view/v008i14>): the same numbers on every machine.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A stream for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 32 bits.
    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// The next number, uniform over -1..1.
    pub fn number(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `len` numbers in `-size..size`.
    pub fn numbers(&mut self, len: usize, size: f32) -> Vec<f32> {
        (0..len).map(|_| self.number() * size).collect()
    }
}

/// Collects launches, their inputs and the expected content of their outputs. Functions that create buffers fail as
/// [`Allocator::alloc`](crate::gpu::Allocator::alloc) does.
#[derive(Debug)]
pub struct Harness<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Source of inputs.
    pub random: Random,
    /// Launches to run.
    pub recording: Recording,
    /// Words of guards around every buffer.
    guard: usize,
    /// Lane layout of the recorded case, see [`super::Case::with_lane_layout`].
    pub(super) lane_layout: LaneLayout,
    /// Outputs of the recorded cases, each with an outcome to be filled in.
    pub(super) outputs: Vec<(Outcome, Output)>,
}

/// A buffer that a kernel writes, and its expected content.
#[derive(Debug)]
pub struct Output {
    /// The whole buffer, guards included.
    pub buffer: Buffer,
    /// The part that the kernel binds.
    pub slice: Slice,
    guard: usize,
    words: Vec<f32>,
    /// Set if no reference computes the expected content.
    pub twin: Option<Twin>,
    /// Scale of differences, if larger than the largest expected number: the terms of a sum may cancel.
    pub magnitude: f32,
    /// Type of the words.
    pub holds: Holds,
}

/// The output of the same case that must hold the same numbers, because another variant of the kernel writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// The one after it.
    Next,
    /// The one before it.
    Previous,
}

/// Types of the words of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// 32-bit floats.
    Numbers,
    /// Words that must be equal bit by bit.
    Words,
    /// Pairs of 16-bit floats, rounded from numbers that may differ in their last bits.
    Halves,
}

impl Output {
    /// The present expectation, on which the reference works in place.
    pub fn expected(&mut self) -> &mut [f32] {
        let end = self.words.len() - self.guard;
        &mut self.words[self.guard..end]
    }

    /// The present expectation as words.
    pub fn expected_words(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(self.expected())
    }

    /// Bytes from the results of this output to those of the next.
    fn place(&self) -> u64 {
        (self.bytes().len() as u64).next_multiple_of(ALIGNMENT)
    }

    /// The expected bytes of the whole buffer after the run.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// Scale of differences.
    pub fn largest(&self) -> f32 {
        // The peak of a row without visible keys has no scale.
        let counts = |x: &&f32| self.holds == Holds::Numbers && !is_left_alone(**x) && **x != HIDDEN;
        let largest = self.words.iter().filter(counts).fold(self.magnitude, |max, x| max.max(x.abs()));
        largest.max(f32::MIN_POSITIVE)
    }
}

/// Result of a kernel on known inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Name with layout or head width.
    pub kernel: String,
    /// Optional features that it uses.
    pub uses: Features,
    /// Largest difference allowed.
    pub tolerance: f64,
    /// Largest difference to the reference, relative to the largest number; NaN if the kernel's number is NaN.
    pub worst: f64,
    /// Numbers that were checked.
    pub checked: usize,
    /// The worst number and its expected value.
    pub detail: String,
}

impl Outcome {
    /// Returns true if every number is within the tolerance.
    pub fn is_right(&self) -> bool {
        self.worst <= self.tolerance
    }
}

impl<'a> Harness<'a> {
    /// An empty harness with guards.
    pub fn new(gpu: &'a Gpu, seed: u64) -> Self {
        let recording = Recording::on(gpu.kernel_config());
        Self {
            gpu,
            random: Random::new(seed),
            recording,
            guard: GUARD,
            lane_layout: LaneLayout::NATURAL,
            outputs: Vec::new(),
        }
    }

    /// An empty harness without guards that takes as little memory as possible, because a model is about to be loaded.
    pub fn lean(gpu: &'a Gpu) -> Self {
        Self { guard: 0, ..Self::new(gpu, 0) }
    }

    /// Returns true for a harness made by [`Self::lean`].
    pub(super) fn is_lean(&self) -> bool {
        self.guard == 0
    }

    fn guarded<T: NoUninit>(&self, words: &[T], guard: T) -> Result<(Buffer, Slice)> {
        let mut all = vec![guard; self.guard];
        all.extend_from_slice(words);
        all.resize(words.len() + 2 * self.guard, guard);
        let bytes: &[u8] = bytemuck::cast_slice(&all);
        let buffer = self.gpu.alloc_beside("test of kernels", Purpose::Activations, bytes.len() as u64)?;
        self.gpu.write(&buffer, 0, bytes)?;
        let slice = buffer.slice(self.guard as u64 * 4..all.len() as u64 * 4);
        Ok((buffer, slice))
    }

    /// Uploads numbers; reads past their end yield NaN.
    pub fn input(&self, numbers: &[f32]) -> Result<Slice> {
        Ok(self.guarded(numbers, BEYOND)?.1)
    }

    /// Uploads numbers if there are any.
    pub fn optional(&self, numbers: Option<&[f32]>) -> Result<Option<Slice>> {
        numbers.map(|numbers| self.input(numbers)).transpose()
    }

    /// Uploads words.
    pub fn words(&self, words: &[u32]) -> Result<Slice> {
        Ok(self.guarded(words, u32::MAX)?.1)
    }

    /// A poisoned output of `len` words.
    pub fn output(&self, len: usize, holds: Holds) -> Result<Output> {
        Ok(Output { holds, ..self.in_place(&vec![POISON; len])? })
    }

    /// An output that starts with these numbers.
    pub fn in_place(&self, numbers: &[f32]) -> Result<Output> {
        let (buffer, slice) = self.guarded(numbers, FOREIGN)?;
        let mut words = vec![FOREIGN; self.guard];
        words.extend_from_slice(numbers);
        words.resize(numbers.len() + 2 * self.guard, FOREIGN);
        Ok(Output { buffer, slice, guard: self.guard, words, twin: None, magnitude: 0.0, holds: Holds::Numbers })
    }

    /// An output that starts with these words.
    pub fn in_place_words(&self, words: &[u32]) -> Result<Output> {
        Ok(Output { holds: Holds::Words, ..self.in_place(bytemuck::cast_slice(words))? })
    }

    /// The outputs of all recorded cases.
    pub fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().map(|(_, output)| output)
    }

    /// Runs everything twice, as a model does with its prepared work, and compares the results with the expectations and with one another.
    ///
    /// # Errors
    /// Errors of the device.
    pub async fn finish(self) -> Result<Vec<Outcome>> {
        let Self { gpu, recording, outputs, .. } = self;
        let total: u64 = outputs.iter().map(|(_, output)| output.place()).sum();
        let results = gpu.alloc_beside("results of kernels", Purpose::Activations, 2 * total)?;
        gpu.compile(recording.dispatches().map(|dispatch| &dispatch.kernel), &mut |_, _| ()).await?;
        let work = gpu.prepare("test of kernels", &recording)?;
        // Until the second run, the second half holds what was there before the first one.
        let (mut save, mut between, mut collect, mut at) = (Recording::new(), Recording::new(), Recording::new(), 0);
        for (_, output) in &outputs {
            let (bytes, first, second) = (output.bytes().len() as u64, at, total + at);
            let all = output.buffer.slice(0..bytes);
            let [first, second] = [first, second].map(|start| results.slice(start..start + bytes));
            save.copy(all.clone(), second.clone());
            between.copy(all.clone(), first);
            between.copy(second.clone(), all.clone());
            collect.copy(all, second);
            at += output.place();
        }
        gpu.run("save", &save)?;
        gpu.submit(&[&work], None)?;
        gpu.run("restore", &between)?;
        gpu.submit(&[&work], None)?;
        gpu.run("collect", &collect)?;
        let found: Vec<f32> = gpu.read_as(&results.slice(0..2 * total)).await?;
        judge(outputs, found.chunks_exact(found.len().max(2) / 2))
    }
}

/// Compares the results of two runs with the expectations and with one another.
fn judge<'a>(outputs: Vec<(Outcome, Output)>, mut runs: impl Iterator<Item = &'a [f32]>) -> Result<Vec<Outcome>> {
    let too_little = || Error::Internal { detail: "the test of kernels read too little".into() };
    let (first, second) = (runs.next().unwrap_or_default(), runs.next().unwrap_or_default());
    let (mut outcomes, mut start) = (Vec::new(), 0);
    for (mut outcome, mut output) in outputs {
        let (len, place) = (output.words.len(), output.place() as usize / size_of::<u32>());
        let held = |run: &'a [f32], start: usize| run.get(start..start + len).ok_or_else(too_little);
        let (found, again) = (held(first, start)?, held(second, start)?);
        match output.twin {
            Some(Twin::Next) => output.words.copy_from_slice(held(first, start + place)?),
            Some(Twin::Previous) => output.words.copy_from_slice(held(first, start.saturating_sub(place))?),
            None => {}
        }
        compare(&mut outcome, &output, found);
        let is_same = |(found, again): (&f32, &f32)| found.to_bits() == again.to_bits();
        if outcome.is_right() && !found.iter().zip(again).all(is_same) {
            outcome.worst = f64::INFINITY;
            outcome.detail = "the same launch computed something else when it was repeated".into();
        }
        outcomes.push(outcome);
        start += place;
    }
    Ok(outcomes)
}

/// The larger of the distances between two pairs of 16-bit floats, relative to `largest` or to the expected one.
fn halves_apart(e: f32, f: f32, largest: f32) -> f64 {
    let halves = |x: f32| [x.to_bits() as u16, (x.to_bits() >> 16) as u16].map(|bits| f64::from(from_half(bits)));
    let ([e0, e1], [f0, f1]) = (halves(e), halves(f));
    let off = |e: f64, f: f64| (e - f).abs() / e.abs().max(f64::from(largest));
    let (low, high) = (off(e0, f0), off(e1, f1));
    if low > high || low.is_nan() { low } else { high }
}

/// Returns true for an expected number that the kernel must not overwrite.
fn is_left_alone(x: f32) -> bool {
    [POISON, FOREIGN].iter().any(|left| left.to_bits() == x.to_bits())
}

/// Fills in the outcome of an output.
fn compare(outcome: &mut Outcome, output: &Output, found: &[f32]) {
    let largest = output.largest();
    if output.holds == Holds::Halves {
        // One unit in the last place of a 16-bit float in 1..2, the largest relative to its number.
        outcome.tolerance = outcome.tolerance.max(1.0 / 1024.0);
    }
    for (index, (&e, &f)) in output.words.iter().zip(found).enumerate() {
        // Relative to the output; negative in the guard before it.
        let at = index.cast_signed() - output.guard.cast_signed();
        let is_same = e.to_bits() == f.to_bits();
        if is_left_alone(e) {
            if !is_same {
                outcome.worst = f64::INFINITY;
                outcome.detail = format!("{f} at {at} where {e} is right, off by all: nothing may be written there");
                return;
            }
            continue;
        }
        outcome.checked += 1;
        let off = match output.holds {
            _ if is_same || (e.is_nan() && f.is_nan()) => 0.0,
            Holds::Words => f64::INFINITY,
            Holds::Halves => halves_apart(e, f, largest),
            Holds::Numbers => f64::from((e - f).abs()) / f64::from(largest),
        };
        if off > outcome.worst || off.is_nan() {
            outcome.worst = off;
            outcome.detail = match output.holds {
                Holds::Numbers => format!("{f} at {at} where {e} is right, off by {off:.1e} of {largest}"),
                _ => format!("{:#010x} at {at} where {:#010x} is right, off by {off:.1e}", f.to_bits(), e.to_bits()),
            };
            if off.is_nan() {
                return;
            }
        }
    }
}
