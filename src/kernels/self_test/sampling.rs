//! The choice of a token: plain, among few, and the likeliest.

use super::bench::{Bench, UNWRITTEN};
use crate::error::Result;
use crate::kernels::sample::{self, Rules, Sampling};
use crate::kernels::{accept, sample_filter, sample_scan};
use crate::reference;
use crate::reference::sample_scan::Logits;
use crate::sampling::options::SamplingOptions;

/// More than one workgroup of chunks, the last of them not full.
const VOCAB: usize = 2 * 1024 + 77;
/// Tokens of a chunk of such a vocabulary.
const ROUNDS: usize = 16;
const DRAWN: u32 = 3;

fn warm() -> SamplingOptions {
    SamplingOptions { temperature: 0.5, frequency_penalty: 0.25, seed: 1 << 40 | 5, ..Default::default() }
}

/// The choice of the likeliest token, and of one among all.
pub(super) fn plain(bench: &mut Bench<'_>) -> Result<()> {
    choice(bench, &SamplingOptions { temperature: 0.0, ..warm() })?;
    choice(bench, &warm())
}

/// The choice of one among few.
pub(super) fn filtered(bench: &mut Bench<'_>) -> Result<()> {
    choice(bench, &SamplingOptions { temperature: 2.0, top_k: Some(99), top_p: 0.75, min_p: 0.5, ..warm() })
}

/// Rows of logits side by side, and drafts of which all but the last are right.
pub(super) fn drafts(bench: &mut Bench<'_>, rows: usize) -> Result<()> {
    let options = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    let (rules, twin) = (Rules::new(VOCAB, &options)?, by_reference(&options));
    let raw = bench.numbers(rows * VOCAB); // [rows, vocab]
    let (mut words, mut values) = (Vec::new(), Vec::new()); // [rows, chunks, 2]
    for raw in raw.chunks_exact(VOCAB) {
        let (mut row_words, mut row_values) = (vec![[0; 2]; rules.chunks()], vec![[0.0; 2]; rules.chunks()]);
        let seen = Logits { raw, adjust: &[] };
        reference::sample_scan::compute(&twin, DRAWN, seen, ROUNDS, &mut row_words, &mut row_values);
        words.extend(row_words);
        values.extend(row_values);
    }
    let mut state = [0, 40, DRAWN, 7];
    let right = raw.chunks_exact(VOCAB).map(|raw| reference::sample::choose(&twin, 0, Logits { raw, adjust: &[] }));
    let mut inputs: Vec<u32> = [0].into_iter().chain(right).take(rows).collect();
    if let Some(last) = inputs.last_mut() {
        *last ^= 1;
    }
    let (logits, inputs_slice, state_slice) = (bench.upload(&raw)?, bench.upload(&inputs)?, bench.upload(&state)?);
    let on_device = |words, values| Sampling { rules, words, values, adjust: inputs_slice.clone() };

    let unwritten = vec![UNWRITTEN; 2 * words.len()];
    let scanned = on_device(bench.upload(&unwritten)?, bench.upload(&unwritten)?);
    sample_scan::record_rows(&mut bench.recording, &scanned, rows, &logits, &state_slice)?;
    bench.expect_words(&scanned.words, words.concat());
    bench.expect(&scanned.values, values.concat());

    let judged = on_device(bench.upload(&words.concat())?, bench.upload(&values.concat())?);
    accept::record(&mut bench.recording, &judged, rows, &inputs_slice, &state_slice)?;
    reference::accept::compute(&twin, rules.chunks(), (&words, &values), &inputs, &mut state);
    bench.expect_words(&state_slice, state.to_vec());
    Ok(())
}

/// The launches of one choice, each fed with what the reference makes of the one before.
fn choice(bench: &mut Bench<'_>, options: &SamplingOptions) -> Result<()> {
    let rules = Rules::new(VOCAB, options)?;
    let twin = by_reference(options);
    let raw: Vec<f32> = bench.numbers(VOCAB).iter().map(|x| x * 4.0).collect();
    let mut adjust: Vec<[f32; 2]> = bench.numbers(VOCAB).iter().map(|&x| [x, (x * 3.0).max(0.0).floor()]).collect();
    let (mut words, mut values) = (vec![[0; 2]; rules.chunks()], vec![[0.0; 2]; rules.chunks()]);
    let mut state = [0, 40, DRAWN, 7];
    let (logits, adjust_slice) = (bench.upload(&raw)?, bench.upload(&adjust)?);
    let on_device = |words, values| Sampling { rules, words, values, adjust: adjust_slice.clone() };

    let unwritten = vec![UNWRITTEN; 2 * rules.chunks()];
    let scanned = on_device(bench.upload(&unwritten)?, bench.upload(&unwritten)?);
    let state_slice = bench.upload(&state)?;
    sample_scan::record(&mut bench.recording, &scanned, &logits, &state_slice)?;
    let seen = Logits { raw: &raw, adjust: &adjust };
    reference::sample_scan::compute(&twin, DRAWN, seen, ROUNDS, &mut words, &mut values);
    bench.expect_words(&scanned.words, words.concat());
    bench.expect(&scanned.values, values.concat());

    let chosen = on_device(bench.upload(&words)?, bench.upload(&values)?);
    if rules.filters() {
        sample_filter::record(&mut bench.recording, &chosen, &logits, &state_slice)?;
        reference::sample_filter::compute(&twin, DRAWN, seen, &mut words);
        bench.expect_words(&chosen.words, words.concat());
    }
    sample::record(&mut bench.recording, &chosen, &state_slice)?;
    let candidates = rules.candidates();
    reference::sample::compute(&twin, &words[..candidates], &values[..candidates], &mut state, &mut adjust);
    bench.expect_words(&state_slice, state.to_vec());
    if twin.is_greedy() {
        bench.expect(&adjust_slice, adjust.concat());
    }
    Ok(())
}

/// The reference's name for it: that room imports nothing.
fn by_reference(options: &SamplingOptions) -> reference::sample_scan::Rules {
    reference::sample_scan::Rules {
        temperature: options.temperature,
        top_k: options.top_k.unwrap_or(VOCAB),
        top_p: options.top_p,
        min_p: options.min_p,
        seed: options.seed,
        frequency: options.frequency_penalty,
        presence: options.presence_penalty,
    }
}
