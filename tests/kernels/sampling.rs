//! Cases of sampling.

use ocelli::gpu::Slice;
use ocelli::kernels::sample::{Rules, Sampling};
use ocelli::reference::sample_scan::{self as twin, Logits, NONE};
use ocelli::sampling::SamplingOptions;
use ocelli::{Result, kernels, reference};

use crate::bench::Bench;
use crate::case::{Case, EXACT, SUM, case};

/// The logits of a case.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
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

impl Shape {
    fn logits(self, bench: &mut Bench<'_>, vocab: usize) -> Vec<f32> {
        let random = &mut bench.random;
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
pub(crate) struct Draw {
    pub(crate) options: SamplingOptions,
    pub(crate) drawn: u32,
}

/// The reference's name for the options.
pub(crate) fn rules_of(options: &SamplingOptions, vocab: usize) -> twin::Rules {
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
    fn new(bench: &mut Bench<'_>, vocab: usize, shape: Shape, draw: &Draw) -> Result<Self> {
        let rules = Rules::new(vocab, &draw.options)?;
        let logits = shape.logits(bench, vocab);
        let random = &mut bench.random;
        let mut adjust = |_| [random.number(), (random.bits() % 4).saturating_sub(1) as f32];
        let adjust = if rules.adjusts() { (0..vocab).map(&mut adjust).collect() } else { Vec::new() };
        Ok(Self { rules, twin: rules_of(&draw.options, vocab), logits, adjust, state: [11, 1234, draw.drawn] })
    }

    fn logits(&self) -> Logits<'_> {
        Logits { raw: &self.logits, adjust: &self.adjust }
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

    fn sampling(&self, bench: &Bench<'_>, words: &Slice, values: &Slice) -> Result<Sampling> {
        let adjust = bench.input(bytemuck::cast_slice(&self.adjust))?;
        Ok(Sampling { rules: self.rules, words: words.clone(), values: values.clone(), adjust })
    }
}

fn sizes(vocab: usize, shape: Shape, draw: &Draw) -> String {
    format!("vocab={vocab} {shape:?} {draw:?}")
}

pub(crate) fn sample_scan(vocab: usize, shape: Shape, draw: Draw) -> Case {
    case("sample_scan", SUM, sizes(vocab, shape, &draw), move |bench| {
        let scene = Scene::new(bench, vocab, shape, &draw)?;
        let chunks = scene.rules.chunks();
        let (mut words, mut values) = (bench.output_words(2 * chunks)?, bench.output(2 * chunks)?);
        let sampling = scene.sampling(bench, &words.slice, &values.slice)?;
        let (logits, state) = (bench.input(&scene.logits)?, bench.words(&scene.state)?);
        kernels::sample_scan::record(&mut bench.recording, &sampling, &logits, &state)?;
        let (right_words, right_values) = scene.partials();
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&right_words));
        values.expected().copy_from_slice(bytemuck::cast_slice(&right_values));
        bench.expect(words);
        bench.expect(values);
        Ok(())
    })
}

pub(crate) fn sample_filter(vocab: usize, shape: Shape, draw: Draw) -> Case {
    case("sample_filter", EXACT, sizes(vocab, shape, &draw), move |bench| {
        let scene = Scene::new(bench, vocab, shape, &draw)?;
        let (mut right, values) = scene.partials();
        let mut words = bench.in_place_words(bytemuck::cast_slice(&right))?;
        let values = bench.input(bytemuck::cast_slice(&values))?;
        let sampling = scene.sampling(bench, &words.slice, &values)?;
        let (logits, state) = (bench.input(&scene.logits)?, bench.words(&scene.state)?);
        kernels::sample_filter::record(&mut bench.recording, &sampling, &logits, &state)?;
        reference::sample_filter::compute(&scene.twin, scene.state[2], scene.logits(), &mut right);
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&right));
        bench.expect(words);
        Ok(())
    })
}

