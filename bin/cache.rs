//! Conversations in a folder, so that a later run goes on with them. And `ocelli cache`, which looks into such a folder and clears it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ocelli::engine::Engine;
use ocelli::engine::snapshots::{Folder, SnapshotStore};
use ocelli::{Error, Result};

use crate::open;

/// Whether conversations outlive the run.
#[derive(Args)]
pub(crate) struct KeepArgs {
    /// Keep what has been computed of conversations in this folder, and go on with what is there. Whoever can read it can tell what was said.
    #[arg(long = "cache", value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Bytes that the folder may take, such as 2GiB: what was used longest ago goes first.
    #[arg(long, value_name = "SIZE", value_parser = open::bytes, default_value = "4GiB", requires = "folder")]
    cache_bytes: u64,
}

impl KeepArgs {
    /// Has the engine keep its conversations, if it is to.
    pub(crate) fn open(&self, engine: &mut Engine) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        pollster::block_on(engine.open_snapshots(Box::new(Folder::open(folder)?), self.cache_bytes))
    }
}

/// Keeps conversations for as long as `go_on` says. What cannot be kept is told, and does no harm.
pub(crate) fn keep(engine: &mut Engine, go_on: &mut dyn FnMut() -> bool) {
    if let Err(error) = pollster::block_on(engine.keep_snapshots(go_on)) {
        open::inform(&format!("a conversation was not kept: {error}"));
    }
}

/// See what a folder of kept conversations takes, or clear it.
#[derive(Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Subcommand)]
enum CacheCommand {
    /// Tell how many conversations there are, and what they take.
    Show {
        /// The folder that was given as --cache.
        folder: PathBuf,
    },
    /// Remove all of them.
    Clear {
        /// The folder that was given as --cache.
        folder: PathBuf,
    },
}

pub(crate) fn run(args: &CacheArgs) -> Result<()> {
    let (CacheCommand::Show { folder } | CacheCommand::Clear { folder }) = &args.command;
    if !folder.is_dir() {
        return Err(Error::Io { path: folder.display().to_string(), reason: "there is no such folder".into() });
    }
    let store = Folder::open(folder)?;
    let files = pollster::block_on(store.list())?;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let found = format!("{} conversations, {:.1} MB", files.len(), bytes as f64 / 1e6);
    if let CacheCommand::Show { .. } = args.command {
        return crate::print(&found);
    }
    files.iter().try_for_each(|file| pollster::block_on(store.remove(&file.name)))?;
    crate::print(&format!("removed {found}"))
}
