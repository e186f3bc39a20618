//! Cases of sampling.

use super::harness::{Harness, Holds};
use super::{Case, EXACT, SUM};
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::sampling::{Rules, Sampling};
use crate::kernels::{self, Variant};
use crate::reference;
use crate::reference::sample_scan::{self as twin, Logits as Known, NONE};
use crate::sampling::options::SamplingOptions;

/// The logits of a case.
#[derive(Debug, Clone, Copy)]
pub enum Logits {
    /// A few large ones, as of a language model.
    Peaked,
    /// All within a unit.
    Flat,
    /// Few different numbers, both zeros among them.
    Ties,
    /// All equal.
    Equal,
    /// Up to the largest numbers there are.
    Huge,
    /// Nearly all of them forbidden.
    Forbidden,
    /// Every one forbidden.
    Nothing,
    /// NaN at one place, infinity at another.
    Unusable(usize, usize),
}

impl Logits {
    fn numbers(self, harness: &mut Harness<'_>, vocab: usize) -> Vec<f32> {
        let random = &mut harness.random;
        let mut logit = |id: usize| match self {
            Self::Peaked => (0..4).map(|_| random.number() * 4.0).sum::<f32>() - 3.0,
            Self::Flat | Self::Unusable(..) => random.number(),
            Self::Ties => [2.0, 0.0, -0.0, 1.5, -3.0][random.bits() as usize % 5],
            Self::Equal => -7.25,
            Self::Huge => random.number() * f32::MAX,
            Self::Forbidden if id % 37 == 5 => random.number() * 3.0,
            Self::Forbidden | Self::Nothing => f32::NEG_INFINITY,
        };
        let mut logits: Vec<f32> = (0..vocab).map(&mut logit).collect();
        if let Self::Unusable(nan, infinity) = self {
            (logits[nan], logits[infinity]) = (f32::NAN, f32::INFINITY);
        }
        logits
    }
}

/// How tokens are drawn; `drawn` before.
#[derive(Debug, Clone)]
pub struct Draw {
    /// The request's.
    pub options: SamplingOptions,
    /// Tokens drawn before.
    pub drawn: u32,
}

/// The reference's name for the options.
fn rules_of(options: &SamplingOptions, vocab: usize) -> twin::Rules {
    twin::Rules {
        temperature: options.temperature,
        top_k: options.top_k.unwrap_or(vocab),
        top_p: options.top_p,
        min_p: options.min_p,
        seed: options.seed,
        frequency: options.frequency_penalty,
        presence: options.presence_penalty,
    }
}

/// What a case gives the kernels, and the same for the reference.
struct Scene {
    rules: Rules,
    twin: twin::Rules,
    logits: Vec<f32>,
    /// Of every token bias and times drawn. `// [vocab, 2]` or nothing
    adjust: Vec<[f32; 2]>,
    state: [u32; 3],
}

impl Scene {
    fn new(harness: &mut Harness<'_>, vocab: usize, shape: Logits, draw: &Draw) -> Result<Self> {
        let rules = Rules::new(vocab, &draw.options)?;
        let logits = shape.numbers(harness, vocab);
        let random = &mut harness.random;
        let mut adjust = |_| [random.number(), (random.bits() % 4).saturating_sub(1) as f32];
        let adjust = if rules.adjusts() { (0..vocab).map(&mut adjust).collect() } else { Vec::new() };
        Ok(Self { rules, twin: rules_of(&draw.options, vocab), logits, adjust, state: [11, 1234, draw.drawn] })
    }

    fn logits(&self) -> Known<'_> {
        Known { raw: &self.logits, adjust: &self.adjust }
    }

    /// What the scan makes of it.
    fn partials(&self) -> (Vec<[u32; 2]>, Vec<[f32; 2]>) {
        let chunks = self.rules.chunks();
        let (mut words, mut values) = (vec![[0; 2]; chunks], vec![[0.0; 2]; chunks]);
        twin::compute(&self.twin, self.state[2], self.logits(), self.rounds(), &mut words, &mut values);
        (words, values)
    }

    fn rounds(&self) -> usize {
        (16..).find(|rounds| rounds * self.rules.chunks() >= self.logits.len()).unwrap_or_default().next_power_of_two()
    }

    fn sampling(&self, harness: &Harness<'_>, words: &Slice, values: &Slice) -> Result<Sampling> {
        let adjust = harness.input(bytemuck::cast_slice(&self.adjust))?;
        Ok(Sampling { rules: self.rules, words: words.clone(), values: values.clone(), adjust })
    }
}

fn sizes(vocab: usize, shape: Logits, draw: &Draw) -> String {
    format!("vocab={vocab} {shape:?} {draw:?}")
}

/// The scan of a vocabulary.
pub fn sample_scan(vocab: usize, shape: Logits, draw: Draw) -> Case {
    Case::new(Variant::SampleScan, SUM, sizes(vocab, shape, &draw), move |harness| {
        let scene = Scene::new(harness, vocab, shape, &draw)?;
        let chunks = scene.rules.chunks();
        let (mut words, mut values) =
            (harness.output(2 * chunks, Holds::Words)?, harness.output(2 * chunks, Holds::Numbers)?);
        let sampling = scene.sampling(harness, &words.slice, &values.slice)?;
        let (logits, state) = (harness.input(&scene.logits)?, harness.words(&scene.state)?);
        kernels::sample_scan::record(&mut harness.recording, &sampling, &logits, &state)?;
        let (right_words, right_values) = scene.partials();
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&right_words));
        values.expected().copy_from_slice(bytemuck::cast_slice(&right_values));
        harness.expect(words);
        harness.expect(values);
        Ok(())
    })
}

