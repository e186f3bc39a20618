//! Quantisers and layouts against the bytes of gguf-py.

use std::fs;

use half::f16;
use ocelli::layout::quant::{decode, encode_rows};
use ocelli::layout::{Layout, MatrixShape, PlaneKind};
use safetensors::SafeTensors;

use super::common::{XorShift, fixture};

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn encode(layout: Layout, cols: usize, rows: &[f32]) -> Vec<Vec<u8>> {
    let shape = [rows.len() / cols, cols];
    let specs = layout.planes(&shape).expect("a layout");
    let mut planes = vec![Vec::new(); specs.len()];
    encode_rows(layout, cols, rows, &mut planes).expect("storable numbers");
    for (plane, spec) in planes.iter().zip(specs) {
        assert_eq!(plane.len() as u64, spec.bytes, "{layout} {shape:?}");
    }
    planes
}

/// ggml's interleaved blocks, split into planes in a slow and simple way.
fn planes_of_blocks(blocks: &[u8], rows: usize, cols: usize, zero: u8, zero_scale: f16) -> [Vec<u8>; 2] {
    let per_row = cols.div_ceil(32);
    let block_bytes = blocks.len() / rows / per_row;
    let quant_bytes = block_bytes - 2;
    let rows_padded = rows.next_multiple_of(4);
    let mut quants = vec![zero; rows_padded * per_row * quant_bytes];
    let mut scales = zero_scale.to_le_bytes().repeat(rows_padded * per_row);
    for row in 0..rows {
        for b in 0..per_row {
            let block = &blocks[(row * per_row + b) * block_bytes..][..block_bytes];
            quants[(row * per_row + b) * quant_bytes..][..quant_bytes].copy_from_slice(&block[2..]);
            scales[((row / 4 * per_row + b) * 4 + row % 4) * 2..][..2].copy_from_slice(&block[..2]);
        }
    }
    [quants, scales]
}

#[test]
fn blocks_equal_gguf_py_bit_for_bit() {
    let file = fs::read(fixture("quant.safetensors")).expect("a fixture");
    let file = SafeTensors::deserialize(&file).expect("safetensors");
    for name in ["rows", "odd"] {
        let source = file.tensor(name).expect("rows");
        let &[rows, cols] = source.shape() else { panic!("a matrix") };
        let values = f32s(source.data());
        // A block of zeros has the scale 0 / -8 in q4_0.
        for (layout, zero, zero_scale) in [(Layout::Q8_0, 0, f16::ZERO), (Layout::Q4_0, 0x88, f16::NEG_ZERO)] {
            let golden = file.tensor(&format!("{name}.{layout}")).expect("blocks");
            let expected = planes_of_blocks(golden.data(), rows, cols, zero, zero_scale);
            let planes = encode(layout, cols, &values);
            assert_eq!(planes[0], expected[0], "{name} {layout} quants");
            assert_eq!(planes[1], expected[1], "{name} {layout} scales");
            let golden = file.tensor(&format!("{name}.{layout}.values")).expect("values");
            let decoded = decode(layout, &[rows, cols], &planes).expect("its own planes");
            assert_eq!(bits(&decoded), bits(&f32s(golden.data())), "{name} {layout} values");
        }
    }
}

