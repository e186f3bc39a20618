//! `ocelli pull`: downloads a known model, or one at an address, and makes it a package in the cache folder.

mod address;
mod download;
mod extent;
mod here;
mod hub;
mod provenance;
#[cfg(test)]
mod tests;
mod unfinished;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use ocelli::import::gguf::{self, GgufImport};
use ocelli::import::layouts::Layouts;
use ocelli::import::{ImportOptions, hf};
use ocelli::layout::Layout;
use ocelli::package::DirectorySink;
use ocelli::package::Package;
use ocelli::package::durable::{create_folder, folder_of};
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::package::source::{Directory, FileSet, FileSource};
use ocelli::package::writer::{PackageSink, PackageWriter};
use ocelli::{Error, Result};
use serde_json::json;

use crate::shared::io::{self, inform};
use crate::shared::models::{self, KnownModel, KnownSource, Pin};
use crate::shared::progress::with_weights_bar;
use crate::shared::quant::QuantArgs;
use address::{Token, folder_and_name, name, source};
use download::Downloader;
pub(crate) use here::{Consent, here, is_package};
use hub::Repository;
use provenance::{Relation, check_name, record, relation};
use unfinished::{lock, reserve};

/// Download a model and make it a package in the cache folder, where every command finds it by name. Without a model: list the known
/// models.
#[derive(Args)]
pub(crate) struct PullArgs {
    /// A known model's id; a repository on huggingface.co as OWNER/REPO or, with one of its GGUF files, OWNER/REPO:QUANT; or the address of
    /// a GGUF file, of a folder with safetensors weights, of a package, or of a model's page on huggingface.co. `HF_ENDPOINT` is the address
    /// of a mirror.
    model: Option<String>,
    /// Address of the GGUF file with the vision half.
    #[arg(long, value_name = "ADDRESS")]
    mmproj: Option<String>,
    /// The name for other commands [default: the id, or the end of the address].
    #[arg(long, conflicts_with = "out")]
    name: Option<String>,
    /// Directory of the package instead of one in the cache folder.
    #[arg(long, value_name = "PKG")]
    out: Option<PathBuf>,
    #[command(flatten)]
    quant: QuantArgs,
    /// Access token for gated models, sent to the host of the model's address only, over https. Without it, the token in `HF_TOKEN`, else that of `hf auth login`, is used
    /// for `https://huggingface.co`, or `HF_ENDPOINT`, only.
    #[arg(long)]
    token: Option<String>,
    /// Download the model again, even if it is here; it replaces a model of the same name from another source.
    #[arg(long)]
    force: bool,
    /// Print JSON: where the model is, or a line for each known model.
    #[arg(long)]
    json: bool,
}

impl PullArgs {
    /// Options for a model under its usual name.
    fn of(model: &str) -> Self {
        let model = Some(model.to_owned());
        Self {
            model,
            mmproj: None,
            name: None,
            out: None,
            quant: QuantArgs::default(),
            token: None,
            force: false,
            json: false,
        }
    }
}

/// A model in its folder.
struct Pulled {
    id: String,
    path: PathBuf,
    /// The outcome, for people.
    told: String,
}

/// Pulls a model, or lists the known ones.
pub(crate) fn pull(args: &PullArgs) -> Result<()> {
    if args.model.is_none() {
        return list(args.json);
    }
    let Pulled { id, path, told } = run(args)?;
    io::print(&if args.json { json!({"name": id, "path": path}).to_string() } else { told })
}

/// Pulls a model.
fn run(args: &PullArgs) -> Result<Pulled> {
    let model = args.model.as_deref().unwrap_or_default();
    let all = models::known()?;
    let known = all.iter().find(|known| known.id == model);
    let source = match (known, Repository::of(model)) {
        (Some(known), _) => hub::mirrored(known.source()),
        (None, Some(repository)) => {
            let tokens = tokens(args.token.clone(), &hub::endpoint())?;
            repository.source(&Downloader::new(tokens), args.mmproj.as_deref())?
        }
        (None, None) => hub::mirrored(source(model, args.mmproj.as_deref())?),
    };
    let id = args.name.clone().or(known.map(|known| known.id.clone())).unwrap_or_else(|| name(&source));
    let target = target(args, &id)?;
    // The files of a known model are pinned under whatever address or name it is asked for.
    let is_same = |known: &&KnownModel| known.source().addresses() == hub::unmirrored(source.clone()).addresses();
    let known = known.or_else(|| all.iter().find(is_same));
    let cached = cached(&target);
    if let Some(cached) = &cached {
        check_name(cached, known)?;
    }
    if args.out.is_none() && !args.force && models::is_here(Path::new(&id)) && is_same_model(&id, &source, known)? {
        match pollster::block_on(check(&target)) {
            Ok(()) => {
                let told = format!("{id} is here: {}", target.display());
                return Ok(Pulled { id, path: target, told });
            }
            Err(error) => inform(&format!("{id} is damaged and is downloaded again: {error}")),
        }
    }
    let tokens = tokens(args.token.clone(), source.address())?;
    let folder = target.with_file_name(format!(".{id}.download"));
    create(&folder)?;
    let _lock = lock(&folder)?;
    reserve(&folder, &source)?;
    if let Some(known) = known {
        check_space(known, &folder)?;
    }
    let manifest = fetch(args, (known, &source, tokens), (&folder, &target))?;
    if let Some(cached) = &cached {
        record(cached, &source)?;
    }
    fs::remove_dir_all(&folder).map_err(|error| Error::io(folder.display(), &error))?;
    let (bytes, name) = (manifest.total_bytes() as f64 / 1e6, &manifest.name);
    let told = format!("{id}: {name} as {}, {bytes:.1} MB, {}", manifest.quantization, target.display());
    Ok(Pulled { id, path: target, told })
}

