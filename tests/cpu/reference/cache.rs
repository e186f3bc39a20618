//! Rounding of the cache, against the `half` crate and the definition of its integers.

use half::f16;
use ocelli::config::KvPrecision;
use ocelli::reference::cache::{from_half, pack, to_half, unpack};

#[test]
fn halves_are_those_of_the_half_crate() {
    for bits in 0..=u16::MAX {
        let (found, wanted) = (from_half(bits), f16::from_bits(bits).to_f32());
        assert!(found == wanted || found.is_nan() && wanted.is_nan(), "{bits:04x}: {found} is not {wanted}");
        if wanted.is_finite() {
            assert_eq!(to_half(wanted), bits);
        }
    }
    // Every exponent, and fractions below, at and above the middle between two halves.
    for top in 0..0x8000_u32 {
        for low in [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x3000, 0x3001, 0xffff] {
            let x = f32::from_bits(top << 16 | low);
            if x.abs() < 65_504.0 {
                assert_eq!(to_half(x), f16::from_f32(x).to_bits(), "{x}");
                assert_eq!(to_half(-x), f16::from_f32(-x).to_bits(), "-{x}");
            }
        }
    }
    assert_eq!([65_520.0, 1e30, f32::INFINITY].map(to_half), [0x7bff; 3]);
    assert_eq!([-65_520.0, -1e30, f32::NEG_INFINITY].map(to_half), [0xfbff; 3]);
    assert!(from_half(to_half(f32::NAN)).is_nan());
}

/// Numbers differ by at most half a step, and a step is 1/127 of the largest number, which a 16-bit scale holds to 2^-11.
#[test]
fn integers_are_off_by_half_a_step() {
    let head: Vec<f32> = (0..128_u8).map(|i| (f32::from(i) * 0.37).sin() * 3.0).collect();
    let peak = head.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
    let (words, scale) = pack(KvPrecision::Int8, &head);
    assert_eq!(words.len(), 32);
    let step = from_half(scale);
    assert!((step - peak / 127.0).abs() <= step / 2048.0, "{step} for {peak}");
    let found = unpack(KvPrecision::Int8, &words, scale);
    let worst = head.iter().zip(&found).map(|(x, f)| (x - f).abs() / step).fold(0.0, f32::max);
    // The subtraction itself rounds a little; a far smaller difference would mean that another head was compared.
    assert!(worst <= 0.5001 && worst > 0.4, "{worst} of a step");
}

#[test]
fn integers_of_no_ordinary_heads() {
    let round_trip = |head: [f32; 4]| {
        let (words, scale) = pack(KvPrecision::Int8, &head);
        unpack(KvPrecision::Int8, &words, scale)
    };
    assert_eq!(round_trip([0.0; 4]), [0.0; 4]);
    assert_eq!(round_trip([127.0, -1.0, 64.0, 0.0]), [127.0, -1.0, 64.0, 0.0]);
    let largest = 127.0 * 65_504.0;
    assert_eq!(round_trip([f32::INFINITY, -3e38, 0.0, 0.0]), [largest, -largest, 0.0, 0.0]);
    assert!(round_trip([1.0, f32::NAN, 1.0, 1.0]).iter().all(|x| x.is_nan()));
    // The scale stays at the smallest normal half: numbers below half of that become 0.
    let least = 2.0_f32.powi(-14);
    assert_eq!(round_trip([least, 1e-6, -least, 0.0]), [least, 0.0, -least, 0.0]);
}