#[test]
fn searched_scales_equal_numpys_bit_for_bit() {
    let file = fs::read(fixture("quant.safetensors")).expect("a fixture");
    let file = SafeTensors::deserialize(&file).expect("safetensors");
    let source = file.tensor("wide").expect("rows");
    let &[rows, cols] = source.shape() else { panic!("a matrix") };
    let planes = encode(Layout::Q4_64, cols, &f32s(source.data()));
    let wide = cols.div_ceil(64);
    let (scales, integers) =
        (file.tensor("wide.scales").expect("scales"), file.tensor("wide.integers").expect("quants"));
    for row in 0..rows {
        for b in 0..wide {
            let ours = &planes[1][((row / 4 * wide + b) * 4 + row % 4) * 2..][..2];
            assert_eq!(*ours, scales.data()[(row * wide + b) * 2..][..2], "scale of row {row}, block {b}");
        }
        let bytes = &planes[0][row * cols.div_ceil(32) * 16..][..cols.div_ceil(32) * 16];
        for (b, block) in bytes.chunks_exact(16).enumerate() {
            let ours: Vec<u8> = (0..32).map(|e| block[e % 16] >> (e / 16 * 4) & 15).collect();
            let golden = &integers.data()[row * wide * 64 + b * 32..][..32];
            assert_eq!(ours, golden.iter().map(|q| q.wrapping_add(8)).collect::<Vec<_>>(), "row {row}, block {b}");
        }
    }
    let decoded = decode(Layout::Q4_64, &[rows, cols], &planes).expect("its own planes");
    let golden = f32s(file.tensor("wide.values").expect("values").data());
    assert_eq!(decoded.len(), golden.len());
    assert!(decoded.iter().zip(&golden).all(|(a, b)| a == b), "values");
}

/// A block rounded with the scale for its largest number.
fn plainly_rounded(block: &[f32]) -> Vec<f32> {
    let largest = block.iter().copied().fold(0.0f32, |max, x| if x.abs() > max.abs() { x } else { max });
    let d = f16::from_f32(largest / -8.0).to_f32();
    block.iter().map(|x| if d == 0.0 { 0.0 } else { d * ((x / d).round().clamp(-8.0, 7.0)) }).collect()
}

#[test]
fn a_searched_scale_loses_less_than_a_plain_one() {
    let squares = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let mut random = XorShift(7);
    let mut normal = || (0..12).map(|_| (random.next() >> 40) as f32 / 16_777_216.0).sum::<f32>() - 6.0;
    let values: Vec<f32> = (0..4096 * 64).map(|_| normal() * 0.02).collect();
    let decoded = decode(Layout::Q4_64, &[4096, 64], &encode(Layout::Q4_64, 64, &values)).expect("its own planes");
    let (mut searched, mut plain) = (0.0, 0.0);
    for (block, ours) in values.chunks(64).zip(decoded.chunks(64)) {
        let (own, other) = (squares(block, ours), squares(block, &plainly_rounded(block)));
        // Only the rounding of the best scale to f16 can make it lose.
        assert!(own <= other * 1.001, "{own} {other}");
        searched += own;
        plain += other;
    }
    println!("squared error {:.4} of plain rounding's", searched / plain);
    assert!(searched < 0.92 * plain, "{searched} {plain}");
    // Numbers on such a grid do not change: rounding is idempotent.
    let again = decode(Layout::Q4_64, &[4096, 64], &encode(Layout::Q4_64, 64, &decoded)).expect("its own planes");
    let moved = squares(&decoded, &again) / squares(&decoded, &vec![0.0; decoded.len()]);
    assert!(moved < 1e-4, "{moved}");
}

#[test]
fn half_rounds_as_numpy_does_and_refuses_overflow() {
    let file = fs::read(fixture("quant.safetensors")).expect("a fixture");
    let file = SafeTensors::deserialize(&file).expect("safetensors");
    let values = f32s(file.tensor("half.f32").expect("floats").data());
    let golden = file.tensor("half.f16").expect("halves");
    let mut overflows = 0;
    for (value, golden) in values.iter().zip(golden.data().as_chunks::<2>().0) {
        let mut planes = [Vec::new()];
        let result = encode_rows(Layout::F16, 1, &[*value], &mut planes);
        if f16::from_le_bytes(*golden).is_finite() {
            result.expect("a number that fits");
            assert_eq!(planes[0][..2], *golden, "{value}");
        } else {
            overflows += 1;
            let fault = result.expect_err("an overflow");
            assert_eq!(fault.value.to_bits(), value.to_bits());
        }
    }
    assert!(overflows > 4, "the fixture holds overflows");
}