pub(crate) fn sample(vocab: usize, shape: Shape, draw: Draw) -> Case {
    case("sample", EXACT, sizes(vocab, shape, &draw), move |bench| {
        let mut scene = Scene::new(bench, vocab, shape, &draw)?;
        let (mut words, values) = scene.partials();
        if scene.rules.filters() {
            // As `sample_filter` leaves them: only the first counts.
            words[1..].fill([NONE, 0]);
        }
        let mut state = bench.in_place_words(&scene.state)?;
        let mut adjust = bench.in_place(bytemuck::cast_slice(&scene.adjust))?;
        let (words_slice, values_slice) =
            (bench.words(bytemuck::cast_slice(&words))?, bench.input(bytemuck::cast_slice(&values))?);
        let sampling = Sampling { adjust: adjust.slice.clone(), ..scene.sampling(bench, &words_slice, &values_slice)? };
        kernels::sample::record(&mut bench.recording, &sampling, &state.slice)?;
        let candidates = scene.rules.candidates();
        let (words, values) = (&words[..candidates], &values[..candidates]);
        reference::sample::compute(&scene.twin, words, values, &mut scene.state, &mut scene.adjust);
        state.expected_words().copy_from_slice(&scene.state);
        adjust.expected().copy_from_slice(bytemuck::cast_slice(&scene.adjust));
        bench.expect(state);
        bench.expect(adjust);
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
    fn new(bench: &mut Bench<'_>, vocab: usize, shape: Shape, count: usize) -> Result<Self> {
        let greedy = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let draw = Draw { options: greedy, drawn: 3 };
        let scenes = (0..count).map(|_| Scene::new(bench, vocab, shape, &draw)).collect::<Result<Vec<_>>>()?;
        let (words, values): (Vec<_>, Vec<_>) = scenes.iter().map(Scene::partials).unzip();
        Ok(Self { scenes, words: words.concat(), values: values.concat() })
    }
}

fn scan_rows(vocab: usize, shape: Shape, count: usize) -> Case {
    case("sample_scan", EXACT, format!("vocab={vocab} {shape:?} rows={count}"), move |bench| {
        let rows = Rows::new(bench, vocab, shape, count)?;
        let (mut words, mut values) = (bench.output_words(2 * rows.words.len())?, bench.output(2 * rows.values.len())?);
        let sampling = rows.scenes[0].sampling(bench, &words.slice, &values.slice)?;
        let logits: Vec<f32> = rows.scenes.iter().flat_map(|scene| scene.logits.clone()).collect();
        let (logits, state) = (bench.input(&logits)?, bench.words(&rows.scenes[0].state)?);
        kernels::sample_scan::record_rows(&mut bench.recording, &sampling, count, &logits, &state)?;
        words.expected_words().copy_from_slice(bytemuck::cast_slice(&rows.words));
        values.expected().copy_from_slice(bytemuck::cast_slice(&rows.values));
        bench.expect(words);
        bench.expect(values);
        Ok(())
    })
}

/// Rows whose inputs are drafts, of which the first `right` are the tokens that are drawn.
fn accept(vocab: usize, shape: Shape, (count, right): (usize, usize)) -> Case {
    case("accept", EXACT, format!("vocab={vocab} {shape:?} rows={count} right={right}"), move |bench| {
        let Rows { scenes, words, values } = Rows::new(bench, vocab, shape, count)?;
        let slices = (bench.words(bytemuck::cast_slice(&words))?, bench.input(bytemuck::cast_slice(&values))?);
        let sampling = scenes[0].sampling(bench, &slices.0, &slices.1)?;
        let drawn = scenes.iter().map(|scene| reference::sample::choose(&scene.twin, 0, scene.logits()));
        let mut inputs: Vec<u32> = [7].into_iter().chain(drawn).take(count).collect();
        if let Some(wrong) = inputs.get_mut(right + 1) {
            *wrong = wrong.wrapping_add(1);
        }
        let mut state = bench.in_place_words(&scenes[0].state)?;
        let inputs_slice = bench.words(&inputs)?;
        kernels::accept::record(&mut bench.recording, &sampling, count, &inputs_slice, &state.slice)?;
        let (mut said, chunks) = (scenes[0].state, scenes[0].rules.chunks());
        reference::accept::compute(&scenes[0].twin, chunks, (&words, &values), &inputs, &mut said);
        state.expected_words().copy_from_slice(&said);
        bench.expect(state);
        Ok(())
    })
}

fn accept_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, vocab) in [2, 63, 65, 1000, 1025, 32_768, 131_073].into_iter().enumerate() {
        for shape in [Shape::Peaked, Shape::Flat, Shape::Ties, Shape::Equal, Shape::Forbidden, Shape::Nothing] {
            let count = [1, 2, 3, 4, 5, 8][(rows.len() + index) % 6];
            rows.push(scan_rows(vocab, shape, count));
            rows.extend([0, count / 2, count - 1].map(|right| accept(vocab, shape, (count, right))));
        }
    }
    rows.extend([accept(1000, Shape::Unusable(64, 3), (4, 3)), scan_rows(1000, Shape::Unusable(64, 3), 4)]);
    rows
}

