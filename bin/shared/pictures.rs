//! Names of picture files and documents, and the files of folders.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use ocelli::{Error, Result};

/// Extensions of the files that are read.
const PICTURES: [&str; 9] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "jfif"];
/// Pictures in formats that are not read.
const OTHER_PICTURES: [&str; 8] = ["heic", "heif", "avif", "svg", "jxl", "psd", "raw", "ico"];
/// Names of a kind that a report lists.
const MOST_NAMES: usize = 3;

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Returns true if the name of a file is that of a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    PICTURES.contains(&extension(path).as_str())
}

/// Returns true if the name of a file is that of a PDF document.
pub(crate) fn is_document(path: &Path) -> bool {
    extension(path) == "pdf"
}

/// Returns true for names that begin with a full stop, such as those that macOS adds to pictures on the disks of other systems.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Files of folders that are not described, by reason.
#[derive(Default)]
pub(crate) struct Skipped(BTreeMap<String, Vec<String>>);

impl Skipped {
    pub(crate) fn add(&mut self, path: &Path, reason: impl Into<String>) {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.0.entry(reason.into()).or_default().push(name);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (reason, names)) in self.0.iter().enumerate() {
            let (told, rest) = names.split_at(names.len().min(MOST_NAMES));
            write!(f, "{}skipped {}: {}", if index == 0 { "" } else { "\n" }, names.len(), told.join(", "))?;
            if !rest.is_empty() {
                write!(f, " and {} more", rest.len())?;
            }
            write!(f, " ({reason})")?;
        }
        Ok(())
    }
}

/// The pictures and documents in a folder, sorted by path, and in its folders if `is_deep`.
///
/// # Errors
/// `io` for a folder that cannot be read.
pub(crate) fn in_folder(folder: &Path, is_deep: bool, skipped: &mut Skipped) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder.display(), &error))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let paths = paths.as_mut().map_err(|error| Error::io(folder.display(), error))?;
    paths.sort();
    let mut found = Vec::new();
    for path in std::mem::take(paths) {
        if is_hidden(&path) {
            skipped.add(&path, "hidden");
        } else if path.is_dir() {
            // Links are not followed: they may lead back.
            if is_deep && !path.is_symlink() {
                found.append(&mut in_folder(&path, true, skipped)?);
            } else {
                skipped.add(&path, "a folder; --recursive looks into folders");
            }
        } else if !path.is_file() {
            skipped.add(&path, "no regular file");
        } else if is_picture(&path) || is_document(&path) {
            found.push(path);
        } else if OTHER_PICTURES.contains(&extension(&path).as_str()) {
            let kind = extension(&path).to_uppercase();
            skipped.add(&path, format!("{kind} is not read; convert it to PNG or JPEG"));
        } else {
            skipped.add(&path, "neither a picture nor a PDF");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_what_it_skips_and_why() {
        let folder = std::env::temp_dir().join(format!("ocelli-pictures-{}", crate::shared::api::random_name()));
        fs::create_dir_all(folder.join("inner")).expect("a folder");
        for name in ["b.PNG", "a.gif", "c.pdf", "d.heic", "e.txt", "f.md", "g", "h.csv", "._a.gif", "inner/i.tiff"] {
            fs::write(folder.join(name), "x").expect("a file");
        }
        let found = |is_deep| {
            let mut skipped = Skipped::default();
            let found = in_folder(&folder, is_deep, &mut skipped).expect("a folder");
            let name = |path: &PathBuf| path.strip_prefix(&folder).expect("below it").display().to_string();
            (found.iter().map(name).collect::<Vec<_>>(), skipped.to_string())
        };
        let (names, skipped) = found(false);
        assert_eq!(names, ["a.gif", "b.PNG", "c.pdf"]);
        let lines: Vec<&str> = skipped.lines().collect();
        assert_eq!(
            lines,
            [
                "skipped 1: d.heic (HEIC is not read; convert it to PNG or JPEG)",
                "skipped 1: inner (a folder; --recursive looks into folders)",
                "skipped 1: ._a.gif (hidden)",
                "skipped 4: e.txt, f.md, g and 1 more (neither a picture nor a PDF)",
            ]
        );
        assert_eq!(found(true).0.last().map(String::as_str), Some("inner/i.tiff"));
        fs::remove_dir_all(folder).expect("a folder");
    }
}
