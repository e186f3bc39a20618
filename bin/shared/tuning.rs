//! Autotuning results of earlier runs, in a file of the user's cache folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ocelli::engine::Tuned;

use super::models;

type Known = BTreeMap<String, Tuned>;

fn file() -> Option<PathBuf> {
    Some(models::cache()?.join("tuning.json"))
}

fn known() -> Option<Known> {
    serde_json::from_slice(&fs::read(file()?).ok()?).ok()
}

/// The result for `key`.
pub(crate) fn recall(key: &str) -> Tuned {
    known().and_then(|known| known.get(key).copied()).unwrap_or_default()
}

/// Stores `tuned` under `key`, if possible.
pub(crate) fn remember(key: &str, tuned: Tuned) {
    let mut known = known().unwrap_or_default();
    if known.insert(key.to_owned(), tuned).unwrap_or_default() == tuned {
        return;
    }
    // A failure costs only speed.
    let _ = file().and_then(|file| {
        fs::create_dir_all(file.parent()?).ok()?;
        let beside = file.with_extension(format!("{}.part", std::process::id()));
        fs::write(&beside, serde_json::to_vec(&known).ok()?).ok()?;
        fs::rename(beside, file).ok()
    });
}
