//! The source of a model in the cache folder, recorded beside it: models of two sources may have the same name.

use std::fs;
use std::io::Write;
use std::path::Path;

use ocelli::engine::snapshots::private_file;
use ocelli::package::durable;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};

use super::hub;
use super::unfinished::{hash, hash_of};
use crate::shared::models::{self, KnownModel, KnownSource};

/// Relation of a model in the cache folder to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Same,
    /// It is from another revision of the same repository.
    OtherRevision,
    Other,
}

/// Hashes, because addresses may have secrets in them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    source: String,
    /// The source without its revision.
    repository: String,
    /// The manifest of the package. A record of another one says nothing about the package.
    manifest: String,
}

impl Record {
    fn new(source: &KnownSource, manifest: &[u8]) -> Self {
        let source = hub::unmirrored(source.clone());
        let repository = hash_of(&source.clone().map(|url| without_revision(&url)));
        Self { source: hash_of(&source), repository, manifest: hash(manifest) }
    }
}

/// An address in a repository without the name of the revision.
fn without_revision(url: &str) -> String {
    let split = || {
        let (repository, rest) = url.split_once("/resolve/")?;
        Some(format!("{repository}/resolve/{}", rest.split_once('/')?.1))
    };
    split().unwrap_or_else(|| url.to_owned())
}

/// Relation of the model `id` in the cache folder to a source; `None` if there is no such model, or its manifest is damaged.
pub(super) fn relation(id: &str, source: &KnownSource) -> Option<Relation> {
    let manifest = fs::read(models::folder(Path::new(id))?.join(MANIFEST_FILE)).ok()?;
    let wanted = Record::new(source, &manifest);
    let record = models::record(id).and_then(|path| fs::read(path).ok());
    let record = record.and_then(|json| serde_json::from_slice::<Record>(&json).ok());
    match record.filter(|record| record.manifest == wanted.manifest) {
        Some(record) if record == wanted => Some(Relation::Same),
        Some(record) if record.repository == wanted.repository => Some(Relation::OtherRevision),
        Some(_) => Some(Relation::Other),
        // Its manifest names the main address.
        None => {
            let place = |source: KnownSource| without_revision(hub::unmirrored(source).address());
            let own = Manifest::parse(&manifest)
                .ok()?
                .source
                .map(|address| KnownSource::Safetensors { safetensors: address });
            let is_same = own.is_some_and(|own| place(own) == place(source.clone()));
            Some(if is_same { Relation::Same } else { Relation::Other })
        }
    }
}

/// Records the source of the model `id`, which is in the cache folder.
///
/// # Errors
/// `io`.
pub(super) fn record(id: &str, source: &KnownSource) -> Result<()> {
    let (Some(folder), Some(path)) = (models::folder(Path::new(id)), models::record(id)) else { return Ok(()) };
    let part = path.with_extension("source.part");
    let write = || {
        let record = Record::new(source, &fs::read(folder.join(MANIFEST_FILE))?);
        let mut file = private_file(&part)?;
        file.write_all(&serde_json::to_vec(&record)?)?;
        file.sync_all()?;
        durable::rename(&part, &path)
    };
    write().map_err(|error| Error::io(path.display(), &error))
}

/// Checks that a name is that of no known model but `known`.
///
/// # Errors
/// [`Error::InvalidRequest`].
pub(super) fn check_name(id: &str, known: Option<&KnownModel>) -> Result<()> {
    match models::known()?.into_iter().find(|other| other.id.eq_ignore_ascii_case(id)) {
        Some(owner) if known.is_none_or(|known| known.id != owner.id) => {
            let reason =
                format!("{id:?} is the id of a known model from another source: choose another name with --name");
            Err(Error::request("--name", reason))
        }
        _ => Ok(()),
    }
}

/// Checks that a model in the cache folder that has the id of a known model is that model.
///
/// # Errors
/// [`Error::InvalidRequest`].
pub(super) fn check_known(id: &str) -> Result<()> {
    let Some(known) = models::known()?.into_iter().find(|known| known.id.eq_ignore_ascii_case(id)) else {
        return Ok(());
    };
    if relation(id, &known.source()) != Some(Relation::Other) {
        return Ok(());
    }
    let reason = format!(
        "the model of this name in the cache folder is not from the source of the known model: `ocelli pull {} --force` replaces it, and its path opens it",
        known.id
    );
    Err(Error::request(id, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_repository_and_a_revision() {
        let record = |url: &str| Record::new(&KnownSource::Safetensors { safetensors: url.into() }, b"{}");
        let [one, other] = ["https://h/o/n/resolve/main/", "https://h/o/n/resolve/v1/"].map(record);
        assert!(one.source != other.source && one.repository == other.repository);
        for foreign in
            ["https://h/p/n/resolve/main/", "https://i/o/n/resolve/main/", "https://h/o/n/main/", "https://h/n/"]
        {
            assert!(record(foreign).repository != one.repository, "{foreign}");
        }
        let gguf = |mmproj: Option<&str>| {
            Record::new(&KnownSource::Gguf { gguf: "https://h/a.gguf".into(), mmproj: mmproj.map(Into::into) }, b"{}")
        };
        assert!(gguf(None) != gguf(Some("https://h/b.gguf")), "the vision half is a part of the source");
    }
}
