//! Conversations that outlive the engine: their states in files, which a later process reads rather than computes.
//!
//! Nothing is written unless a caller hands in a [`SnapshotStore`], and then only while the engine has nothing else to do.

mod folder;
pub mod format;
mod index;
mod keep;
pub mod rates;
mod recall;
mod store;

pub use folder::Folder;
pub(in crate::engine) use index::Snapshots;
pub use store::{Pending, SnapshotStore, StoredFile};
