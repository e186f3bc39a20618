//! Inputs after the rounding of kernels with optional features.

use ocelli::reference::rounded::{half_blocks, int8};

#[test]
fn integers_are_worth_themselves_and_others_no_more_than_half_a_step_off() {
    let whole: Vec<f32> = (-127..1).map(|q| q as f32 * 0.25).collect();
    for (x, seen) in whole.iter().zip(int8(32, &whole)) {
        let step = 0.25;
        assert!((x - seen).abs() <= step / 2.0 * 1.01, "{x} {seen}");
    }
    let exact: Vec<f32> = (0..32).map(|i| [127.0, -127.0, 5.0, 0.0][i % 4] * 0.5).collect();
    assert_eq!(int8(32, &exact), exact);
}

#[test]
fn extreme_numbers_affect_only_their_block() {
    let mut x = [vec![1e-37; 32], vec![1e-30; 32], vec![3e38; 32], vec![1.0; 32]].concat();
    x[100] = f32::NAN;
    let halves = half_blocks(128, &x);
    assert!(halves[..96].iter().zip(&x).all(|(seen, x)| (seen / x - 1.0).abs() < 1e-3), "{halves:?}");
    assert!(halves[100].is_nan());
    let seen = int8(128, &x);
    assert!(seen[..32].iter().all(|x| *x == 0.0));
    assert!(seen[32..64].iter().all(|x| (x / 1e-30 - 1.0).abs() < 0.01));
    assert!(seen[64..96].iter().all(|x| (x / 3e38 - 1.0).abs() < 0.01));
    assert!(seen[96..].iter().all(|x| x.is_nan()));
}
