//! A row of the table.

use ocelli::Result;
use ocelli::gpu::{Features, KernelConfig};

use crate::bench::Bench;

/// Makes inputs, records the kernel, hands in what the reference makes of the same.
type Run = Box<dyn Fn(&mut Bench<'_>) -> Result<()>>;

/// A row of the table.
pub(crate) struct Case {
    pub(crate) kernel: &'static str,
    pub(crate) sizes: String,
    /// Largest difference allowed, relative to the largest number of the output.
    pub(crate) tolerance: f64,
    /// Optional features that it uses: devices without them do without the row.
    pub(crate) uses: Features,
    /// Ways to compute in, if not as hardware or software without optional features.
    pub(crate) kernel_config: Option<KernelConfig>,
    pub(crate) run: Run,
}

impl Case {
    /// Of a kernel that uses optional features.
    pub(crate) fn using(self, uses: Features) -> Self {
        Self { uses, ..self }
    }

    /// Held to what rounding to half precision allows, or inputs to 8 bits.
    pub(crate) fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Computed in these ways.
    pub(crate) fn on(self, kernel_config: KernelConfig) -> Self {
        let sizes = format!("{} {} {:?}", self.sizes, kernel_config.features.name(), kernel_config.variants);
        Self { sizes, uses: kernel_config.features, kernel_config: Some(kernel_config), ..self }
    }
}

/// Copies change nothing.
pub(crate) const EXACT: f64 = 0.0;
/// A handful of roundings.
pub(crate) const POINTWISE: f64 = 1e-6;
/// Products of halves.
pub(crate) const HALVES: f64 = 2e-3;
/// What inputs of 8 bits are off by.
pub(crate) const EIGHT_BITS: f64 = 1e-2;
/// Sums in `f32`.
pub(crate) const SUM: f64 = 1e-5;

pub(crate) fn case(
    kernel: &'static str,
    tolerance: f64,
    sizes: String,
    run: impl Fn(&mut Bench<'_>) -> Result<()> + 'static,
) -> Case {
    Case { kernel, sizes, tolerance, uses: Features::NONE, kernel_config: None, run: Box::new(run) }
}
