//! Frequencies and query scales of the decoder's rotary embedding, against `transformers`.

use ocelli::config::{QueryScaling, RopeConfig, RopePairs, YarnConfig};
use ocelli::layers::rope::{inverse_frequencies, query_scales};

fn ministral(theta: f64) -> RopeConfig {
    let yarn = YarnConfig {
        factor: 16.0,
        original_max_position_embeddings: 16384.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 1.0,
        truncate: true,
    };
    RopeConfig { yarn: Some(yarn), ..RopeConfig::plain(theta, RopePairs::Half) }
}

/// Values that `transformers` 5.23 prints for the 3B (theta 1e6) and the 14B (theta 1e9).
#[test]
#[expect(clippy::excessive_precision, reason = "the digits as transformers prints them")]
fn yarn_frequencies_are_those_of_transformers() {
    let golden: [(f64, [(usize, f32); 6]); 2] = [
        (
            1e6,
            [
                (1, 0.80584222),
                (16, 0.031622779),
                (22, 0.0077045355),
                (30, 0.00069070229),
                (36, 4.961135e-5),
                (63, 7.755861e-8),
            ],
        ),
        (
            1e9,
            [
                (1, 0.72339416),
                (16, 0.0043054256),
                (22, 0.00023923442),
                (30, 3.7768523e-6),
                (36, 5.4122773e-7),
                (63, 8.6398264e-11),
            ],
        ),
    ];
    for (theta, values) in golden {
        let frequencies = inverse_frequencies(&ministral(theta), 128);
        for (i, value) in values {
            let error = (frequencies[i] - value).abs() / value;
            assert!(error < 1e-6, "theta {theta}, pair {i}: {} is not {value}", frequencies[i]);
        }
    }
}

#[test]
fn queries_are_scaled_in_steps() {
    let scaling = QueryScaling { beta: 0.1, original_max_position_embeddings: 16384.0 };
    for (position, value) in [(0, 1.0), (16383, 1.0), (16384, 1.0693147), (32768, 1.1098612), (262143, 1.2772589)] {
        let scale = query_scales(Some(&scaling), &[[position; 3]])[0];
        assert!((scale - value).abs() < 1e-6, "{position}: {scale} is not {value}");
    }
    assert_eq!(query_scales(None, &[[1 << 20; 3]]), [1.0]);
}
