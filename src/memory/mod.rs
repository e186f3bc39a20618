//! How a model is run within the memory it may take. Pure arithmetic and dry recordings: no device takes part.

mod estimate;
mod plan;
mod residency;

pub use estimate::{Phase, PhaseBytes, PurposeBytes, Rows};
pub use plan::{KEPT_PICTURES, MemoryOptions, Plan, plan, smaller};
pub use residency::{Residency, VISION_GROUP};
