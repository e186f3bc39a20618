//! Free space, and readers of folders and files.

use std::path::Path;

use ocelli::{Error, Result};

use super::io::inform;

/// Checks that a file of `bytes` more bytes fits the file system of `path`, where the system reports its free space.
///
/// # Errors
/// `io`.
pub(crate) fn check_room(path: &Path, bytes: u64) -> Result<()> {
    match free(path) {
        Some(free) if free < bytes => {
            let reason = format!("{bytes} bytes are needed, {free} are free");
            Err(Error::Io { path: path.display().to_string(), reason })
        }
        _ => Ok(()),
    }
}

fn free(path: &Path) -> Option<u64> {
    fs4::available_space(path.parent()?).ok()
}

/// Returns true if both paths lead to the same existing file, also by a link.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let is_one_path =
        || one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other));
    is_one_inode(one, other) || is_one_path()
}

#[cfg(unix)]
fn is_one_inode(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |path: &Path| std::fs::metadata(path).ok().map(|about| [about.dev(), about.ino()]);
    place(one).is_some_and(|one| place(other) == Some(one))
}

#[cfg(not(unix))]
fn is_one_inode(_: &Path, _: &Path) -> bool {
    false
}

/// Warns about a folder or file that other users may read, which keeps its mode.
pub(crate) fn warn_of_readers(path: &Path) {
    if is_open(path) {
        inform(&format!("warning: other users may read {0}: chmod go-rwx {0}", path.display()));
    }
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o055 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_larger_than_the_free_space_is_refused() {
        let path = std::env::temp_dir().join("file");
        assert_eq!(check_room(&path, 1), Ok(()));
        #[cfg(unix)]
        assert!(check_room(&path, u64::MAX).is_err_and(|error| error.to_string().contains("are free")));
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_that_others_may_read_is_noticed() {
        use std::fs::{DirBuilder, Permissions, remove_dir, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("ocelli-readers-{}", crate::shared::api::random_name()));
        DirBuilder::new().create(&folder).expect("a folder");
        let is_open_with = |mode| {
            set_permissions(&folder, Permissions::from_mode(mode)).expect("a mode");
            is_open(&folder)
        };
        assert_eq!([0o700, 0o755, 0o750, 0o704].map(is_open_with), [false, true, true, true]);
        remove_dir(&folder).expect("the folder");
    }
}
