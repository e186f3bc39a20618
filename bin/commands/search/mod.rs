//! `ocelli search`: pictures of a folder by words.

mod index;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::api::embeddings::prompt;
use ocelli::chat::{ContentPart, EmbeddingSettings, embedding_of};
use ocelli::engine::{Detail, Engine, Picture, RequestControl};
use ocelli::package::manifest::MANIFEST_FILE;
use ocelli::{Error, Result};

use crate::shared::api;
use crate::shared::args::MemoryArgs;
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::pictures::is_picture;
use crate::shared::progress::bar;
use index::{Entry, Header, Index, Stamp, sha256};

/// Instruction of the searched words, as in the examples of Qwen3-VL-Embedding.
const OF_WORDS: &str = "Retrieve images or text relevant to the user's query.";

/// Find the pictures of a folder that fit some words. Their embeddings are computed once and kept in a file beside the folder.
#[derive(Args)]
pub(crate) struct SearchArgs {
    /// Folder of pictures, with its subfolders.
    folder: PathBuf,
    /// Description of the wanted pictures; absent to bring only the index up to date.
    words: Option<String>,
    /// The package of an embedding model: a directory, or the name of a model that was pulled.
    #[arg(long, value_name = "PACKAGE", default_value = "qwen3-vl-embedding-2b")]
    pub(crate) model: PackagePath,
    /// Pictures to print.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// File of the index [default: FOLDER.ocelli-index].
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Size of pictures for the model: low (at most 512 pixels long), high (as large as the model supports) or auto.
    #[arg(long, value_name = "SIZE", default_value = "low")]
    detail: Detail,
    /// Print a line of JSON for each picture found.
    #[arg(long)]
    json: bool,
    /// Use a model that was not trained for embeddings.
    #[arg(long)]
    embeddings: bool,
    #[command(flatten)]
    memory: MemoryArgs,
}

#[derive(serde::Serialize)]
struct Found<'a> {
    path: PathBuf,
    score: f32,
    words: &'a str,
}

pub(crate) fn run(args: &SearchArgs) -> Result<()> {
    let paths = pictures(&args.folder)?;
    let mut engine = pollster::block_on(open::engine(&args.model, None, &args.memory))?;
    let Some(embedder) = api::embedder(&engine, args.embeddings) else {
        let reason = "this model was not trained for embeddings: --embeddings uses it anyway";
        return Err(Error::UnsupportedOption { field: "model".into(), reason: reason.into() });
    };
    let manifest = io::read(&args.model.join(MANIFEST_FILE))?;
    let header = Header::new(&manifest, embedder.width, format!("detail {}", args.detail));
    let mut index = Index::open(&index_path(args)?, header)?;
    update(&mut index, &paths, (args, &mut engine, &embedder.settings))?;
    let Some(words) = &args.words else { return Ok(()) };
    let wanted = embed(&mut engine, OF_WORDS, vec![ContentPart::Text(words.clone())], &[])?; // [width]
    for (score, path) in index.nearest(&wanted, args.top) {
        let path = args.folder.join(path);
        let line = match args.json {
            true => io::json(&Found { path, score, words })?,
            false => format!("{score:.3} {}", io::harmless(&path.display().to_string())),
        };
        io::print(&line)?;
    }
    Ok(())
}

/// The file of the index: beside the folder, so that nothing is written among the pictures.
fn index_path(args: &SearchArgs) -> Result<PathBuf> {
    if let Some(path) = &args.index {
        return Ok(path.clone());
    }
    let folder = args.folder.canonicalize().map_err(|error| Error::io(args.folder.display(), &error))?;
    match folder.file_name() {
        Some(_) => Ok(folder.with_added_extension("ocelli-index")),
        None => Err(Error::request("index", "this folder has no place beside it: name a file with --index")),
    }
}

/// The pictures below a folder, as paths with slashes. Hidden files and links to folders are left out.
fn pictures(folder: &Path) -> Result<BTreeSet<String>> {
    let (mut found, mut open) = (BTreeSet::new(), vec![(folder.to_path_buf(), String::new())]);
    while let Some((folder, prefix)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| Error::io(folder.display(), &error))? {
            let entry = entry.map_err(|error| Error::io(folder.display(), &error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), format!("{prefix}{name}/")));
            } else if is_picture(Path::new(name)) && entry.path().is_file() {
                found.insert(format!("{prefix}{name}"));
            }
        }
    }
    Ok(found)
}

/// Computes new and changed pictures, and forgets removed ones. Pictures that cannot be read are reported.
fn update(
    index: &mut Index,
    paths: &BTreeSet<String>,
    (args, engine, settings): (&SearchArgs, &mut Engine, &EmbeddingSettings),
) -> Result<()> {
    index.keep(|path| paths.contains(path))?;
    let stamped = paths.iter().map(|path| (path, Stamp::of(&args.folder.join(path))));
    let changed = |(path, stamp): &(&String, Result<Stamp>)| {
        let held = index.get(path).map(|entry| entry.stamp);
        stamp.as_ref().ok().is_none_or(|stamp| held != Some(*stamp))
    };
    let waiting: Vec<(&String, Result<Stamp>)> = stamped.filter(changed).collect();
    let (bar, mut computed) = (bar("reading pictures {bar:40} {pos} of {len}, {eta} left"), 0);
    bar.set_length(waiting.len() as u64);
    for (path, stamp) in waiting {
        let entry = stamp.and_then(|stamp| entry_of(index, (path.as_str(), stamp), (args, &mut *engine, settings)));
        match entry {
            Ok((entry, is_computed)) => {
                index.add(entry)?;
                computed += usize::from(is_computed);
            }
            // One picture's own fault.
            Err(error @ (Error::Io { .. } | Error::InvalidImage { .. } | Error::ImageTooLarge { .. })) => {
                io::warn(&format!("{}: error[{}]: {error}", io::harmless(path), error.code()));
            }
            Err(error) => return Err(error),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    io::inform(&format!("{} pictures, {computed} of them computed", paths.len()));
    index.keep(|_| true)
}

/// The entry of a picture, and true if it was computed: one with the same content as another has the same embedding.
fn entry_of(
    index: &Index,
    (path, stamp): (&str, Stamp),
    (args, engine, settings): (&SearchArgs, &mut Engine, &EmbeddingSettings),
) -> Result<(Entry, bool)> {
    let bytes = io::read(&args.folder.join(path))?;
    let hash = sha256(&bytes);
    if let Some(same) = index.with_content(&hash) {
        return Ok((same.copied(path.into(), stamp), false));
    }
    let picture = Picture::encoded(bytes).at(args.detail);
    let embedding = embed(engine, &settings.instruction, vec![ContentPart::Image(0)], &[picture])?; // [width]
    Ok((Entry::new(path.into(), stamp, hash, &embedding), true))
}

/// The embedding of a text or picture. `// [width]`
fn embed(engine: &mut Engine, instruction: &str, content: Vec<ContentPart>, pictures: &[Picture]) -> Result<Vec<f32>> {
    let (prompt, control) = (prompt(instruction, content), RequestControl::new());
    let hidden = pollster::block_on(engine.hidden_state(&prompt, pictures, &control))?; // [width]
    Ok(embedding_of(&hidden, hidden.len()))
}
