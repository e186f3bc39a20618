//! `ocelli list` and `ocelli rm`: the models in the cache folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use ocelli::package::durable::{folder_of, sync_folder};
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::{Error, Result};
use serde::Serialize;
use serde_json::json;

use crate::shared::io as console;
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
    /// Print a line of JSON for each model.
    #[arg(long)]
    json: bool,
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
        console::print(&format!(
            "{name}  {:.1} GB, {quantization}, {license}\n    {}",
            *bytes as f64 / 1e9,
            path.display()
        ))?;
    }
    for model in pulled.iter().filter(|_| args.json) {
        console::print(&console::json(model)?)?;
    }
    if pulled.is_empty() {
        console::inform("no models yet: `ocelli pull` lists known ones");
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
        // It says nothing about a package that is not there.
        models::record(name).into_iter().for_each(|record| drop(fs::remove_file(record)));
        for folder in &existing {
            // Without its manifest it is no model, even if the rest remains.
            let forget = match fs::remove_file(folder.join(MANIFEST_FILE)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.and_then(|()| sync_folder(folder)),
            };
            let removed =
                forget.and_then(|()| fs::remove_dir_all(folder)).and_then(|()| sync_folder(folder_of(folder)));
            removed.map_err(|error| Error::io(folder.display(), &error))?;
        }
        let told = format!("{name} is removed");
        console::print(&if args.json { json!({"name": name, "removed": existing}).to_string() } else { told })?;
    }
    Ok(())
}