/// All rows.
pub(crate) fn rows() -> Vec<Case> {
    let plain = SamplingOptions { seed: 0x1234_5678_9abc_def0, ..SamplingOptions::default() };
    let draw = |options: &SamplingOptions, drawn| Draw { options: options.clone(), drawn };
    let greedy = SamplingOptions { temperature: 0.0, ..plain.clone() };
    let warm = SamplingOptions { temperature: 1.7, frequency_penalty: 0.5, presence_penalty: -0.25, ..plain.clone() };
    let cold = SamplingOptions { temperature: 1e-30, ..plain.clone() };
    let few = SamplingOptions { top_k: Some(40), ..plain.clone() };
    let nucleus = SamplingOptions { top_p: 0.9, temperature: 0.8, ..plain.clone() };
    let small = SamplingOptions { min_p: 0.1, ..plain.clone() };
    let all = SamplingOptions { top_k: Some(50), top_p: 0.8, min_p: 0.02, ..warm.clone() };
    let many = SamplingOptions { top_k: Some(700), top_p: 0.95, ..plain.clone() };
    let shapes = [Shape::Peaked, Shape::Flat, Shape::Ties, Shape::Equal, Shape::Huge, Shape::Forbidden, Shape::Nothing];
    let mut rows = accept_rows();
    for vocab in [1, 5, 63, 64, 65, 1000, 1025, 32_768] {
        for shape in shapes {
            for options in [&greedy, &plain, &warm, &cold] {
                rows.push(sample_scan(vocab, shape, draw(options, rows.len() as u32)));
                rows.push(sample(vocab, shape, draw(options, rows.len() as u32)));
            }
            for options in [&few, &nucleus, &small, &all, &many] {
                let draw = draw(options, rows.len() as u32);
                if Rules::new(vocab, options).is_ok_and(|rules| rules.filters()) {
                    rows.extend([sample_scan(vocab, shape, draw.clone()), sample_filter(vocab, shape, draw.clone())]);
                    rows.push(sample(vocab, shape, draw));
                }
            }
        }
    }
    for vocab in [131_072, 131_073, 262_144] {
        for options in [&greedy, &plain, &all] {
            rows.push(sample_scan(vocab, Shape::Peaked, draw(options, 3)));
        }
        for shape in [Shape::Peaked, Shape::Ties] {
            rows.extend([&few, &nucleus, &small, &all].map(|options| sample_filter(vocab, shape, draw(options, 4))));
        }
        rows.push(sample(vocab, Shape::Peaked, draw(&warm, u32::MAX)));
    }
    for (nan, infinity) in [(0, 7), (64, 3), (999, 998), (70, 70)] {
        for options in [&greedy, &plain, &few] {
            let shape = Shape::Unusable(nan, infinity);
            rows.extend([sample_scan(1000, shape, draw(options, 1)), sample(1000, shape, draw(options, 1))]);
        }
        rows.push(sample_filter(1000, Shape::Unusable(nan, infinity), draw(&nucleus, 1)));
    }
    rows
}
