//! Models that a command needs, downloaded where they are missing.

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use ocelli::package::manifest::MANIFEST_FILE;
use ocelli::{Error, Result};

use super::hub::Repository;
use super::provenance::check_known;
use super::{PullArgs, Pulled, run};
use crate::shared::io;
use crate::shared::models::{self, KnownModel, PackagePath};

/// Consent to downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// On a terminal, the user is asked.
    Ask,
    Given,
}

/// The package, which is downloaded if it is a known model, or the name of a repository, that is not here. An empty path is the only model
/// that was pulled.
///
/// # Errors
/// `io` for a model that is not here and may not be downloaded, `invalid-request` if it is unclear which one is meant, or if it has the name
/// of a known model but is from another source.
pub(crate) fn here(package: &PackagePath, consent: Consent) -> Result<PackagePath> {
    if package.as_os_str().is_empty() {
        return here(&only_one()?, consent);
    }
    if let Some(id) = package.id() {
        check_known(id)?;
        return Ok(package.clone());
    }
    let Some(name) = package.to_str().filter(|_| !package.exists()) else { return Ok(package.clone()) };
    let known = models::known()?.into_iter().find(|known| known.id == name);
    if known.is_none() && Repository::of(name).is_none() {
        // Opening it tells what is wrong.
        return Ok(package.clone());
    }
    let about = known.as_ref().map(KnownModel::sizes).unwrap_or_else(|| "from huggingface.co".into());
    if consent == Consent::Ask && !agrees(&format!("{name} is not here: download it ({about})?"))? {
        let reason = format!("is not here; `ocelli pull {name}` downloads it ({about}), and so does --pull");
        return Err(Error::Io { path: name.into(), reason });
    }
    let Pulled { path, told, .. } = run(&PullArgs::of(name))?;
    // The answers of the command belong on standard output.
    io::inform(&told);
    Ok(PackagePath::from(path.into_os_string()))
}

/// Asks a question on the terminal; false where there is none.
fn agrees(question: &str) -> Result<bool> {
    let mut out = std::io::stderr();
    if !std::io::stdin().is_terminal() || !out.is_terminal() {
        return Ok(false);
    }
    let failed = |error: std::io::Error| Error::io("the terminal", &error);
    write!(out, "{question} [Y/n] ").map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(!line.is_empty() && ["", "y", "yes"].contains(&line.trim().to_lowercase().as_str()))
}

/// The only model that was pulled.
fn only_one() -> Result<PackagePath> {
    let names = models::pulled();
    match names.as_slice() {
        [name] => {
            io::inform(&format!("using {name}, the only model that was pulled"));
            Ok(PackagePath::from(OsString::from(name)))
        }
        [] => Err(Error::request("PKG", "no model is named and none was pulled; `ocelli pull` lists known ones")),
        names => Err(Error::request(
            "PKG",
            format!("no model is named and several were pulled: name one, or set OCELLI_MODEL: {}", names.join(", ")),
        )),
    }
}

/// Returns true for the name of a package: a directory that is one, a model that was pulled, a known model, or a repository.
pub(crate) fn is_package(name: &str) -> bool {
    let path = Path::new(name);
    if path.exists() {
        return path.join(MANIFEST_FILE).is_file();
    }
    let is_known = || models::known().is_ok_and(|known| known.iter().any(|known| known.id == name));
    models::is_here(path) || is_known() || Repository::of(name).is_some_and(|_| !has_picture_name(path))
}

/// `folder/picture.png` looks like a repository too.
fn has_picture_name(path: &Path) -> bool {
    use crate::shared::pictures::{is_document, is_picture};
    is_picture(path) || is_document(path) || path.to_string_lossy().contains("#page=")
}
