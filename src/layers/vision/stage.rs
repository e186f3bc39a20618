//! A stage of a tower.

use std::fmt;

use super::picture::FeatureRows;
use super::workspace::Workspace;
use crate::error::Result;
use crate::gpu::Recording;

/// A stage with its weights.
pub trait Stage: fmt::Debug {
    /// Records the stage over the rows of `work`; stages that complete features write them to `features`.
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()>;
}
