//! The usual stem: a convolution of patches, then learned positions or a norm.

use super::affine::Affine;
use super::norm::PatchNorm;
use super::picture::FeatureRows;
use super::stage::Stage;
use super::workspace::Workspace;
use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::patchify;
use crate::kernels::position_rows::{self, PositionTable};

/// Weights of a stem.
#[derive(Debug)]
pub struct PatchStem {
    /// Pixels of a patch to its row.
    pub patch_conv: Affine,
    /// Added after the convolution.
    pub positions: Option<Positions>,
    /// Applied after the convolution.
    pub norm: Option<PatchNorm>,
}

/// A square table of learned positions, resampled to the picture's patches.
#[derive(Debug)]
pub struct Positions {
    /// `// [side, side, hidden]`
    pub table: Slice,
    /// Positions along an edge.
    pub side: usize,
}

impl Stage for PatchStem {
    fn record(&self, recording: &mut Recording, work: &Workspace, _features: FeatureRows<'_>) -> Result<()> {
        let (picture, pixels, h) = (work.picture()?, work.act.all(), work.h.all()); // picture: [height, width]
        for range in work.chunks() {
            let (x, m) = (work.residual(&range), range.len()); // [range, hidden]
            patchify::record(recording, &work.patches, range.clone(), &picture, &pixels)?; // [range, 3 * side * side]
            self.patch_conv.record(recording, &pixels, m, if self.norm.is_some() { &h } else { &x })?;
            if let Some(norm) = &self.norm {
                norm.record(recording, m, &h, &x)?;
            }
            if let Some(Positions { table, side }) = &self.positions {
                let sizes = PositionTable { side: *side, width: work.options.hidden };
                position_rows::record(recording, work.patches.grid(), range, sizes, table, &x)?;
            }
        }
        Ok(())
    }
}
