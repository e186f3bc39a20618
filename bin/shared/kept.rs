//! Conversations that are kept in a folder and reused by later runs.

use std::path::PathBuf;

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
    /// Opens the folder, if there is one.
    pub(crate) fn open(&self, engine: &mut Engine) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        disk::warn_of_readers(folder);
        pollster::block_on(engine.open_snapshots(Box::new(Folder::open(folder)?), self.cache_bytes))
    }
}

/// Writes conversations while `resume` returns true. Failures are reported and otherwise ignored.
pub(crate) fn keep(engine: &mut Engine, resume: &mut dyn FnMut() -> bool) {
    if let Err(error) = pollster::block_on(engine.keep_snapshots(resume)) {
        io::inform(&format!("a conversation was not kept: {error}"));
    }
}
