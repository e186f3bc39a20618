//! Antialiased resampling of 8-bit RGB, bit-identical to torchvision.
//!
//! Source: `ATen/native/cpu/UpSampleKernel.cpp` (`compute_index_ranges_int16_weights`). Two passes, horizontal first, each rounded and clipped
//! to 8 bits; weights are 16-bit integers of the highest precision that the axis allows.

use std::collections::VecDeque;
use std::f64::consts::PI;

/// Bytes of a pixel.
const CHANNELS: usize = 3;
/// Steepness of the kernel: Pillow's and torchvision's choice.
const A: f64 = -0.5;
/// A kernel, and half its width in pixels of the coarser grid.
type Filter = (fn(f64) -> f64, f64);
const BICUBIC: Filter = (cubic, 2.0);
const BILINEAR: Filter = (triangle, 1.0);
const LANCZOS: Filter = (lanczos, 3.0);
const MAX_PRECISION: u32 = 22;

/// Resamples `src` `[from.1, from.0, 3]` to `[to.1, to.0, 3]`; sizes are (width, height), at least 1.
///
/// `src` must hold exactly its pixels. Memory in addition to the result is a few rows, however thin the picture is.
pub fn bicubic_u8(src: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    resample(src, (from, to), BICUBIC)
}

/// Like [`bicubic_u8`], with the bilinear kernel.
pub fn bilinear_u8(src: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    resample(src, (from, to), BILINEAR)
}

/// Like [`bicubic_u8`], with the Lanczos kernel of three lobes.
pub fn lanczos_u8(src: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    resample(src, (from, to), LANCZOS)
}

fn resample(src: &[u8], (from, to): ((usize, usize), (usize, usize)), filter: Filter) -> Vec<u8> {
    let columns = (from.0 != to.0).then(|| Axis::new((from.0, to.0), filter));
    let widen = |row: &[u8]| match &columns {
        Some(axis) => axis.resample_row(row, to.0),
        None => row.to_vec(),
    };
    let src_rows = src.chunks_exact(from.0 * CHANNELS); // [from.1, from.0 * 3]
    if from.1 == to.1 {
        return src_rows.flat_map(widen).collect();
    }
    let rows = Axis::new((from.1, to.1), filter);
    let mut src_rows = src_rows.map(widen);
    let mut out = Vec::with_capacity(to.0 * to.1 * CHANNELS); // [to.1, to.0, 3]
    let mut sums = vec![0; to.0 * CHANNELS];
    // Windows only move down: rows above the current one are dropped, rows below are made when first needed.
    let mut window: VecDeque<Vec<u8>> = VecDeque::new();
    let mut top = 0;
    for taps in &rows.taps {
        let dropped = (taps.first - top).min(window.len());
        window.drain(..dropped);
        top = taps.first;
        window.extend(src_rows.by_ref().take(taps.weights.len().saturating_sub(window.len())));
        sums.fill(rows.half());
        for (row, &weight) in window.iter().zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * i32::from(weight);
            }
        }
        out.extend(sums.iter().map(|&sum| rows.to_u8(sum)));
    }
    out
}

/// The weights of one axis.
struct Axis {
    /// One entry for each position of the result.
    taps: Vec<Taps>,
    /// Fraction bits of the weights.
    precision: u32,
}

/// Weights of one position of the result: the sum of `weights[i] * source[first + i]`.
struct Taps {
    first: usize,
    weights: Vec<i16>,
}

impl Axis {
    fn new((from, to): (usize, usize), filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let shrink = scale.max(1.0);
        let windows: Vec<(usize, Vec<f64>)> = (0..to).map(|o| window(o, (scale, shrink), from, filter)).collect();
        let heaviest = windows.iter().flat_map(|(_, weights)| weights).fold(0.0, |max: f64, &weight| max.max(weight));
        // With one more bit, the largest weight would not fit 16 bits.
        let fits = |precision: &u32| ((0.5 + heaviest * f64::from(1u32 << (precision + 1))) as i64) < 1 << 15;
        let precision = (0..MAX_PRECISION).find(|precision| !fits(precision)).unwrap_or(MAX_PRECISION);
        let unit = f64::from(1u32 << precision);
        let fixed = |weight: &f64| (weight * unit + 0.5f64.copysign(*weight)) as i16;
        let taps = windows
            .into_iter()
            .map(|(first, weights)| Taps { first, weights: weights.iter().map(fixed).collect() })
            .collect();
        Self { taps, precision }
    }

    fn half(&self) -> i32 {
        1 << (self.precision - 1)
    }

    fn to_u8(&self, sum: i32) -> u8 {
        (sum >> self.precision).clamp(0, 255) as u8
    }

    fn resample_row(&self, row: &[u8], to: usize) -> Vec<u8> {
        let (pixels, _) = row.as_chunks::<CHANNELS>();
        let mut out = Vec::with_capacity(to * CHANNELS);
        for taps in &self.taps {
            let mut sums = [self.half(); CHANNELS];
            for (pixel, &weight) in pixels[taps.first..].iter().zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
            out.extend(sums.map(|sum| self.to_u8(sum)));
        }
        out
    }
}

/// First source position and normalised weights for position `o` of the result.
fn window(o: usize, (scale, shrink): (f64, f64), from: usize, (kernel, width): Filter) -> (usize, Vec<f64>) {
    let center = scale * (o as f64 + 0.5);
    let support = width * shrink;
    let first = (center - support + 0.5).max(0.0) as usize;
    let end = ((center + support + 0.5) as usize).min(from);
    let inverse = 1.0 / shrink;
    let mut weights: Vec<f64> = (first..end).map(|x| kernel((x as f64 - center + 0.5) * inverse)).collect();
    let total: f64 = weights.iter().sum();
    if total != 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= total);
    }
    (first, weights)
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys' cubic convolution.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}
