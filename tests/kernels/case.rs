//! A row of the table.

use ocelli::Result;

use crate::bench::Bench;

/// Makes inputs, records the kernel, hands in what the reference makes of the same.
type Run = Box<dyn Fn(&mut Bench<'_>) -> Result<()>>;

/// A row of the table.
pub(crate) struct Case {
    pub(crate) kernel: &'static str,
    pub(crate) sizes: String,
    /// Largest difference allowed, relative to the largest number of the output.
    pub(crate) tolerance: f64,
    pub(crate) run: Run,
}

/// Copies change nothing.
pub(crate) const EXACT: f64 = 0.0;
/// A handful of roundings.
pub(crate) const POINTWISE: f64 = 1e-6;
/// Sums in `f32`.
pub(crate) const SUM: f64 = 1e-5;

pub(crate) fn case(
    kernel: &'static str,
    tolerance: f64,
    sizes: String,
    run: impl Fn(&mut Bench<'_>) -> Result<()> + 'static,
) -> Case {
    Case { kernel, sizes, tolerance, run: Box::new(run) }
}
