//! Cases of sampling.

use super::harness::{Harness, Holds, Output, Random};
use super::{Case, EXACT, SUM, label};
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels;
use crate::kernels::sampling::{Rules, Sampling, mask_words};
use crate::reference;
use crate::reference::sample_scan::{self as scan, Logits as Known, NONE, SEEN};
use crate::sampling::options::SamplingOptions;

/// Logits of a case.
#[derive(Clone, Copy)]
pub struct Logits {
    /// Name of the distribution.
    pub name: &'static str,
    /// The logit of a token.
    pub logit: fn(&mut Random, usize) -> f32,
    /// Tokens whose logits are NaN and infinity.
    pub unusable: Option<(usize, usize)>,
    /// Allowed tokens. With a mask, the logits follow unused rows.
    pub mask: Option<fn(usize) -> bool>,
}

/// Unused rows before masked logits.
const BEFORE: usize = 2;

impl Logits {
    /// Logits within a unit.
    pub const FLAT: Self = Self { name: "flat", logit: |random, _| random.number(), unusable: None, mask: None };

    fn numbers(self, harness: &mut Harness<'_>, vocab: usize) -> Vec<f32> {
        let mut logits: Vec<f32> = (0..vocab).map(|id| (self.logit)(&mut harness.random, id)).collect();
        if let Some((nan, infinity)) = self.unusable {
            (logits[nan], logits[infinity]) = (f32::NAN, f32::INFINITY);
        }
        logits
    }
}

/// Sampling options of a draw and number of tokens drawn before.
#[derive(Debug, Clone)]
pub struct Draw {
    /// The request's options.
    pub options: SamplingOptions,
    /// Tokens drawn before.
    pub drawn: u32,
}

/// Inputs of a case, for the kernels and the reference.
struct Scene {
    options: SamplingOptions,
    rules: Rules,
    logits: Vec<f32>,
    /// Bias and times drawn of each token, with some that were seen in the prompt. `// [vocab, 2]` or empty
    adjust: Vec<[f32; 2]>,
    /// Mask of allowed tokens. `// [vocab / 32]` or empty
    mask: Vec<u32>,
    state: [u32; 3],
}

impl Scene {
    fn new(harness: &mut Harness<'_>, vocab: usize, shape: Logits, draw: &Draw) -> Result<Self> {
        let (options, masked) = (draw.options.clone(), shape.mask.is_some());
        let rules = Rules::new(vocab, &options)?.of_row(if masked { BEFORE } else { 0 }, masked);
        let logits = shape.numbers(harness, vocab);
        let random = &mut harness.random;
        let mut adjust = |_| [random.number(), (random.bits() % 8).saturating_sub(3) as f32 * SEEN];
        let adjust = if rules.adjusts() { (0..vocab).map(&mut adjust).collect() } else { Vec::new() };
        let mut mask = vec![0; shape.mask.map_or(0, |_| mask_words(vocab))];
        let may_come = |id: &usize| shape.mask.is_some_and(|may_come| may_come(*id));
        (0..vocab).filter(may_come).for_each(|id| mask[id / 32] |= 1 << (id % 32));
        Ok(Self { options, rules, logits, adjust, mask, state: [11, 1234, draw.drawn] })
    }

