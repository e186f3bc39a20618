//! Rows of sampling.

use ocelli::kernels::cases::{Case, Draw, Logits, Random, accept, sample, sample_filter, sample_scan, scan_rows};
use ocelli::kernels::sampling::Rules;
use ocelli::sampling::SamplingOptions;

/// A few large ones, similar to a language model's.
const PEAKED: Logits = logits("peaked", |random, _| (0..4).map(|_| random.number() * 4.0).sum::<f32>() - 3.0);
/// Few different numbers, both zeros among them.
const TIES: Logits = logits("ties", |random, _| [2.0, 0.0, -0.0, 1.5, -3.0][random.bits() as usize % 5]);
/// All equal.
const EQUAL: Logits = logits("equal", |_, _| -7.25);
/// Up to the largest finite numbers.
const HUGE: Logits = logits("huge", |random, _| random.number() * f32::MAX);
/// Nearly all of them forbidden.
const FORBIDDEN: Logits =
    logits("forbidden", |random, id| if id % 37 == 5 { random.number() * 3.0 } else { f32::NEG_INFINITY });
/// Every one forbidden.
const NOTHING: Logits = logits("nothing", |_, _| f32::NEG_INFINITY);

const fn logits(name: &'static str, logit: fn(&mut Random, usize) -> f32) -> Logits {
    Logits { name, logit, unusable: None, mask: None }
}

/// The same logits with masks: few tokens, spread ones, every one, and none.
fn masked(shape: Logits) -> [Logits; 4] {
    let masks: [fn(usize) -> bool; 4] = [|id| id % 61 == 4, |id| id / 40 % 3 != 1, |_| true, |_| false];
    masks.map(|may_come| Logits { mask: Some(may_come), ..shape })
}

/// NaN at one place, infinity at another.
fn unusable(nan: usize, infinity: usize) -> Logits {
    Logits { unusable: Some((nan, infinity)), ..Logits::FLAT }
}

fn accept_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, vocab) in [2, 63, 65, 1000, 1025, 32_768, 131_073].into_iter().enumerate() {
        for shape in [PEAKED, Logits::FLAT, TIES, EQUAL, FORBIDDEN, NOTHING] {
            let count = [1, 2, 3, 4, 5, 8][(rows.len() + index) % 6];
            rows.push(scan_rows(vocab, shape, count));
            rows.extend([0, count / 2, count - 1].map(|right| accept(vocab, shape, count, right)));
        }
    }
    rows.extend([accept(1000, unusable(64, 3), 4, 3), scan_rows(1000, unusable(64, 3), 4)]);
    rows.extend(masked(PEAKED).map(|shape| scan_rows(1001, shape, 4)));
    rows
}

/// All rows.
pub(crate) fn rows() -> Vec<Case> {
    let plain = SamplingOptions { seed: 0x1234_5678_9abc_def0, ..SamplingOptions::default() };
    let draw = |options: &SamplingOptions, drawn| Draw { options: options.clone(), drawn };
    let greedy = SamplingOptions { temperature: 0.0, ..plain.clone() };
    let warm = SamplingOptions {
        temperature: 1.7,
        frequency_penalty: 0.5,
        presence_penalty: -0.25,
        repetition_penalty: 1.25,
        ..plain.clone()
    };
    let cold = SamplingOptions { temperature: 1e-30, ..plain.clone() };
    let few = SamplingOptions { top_k: Some(40), ..plain.clone() };
    let nucleus = SamplingOptions { top_p: 0.9, temperature: 0.8, ..plain.clone() };
    let small = SamplingOptions { min_p: 0.1, ..plain.clone() };
    let all = SamplingOptions { top_k: Some(50), top_p: 0.8, min_p: 0.02, ..warm.clone() };
    let many = SamplingOptions { top_k: Some(700), top_p: 0.95, ..plain.clone() };
    let shapes = [PEAKED, Logits::FLAT, TIES, EQUAL, HUGE, FORBIDDEN, NOTHING];
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
            rows.push(sample_scan(vocab, PEAKED, draw(options, 3)));
        }
        for shape in [PEAKED, TIES] {
            rows.extend([&few, &nucleus, &small, &all].map(|options| sample_filter(vocab, shape, draw(options, 4))));
        }
        rows.push(sample(vocab, PEAKED, draw(&warm, u32::MAX)));
    }
    for (vocab, shape) in
        [(5, PEAKED), (1001, TIES), (32_768, PEAKED), (131_073, Logits::FLAT), (1000, unusable(64, 3))]
    {
        for shape in masked(shape) {
            rows.extend([&greedy, &plain, &warm, &all].map(|options| sample_scan(vocab, shape, draw(options, 5))));
            rows.extend([&few, &nucleus, &all].map(|options| sample_filter(vocab, shape, draw(options, 6))));
        }
    }
    for (nan, infinity) in [(0, 7), (64, 3), (999, 998), (70, 70)] {
        for options in [&greedy, &plain, &few] {
            let shape = unusable(nan, infinity);
            rows.extend([sample_scan(1000, shape, draw(options, 1)), sample(1000, shape, draw(options, 1))]);
        }
        rows.push(sample_filter(1000, unusable(nan, infinity), draw(&nucleus, 1)));
    }
    rows
}
