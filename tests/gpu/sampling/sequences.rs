//! Sequences of tokens follow the definition, for all vocabularies, options, penalties and groupings of draws into submissions.

use ocelli::Error;
use ocelli::gpu::{Purpose, Recording};
use ocelli::kernels::sample::Sampling;
use ocelli::reference::sample::choose;
use ocelli::reference::sample_scan::Logits;
use ocelli::sampling::{Past, SamplingOptions};

use super::{LOGITS, NONE, chi_square, count, draw, options, softmax, states_after};
use crate::device::{Random, gpu};

/// The tokens by the definition.
fn defined(options: &SamplingOptions, logits: &[f32], draws: usize) -> Vec<u32> {
    let mut adjust = vec![[0.0; 2]; logits.len()];
    options.logit_bias.iter().for_each(|(&id, &bias)| adjust[id as usize][0] = bias);
    let one = |drawn| {
        let token = choose(options, drawn, Logits { raw: logits, adjust: &adjust, mask: &[] });
        adjust[token as usize][1] += 1.0;
        token
    };
    (0..draws as u32).map(one).collect()
}

/// Some options of every kind.
fn variety(seed: u64) -> Vec<SamplingOptions> {
    let plain = SamplingOptions { seed, ..SamplingOptions::default() };
    let talkative =
        SamplingOptions { frequency_penalty: 0.7, presence_penalty: 0.3, repetition_penalty: 1.1, ..plain.clone() };
    let mut biased = SamplingOptions { top_k: Some(20), ..talkative.clone() };
    biased.logit_bias = [(0, 6.5), (3, -100.0)].into();
    vec![
        SamplingOptions { temperature: 0.0, ..talkative.clone() },
        plain.clone(),
        SamplingOptions { temperature: 0.3, ..plain.clone() },
        talkative.clone(),
        SamplingOptions { top_k: Some(5), temperature: 2.0, ..plain.clone() },
        SamplingOptions { top_p: 0.7, ..talkative.clone() },
        SamplingOptions { min_p: 0.2, temperature: 1.5, ..plain.clone() },
        SamplingOptions { top_k: Some(300), top_p: 0.95, min_p: 0.01, ..talkative },
        biased,
    ]
}

#[test]
fn every_vocabulary_draws_as_defined() {
    let mut random = Random::new(5);
    for (vocab, draws) in [(5, 40), (1000, 30), (32_768, 6), (131_072, 3), (262_144, 2)] {
        let logits: Vec<f32> = (0..vocab).map(|_| (0..3).map(|_| random.number() * 5.0).sum()).collect();
        for options in variety(vocab as u64) {
            assert_eq!(draw(&options, &logits, draws), defined(&options, &logits, draws), "{vocab} {options:?}");
        }
    }
    assert_eq!(draw(&options(), &[-3.0], 3), [0, 0, 0]);
}

#[test]
fn random_options_draw_as_defined() {
    let mut random = Random::new(11);
    for case in 0..120 {
        let vocab = 1 + random.bits() as usize % 300;
        let size = [0.1, 3.0, 20.0][case % 3];
        let logit = |random: &mut Random| if random.bits().is_multiple_of(5) { NONE } else { random.number() * size };
        let mut logits: Vec<f32> = (0..vocab).map(|_| logit(&mut random)).collect();
        logits[vocab / 2] = 0.0;
        let mut unit = || f64::from(random.bits()) / f64::from(u32::MAX);
        let options = SamplingOptions {
            temperature: (0.05 + 1.9 * unit()) as f32,
            top_k: (unit() < 0.5).then_some(1 + (unit() * 400.0) as usize),
            top_p: unit() as f32,
            min_p: (unit() * unit() * unit()) as f32,
            presence_penalty: if case % 2 == 0 { 0.0 } else { 4.0 * unit() as f32 - 2.0 },
            seed: case as u64,
            ..SamplingOptions::default()
        };
        assert_eq!(draw(&options, &logits, 4), defined(&options, &logits, 4), "{options:?} {logits:?}");
    }
}

/// The grouping into submissions does not matter: the numbers depend only on seed, count and token.
#[test]
fn tokens_do_not_depend_on_how_they_are_submitted() {
    let logits: Vec<f32> = (0..3000).map(|i| ((i * 37) % 100) as f32 / 25.0).collect();
    for options in variety(7) {
        let together = draw(&options, &logits, 12);
        let gpu = gpu();
        let sampling = Sampling::new(gpu, logits.len(), &options, Past::default()).unwrap();
        let logits = gpu.upload("logits", Purpose::Activations, &logits).unwrap().all();
        let state = gpu.upload("state", Purpose::Activations, &[0u32; 4]).unwrap().all();
        let mut recording = Recording::new();
        sampling.record(&mut recording, &logits, &state).unwrap();
        for token in together {
            gpu.run("draw", &recording).unwrap();
            let found: Vec<u32> = pollster::block_on(gpu.read_as(&state)).unwrap();
            assert_eq!(found[0], token, "{options:?}");
        }
    }
}

#[test]
fn equal_seeds_draw_equal_tokens_and_others_do_not() {
    let tokens = |seed| draw(&SamplingOptions { seed, ..options() }, &[0.0; 500], 12);
    assert_eq!(tokens(3), tokens(3));
    for other in [4, 1 << 32 | 3, u64::MAX] {
        assert_ne!(tokens(3), tokens(other));
    }
}