#[test]
fn quants_follow_ggml_where_rounding_is_delicate() {
    // max 127, so that d is 1: halves go away from zero, and the float just below a half goes down.
    let mut row = [0.0f32; 32];
    row[..6].copy_from_slice(&[127.0, 0.5, -0.5, 0.499_999_97, 2.5, -2.5]);
    let planes = encode(Layout::Q8_0, 32, &row);
    assert_eq!(planes[0][..6].iter().map(|&q| q.cast_signed()).collect::<Vec<_>>(), [127, 1, -1, 0, 3, -3]);
    // The value of largest magnitude keeps its sign and becomes 0 of 0..=15; its opposite saturates at 15.
    row[..3].copy_from_slice(&[8.0, -8.0, 4.0]);
    row[3..6].fill(0.0);
    let planes = encode(Layout::Q4_0, 32, &row);
    assert_eq!(planes[0][..3].iter().map(|q| q & 15).collect::<Vec<_>>(), [0, 15, 4]);
    assert_eq!(f16::from_le_bytes([planes[1][0], planes[1][1]]), f16::from_f32(-1.0));
}

#[test]
fn every_layout_survives_odd_sizes_and_chunked_writing() {
    let mut random = XorShift(0x2545_F491_4F6C_DD1D);
    for (rows, cols) in [(1, 1), (3, 31), (4, 32), (5, 33), (9, 100), (8, 588), (13, 64)] {
        let values: Vec<f32> = (0..rows * cols).map(|_| (random.next() as i32 as f32) / 1e9).collect();
        for layout in Layout::from_numbers() {
            let whole = encode(layout, cols, &values);
            let mut chunked = vec![Vec::new(); whole.len()];
            for chunk in values.chunks(4 * cols) {
                encode_rows(layout, cols, chunk, &mut chunked).expect("storable numbers");
            }
            assert_eq!(whole, chunked, "{layout} {rows} x {cols}");
            let decoded = decode(layout, &[rows, cols], &whole).expect("its own planes");
            assert_eq!(decoded.len(), values.len());
            for (index, (value, back)) in values.iter().zip(&decoded).enumerate() {
                let width = if layout == Layout::Q4_64 { 64 } else { 32 };
                let start = index % cols / width * width;
                let block = &values[index / cols * cols + start..][..width.min(cols - start)];
                let max = block.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                // Half a step of the grid, or a whole one if 4 bits have no +8; and the error of the f16 scale.
                let tolerance = match layout {
                    Layout::F32 => 0.0,
                    Layout::F16 => value.abs() * 4.9e-4 + 3e-8,
                    Layout::Q8_0 => max * (0.5 / 127.0 + 5e-4),
                    Layout::Q4_0 => max * (1.0 / 8.0 + 5e-4),
                    // The coarsest grid tried has 5.5 steps; the finest cuts what lies above 7 of 8.8.
                    Layout::Q4_64 => max * (1.0 - 7.0 / 8.8 + 0.03),
                    other => panic!("{other} is not made from numbers"),
                };
                assert!((value - back).abs() <= tolerance, "{layout} {rows} x {cols} [{index}]: {value} became {back}");
            }
        }
    }
}

#[test]
fn planes_have_the_order_that_kernels_read() {
    // Five rows of two blocks; every block holds one number, so that its place shows in the scales.
    let (rows, cols) = (5, 64);
    let values: Vec<f32> = (0..rows * cols).map(|i| (i / 32 + 1) as f32 * 127.0).collect();
    let planes = encode(Layout::Q8_0, cols, &values);
    let scales: Vec<f32> = planes[1].as_chunks::<2>().0.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect();
    // [rows / 4, blocks, 4]
    assert_eq!(scales, [1., 3., 5., 7., 2., 4., 6., 8., 9., 0., 0., 0., 10., 0., 0., 0.]);
    assert!(planes[0][..rows * cols].iter().all(|&q| q == 127) && planes[0][rows * cols..].iter().all(|&q| q == 0));

    let row: Vec<f32> = (0..32).map(|i| (i % 16) as f32 - 8.0).collect();
    let planes = encode(Layout::Q4_0, 32, &row);
    let words: Vec<u32> = planes[0].as_chunks::<4>().0.iter().map(|&x| u32::from_le_bytes(x)).collect();
    assert_eq!(words[..4], [0x3322_1100, 0x7766_5544, 0xBBAA_9988, 0xFFEE_DDCC]);
    assert_eq!(words[4..], [0x8888_8888; 12], "padding rows are zeros");
}

