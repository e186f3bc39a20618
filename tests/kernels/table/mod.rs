//! The rows of the table: every kernel in every layout and tuning, over sizes around the borders of tiles. No GPU takes part here.

mod attention;
mod gemv;
mod moving;
mod pointwise;
mod products;
mod sampling;
mod step;

use ocelli::gpu::Features;
use ocelli::kernels::cases::Case;

/// Rows of kernels that belong together.
pub(crate) type Group = (&'static str, fn() -> Vec<Case>);

/// All of them.
pub(crate) const GROUPS: [Group; 11] = [
    ("attention", attention::rows),
    ("attention_step", step::attention_rows),
    ("embed_rows", products::embed_rows_rows),
    ("fused_products", gemv::fused_rows),
    ("few_rows", gemv::matvec_rows),
    ("few_rows_linear", products::matvec_rows),
    ("many_rows", products::matmul_rows),
    ("moving", moving::rows),
    ("pointwise", pointwise::rows),
    ("rope_append", step::append_rows),
    ("sampling", sampling::rows),
];

/// What is in a table of tunings that uses optional features.
fn tiers<T: Copy>(table: &[T], uses: impl Fn(&T) -> Features) -> Vec<T> {
    table.iter().filter(|tuning| uses(tuning) != Features::NONE).copied().collect()
}
