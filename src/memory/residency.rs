//! Where the weights of the picture side are.

use crate::error::Error;

/// Layers of a tower that is on the GPU between two waits for it.
pub const VISION_GROUP: usize = 4;

/// Where the weights of the vision tower and the projector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_residency)]
pub enum Residency {
    /// On the GPU, always.
    Resident,
    /// On the GPU while pictures are encoded, and sent there again for the next ones.
    Dropped,
    /// A few stages at a time on the GPU, for each picture.
    Streamed,
}

impl Residency {
    /// All of them, the fastest first.
    pub const ALL: [Self; 3] = [Self::Resident, Self::Dropped, Self::Streamed];
}

fn no_residency(name: &str) -> Error {
    Error::request("vision", format!("{name:?} is none of resident, dropped and streamed"))
}
