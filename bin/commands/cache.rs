//! `ocelli cache`: shows or clears a folder of kept conversations.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ocelli::engine::snapshots::{Folder, SnapshotStore};
use ocelli::{Error, Result};
use serde_json::json;

use crate::shared::io;

/// Show the size of a folder of kept conversations, or clear it.
#[derive(Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Subcommand)]
enum CacheCommand {
    /// Print the number of conversations and their size.
    Show {
        /// The folder that was given as --cache.
        folder: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove all of them, and no other file.
    Clear {
        /// The folder that was given as --cache.
        folder: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &CacheArgs) -> Result<()> {
    let (CacheCommand::Show { folder, json } | CacheCommand::Clear { folder, json }) = &args.command;
    if !folder.is_dir() {
        return Err(Error::Io { path: folder.display().to_string(), reason: "there is no such folder".into() });
    }
    let files = Folder::snapshots(folder)?;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let found = format!("{} conversations, {:.1} MB", files.len(), bytes as f64 / 1e6);
    let report = |name: &str| json!({"folder": folder, name: files.len(), "bytes": bytes}).to_string();
    if let CacheCommand::Show { .. } = args.command {
        return io::print(&if *json { report("conversations") } else { found });
    }
    if files.is_empty() && !json {
        return io::print("there are no conversations");
    }
    // Locks the folder, so that no other process uses it.
    let store = Folder::open(folder)?;
    files.iter().try_for_each(|file| pollster::block_on(store.remove(&file.name)))?;
    io::print(&if *json { report("removed") } else { format!("removed {found}") })
}