#[test]
fn numbers_that_cannot_be_stored_are_named() {
    for layout in Layout::from_numbers() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 6 * 70];
            values[5 * 70 + 40] = bad;
            let mut planes = vec![Vec::new(); 2];
            let fault = encode_rows(layout, 70, &values, &mut planes).expect_err("not a number");
            assert_eq!((fault.row, fault.col, fault.value.to_bits()), (5, 32, bad.to_bits()), "{layout}");
        }
    }
    let largest = [
        (Layout::F16, 65504.0, 65520.0),
        (Layout::Q8_0, 8.3e6, 8.4e6),
        (Layout::Q4_0, 524_000.0, 525_000.0),
        // A few large numbers are best represented by the coarsest grid.
        (Layout::Q4_64, 327_000.0, 525_000.0),
    ];
    for (layout, fits, overflows) in largest {
        let mut planes = vec![Vec::new(); 2];
        encode_rows(layout, 4, &[0.0, fits, 0.0, 1.0], &mut planes).expect("the largest number that fits");
        encode_rows(layout, 4, &[0.0, overflows, 0.0, 1.0], &mut planes).expect_err("an overflow");
    }
    // Far below the range of f16 scales: zero, never NaN.
    for layout in Layout::from_numbers() {
        let tiny = f32::from_bits(1);
        let planes = encode(layout, 2, &[tiny, -tiny]);
        let decoded = decode(layout, &[1, 2], &planes).expect("its own planes");
        assert!(decoded.iter().all(|x| x.abs() <= tiny), "{layout}: {:?}", bits(&decoded));
    }
}

#[test]
fn plane_sizes_are_checked_and_never_overflow() {
    let kinds =
        |layout: Layout| layout.planes(&[5, 33]).expect("planes").iter().map(|p| (p.kind, p.bytes)).collect::<Vec<_>>();
    assert_eq!(kinds(Layout::F32), [(PlaneKind::Values, 8 * 64 * 4)]);
    assert_eq!(kinds(Layout::F16), [(PlaneKind::Values, 8 * 64 * 2)]);
    assert_eq!(kinds(Layout::Q8_0), [(PlaneKind::Quants, 8 * 64), (PlaneKind::Scales, 8 * 2 * 2)]);
    assert_eq!(kinds(Layout::Q4_0), [(PlaneKind::Quants, 8 * 32), (PlaneKind::Scales, 8 * 2 * 2)]);
    assert_eq!(kinds(Layout::Q4_64), [(PlaneKind::Quants, 8 * 32), (PlaneKind::Scales, 8 * 2)]);
    assert_eq!(Layout::Q4_64.planes(&[1, 65]).expect("planes").iter().map(|p| p.bytes).sum::<u64>(), 4 * (48 + 4));
    assert_eq!(Layout::F32.planes(&[7]).expect("a vector")[0].bytes, 28);
    assert_eq!(Layout::F16.planes(&[7]), None, "vectors are f32");
    for shape in [&[][..], &[0], &[0, 4], &[4, 0], &[2, 2, 2]] {
        assert_eq!(Layout::F32.planes(shape), None, "{shape:?}");
    }
    for layout in Layout::ALL {
        assert_eq!(layout.planes(&[usize::MAX, 2]), None);
        assert_eq!(layout.planes(&[2, usize::MAX]), None);
        assert_eq!(layout.planes(&[1 << 32, 1 << 32]), None);
        assert_eq!(serde_json::from_value::<Layout>(layout.name().into()).expect("a layout"), layout);
        assert_eq!(serde_json::to_string(&layout).expect("JSON"), format!("{:?}", layout.name()));
    }
    let shape = MatrixShape { rows: 5, cols: 33 };
    assert_eq!((shape.cols_padded(), shape.blocks()), (64, 2));
    decode(Layout::Q4_0, &[5, 33], &[vec![0; 8 * 32], vec![0; 31]]).expect_err("a plane too short");
}