/// The draw among tokens that pass the filters.
pub fn sample_filter(vocab: usize, shape: Logits, draw: Draw) -> Case {
    Case::new(Variant::SampleFilter, EXACT, sizes(vocab, shape, &draw), move |harness| {
        let scene = Scene::new(harness, vocab, shape, &draw)?;
        let (mut right, values) = scene.partials();
        let mut words = harness.in_place_words(bytemuck::cast_slice(&right))?;
        let values = harness.input(bytemuck::cast_slice(&values))?;
        let sampling = scene.sampling(harness, &words.slice, &values)?;
        let (logits, state) = (harness.input(&scene.logits)?, harness.words(&scene.state)?);
        kernels::sample_filter::record(&mut harness.recording, &sampling, &logits, &state)?;
        reference::sample_filter::compute(&scene.twin, scene.state[2], scene.logits(), &mut right);
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&right));
        harness.expect(words);
        Ok(())
    })
}

/// The choice among partial results.
pub fn sample(vocab: usize, shape: Logits, draw: Draw) -> Case {
    Case::new(Variant::Sample, EXACT, sizes(vocab, shape, &draw), move |harness| {
        let mut scene = Scene::new(harness, vocab, shape, &draw)?;
        let (mut words, values) = scene.partials();
        if scene.rules.filters() {
            // As `sample_filter` leaves them: only the first counts.
            words[1..].fill([NONE, 0]);
        }
        let mut state = harness.in_place_words(&scene.state)?;
        let mut adjust = harness.in_place(bytemuck::cast_slice(&scene.adjust))?;
        let (words_slice, values_slice) =
            (harness.words(bytemuck::cast_slice(&words))?, harness.input(bytemuck::cast_slice(&values))?);
        let sampling =
            Sampling { adjust: adjust.slice.clone(), ..scene.sampling(harness, &words_slice, &values_slice)? };
        kernels::sample::record(&mut harness.recording, &sampling, &state.slice)?;
        let candidates = scene.rules.candidates();
        let (words, values) = (&words[..candidates], &values[..candidates]);
        reference::sample::compute(&scene.twin, words, values, &mut scene.state, &mut scene.adjust);
        state.expected_words().copy_from_slice(&scene.state);
        adjust.expected().copy_from_slice(bytemuck::cast_slice(&scene.adjust));
        harness.expect(state);
        harness.expect(adjust);
        Ok(())
    })
}

/// Rows of logits side by side.
struct Rows {
    scenes: Vec<Scene>,
    /// What scans make of them, row by row.
    words: Vec<[u32; 2]>,
    values: Vec<[f32; 2]>,
}

impl Rows {
    fn new(harness: &mut Harness<'_>, vocab: usize, shape: Logits, count: usize) -> Result<Self> {
        let greedy = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let draw = Draw { options: greedy, drawn: 3 };
        let scenes = (0..count).map(|_| Scene::new(harness, vocab, shape, &draw)).collect::<Result<Vec<_>>>()?;
        let (words, values): (Vec<_>, Vec<_>) = scenes.iter().map(Scene::partials).unzip();
        Ok(Self { scenes, words: words.concat(), values: values.concat() })
    }
}

/// Rows of logits side by side, of which the likeliest tokens are looked for.
pub fn scan_rows(vocab: usize, shape: Logits, count: usize) -> Case {
    Case::new(Variant::SampleScan, EXACT, format!("vocab={vocab} {shape:?} rows={count}"), move |harness| {
        let rows = Rows::new(harness, vocab, shape, count)?;
        let (mut words, mut values) = (
            harness.output(2 * rows.words.len(), Holds::Words)?,
            harness.output(2 * rows.values.len(), Holds::Numbers)?,
        );
        let sampling = rows.scenes[0].sampling(harness, &words.slice, &values.slice)?;
        let logits: Vec<f32> = rows.scenes.iter().flat_map(|scene| scene.logits.clone()).collect();
        let (logits, state) = (harness.input(&logits)?, harness.words(&rows.scenes[0].state)?);
        kernels::sample_scan::record_rows(&mut harness.recording, &sampling, count, &logits, &state)?;
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&rows.words));
        values.expected().copy_from_slice(bytemuck::cast_slice(&rows.values));
        harness.expect(words);
        harness.expect(values);
        Ok(())
    })
}

/// Rows whose inputs are drafts, of which the first `right` are the tokens that are drawn.
pub fn accept(vocab: usize, shape: Logits, (count, right): (usize, usize)) -> Case {
    Case::new(Variant::Accept, EXACT, format!("vocab={vocab} {shape:?} rows={count} right={right}"), move |harness| {
        let Rows { scenes, words, values } = Rows::new(harness, vocab, shape, count)?;
        let slices = (harness.words(bytemuck::cast_slice(&words))?, harness.input(bytemuck::cast_slice(&values))?);
        let sampling = scenes[0].sampling(harness, &slices.0, &slices.1)?;
        let drawn = scenes.iter().map(|scene| reference::sample::choose(&scene.twin, 0, scene.logits()));
        let mut inputs: Vec<u32> = [7].into_iter().chain(drawn).take(count).collect();
        if let Some(wrong) = inputs.get_mut(right + 1) {
            *wrong = wrong.wrapping_add(1);
        }
        let mut state = harness.in_place_words(&scenes[0].state)?;
        let inputs_slice = harness.words(&inputs)?;
        kernels::accept::record(&mut harness.recording, &sampling, count, &inputs_slice, &state.slice)?;
        let (mut said, chunks) = (scenes[0].state, scenes[0].rules.chunks());
        reference::accept::compute(&scenes[0].twin, chunks, (&words, &values), &inputs, &mut said);
        state.expected_words().copy_from_slice(&said);
        harness.expect(state);
        Ok(())
    })
}