    fn logits(&self) -> Known<'_> {
        Known { raw: &self.logits, adjust: &self.adjust, mask: &self.mask }
    }

    /// The logits of scenes, one row each, after the unused rows.
    fn input(scenes: &[Self], harness: &Harness<'_>) -> Result<Slice> {
        let before =
            scenes.first().map_or(0, |scene| if scene.mask.is_empty() { 0 } else { BEFORE * scene.logits.len() });
        let rows = scenes.iter().flat_map(|scene| scene.logits.iter().copied());
        harness.input(&vec![f32::NAN; before].into_iter().chain(rows).collect::<Vec<f32>>()) // [rows, vocab]
    }

    /// Partial results of the scan by the reference.
    fn partials(&self) -> (Vec<[u32; 2]>, Vec<[f32; 2]>) {
        let chunks = self.rules.chunks as usize;
        let rounds = self.logits.len().div_ceil(chunks).next_power_of_two().max(16);
        let (mut words, mut values) = (vec![[0; 2]; chunks], vec![[0.0; 2]; chunks]);
        scan::compute(&self.options, self.state[2], self.logits(), rounds, &mut words, &mut values);
        (words, values)
    }

    /// The sampling of scenes with the same options.
    fn sampling(scenes: &[Self], harness: &Harness<'_>, words: &Slice, values: &Slice) -> Result<Sampling> {
        let masks: Vec<u32> = scenes.iter().flat_map(|scene| scene.mask.iter().copied()).collect(); // [rows, vocab / 32]
        let (mask, adjust) = (harness.words(&masks)?, harness.input(bytemuck::cast_slice(&scenes[0].adjust))?);
        Ok(Sampling { rules: scenes[0].rules, words: words.clone(), values: values.clone(), adjust, mask })
    }
}

fn sizes(vocab: usize, shape: Logits, draw: &Draw) -> String {
    let masked = if shape.mask.is_some() { " masked" } else { "" };
    label(format_args!("vocab={vocab} {} {:?}{masked} {draw:?}", shape.name, shape.unusable))
}

/// Records the scan of scenes with the same options side by side.
fn record_scan(
    harness: &mut Harness<'_>,
    scenes: &[Scene],
    words: &[[u32; 2]],
    values: &[[f32; 2]],
) -> Result<Vec<Output>> {
    let mut words_out = harness.output(2 * words.len(), Holds::Words)?;
    let mut values_out = harness.output(2 * values.len(), Holds::Numbers)?;
    let sampling = Scene::sampling(scenes, harness, &words_out.slice, &values_out.slice)?;
    let (logits, state) = (Scene::input(scenes, harness)?, harness.words(&scenes[0].state)?);
    kernels::sample_scan::record(&mut harness.recording, &sampling, scenes.len(), &logits, &state)?;
    words_out.expected_words().copy_from_slice(bytemuck::cast_slice(words));
    values_out.expected().copy_from_slice(bytemuck::cast_slice(values));
    Ok(vec![words_out, values_out])
}

/// The scan of a vocabulary.
pub fn sample_scan(vocab: usize, shape: Logits, draw: Draw) -> Case {
    Case::new(kernels::sample_scan::kernel(), SUM, sizes(vocab, shape, &draw), move |harness| {
        let scene = Scene::new(harness, vocab, shape, &draw)?;
        let (words, values) = scene.partials();
        record_scan(harness, &[scene], &words, &values)
    })
}

/// The draw among tokens that pass the filters.
pub fn sample_filter(vocab: usize, shape: Logits, draw: Draw) -> Case {
    Case::new(kernels::sample_filter::kernel(), EXACT, sizes(vocab, shape, &draw), move |harness| {
        let scene = Scene::new(harness, vocab, shape, &draw)?;
        let (mut right, values) = scene.partials();
        let mut words = harness.in_place_words(bytemuck::cast_slice(&right))?;
        let values = harness.input(bytemuck::cast_slice(&values))?;
        let scenes = std::slice::from_ref(&scene);
        let sampling = Scene::sampling(scenes, harness, &words.slice, &values)?;
        let (logits, state) = (Scene::input(scenes, harness)?, harness.words(&scene.state)?);
        kernels::sample_filter::record(&mut harness.recording, &sampling, &logits, &state)?;
        reference::sample_filter::compute(&scene.options, scene.state[2], scene.logits(), &mut right);
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&right));
        Ok(vec![words])
    })
}

