//! The folders whose files tools may read. Symbolic links are resolved before a path is compared with them.

use std::fs;
use std::path::{Path, PathBuf};

use ocelli::engine::{Detail, Picture};
use ocelli::{Error, Result};

use crate::shared::api::sent_url;
use crate::shared::ask::{PictureFolder, picture_at};
use crate::shared::pictures::is_picture;

/// Most files of a folder that are looked at.
const MOST_FILES: usize = 10_000;

/// Folders, without symbolic links.
#[derive(Clone, Default)]
pub(crate) struct Roots(Vec<PathBuf>);

/// Pictures of a folder, and the number of its other files.
pub(super) struct Listing {
    pub(super) pictures: Vec<PathBuf>,
    pub(super) skipped: usize,
}

impl Roots {
    /// Resolves the folders.
    ///
    /// # Errors
    /// `io` for one that does not exist.
    pub(crate) fn new(folders: &[PathBuf]) -> Result<Self> {
        let full = |folder: &PathBuf| {
            let path = folder.canonicalize().map_err(|error| Error::io(folder.display(), &error))?;
            if path.is_dir() {
                Ok(path)
            } else {
                Err(Error::request("--root", format!("{} is no folder", folder.display())))
            }
        };
        folders.iter().map(full).collect::<Result<_>>().map(Self)
    }

    /// The folders, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|root| root.display().to_string()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// The picture at a path below the folders, at a `file:` URL, or in a `data:` URL.
    ///
    /// # Errors
    /// `invalid-request`. All paths outside of the folders have the same error, so that it reveals no files.
    pub(super) fn picture(&self, name: &str, detail: Detail) -> Result<Picture> {
        if name.starts_with("data:") {
            return sent_url(name, "image", detail);
        }
        let found = self.0.iter().find_map(|root| {
            let folder = PictureFolder { base: root, any_path: false };
            picture_at(name, detail, folder).ok()
        });
        found.ok_or_else(|| self.missing("file", name))
    }

    fn missing(&self, kind: &str, name: &str) -> Error {
        Error::request(kind, format!("{name:?} is no {kind} below the folders that may be read: {}", self.names()))
    }

    /// The pictures in a folder, by path, and in its folders if `is_deep`. Links that lead out of the roots are skipped.
    ///
    /// # Errors
    /// `invalid-request` for a folder that is outside of the roots, or has too many files.
    pub(super) fn list(&self, name: &str, is_deep: bool) -> Result<Listing> {
        let start = self.0.iter().find_map(|root| self.inside(&root.join(name)).filter(|path| path.is_dir()));
        let mut folders = vec![start.ok_or_else(|| self.missing("folder", name))?];
        let (mut listing, mut seen) = (Listing { pictures: Vec::new(), skipped: 0 }, folders.clone());
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| Error::io(folder.display(), &error))?;
            for path in entries.filter_map(|entry| self.inside(&entry.ok()?.path())) {
                if path.is_dir() {
                    // A link may lead to a folder that was read already.
                    if is_deep && !seen.contains(&path) {
                        seen.push(path.clone());
                        folders.push(path);
                    }
                } else if is_picture(&path) {
                    listing.pictures.push(path);
                } else {
                    listing.skipped += 1;
                }
            }
            if listing.pictures.len() + listing.skipped > MOST_FILES {
                return Err(Error::request("folder", format!("has more than {MOST_FILES} files")));
            }
        }
        listing.pictures.sort();
        listing.pictures.dedup();
        Ok(listing)
    }

    /// The path without links, if it is below a root.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let full = path.canonicalize().ok()?;
        self.0.iter().any(|root| full.starts_with(root)).then_some(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a picture, a text, and links inside and outside of it.
    #[cfg(unix)]
    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ocelli-roots-{}", crate::shared::api::random_name()));
        fs::create_dir_all(folder.join("root/sub")).expect("a folder");
        fs::write(folder.join("secret.png"), "outside").expect("a file");
        for name in ["a.png", "a.txt", "sub/b.png"] {
            fs::write(folder.join("root").join(name), name).expect("a file");
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(folder.join(to), folder.join("root").join(name)).expect("a link");
        };
        link("secret.png", "out.png");
        link("root/sub/b.png", "in.png");
        link("root", "sub/loop");
        folder
    }

    #[test]
    #[cfg(unix)]
    fn paths_and_links_that_lead_out_of_the_roots_are_refused_with_the_same_words() {
        let folder = folder();
        let roots = Roots::new(&[folder.join("root")]).expect("a folder");
        let found = |name: &str| roots.picture(name, Detail::Auto).is_ok();
        let inside = format!("file://{}", folder.join("root/a.png").display());
        assert!(found("a.png") && found("in.png") && found("sub/b.png") && found("sub/../a.png") && found(&inside));
        let secret = folder.join("secret.png").display().to_string();
        for outside in
            ["out.png", "../secret.png", "sub/../../secret.png", "/etc/passwd", &secret, "missing.png", "sub", ""]
        {
            let refused = roots.picture(outside, Detail::Auto).map(drop).expect_err(outside);
            assert_eq!(refused, roots.missing("file", outside));
        }
        assert!(Roots::new(&[folder.join("nothing")]).is_err() && Roots::new(&[folder.join("secret.png")]).is_err());
        fs::remove_dir_all(folder).expect("a folder");
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_is_listed_once_however_links_lead_around_in_it() {
        let folder = folder();
        let roots = Roots::new(&[folder.join("root")]).expect("a folder");
        let names = |listing: Listing| {
            let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
            (listing.pictures.iter().filter_map(name).collect::<Vec<_>>(), listing.skipped)
        };
        assert_eq!(roots.list(".", false).map(names), Ok((vec!["a.png".into(), "b.png".into()], 1)));
        assert_eq!(roots.list("sub", false).map(names), Ok((vec!["b.png".into()], 0)));
        assert_eq!(roots.list("", true).map(names), Ok((vec!["a.png".into(), "b.png".into()], 1)));
        assert!(roots.list("..", true).is_err() && roots.list("a.png", true).is_err());
        fs::remove_dir_all(folder).expect("a folder");
    }
}
