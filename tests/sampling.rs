//! The sampler against exact probabilities, its filters and errors, and its random numbers against golden values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ocelli::Error;
use ocelli::sampling::rng::Rng;
use ocelli::sampling::{Sampler, SamplingOptions, log_softmax_top, logprob};
use proptest::prelude::*;

const NONE: f32 = f32::NEG_INFINITY;

fn options() -> SamplingOptions {
    SamplingOptions { seed: 42, ..SamplingOptions::default() }
}

fn draw_many(options: SamplingOptions, logits: &[f32], draws: usize) -> Vec<usize> {
    let mut sampler = Sampler::new(options).unwrap();
    let mut counts = vec![0; logits.len()];
    for _ in 0..draws {
        counts[sampler.sample(logits).unwrap() as usize] += 1;
    }
    counts
}

/// The chi-square statistic of counts against probabilities; categories of probability zero must stay empty.
fn chi_square(counts: &[usize], probabilities: &[f64]) -> f64 {
    let draws: usize = counts.iter().sum();
    let one = |(&count, &p): (&usize, &f64)| {
        if p == 0.0 {
            assert_eq!(count, 0, "a token that was filtered out was drawn");
            return 0.0;
        }
        let expected = p * draws as f64;
        (count as f64 - expected).powi(2) / expected
    };
    counts.iter().zip(probabilities).map(one).sum()
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) / temperature).exp()).collect();
    renormalised(&weights)
}

