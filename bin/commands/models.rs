//! `ocelli list` and `ocelli rm`: the models in the cache folder.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::{Error, Result};
use serde::Serialize;

use crate::shared::io;
use crate::shared::models;

/// List the models that were pulled.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Print a line of JSON for each model.
    #[arg(long)]
    json: bool,
}

/// Remove models that were pulled, with partial downloads of them.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// Names, as `ocelli list` prints them.
    #[arg(required = true)]
    names: Vec<String>,
}

/// A model in the cache folder.
#[derive(Serialize)]
struct Pulled {
    name: String,
    bytes: u64,
    quantization: String,
    license: Option<String>,
    path: PathBuf,
}

pub(crate) fn list(args: &ListArgs) -> Result<()> {
    let pulled = pulled();
    for Pulled { name, bytes, quantization, license, path } in pulled.iter().filter(|_| !args.json) {
        let license = license.as_deref().unwrap_or("licence unknown");
        io::print(&format!(
            "{name}  {:.1} GB, {quantization}, {license}\n    {}",
            *bytes as f64 / 1e9,
            path.display()
        ))?;
    }
    for model in pulled.iter().filter(|_| args.json) {
        io::print(&io::json(model)?)?;
    }
    if pulled.is_empty() {
        io::inform("no models yet: `ocelli pull` lists known ones");
    }
    Ok(())
}

/// The models in the cache folder by name. Others than complete packages are skipped.
fn pulled() -> Vec<Pulled> {
    let read = |name: String| {
        let path = models::folder(Path::new(&name))?;
        let manifest = Manifest::parse(&fs::read(path.join(MANIFEST_FILE)).ok()?).ok()?;
        let (bytes, quantization) = (manifest.total_bytes(), manifest.quantization.to_string());
        Some(Pulled { name, bytes, quantization, license: manifest.license, path })
    };
    models::pulled().into_iter().filter_map(read).collect()
}

pub(crate) fn remove(args: &RemoveArgs) -> Result<()> {
    for name in &args.names {
        let is_plain = !name.starts_with('.');
        let folder = models::folder(Path::new(name)).filter(|_| is_plain);
        let missing = || Error::NoSuchObject { kind: "model", id: name.clone() };
        let folder = folder.ok_or_else(missing)?;
        let download = folder.with_file_name(format!(".{name}.download"));
        let existing = [folder, download].into_iter().filter(|folder| folder.is_dir());
        let existing: Vec<PathBuf> = existing.collect();
        if existing.is_empty() {
            return Err(missing());
        }
        for folder in existing {
            fs::remove_dir_all(&folder).map_err(|error| Error::io(folder.display(), &error))?;
        }
        io::print(&format!("{name} is removed"))?;
    }
    Ok(())
}
