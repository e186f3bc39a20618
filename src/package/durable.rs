//! Names of files that survive a power failure. Systems keep written bytes and changed folders in memory until they are told to write them,
//! and write them in any order.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folder that has the last name of a path.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the names in a folder to disk: those of files that were created, renamed or removed. Windows has no such call and needs none.
///
/// # Errors
/// The system's error; none where folders cannot be written to disk, as in some network file systems.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Gives a file or folder whose content is on disk another name in the same folder, which is on disk when this returns.
///
/// # Errors
/// The system's error.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(folder_of(to))
}

/// Exchanges the names of two files or folders in one step, which is on disk when this returns.
///
/// # Errors
/// `Unsupported` on systems and file systems that cannot do that; others of the system.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(io::ErrorKind::Unsupported.into()),
        renamed => {
            renamed?;
            sync_folder(folder_of(other))
        }
    }
}

/// The same on other systems.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Creates a folder and those above it, with names that are on disk. Those that exist are left as they are.
///
/// # Errors
/// The system's error.
pub fn create_folder(builder: &mut DirBuilder, path: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> = path.ancestors().take_while(|path| !path.exists()).map(Path::to_path_buf).collect();
    builder.recursive(true).create(path)?;
    missing.iter().filter(|path| !path.as_os_str().is_empty()).try_for_each(|path| sync_folder(folder_of(path)))
}