/// The folder of the package.
///
/// # Errors
/// [`Error::InvalidRequest`] for a name that is no folder's.
fn target(args: &PullArgs, id: &str) -> Result<PathBuf> {
    let reason = || format!("{id:?} is no name of a folder, or there is no cache folder: use --out");
    let named = || models::folder(Path::new(id)).filter(|_| !id.starts_with('.'));
    args.out.clone().or_else(named).ok_or_else(|| Error::request("--name", reason()))
}

/// Name of a package in the cache folder, also if its folder is named in full; `None` for others.
fn cached(target: &Path) -> Option<String> {
    let name = target.file_name()?.to_string_lossy().into_owned();
    let place = |folder: &Path| fs::canonicalize(folder_of(folder)).ok();
    let own = models::folder(Path::new(&name))?;
    (own == target || place(&own).is_some_and(|own| place(target) == Some(own))).then_some(name)
}

/// Returns true if the model of this name in the cache folder is the wanted one, false if it must be downloaded again.
///
/// # Errors
/// [`Error::InvalidRequest`] if it is from another source.
fn is_same_model(id: &str, source: &KnownSource, known: Option<&KnownModel>) -> Result<bool> {
    match relation(id, source) {
        Some(Relation::Same) => Ok(true),
        None => Ok(false),
        Some(Relation::OtherRevision) if known.is_some_and(|known| known.id == id) => {
            inform(&format!("{id} is of another revision and is downloaded again"));
            Ok(false)
        }
        Some(_) => {
            let reason = format!(
                "{id:?} is the name of a model from another source or revision: choose another name with --name, or replace it with --force"
            );
            Err(Error::request("--name", reason))
        }
    }
}

/// Checks that the rest of the download and the package fit the disk.
///
/// # Errors
/// `io` with the numbers.
fn check_space(known: &KnownModel, folder: &Path) -> Result<()> {
    let parts = fs::read_dir(folder).into_iter().flatten().flatten();
    let have: u64 = parts.filter_map(|part| part.metadata().ok()).map(|about| about.len()).sum();
    let needed = known.download_bytes.saturating_sub(have) + known.package_bytes;
    // If the system does not tell, the download shows whether there is room.
    let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
    if free >= needed {
        return Ok(());
    }
    let [needed, free] = [needed, free].map(|bytes| bytes as f64 / 1e9);
    let reason = format!("{needed:.1} GB are needed for the download and the package, {free:.1} GB are free");
    Err(Error::Io { path: folder.display().to_string(), reason })
}

/// Checks all files of a package.
async fn check(folder: &Path) -> Result<()> {
    Package::open(Directory(folder.to_path_buf())).await?.verify().await
}

/// The tokens, each with the origin that may receive it. `address` is that of the model.
fn tokens(token: Option<String>, address: &str) -> Result<Vec<Token>> {
    let refusal = || Error::request("--token", "is sent over https only");
    let own = token.map(|token| Token::new(token, address).ok_or_else(refusal)).transpose()?;
    let of_hub = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()).or_else(hub::stored_token);
    Ok(own.into_iter().chain(of_hub.and_then(|token| Token::new(token, &hub::endpoint()))).collect())
}

/// Prints the known models with sizes and licences.
fn list(is_json: bool) -> Result<()> {
    for known in models::known()? {
        if is_json {
            let KnownModel { id, about, license, download_bytes, package_bytes, .. } = &known;
            let is_here = models::is_here(Path::new(id));
            let line = json!({"id": id, "about": about, "license": license, "download_bytes": download_bytes,
                "package_bytes": package_bytes, "is_here": is_here});
            io::print(&line.to_string())?;
            continue;
        }
        let here = if models::is_here(Path::new(&known.id)) { ", here" } else { "" };
        let KnownModel { id, about, license, .. } = &known;
        io::print(&format!("{id}  {}, {license}{here}\n    {about}", known.sizes()))?;
    }
    Ok(())
}

