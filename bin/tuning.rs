//! What earlier runs found out about devices, in a file of the user's cache directory. Without one every run starts anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ocelli::engine::Tuned;

use crate::models;

type Known = BTreeMap<String, Tuned>;

fn file() -> Option<PathBuf> {
    Some(models::cache()?.join("tuning.json"))
}

fn known() -> Option<Known> {
    serde_json::from_slice(&fs::read(file()?).ok()?).ok()
}

/// What is known under `key`.
pub(crate) fn recall(key: &str) -> Tuned {
    known().and_then(|known| known.get(key).copied()).unwrap_or_default()
}

/// Keeps `tuned` under `key`, if it can be kept.
pub(crate) fn remember(key: String, tuned: Tuned) {
    let mut known = known().unwrap_or_default();
    if known.insert(key, tuned).unwrap_or_default() == tuned {
        return;
    }
    // Speed is all that is at stake.
    let _ = file().and_then(|file| {
        fs::create_dir_all(file.parent()?).ok()?;
        let beside = file.with_extension(format!("{}.part", std::process::id()));
        fs::write(&beside, serde_json::to_vec(&known).ok()?).ok()?;
        fs::rename(beside, file).ok()
    });
}
