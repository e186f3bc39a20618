//! Options, log probabilities, and sampling on the CPU.

use std::collections::BTreeMap;

use ocelli::Error;
use ocelli::sampling::{SamplingOptions, log_softmax_top, logprob};

use super::{LOGITS, NONE, options, softmax};

#[test]
fn options_out_of_range_are_named() {
    let wrong = |change: &dyn Fn(&mut SamplingOptions)| {
        let mut options = options();
        change(&mut options);
        match options.validate() {
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
    assert_eq!(wrong(&|o| o.repetition_penalty = 0.0), "repetition_penalty");
    assert_eq!(wrong(&|o| o.logit_bias = BTreeMap::from([(7, 101.0)])), "logit_bias.7");
    assert!(SamplingOptions { temperature: 2.0, top_p: 0.0, min_p: 1.0, ..options() }.validate().is_ok());
}

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