fn create(folder: &Path) -> Result<()> {
    create_folder(&mut fs::DirBuilder::new(), folder).map_err(|error| Error::io(folder.display(), &error))
}

/// Files at addresses, downloaded when opened.
struct Remote {
    downloader: Downloader,
    folder: PathBuf,
    /// Base address of files without an address of their own.
    base: String,
    addresses: HashMap<String, String>,
    /// Contents of the files of a pinned model, which has no others; empty for other models.
    pins: BTreeMap<String, Pin>,
}

impl FileSet for Remote {
    type Source = FileSource;

    async fn open(&self, name: &str) -> Result<Option<FileSource>> {
        let mut parts = Path::new(name).components();
        if !parts.all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::checkpoint(name, "", "is no file's name"));
        }
        let pin = self.pins.get(name);
        if pin.is_none() && !self.pins.is_empty() {
            return Ok(None);
        }
        let path = self.folder.join(name);
        path.parent().map_or(Ok(()), create)?;
        let url = self.addresses.get(name).cloned().unwrap_or_else(|| format!("{}{name}", self.base));
        if self.downloader.fetch(&url, &path, pin)? { FileSource::open(&path).map(Some) } else { Ok(None) }
    }
}

/// Downloads into the first folder and writes the package into the second.
fn fetch(
    args: &PullArgs,
    (known, source, tokens): (Option<&KnownModel>, &KnownSource, Vec<Token>),
    (folder, target): (&Path, &Path),
) -> Result<Manifest> {
    let options = |default: Layouts, url: &str| ImportOptions {
        license: known.map(|known| known.license.clone()),
        source: Some(url.to_owned()),
        layouts: args.quant.layouts(default),
        ..ImportOptions::default()
    };
    let pins = known.map(|known| known.files.clone()).unwrap_or_default();
    let remote = |base: &str, addresses| {
        let (downloader, folder) = (Downloader::new(tokens), folder.to_path_buf());
        Remote { downloader, folder, base: base.into(), addresses, pins }
    };
    match source {
        KnownSource::Gguf { gguf, mmproj } => {
            let (base, text) = folder_and_name(gguf);
            let vision = mmproj.as_deref().map(|url| (folder_and_name(url).1.to_owned(), url.to_owned()));
            let import = GgufImport { text: text.into(), mmproj: vision.as_ref().map(|(name, _)| name.clone()) };
            let addresses = vision.into_iter().chain([(text.to_owned(), gguf.clone())]).collect();
            let files = remote(base, addresses);
            let writer = PackageWriter::new(DirectorySink::create(target)?);
            with_weights_bar(|progress| {
                let options = options(Layouts::default(), gguf);
                pollster::block_on(gguf::import(&files, &import, writer, options, progress))
            })
        }
        KnownSource::Safetensors { safetensors } => {
            let files = remote(safetensors, HashMap::new());
            if pollster::block_on(files.open(MANIFEST_FILE))?.is_some() {
                return pollster::block_on(copy(files, target));
            }
            let name = name(source);
            let writer = PackageWriter::new(DirectorySink::create(target)?);
            with_weights_bar(|progress| {
                let options = ImportOptions { name: Some(name), ..options(Layout::Q4_0.into(), safetensors) };
                pollster::block_on(hf::import(&files, writer, options, progress))
            })
        }
    }
}

/// Copies a package and checks every file.
async fn copy(files: Remote, target: &Path) -> Result<Manifest> {
    let folder = files.folder.clone();
    let read = |name: &str| fs::read(folder.join(name)).map_err(|error| Error::io(name, &error));
    // A damaged file is downloaded again next time.
    let forget = |name: &str, error: Error| {
        drop(fs::remove_file(folder.join(name)));
        error
    };
    let package = Package::open(files).await.map_err(|error| forget(MANIFEST_FILE, error))?;
    let mut sink = DirectorySink::create(target)?;
    let Manifest { shards, tokenizer, .. } = &package.manifest;
    for (index, shard) in shards.iter().enumerate() {
        let bytes = package.read_shard(index).await.map_err(|error| forget(&shard.file, error))?;
        sink.put(&shard.file, bytes).await?;
    }
    let bytes = package.read_tokenizer().await.map_err(|error| forget(&tokenizer.file, error))?;
    sink.put(&tokenizer.file, bytes).await?;
    sink.put(MANIFEST_FILE, read(MANIFEST_FILE)?).await?;
    sink.publish().await?;
    inform("all files match the package's manifest");
    Ok(package.manifest)
}
