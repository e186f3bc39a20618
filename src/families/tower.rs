//! What every family's picture side offers: pictures to rows of features, one stage of weights after the other.

use std::fmt;

use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Recording};
use crate::weights::WeightStore;

/// A picture cut to whole patches. `// [height, width, 3]`
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green and blue bytes, row by row; empty where only memory is asked for.
    pub rgb: &'a [u8],
}

/// A picture side. Its weights come in stages: what is before the first layer, the layers, what is behind the last. A picture needs one
/// stage at a time, in this order, so that weights need not all be on the device at once; whoever runs a tower decides.
pub trait Tower: fmt::Debug {
    /// Stages: the first, the layers, the last.
    fn stages(&self) -> usize;

    /// Patches that a picture is cut into.
    fn patches(&self, pixels: &Pixels<'_>) -> usize;

    /// What a number of patches computed at a time must be a multiple of.
    fn row_alignment(&self) -> usize;

    /// Numbers in the widest row that a patch takes in work memory.
    fn widest_row(&self) -> usize;

    /// Takes the weights of a stage; one that is missing is a [`crate::Error::InvalidPackage`].
    fn load(&mut self, stage: usize, weights: &mut WeightStore) -> Result<()>;

    /// Gives the weights of a stage up.
    fn unload(&mut self, stage: usize);

    /// Whether the weights of a stage are there.
    fn is_loaded(&self, stage: usize) -> bool;

    /// Allocates what a picture needs, so many patches being computed at a time, keys and values being kept in floats of that precision.
    fn begin(&mut self, gpu: &dyn Allocator, pixels: &Pixels<'_>, keeps: (usize, KvPrecision)) -> Result<()>;

    /// Records a stage whose weights are there. The last one writes the picture's features into the rows of `into.0` from `into.1` on;
    /// without [`Self::begin`] or weights it is a [`crate::Error::Internal`].
    fn record(&mut self, stage: usize, recording: &mut Recording, into: (&Buffer, usize)) -> Result<()>;

    /// Gives up what only the first stage reads. Recordings keep it for as long as they need it.
    fn end_first_stage(&mut self);

    /// Gives up what [`Self::begin`] allocated.
    fn end(&mut self);
}