#[test]
fn penalties_count_drawn_tokens() {
    let greedy = SamplingOptions { temperature: 0.0, ..options() };
    let logits = [2.0, 1.25, 0.0];
    assert_eq!(draw(&greedy, &logits, 6), [0; 6]);
    // 2, 1.25 -> 1, 1.25 -> 1, 0.25 -> ..
    assert_eq!(draw(&SamplingOptions { presence_penalty: 1.0, ..greedy.clone() }, &logits, 6), [0, 1, 0, 0, 0, 0]);
    assert_eq!(draw(&SamplingOptions { frequency_penalty: 0.5, ..greedy.clone() }, &logits, 6), [0, 0, 1, 0, 1, 0]);
    // Negative penalties repeat earlier tokens.
    let keeps = SamplingOptions { frequency_penalty: -2.0, ..options() };
    let tokens = draw(&keeps, &[0.0; 40], 100);
    assert!(tokens[..5].iter().any(|token| *token != tokens[99]), "{tokens:?}");
    assert!(tokens[50..].iter().all(|token| *token == tokens[99]), "{tokens:?}");
}

#[test]
fn a_repetition_penalty_divides_positive_logits_of_tokens_in_prompt_and_answer_and_multiplies_others() {
    let greedy = |penalty| SamplingOptions { temperature: 0.0, repetition_penalty: penalty, ..options() };
    let after = |past, options: &SamplingOptions, logits: &[f32]| -> Vec<u32> {
        states_after(past, options, logits, 4).iter().map(|state| state[0]).collect()
    };
    let (nothing, prompt) = (Past::default(), Past { seen: &[0, 0], drawn: &[] });
    let logits = [2.0, 1.5, 1.25, -1.0];
    assert_eq!(after(nothing, &greedy(1.0), &logits), [0; 4]);
    // 2, 1.5, 1.25 -> 1, 1.5, 1.25 -> 1, 0.75, 1.25 -> 1, 0.75, 0.625; further draws change nothing.
    assert_eq!(after(nothing, &greedy(2.0), &logits), [0, 1, 2, 0]);
    assert_eq!(after(prompt, &greedy(2.0), &logits), [1, 2, 0, 0]);
    // -1, -1.5, -1.75 -> -2, -1.5, -1.75 -> -2, -3, -1.75 -> -2, -3, -3.5
    assert_eq!(after(nothing, &greedy(2.0), &[-1.0, -1.5, -1.75]), [0, 1, 2, 0]);
    assert_eq!(after(nothing, &greedy(0.5), &[1.0, 1.5, -0.1]), [1; 4]);
    // The other penalties count draws, not tokens of the prompt.
    let both = SamplingOptions { presence_penalty: 0.5, ..greedy(1.5) };
    assert_eq!(after(prompt, &both, &[3.0, 1.9, 0.0]), [0, 1, 0, 0]);
    let resumed = Past { seen: &[0, 1], drawn: &[1] };
    assert_eq!(after(resumed, &both, &[1.0, 2.0, 0.6])[0], 1);
    assert_eq!(after(resumed, &both, &[1.5, 2.0, 0.9])[0], 0);
}

/// The first and the second draw of many pairs: the second uses the logits after both penalties for the first token.
#[test]
fn draws_follow_the_softmax_of_biased_and_penalised_logits() {
    let bias = [(0, 2.0), (5, -1.0)];
    let options = |seed| SamplingOptions {
        temperature: 0.8,
        presence_penalty: 0.5,
        frequency_penalty: 0.75,
        logit_bias: bias.into(),
        seed,
        ..options()
    };
    let mut pairs = [[0; LOGITS.len()]; LOGITS.len()];
    for seed in 0..1500 {
        let drawn = draw(&options(seed), &LOGITS, 2);
        pairs[drawn[0] as usize][drawn[1] as usize] += 1;
    }
    let mut biased = LOGITS;
    bias.iter().for_each(|&(id, bias)| biased[id as usize] += bias);
    let first = pairs.map(|seconds| seconds.iter().sum());
    assert!(chi_square(&first, &softmax(&biased, 0.8)) < super::UNLIKELY, "{first:?}");
    let mut seen = 0;
    for (id, seconds) in pairs.iter().enumerate().filter(|(id, _)| first[*id] >= 100) {
        let mut penalised = biased;
        penalised[id] -= 1.25;
        assert!(chi_square(seconds, &softmax(&penalised, 0.8)) < super::UNLIKELY, "after {id}: {seconds:?}");
        seen += 1;
    }
    assert!(seen >= 3, "{first:?}");
}

#[test]
fn bias_moves_single_tokens() {
    let biased = |bias: &[(u32, f32)]| SamplingOptions { logit_bias: bias.iter().copied().collect(), ..options() };
    assert_eq!(count(&biased(&[(4, 100.0)]), &LOGITS, 100)[4], 100);
    let counts = count(&biased(&[(1, -100.0), (6, -100.0)]), &LOGITS, 500);
    assert_eq!((counts[1], counts[6]), (0, 0));
    let counts = count(&biased(&[(0, 2.0)]), &LOGITS, 1500);
    let mut raised = LOGITS;
    raised[0] += 2.0;
    assert!(chi_square(&counts, &softmax(&raised, 1.0)) < super::UNLIKELY);
    // A bias does not allow forbidden tokens.
    assert_eq!(count(&biased(&[(0, 100.0)]), &[NONE, 0.0], 50), [0, 50]);
    let error = Sampling::new(gpu(), LOGITS.len(), &biased(&[(8, 1.0)]), Past::default()).unwrap_err();
    assert_eq!(error, Error::request("logit_bias.8", "the model has no such token"));
    let wrong = SamplingOptions { top_p: 1.5, ..options() };
    assert_eq!(Sampling::new(gpu(), 8, &wrong, Past::default()).unwrap_err().code(), "invalid-request");
}
