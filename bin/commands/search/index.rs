//! The index of a folder: the embedding of each of its pictures, as lines of JSON that are appended one by one. The first line says which model
//! they are of. An interrupted command leaves a whole index, perhaps with a torn last line, which is ignored.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocelli::package::durable;
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::shared::io;

/// Version of the format.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// [`VERSION`].
    ocelli_index: u32,
    /// SHA-256 of the model's `model.json`.
    model: String,
    /// Numbers of an embedding.
    dimensions: usize,
    /// Options that embeddings depend on.
    options: String,
}

impl Header {
    pub(super) fn new(manifest: &[u8], dimensions: usize, options: String) -> Self {
        Self { ocelli_index: VERSION, model: sha256(manifest), dimensions, options }
    }
}

/// Size and time of a file: as long as they stay, its content is not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    bytes: u64,
    /// Milliseconds since 1970.
    modified: u64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self> {
        let about = fs::metadata(path).map_err(|error| Error::io(path.display(), &error))?;
        let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Self { bytes: about.len(), modified: since.map_or(0, |since| since.as_millis() as u64) })
    }
}

/// A picture's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Path below the folder, with slashes.
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) stamp: Stamp,
    /// SHA-256 of the content.
    pub(super) sha256: String,
    /// 32-bit floats, little-endian, in base64.
    embedding: String,
}

impl Entry {
    pub(super) fn new(path: String, stamp: Stamp, sha256: String, embedding: &[f32]) -> Self {
        let bytes: Vec<u8> = embedding.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { path, stamp, sha256, embedding: STANDARD.encode(bytes) }
    }

    /// The same content under another path.
    pub(super) fn copied(&self, path: String, stamp: Stamp) -> Self {
        Self { path, stamp, ..self.clone() }
    }

    /// The embedding, if it has so many dimensions.
    fn numbers(&self, dimensions: usize) -> Option<Vec<f32>> {
        let bytes = STANDARD.decode(&self.embedding).ok()?;
        let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
        (numbers.len() == dimensions && numbers.iter().all(|x| x.is_finite())).then_some(numbers)
    }
}

/// SHA-256, lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The index of a folder.
pub(super) struct Index {
    path: PathBuf,
    header: Header,
    entries: BTreeMap<String, Entry>,
    /// The open file, once something was appended.
    file: Option<File>,
    /// Lines of the file that no longer hold.
    has_stale_lines: bool,
}

impl Index {
    /// Reads an index. One of another model or with other options is replaced.
    pub(super) fn open(path: &Path, header: Header) -> Result<Self> {
        // A line that was cut within a character holds no entry.
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(path.display(), &error)),
        };
        let mut lines = text.lines();
        let first = lines.next().map(serde_json::from_str::<Header>);
        if matches!(first, Some(Err(_))) {
            let reason = "is no index of pictures: name another file with --index".into();
            return Err(Error::Io { path: path.display().to_string(), reason });
        }
        let is_ours = matches!(&first, Some(Ok(found)) if *found == header);
        if first.is_some() && !is_ours {
            io::inform("the index is of another model or of other options, and is made again");
        }
        let (mut entries, mut count) = (BTreeMap::new(), 0);
        for line in lines.filter(|_| is_ours) {
            count += 1;
            if let Ok(entry) = serde_json::from_str::<Entry>(line)
                && entry.numbers(header.dimensions).is_some()
            {
                entries.insert(entry.path.clone(), entry);
            }
        }
        let has_stale_lines = !is_ours || count != entries.len() || !text.ends_with('\n');
        Ok(Self { path: path.into(), header, entries, file: None, has_stale_lines })
    }

    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// An entry with the same content, of any picture.
    pub(super) fn with_content(&self, sha256: &str) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.sha256 == sha256)
    }

    /// Forgets pictures that are not listed, and rewrites the file if any of its lines no longer holds.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) -> Result<()> {
        let before = self.entries.len();
        self.entries.retain(|path, _| is_there(path));
        if self.has_stale_lines || self.entries.len() < before {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Adds or replaces a picture. The line is on the disk when this returns.
    pub(super) fn add(&mut self, entry: Entry) -> Result<()> {
        let fail = |error| Error::io(self.path.display(), &error);
        let line = io::json(&entry)?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).open(&self.path).map_err(fail)?,
        };
        file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_data()).map_err(fail)?;
        self.file = Some(file);
        self.has_stale_lines |= self.entries.insert(entry.path.clone(), entry).is_some();
        Ok(())
    }

    /// Writes the whole index to a new file, which then replaces the old one.
    fn rewrite(&mut self) -> Result<()> {
        let lines = self.entries.values().map(io::json).collect::<Result<Vec<_>>>()?;
        let text: String =
            [io::json(&self.header)?].iter().chain(&lines).flat_map(|line| [line.as_str(), "\n"]).collect();
        let draft = self.path.with_added_extension("part");
        let written = File::create(&draft).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            durable::rename(&draft, &self.path)
        });
        written.map_err(|error| Error::io(self.path.display(), &error))?;
        (self.file, self.has_stale_lines) = (None, false);
        Ok(())
    }

    /// The pictures most similar to an embedding, with their cosines, best first.
    pub(super) fn nearest(&self, wanted: &[f32], most: usize) -> Vec<(f32, &str)> {
        let score = |entry: &Entry| -> Option<f32> {
            let numbers = entry.numbers(self.header.dimensions)?;
            Some(numbers.iter().zip(wanted).map(|(a, b)| a * b).sum())
        };
        let mut found: Vec<(f32, &str)> =
            self.entries.values().filter_map(|entry| Some((score(entry)?, entry.path.as_str()))).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(most);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, embedding: [f32; 2]) -> Entry {
        Entry::new(path.into(), Stamp { bytes: 1, modified: 2 }, format!("hash of {path}"), &embedding)
    }

    #[test]
    fn an_index_survives_a_torn_line_and_forgets_what_is_gone() {
        let path = std::env::temp_dir().join(format!("ocelli-index-{}", crate::shared::api::random_name()));
        let header = Header::new(b"{}", 2, String::new());
        let mut index = Index::open(&path, header.clone()).expect("a new index");
        index.keep(|_| true).expect("a file");
        fs::write(&path, [&fs::read(&path).expect("the header")[..], &"{\"path\":\"é".as_bytes()[..10]].concat())
            .expect("a torn letter");
        let mut index = Index::open(&path, header.clone()).expect("an index that is cut within a letter");
        index.keep(|_| true).expect("a file");
        for (name, embedding) in [("a.png", [1.0, 0.0]), ("b.png", [0.0, 1.0]), ("a.png", [0.8, 0.6])] {
            index.add(entry(name, embedding)).expect("a line");
        }
        let whole = fs::read_to_string(&path).expect("the index");
        fs::write(&path, &whole[..whole.len() - 3]).expect("a torn line");
        let mut index = Index::open(&path, header.clone()).expect("the index");
        assert_eq!(index.nearest(&[1.0, 0.0], 9), [(1.0, "a.png"), (0.0, "b.png")], "the last line is torn");
        index.keep(|path| path != "b.png").expect("a shorter index");
        assert_eq!(fs::read_to_string(&path).expect("the index").lines().count(), 2);
        let other = Index::open(&path, Header::new(b"another model", 2, String::new())).expect("a new index");
        assert!(other.nearest(&[1.0, 0.0], 9).is_empty());
        fs::write(&path, "a letter\n").expect("another file");
        assert!(Index::open(&path, header).is_err(), "a file that is no index is not overwritten");
        fs::remove_file(&path).expect("the end");
    }
}
