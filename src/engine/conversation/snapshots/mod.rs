//! Snapshots: states of conversations in files, which a later process reads instead of computing them.
//!
//! Written only if a caller supplies a [`SnapshotStore`], and only while the engine is idle.

mod folder;
pub mod format;
mod index;
mod keep;
pub mod rates;
mod recall;
mod store;

pub use folder::{Folder, open_private, private_append, private_file, private_folder};
pub(in crate::engine) use index::Snapshots;
pub use store::{Pending, SnapshotStore, StoredFile};
