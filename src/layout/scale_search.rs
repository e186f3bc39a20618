//! The scale of a block of 4-bit integers: the one that loses least, not the one that fits the largest number.
//!
//! Rounding to `d = m / -8`, `m` the number of largest magnitude, spends the grid on one number. Here some coarser and finer grids
//! are tried; each gives integers, and integers have a best scale by least squares. All sums run in a fixed order over 16 lanes,
//! so that every platform, and the same rules in numpy, give equal bits.

use half::f16;

use super::WIDE_BLOCK;

/// How many steps of the grid lie between 0 and `m`, which takes the side of the grid that has an 8.
const STEPS: [f32; 11] = [5.5, 6.0, 6.4, 6.8, 7.1, 7.4, 7.7, 8.0, 8.25, 8.5, 8.8];
const LANES: usize = 16;
/// Added and taken away again, it rounds to whole numbers, halves to even.
const ROUND: f32 = 12_582_912.0;

/// The scale of a block and its integers, each plus 8. `None` where the scale overflows.
pub(super) fn q4(block: &[f32; WIDE_BLOCK]) -> Option<(f16, [u8; WIDE_BLOCK])> {
    let largest = block.iter().fold(0.0f32, |max, &x| if max.abs() < x.abs() { x } else { max });
    let none = (f16::ZERO, [8; WIDE_BLOCK]);
    // Too small for an f16 scale; its reciprocal might be infinite.
    if f16::from_f32(largest / 8.0) == f16::ZERO {
        return Some(none);
    }
    let inverse = 1.0 / largest;
    let scale = f16::from_f32(best_scale(&block.map(|x| x * inverse)) * largest);
    if !scale.is_finite() {
        return None;
    }
    if scale == f16::ZERO {
        return Some(none);
    }
    let inverse = 1.0 / scale.to_f32();
    Some((scale, block.map(|x| (rounded(x * inverse) + 8.0) as u8)))
}

/// The best scale of numbers in -1..=1: over all grids, that which leaves least of the sum of squares.
fn best_scale(numbers: &[f32; WIDE_BLOCK]) -> f32 {
    let (mut best, mut most) = (0.0, -1.0);
    for steps in STEPS {
        let (mut products, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        for chunk in numbers.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                let integer = rounded(chunk[lane] * -steps);
                products[lane] += chunk[lane] * integer;
                squares[lane] += integer * integer;
            }
        }
        let (product, square) = (sum(products), sum(squares));
        // With the scale product / square, this much of the sum of squares is gone.
        let explained = product * product / square;
        if explained > most {
            (best, most) = (product / square, explained);
        }
    }
    best
}

/// The nearest whole number in -8..=7.
fn rounded(x: f32) -> f32 {
    ((x + ROUND) - ROUND).clamp(-8.0, 7.0)
}

fn sum(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}
