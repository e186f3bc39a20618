//! Cases of the kernels for pictures.

use std::ops::Range;

use super::harness::Holds;
use super::{Case, EXACT, POINTWISE, SUM, label};
use crate::kernels::RowShape;
use crate::kernels::embed_rows::FEATURE;
use crate::kernels::patch_merge::Squares;
use crate::kernels::position_rows::{Grid, PositionTable};
use crate::{kernels, reference};

/// The merged tokens `range` of a picture of `rows` rows of squares.
pub fn patch_merge(rows: usize, squares: Squares, range: Range<usize>) -> Case {
    let Squares { columns, merge, channels } = squares;
    let sizes = label(format_args!("grid={rows}x{columns} merge={merge} channels={channels} {range:?}"));
    Case::new(kernels::patch_merge::kernel(), EXACT, sizes, move |harness| {
        let width = merge * merge * channels;
        let x = harness.random.numbers(rows * columns * width, 1.0); // [rows * merge, columns * merge, channels]
        let (x_slice, mut y) = (harness.input(&x)?, harness.output(range.len() * width, Holds::Numbers)?);
        kernels::patch_merge::record(&mut harness.recording, squares, range.clone(), &x_slice, &y.slice)?;
        let mut whole = vec![0.0; rows * columns * width]; // [rows * columns, width]
        reference::patch_merge::compute(squares, &x, &mut whole);
        y.expected().copy_from_slice(&whole[range.start * width..range.end * width]);
        Ok(vec![y])
    })
}

/// The patches `range` of a grid, in squares of `merge * merge`.
pub fn patchify(Grid { rows, columns, merge }: Grid, side: usize, range: Range<usize>) -> Case {
    let sizes = label(format_args!("grid={rows}x{columns} side={side} merge={merge} {range:?}"));
    Case::new(kernels::patchify::kernel(), POINTWISE, sizes, move |harness| {
        let (height, width) = (rows * side, columns * side);
        // The fourth byte of a pixel is random too: it must not matter.
        let pixels: Vec<u32> = (0..height * width).map(|_| harness.random.bits()).collect(); // [height, width, RGBX]
        let (mean, std) = ([0.481, 0.457, 0.408], [0.268, 0.261, 0.275]);
        let patches = kernels::patchify::Patches { width, height, side, merge, mean, std };
        let numbers = patches.numbers();
        let (pixels_slice, mut out) = (harness.words(&pixels)?, harness.output(range.len() * numbers, Holds::Numbers)?);
        kernels::patchify::record(&mut harness.recording, &patches, range.clone(), &pixels_slice, &out.slice)?;
        let mut whole = vec![0.0; patches.count() * numbers]; // [patches, numbers]
        reference::patchify::compute(&patches, bytemuck::cast_slice(&pixels), &mut whole);
        out.expected().copy_from_slice(&whole[range.start * numbers..range.end * numbers]);
        Ok(vec![out])
    })
}

/// The patches `range` of a grid in squares of `merge * merge`, each with its row of a table of `side * side`.
pub fn position_rows(grid: Grid, table: PositionTable, range: Range<usize>) -> Case {
    let (Grid { rows, columns, merge }, PositionTable { side, width }) = (grid, table);
    let sizes = label(format_args!("grid={rows}x{columns} merge={merge} side={side} width={width} {range:?}"));
    Case::new(kernels::position_rows::kernel(), SUM, sizes, move |harness| {
        let numbers = harness.random.numbers(side * side * width, 1.0); // [side, side, width]
        let mut whole = harness.random.numbers(rows * columns * width, 1.0); // [rows * columns, width]
        let inside = range.start * width..range.end * width;
        let mut x = harness.in_place(&whole[inside.clone()])?;
        let numbers_slice = harness.input(&numbers)?;
        let recording = &mut harness.recording;
        kernels::position_rows::record(recording, grid, range.clone(), table, &numbers_slice, &x.slice)?;
        reference::position_rows::compute(grid, table, &numbers, &mut whole);
        x.expected().copy_from_slice(&whole[inside]);
        // Coordinates are rounded before the interpolation.
        x.magnitude = 4.0;
        Ok(vec![x])
    })
}

/// Tokens, every third of which has features.
pub fn add_features(tokens: usize, width: usize, offset: usize) -> Case {
    let sizes = label(format_args!("tokens={tokens} width={width} offset={offset}"));
    Case::new(kernels::add_features::kernel(), EXACT, sizes, move |harness| {
        let sources: Vec<u32> =
            (0..tokens as u32).map(|t| if t % 3 == 1 { FEATURE | (tokens as u32 - t) } else { t }).collect();
        let features = harness.random.numbers((tokens + offset) * width, 1.0); // [rows, width]
        let numbers = harness.random.numbers(tokens * width, 1.0);
        let mut x = harness.in_place(&numbers)?;
        let (sources_slice, features_slice) = (harness.words(&sources)?, harness.input(&features)?);
        let (recording, inputs) = (&mut harness.recording, [&sources_slice, &features_slice]);
        kernels::add_features::record(recording, RowShape { rows: tokens, width }, offset, inputs, &x.slice)?;
        reference::add_features::compute(width, offset, &sources, &features, x.expected());
        Ok(vec![x])
    })
}

/// Runs of `count` rows.
pub fn pool_rows(shape: RowShape, count: usize, eps: Option<f32>) -> Case {
    let RowShape { rows, width } = shape;
    let sizes = label(format_args!("rows={rows} width={width} count={count} eps={eps:?}"));
    Case::new(kernels::pool_rows::kernel(), SUM, sizes, move |harness| {
        let x = harness.random.numbers(rows * count * width, 3.0); // [rows * count, width]
        let (x_slice, mut y) = (harness.input(&x)?, harness.output(rows * width, Holds::Numbers)?);
        kernels::pool_rows::record(&mut harness.recording, shape, (count, eps), &x_slice, &y.slice)?;
        reference::pool_rows::compute(width, count, eps, &x, y.expected());
        y.magnitude = 4.0;
        Ok(vec![y])
    })
}