/// The choice among partial results.
pub fn sample(vocab: usize, shape: Logits, draw: Draw) -> Case {
    Case::new(kernels::sample::kernel(), EXACT, sizes(vocab, shape, &draw), move |harness| {
        let mut scene = Scene::new(harness, vocab, shape, &draw)?;
        let (mut words, values) = scene.partials();
        if scene.rules.filters() {
            // `sample_filter` leaves only the first partial result valid.
            words[1..].fill([NONE, 0]);
        }
        let mut state = harness.in_place_words(&scene.state)?;
        let mut adjust = harness.in_place(bytemuck::cast_slice(&scene.adjust))?;
        let sampling = Sampling {
            rules: scene.rules,
            words: harness.words(bytemuck::cast_slice(&words))?,
            values: harness.input(bytemuck::cast_slice(&values))?,
            adjust: adjust.slice.clone(),
            mask: adjust.slice.clone(),
        };
        kernels::sample::record(&mut harness.recording, &sampling, &state.slice)?;
        let candidates = scene.rules.candidates as usize;
        let (words, values) = (&words[..candidates], &values[..candidates]);
        reference::sample::compute(&scene.options, words, values, &mut scene.state, &mut scene.adjust);
        state.expected_words().copy_from_slice(&scene.state);
        adjust.expected().copy_from_slice(bytemuck::cast_slice(&scene.adjust));
        Ok(vec![state, adjust])
    })
}

/// Scenes with rows of logits for greedy sampling, and the partial results of their scans, row by row.
type Rows = (Vec<Scene>, Vec<[u32; 2]>, Vec<[f32; 2]>);

fn rows(harness: &mut Harness<'_>, vocab: usize, shape: Logits, count: usize) -> Result<Rows> {
    let greedy = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    let draw = Draw { options: greedy, drawn: 3 };
    let scenes = (0..count).map(|_| Scene::new(harness, vocab, shape, &draw)).collect::<Result<Vec<_>>>()?;
    let (words, values): (Vec<_>, Vec<_>) = scenes.iter().map(Scene::partials).unzip();
    Ok((scenes, words.concat(), values.concat()))
}

/// Rows of logits scanned in one launch.
pub fn scan_rows(vocab: usize, shape: Logits, count: usize) -> Case {
    let masked = if shape.mask.is_some() { " masked" } else { "" };
    let sizes = label(format_args!("vocab={vocab} {} {:?}{masked} rows={count}", shape.name, shape.unusable));
    Case::new(kernels::sample_scan::kernel(), EXACT, sizes, move |harness| {
        let (scenes, words, values) = rows(harness, vocab, shape, count)?;
        record_scan(harness, &scenes, &words, &values)
    })
}

/// Rows whose inputs are drafts. The first `right` drafts equal the sampled tokens.
pub fn accept(vocab: usize, shape: Logits, count: usize, right: usize) -> Case {
    let sizes = label(format_args!("vocab={vocab} {} {:?} rows={count} right={right}", shape.name, shape.unusable));
    Case::new(kernels::accept::kernel(), EXACT, sizes, move |harness| {
        let (scenes, words, values) = rows(harness, vocab, shape, count)?;
        let slices = (harness.words(bytemuck::cast_slice(&words))?, harness.input(bytemuck::cast_slice(&values))?);
        let sampling = Scene::sampling(&scenes, harness, &slices.0, &slices.1)?;
        let drawn = scenes.iter().map(|scene| reference::sample::choose(&scene.options, 0, scene.logits()));
        let mut inputs: Vec<u32> = [7].into_iter().chain(drawn).take(count).collect();
        if let Some(wrong) = inputs.get_mut(right + 1) {
            *wrong = wrong.wrapping_add(1);
        }
        let mut state = harness.in_place_words(&scenes[0].state)?;
        let inputs_slice = harness.words(&inputs)?;
        kernels::accept::record(&mut harness.recording, &sampling, count, &inputs_slice, &state.slice)?;
        let (mut after, chunks) = (scenes[0].state, scenes[0].rules.chunks as usize);
        reference::accept::compute(&scenes[0].options, chunks, (&words, &values), &inputs, &mut after);
        state.expected_words().copy_from_slice(&after);
        Ok(vec![state])
    })
}
