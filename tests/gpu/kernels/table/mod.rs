//! The rows of the table: every kernel in every layout and tuning, over sizes around the borders of tiles. This module needs no GPU.

mod attention;
mod gemv;
mod moving;
mod pointwise;
mod products;
mod recurrent;
mod sampling;
mod step;

use ocelli::gpu::Features;
use ocelli::kernels::cases::{Case, Into, Product, Scores};

/// A name and its rows.
pub(crate) type Group = (&'static str, fn() -> Vec<Case>);

/// All groups.
pub(crate) const GROUPS: [Group; 12] = [
    ("attention", attention::rows),
    ("attention_step", step::attention_rows),
    ("embed_rows", products::embed_rows_rows),
    ("fused_products", gemv::fused_rows),
    ("few_rows", gemv::matvec_rows),
    ("few_rows_linear", products::matvec_rows),
    ("many_rows", products::matmul_rows),
    ("moving", moving::rows),
    ("pointwise", pointwise::rows),
    ("recurrent", recurrent::rows),
    ("rope_append", step::append_rows),
    ("sampling", sampling::rows),
];

/// Exact in f32, up to a thousand in both directions.
const STEEP: Scores = Scores { name: "steep", number: |random, _| (random.number() * 40.0).round() };
/// Exact in f32, all close to minus a thousand.
const SUNKEN: Scores = Scores { name: "sunken", number: |random, sign| sign * (random.number() * 2.0 + 11.0).round() };

/// Adds nothing and writes all of `y`.
const PLAIN: Into = Into { bias: false, accumulate: false, around: (0, 0) };

/// The eight combinations of added terms and output columns, in turn.
fn into_in_turn(index: usize) -> Into {
    let around = if index & 4 == 0 { (0, 0) } else { (5, 2) };
    Into { bias: index & 1 != 0, accumulate: index & 2 != 0, around }
}

fn product(m: usize, n: usize, k: usize) -> Product {
    Product { m, n, k }
}

/// The optional features in a table of tunings.
fn tiers<T: Copy>(table: &[T], uses: impl Fn(&T) -> Features) -> Vec<T> {
    table.iter().filter(|tuning| uses(tuning) != Features::NONE).copied().collect()
}
