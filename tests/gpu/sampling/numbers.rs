//! The random numbers of the race.

use ocelli::reference::sample_scan::{gumbel, pcg4d};

const EULER: f64 = 0.577_215_664_901_532_9;

#[test]
fn the_hash_is_the_published_one() {
    // The paper's listing in Python integers.
    assert_eq!(pcg4d([0, 0, 0, 0]), GOLDEN[0]);
    assert_eq!(pcg4d([1, 2, 3, 4]), GOLDEN[1]);
    assert_eq!(pcg4d([u32::MAX; 4]), GOLDEN[2]);
}

/// Uniform in each of the three arguments.
#[test]
fn numbers_are_gumbel_and_independent() {
    let along: [fn(u32) -> f64; 4] = [
        |i| gumbel(1, 0, i),
        |i| gumbel(1, i, 5),
        |i| gumbel(i.into(), 0, 5),
        |i| gumbel(u64::from(i) << 32, 3, 131_071),
    ];
    for number in along {
        let n = 200_000;
        let numbers: Vec<f64> = (0..n).map(number).collect();
        let mean = numbers.iter().sum::<f64>() / f64::from(n);
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Standard errors: 0.0029 and 0.0077.
        assert!((mean - EULER).abs() < 0.01, "{mean}");
        assert!((variance - std::f64::consts::PI.powi(2) / 6.0).abs() < 0.03, "{variance}");
        for apart in [1, 2, 64, 1024] {
            let pairs = numbers.iter().zip(&numbers[apart..]);
            let covariance = pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / f64::from(n);
            assert!((covariance / variance).abs() < 0.01, "{covariance} at {apart}");
        }
    }
}

/// Small Gumbel numbers of unlikely winners are precise.
#[test]
fn the_upper_tail_is_right_to_one_in_a_million() {
    let n = 2_000_000;
    for (above, share) in [(4.6f64, 1e-2), (9.2, 1e-4), (11.5, 1e-5)] {
        let expected = f64::from(n) * (1.0 - (-(-above).exp()).exp());
        let found = (0..n).filter(|&token| gumbel(77, 1, token) > above).count() as f64;
        assert!((found - expected).abs() < 4.0 * expected.sqrt(), "{found} beyond {above}, not {expected} ({share})");
    }
    assert!((0..n).all(|token| gumbel(77, 1, token).is_finite()));
}

const GOLDEN: [[u32; 4]; 3] = [
    [0x0f02_f829, 0x2d56_8769, 0x32b0_c43b, 0xd325_48ea],
    [0x3622_cd16, 0xf114_71d8, 0xe110_9b3f, 0x02b9_4c2f],
    [0x974e_d892, 0xc015_dc67, 0x9f95_5760, 0xa1bb_a208],
];
