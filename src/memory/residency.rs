//! Where the weights of the picture side are.

use crate::error::{Error, Result};

/// Layers of a tower that is on the GPU between two waits for it.
pub const VISION_GROUP: usize = 4;

/// Where the weights of the vision tower and the projector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
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

    /// The name that callers and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Dropped => "dropped",
            Self::Streamed => "streamed",
        }
    }
}

impl std::str::FromStr for Residency {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|residency| residency.name() == name);
        known.ok_or_else(|| Error::request("vision", format!("{name:?} is none of resident, dropped and streamed")))
    }
}
