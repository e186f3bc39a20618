//! Models by name: the known ones, and those in the cache folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};
use std::{env, fs};

use etcetera::BaseStrategy;
use ocelli::package::manifest::MANIFEST_FILE;
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};

/// A tested model: a row of the file that the npm package also reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KnownModel {
    /// Name, used instead of a path.
    pub(crate) id: String,
    pub(crate) about: String,
    pub(crate) license: String,
    source: KnownSource,
    /// Commit of the repository, in place of the branch in the addresses.
    commit: Option<String>,
    /// Contents of all files that are read; empty if they are not pinned.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, Pin>,
    /// Bytes over the network.
    pub(crate) download_bytes: u64,
    /// Bytes of the package.
    pub(crate) package_bytes: u64,
    /// Names of sizes that were computed, not read from the files.
    #[serde(default)]
    estimates: Vec<String>,
}

/// Content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Pin {
    /// SHA-256, lower-case hexadecimal.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// Source of a known model.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum KnownSource {
    Gguf { gguf: String, mmproj: Option<String> },
    Safetensors { safetensors: String },
}

impl KnownModel {
    /// Bytes of its download and of its package, for people.
    pub(crate) fn sizes(&self) -> String {
        let size = |bytes: u64, name: &str| {
            let about = if self.estimates.iter().any(|estimate| estimate == name) { "about " } else { "" };
            format!("{about}{:.1} GB", bytes as f64 / 1e9)
        };
        let [download, package] =
            [size(self.download_bytes, "downloadBytes"), size(self.package_bytes, "packageBytes")];
        format!("{download} to download, {package} on disk")
    }

    /// Its source, at its commit.
    pub(crate) fn source(&self) -> KnownSource {
        let pinned = |url: &String| match &self.commit {
            Some(commit) => url.replacen("/resolve/main/", &format!("/resolve/{commit}/"), 1),
            None => url.clone(),
        };
        self.source.clone().map(|url| pinned(&url))
    }
}

impl KnownSource {
    /// The main address.
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Gguf { gguf, .. } => gguf,
            Self::Safetensors { safetensors } => safetensors,
        }
    }

    /// All addresses.
    pub(crate) fn addresses(&self) -> Vec<&str> {
        let mmproj = if let Self::Gguf { mmproj, .. } = self { mmproj.as_deref() } else { None };
        [self.address()].into_iter().chain(mmproj).collect()
    }

    /// The same with other addresses.
    pub(crate) fn map(self, at: impl Fn(String) -> String) -> Self {
        match self {
            Self::Gguf { gguf, mmproj } => Self::Gguf { gguf: at(gguf), mmproj: mmproj.map(at) },
            Self::Safetensors { safetensors } => Self::Safetensors { safetensors: at(safetensors) },
        }
    }
}

/// All known models, the smallest download first.
pub(crate) fn known() -> Result<Vec<KnownModel>> {
    let json = include_str!("../../www/src/api/models.json");
    serde_json::from_str(json).map_err(|error| Error::Internal { detail: error.to_string() })
}

/// The cache folder: that of the platform (`~/Library/Caches` on macOS), unless `XDG_CACHE_HOME` is set or `~/.cache` was used before.
pub(crate) fn cache() -> Option<PathBuf> {
    let of = |variable: &str| env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let platform = || etcetera::base_strategy::choose_native_strategy().ok().map(|dirs| dirs.cache_dir());
    let earlier = || Some(of("HOME")?.join(".cache")).filter(|folder| folder.join("ocelli").is_dir());
    Some(of("XDG_CACHE_HOME").or_else(earlier).or_else(platform)?.join("ocelli"))
}

/// Names of the packages in the cache.
pub(crate) fn pulled() -> Vec<String> {
    let folder = cache().map(|cache| cache.join("models"));
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| is_here(Path::new(name))).collect();
    names.sort();
    names
}

/// The folder of the package `id`, which may not exist; `None` if there is no cache or `id` is a path.
pub(crate) fn folder(id: &Path) -> Option<PathBuf> {
    let mut parts = id.components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    is_name.then(|| Some(cache()?.join("models").join(id)))?
}

/// The file beside the package `id` that records its source.
pub(crate) fn record(id: &str) -> Option<PathBuf> {
    folder(Path::new(id)).map(|folder| folder.with_file_name(format!(".{id}.source")))
}

/// Returns true if the package `id` is in the cache.
pub(crate) fn is_here(id: &Path) -> bool {
    folder(id).is_some_and(|folder| folder.join(MANIFEST_FILE).is_file())
}

/// A package on the command line: a directory, or the name of a model, which may not be here yet. Empty if none is named.
#[derive(Debug, Clone)]
pub(crate) struct PackagePath {
    path: PathBuf,
    /// The name by which it was found in the cache.
    id: Option<String>,
}

impl PackagePath {
    /// Name of a model in the cache; `None` for a directory.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl From<OsString> for PackagePath {
    fn from(argument: OsString) -> Self {
        let path = PathBuf::from(argument);
        if fs::exists(&path).unwrap_or(true) || !is_here(&path) {
            return Self { path, id: None };
        }
        let id = Some(path.to_string_lossy().into_owned());
        Self { path: folder(&path).unwrap_or(path), id }
    }
}

impl Deref for PackagePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_replaces_the_branch_in_all_addresses() {
        let json = r#"{"id": "a", "about": "", "license": "", "downloadBytes": 4, "packageBytes": 1, "commit": "0123abcd",
            "source": {"gguf": "https://h/o/n/resolve/main/a.gguf", "mmproj": "https://h/o/n/resolve/main/b.gguf"},
            "files": {"a.gguf": {"sha256": "ab", "bytes": 4}}}"#;
        let known: KnownModel = serde_json::from_str(json).expect("a row");
        let KnownSource::Gguf { gguf, mmproj } = known.source() else { panic!("no GGUF files") };
        assert_eq!(gguf, "https://h/o/n/resolve/0123abcd/a.gguf");
        assert_eq!(mmproj.as_deref(), Some("https://h/o/n/resolve/0123abcd/b.gguf"));
        assert_eq!(known.files["a.gguf"], Pin { sha256: "ab".into(), bytes: 4 });
    }

    #[test]
    fn pins_of_the_known_models_are_complete() {
        for KnownModel { id, commit, files, download_bytes, .. } in known().expect("the list") {
            let is_hex =
                |text: &str, length| text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
            assert!(commit.is_none_or(|commit| is_hex(&commit, 40)), "{id}");
            assert!(files.values().all(|pin| pin.bytes > 0 && is_hex(&pin.sha256, 64)), "{id}");
            let pinned: u64 = files.values().map(|pin| pin.bytes).sum();
            assert!(files.is_empty() || pinned == download_bytes, "{id}: {pinned} of {download_bytes} bytes");
        }
    }

    /// The sizes once were those of packages, a third of the download of some models.
    #[test]
    fn the_list_of_models_names_the_download() {
        let models = known().expect("the list");
        assert!(models.is_sorted_by_key(|model| model.download_bytes), "the smallest download first");
        let sizes = |id: &str| models.iter().find(|model| model.id == id).expect("a model").sizes();
        assert_eq!(sizes("qwen3.5-0.8b"), "0.7 GB to download, about 0.7 GB on disk");
        assert!(sizes("mistral-small-3.1-24b-instruct-2503").starts_with("about 48.0 GB to download, 13.5 GB"));
    }
}