fn renormalised(weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

const LOGITS: [f32; 8] = [1.0, 3.0, 2.5, -1.0, 0.0, 2.0, 3.0, -4.0];

#[test]
fn draws_follow_the_softmax() {
    for (seed, temperature) in [(1, 1.0f32), (2, 0.5), (3, 2.0)] {
        let counts = draw_many(SamplingOptions { temperature, seed, ..options() }, &LOGITS, 40_000);
        let statistic = chi_square(&counts, &softmax(&LOGITS, f64::from(temperature)));
        // 7 degrees of freedom: beyond 24.3 in one run of a thousand; the seeds are fixed.
        assert!(statistic < 24.3, "{statistic} at {temperature}: {counts:?}");
    }
}

#[test]
fn filters_leave_the_right_tokens_in_proportion() {
    let p = softmax(&LOGITS, 1.0);
    let keep = |kept: &[usize]| {
        let weights: Vec<f64> = p.iter().enumerate().map(|(id, &p)| if kept.contains(&id) { p } else { 0.0 }).collect();
        renormalised(&weights)
    };
    let cases: [(SamplingOptions, &[usize]); 9] = [
        (SamplingOptions { top_k: Some(1), ..options() }, &[1]),
        (SamplingOptions { top_k: Some(3), ..options() }, &[1, 6, 2]),
        (SamplingOptions { top_k: Some(100), ..options() }, &[0, 1, 2, 3, 4, 5, 6, 7]),
        (SamplingOptions { top_p: 0.0, ..options() }, &[1]),
        (SamplingOptions { top_p: 0.5, ..options() }, &[1, 6]),
        (SamplingOptions { top_p: 0.75, ..options() }, &[1, 6, 2]),
        (SamplingOptions { min_p: 1.0, ..options() }, &[1, 6]),
        (SamplingOptions { min_p: 0.3, ..options() }, &[1, 6, 2, 5]),
        // Within the two likeliest tokens the first alone has a half.
        (SamplingOptions { top_k: Some(2), top_p: 0.5, ..options() }, &[1]),
    ];
    for (options, kept) in cases {
        let counts = draw_many(options.clone(), &LOGITS, 20_000);
        let statistic = chi_square(&counts, &keep(kept));
        assert!(statistic < 24.3, "{statistic}: {options:?} {counts:?}");
        assert!(kept.iter().all(|&id| counts[id] > 0), "{options:?} {counts:?}");
    }
}

#[test]
fn filters_see_the_tempered_distribution() {
    // At temperature 0.5 the two likeliest hold more than 0.6, at 2 they do not.
    let options = |temperature| SamplingOptions { temperature, top_p: 0.6, ..options() };
    let drawn = |temperature| draw_many(options(temperature), &LOGITS, 4000).iter().filter(|&&n| n > 0).count();
    assert_eq!((drawn(0.5), drawn(2.0)), (2, 3));
}

#[test]
fn a_nucleus_of_many_tokens_is_found() {
    // 2000 equal tokens: 0.9 of them, the lowest ids.
    let counts = draw_many(SamplingOptions { top_p: 0.9, ..options() }, &[0.5; 2000], 12_000);
    assert!(counts[1800..].iter().all(|&count| count == 0));
    assert!(counts[..1800].iter().filter(|&&count| count > 0).count() > 1780);
}

#[test]
fn temperature_zero_takes_the_likeliest_and_of_equals_the_lowest_id() {
    let greedy = SamplingOptions { temperature: 0.0, top_k: Some(2), top_p: 0.1, ..options() };
    let mut sampler = Sampler::new(greedy).unwrap();
    assert_eq!(sampler.sample(&LOGITS).unwrap(), 1);
    assert_eq!(sampler.sample(&[NONE, NONE, -7.0]).unwrap(), 2);
    assert_eq!(sampler.sample(&[0.0, -0.0]).unwrap(), 0);
    assert_eq!(sampler.sample(&[f32::MIN, f32::MAX]).unwrap(), 1);
}

#[test]
fn extreme_temperatures_and_logits_work() {
    let cold = SamplingOptions { temperature: 1e-30, ..options() };
    assert_eq!(draw_many(cold, &LOGITS[..6], 500), [0, 500, 0, 0, 0, 0]);
    let counts = draw_many(options(), &[f32::MAX, f32::MAX, f32::MIN, NONE], 1000);
    assert!(counts[0] > 400 && counts[1] > 400 && counts[2] + counts[3] == 0, "{counts:?}");
}

#[test]
fn forbidden_tokens_are_never_drawn() {
    let counts = draw_many(options(), &[NONE, 0.0, NONE, -30.0], 2000);
    assert_eq!((counts[0], counts[1], counts[2]), (0, 2000 - counts[3], 0));
    let few = SamplingOptions { top_k: Some(3), ..options() };
    assert_eq!(draw_many(few, &[NONE, 0.0, NONE, NONE], 200), [0, 200, 0, 0]);
}

#[test]
fn logits_that_are_no_numbers_are_a_fault_of_the_gpu() {
    let failed = |logits: &[f32]| match Sampler::new(options()).unwrap().sample(logits) {
        Err(Error::Gpu { stage, detail }) => {
            assert_eq!(stage, "logits");
            detail
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(&[0.0, f32::NAN]), "the logit of token 1 is NaN");
    assert_eq!(failed(&[f32::INFINITY, 0.0]), "the logit of token 0 is inf");
    assert_eq!(failed(&[NONE, NONE]), "every token is forbidden");
    assert_eq!(failed(&[]), "every token is forbidden");
}

#[test]
fn penalties_count_what_was_drawn() {
    let greedy = SamplingOptions { temperature: 0.0, ..options() };
    let run = |options: SamplingOptions, logits: &[f32]| {
        let mut sampler = Sampler::new(options).unwrap();
        (0..6).map(|_| sampler.sample(logits).unwrap()).collect::<Vec<_>>()
    };
    let logits = [2.0, 1.25, 0.0];
    assert_eq!(run(greedy.clone(), &logits), [0; 6]);
    // 2, 1.25 -> 1, 1.25 -> 1, 0.25 -> ..
    assert_eq!(run(SamplingOptions { presence_penalty: 1.0, ..greedy.clone() }, &logits), [0, 1, 0, 0, 0, 0]);
    assert_eq!(run(SamplingOptions { frequency_penalty: 0.5, ..greedy.clone() }, &logits), [0, 0, 1, 0, 1, 0]);
    // Negative penalties keep to what was said.
    let keeps = SamplingOptions { frequency_penalty: -1.0, ..greedy };
    let mut sampler = Sampler::new(keeps).unwrap();
    assert_eq!(sampler.sample(&[0.0, 1.0]).unwrap(), 1);
    assert_eq!(sampler.sample(&[1.5, 1.0]).unwrap(), 1);
}

#[test]
fn bias_moves_single_tokens() {
    let biased = |bias: &[(u32, f32)]| SamplingOptions { logit_bias: bias.iter().copied().collect(), ..options() };
    assert_eq!(draw_many(biased(&[(4, 100.0)]), &LOGITS, 100)[4], 100);
    let counts = draw_many(biased(&[(1, -100.0), (6, -100.0)]), &LOGITS, 1000);
    assert_eq!((counts[1], counts[6]), (0, 0));
    let counts = draw_many(biased(&[(0, 2.0)]), &LOGITS, 40_000);
    let mut raised = LOGITS;
    raised[0] += 2.0;
    assert!(chi_square(&counts, &softmax(&raised, 1.0)) < 24.3);
    let error = Sampler::new(biased(&[(8, 1.0)])).unwrap().sample(&LOGITS).unwrap_err();
    assert_eq!(error, Error::request("logit_bias.8", "the model has no such token"));
}

#[test]
fn options_out_of_range_are_named() {
    let wrong = |change: &dyn Fn(&mut SamplingOptions)| {
        let mut options = options();
        change(&mut options);
        match Sampler::new(options) {
            Err(Error::InvalidRequest { field, reason }) => {
                assert!(reason.contains("must be"), "{reason}");
                field
            }
            other => panic!("{other:?}"),
        }
    };
    for value in [-0.1, 2.1, f32::NAN, f32::INFINITY] {
        assert_eq!(wrong(&|o| o.temperature = value), "temperature");
    }
    assert_eq!(wrong(&|o| o.top_p = 1.1), "top_p");
    assert_eq!(wrong(&|o| o.top_p = f32::NAN), "top_p");
    assert_eq!(wrong(&|o| o.min_p = -0.5), "min_p");
    assert_eq!(wrong(&|o| o.top_k = Some(0)), "top_k");
    assert_eq!(wrong(&|o| o.frequency_penalty = 2.5), "frequency_penalty");
    assert_eq!(wrong(&|o| o.presence_penalty = -2.5), "presence_penalty");
    assert_eq!(wrong(&|o| o.logit_bias = BTreeMap::from([(7, 101.0)])), "logit_bias.7");
    assert!(Sampler::new(SamplingOptions { temperature: 2.0, top_p: 0.0, min_p: 1.0, ..options() }).is_ok());
}

#[test]
fn random_numbers_are_the_same_everywhere() {
    let mut rng = Rng::new(0);
    let numbers: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
    assert_eq!(numbers, GOLDEN_0);
    let mut rng = Rng::new(u64::MAX);
    assert_eq!((0..3).map(|_| rng.next_u64()).collect::<Vec<_>>(), GOLDEN_MAX);
    let mut rng = Rng::new(7);
    let mean = (0..100_000).map(|_| rng.next_f64()).inspect(|x| assert!((0.0..1.0).contains(x))).sum::<f64>() / 1e5;
    assert!((mean - 0.5).abs() < 0.005, "{mean}");
}

const GOLDEN_0: [u64; 3] = [12035550249420947055, 12935080325729570654, 7141179953334974231];
const GOLDEN_MAX: [u64; 3] = [6755974106381971767, 13665441387248026780, 9418208206007042598];

#[test]
fn equal_seeds_draw_equal_tokens() {
    let logits: Vec<f32> = (0..100).map(|i| ((i * 37) % 100) as f32 / 25.0).collect();
    let draws = |options: SamplingOptions| {
        let mut sampler = Sampler::new(options).unwrap();
        (0..12).map(|_| sampler.sample(&logits).unwrap()).collect::<Vec<_>>()
    };
    let filtered = SamplingOptions { top_k: Some(40), top_p: 0.9, min_p: 0.05, ..options() };
    assert_eq!(draws(options()), GOLDEN_DRAWS);
    assert_eq!(draws(filtered.clone()), GOLDEN_FILTERED);
    assert_ne!(draws(SamplingOptions { seed: 43, ..options() }), GOLDEN_DRAWS);
}

const GOLDEN_DRAWS: [u32; 12] = [34, 96, 48, 8, 67, 8, 21, 72, 12, 70, 62, 18];
const GOLDEN_FILTERED: [u32; 12] = [32, 94, 48, 8, 64, 8, 21, 70, 10, 70, 62, 16];

#[test]
fn log_probabilities_are_exact() {
    let p = softmax(&LOGITS, 1.0);
    for (id, p) in (0..).zip(&p) {
        assert!((f64::from(logprob(&LOGITS, id)) - p.ln()).abs() < 1e-6);
    }
    let top = log_softmax_top(&LOGITS, 4);
    assert_eq!(top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 6, 2, 5]);
    assert!(top.iter().all(|&(id, value)| value == logprob(&LOGITS, id)));
    assert_eq!(log_softmax_top(&LOGITS, 100).len(), 8);
    assert_eq!(log_softmax_top(&LOGITS, 0), []);
    assert_eq!(log_softmax_top(&[], 3), []);
    assert_eq!(logprob(&LOGITS, 8), NONE);
    assert_eq!(logprob(&[0.0, NONE], 1), NONE);
    assert_eq!(logprob(&[1e30, 1e30], 0), -std::f32::consts::LN_2);
    // 100,000 small terms: f32 sums would be off in the fourth digit.
    let many = vec![0.1f32; 100_000];
    assert!((f64::from(logprob(&many, 5)) + 1e5f64.ln()).abs() < 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_drawn_token_passes_every_filter(
        logits in prop::collection::vec(prop_oneof![4 => -20f32..20.0, 1 => Just(NONE)], 1..300),
        temperature in 0.05f32..2.0,
        top_k in prop::option::of(1usize..400),
        top_p in 0f32..=1.0,
        min_p in 0f32..=1.0,
        seed in any::<u64>(),
    ) {
        prop_assume!(logits.iter().any(|logit| logit.is_finite()));
        let options = SamplingOptions { temperature, top_k, top_p, min_p, seed, ..SamplingOptions::default() };
        let token = Sampler::new(options).unwrap().sample(&logits).unwrap() as usize;
        let p = softmax(&logits, f64::from(temperature));
        let likelier = p.iter().filter(|&&other| other > p[token]);
        prop_assert!(top_k.is_none_or(|k| likelier.clone().count() < k));
        let mut order: Vec<f64> = p.clone();
        order.sort_by(|a, b| b.total_cmp(a));
        let in_k: f64 = order.iter().take(top_k.unwrap_or(usize::MAX)).sum();
        let above: f64 = likelier.sum();
        prop_assert!(above <= f64::from(top_p) * in_k + 1e-9 || above == 0.0);
        prop_assert!(p[token] >= f64::from(min_p) * order[0] - 1e-9);
    }
}
