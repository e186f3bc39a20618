//! Conversations that are kept in a folder and reused by later runs.

use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::Result;
use ocelli::engine::Engine;
use ocelli::engine::snapshots::Folder;

use super::{disk, io, units};

/// Storage of conversations between runs.
#[derive(Args)]
pub(crate) struct KeepArgs {
    /// Keep computed conversations in this folder and reuse those in it. The files reveal the conversations' text.
    #[arg(long = "cache", value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Limit of the folder's size, such as 2GiB; the least recently used conversations are removed.
    #[arg(long, value_name = "SIZE", value_parser = units::bytes, default_value = "4GiB", requires = "folder")]
    cache_bytes: u64,
}

impl KeepArgs {
    /// Opens a part of the folder, if there is one. The limit of the size is that of each part.
    pub(crate) fn open(&self, engine: &mut Engine, part: &Path) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        disk::warn_of_readers(folder);
        let folder = Folder::open(&folder.join(part))?;
        pollster::block_on(engine.open_snapshots(Box::new(folder), self.cache_bytes))
    }
}

/// Writes conversations while `resume` returns true. Failures are reported and otherwise ignored.
pub(crate) fn keep(engine: &mut Engine, resume: &mut dyn FnMut() -> bool) {
    if let Err(error) = pollster::block_on(engine.keep_snapshots(resume)) {
        io::inform(&format!("a conversation was not kept: {error}"));
    }
}
