//! The vision stack. A tower is a stem (pixels to rows), blocks of one kind, and stages of the family's own, such as a projector. Families
//! describe theirs by [`TowerOptions`] and [`TowerParts`]; weights, work memory and recording are here.

mod affine;
mod attention;
mod block;
mod norm;
mod options;
mod picture;
mod rope;
mod stage;
mod stem;
mod tower;
mod workspace;

pub use affine::{Affine, Output};
pub use block::Block;
pub use norm::PatchNorm;
pub use options::{Biases, BlockNames, FeedForward, NormKind, PatchGrid, ProjectorMemory, TowerOptions};
pub use picture::{FeatureRows, Pixels, RowCount, TowerMemory, Views};
pub use rope::{Frequencies, PatchRope};
pub use stage::Stage;
pub use stem::{PatchStem, Positions};
pub use tower::{Tower, TowerParts};
pub use workspace::Workspace;
