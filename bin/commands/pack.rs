//! `ocelli pack`: a checkpoint to a package.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use ocelli::import::gguf::{self, GgufImport};
use ocelli::import::layouts::Layouts;
use ocelli::import::{ImportOptions, Progress, hf};
use ocelli::layout::Layout;
use ocelli::package::DirectorySink;
use ocelli::package::manifest::Manifest;
use ocelli::package::source::Directory;
use ocelli::package::writer::PackageWriter;
use ocelli::{Error, Result};
use serde_json::json;

use crate::shared::io;
use crate::shared::progress;
use crate::shared::quant::QuantArgs;

/// Turn a Hugging Face checkpoint or a GGUF file into a package that ocelli can load.
#[derive(Args)]
pub(crate) struct PackArgs {
    /// Directory with config.json, tokenizer.json and safetensors weights; or a text model ending in .gguf, for a split model
    /// the first part.
    checkpoint: PathBuf,
    /// The GGUF file with the vision half; without it a GGUF model has no vision tower.
    #[arg(long, value_name = "GGUF")]
    mmproj: Option<PathBuf>,
    /// Directory to write; an older package there is replaced.
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
    #[command(flatten)]
    quant: QuantArgs,
    /// The model's name [default: the checkpoint directory's, or that in the GGUF file].
    #[arg(long)]
    name: Option<String>,
    /// Licence of the weights, kept in the package [default: that in the GGUF file].
    #[arg(long)]
    license: Option<String>,
    /// Source of the weights, kept in the package.
    #[arg(long)]
    source: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl PackArgs {
    fn options(&self, default: impl Into<Layouts>) -> ImportOptions {
        let (name, license, source) = (self.name.clone(), self.license.clone(), self.source.clone());
        ImportOptions { name, license, source, layouts: self.quant.layouts(default) }
    }
}

pub(crate) fn run(args: &PackArgs) -> Result<()> {
    let start = Instant::now();
    let is_gguf = args.checkpoint.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if args.mmproj.is_some() && !is_gguf {
        return Err(Error::request("--mmproj", "goes with a text model that ends in .gguf"));
    }
    let import = if is_gguf { from_gguf } else { from_directory };
    let manifest = progress::with_weights_bar(|progress| import(args, progress))?;
    if manifest.chat.template_is_assumed {
        io::inform(&format!("chat: {}", super::inspect::describe_chat(&manifest.chat)));
    }
    let len = |shape: &[usize]| shape.iter().map(|&size| size as u64).product::<u64>();
    let weights: u64 = manifest.tensors.iter().map(|tensor| len(&tensor.shape)).sum();
    if args.json {
        let Manifest { name, quantization, tensors, shards, .. } = &manifest;
        let report = json!({"path": args.out, "name": name, "quantization": quantization, "weights": weights, "tensors": tensors.len(),
            "bytes": manifest.total_bytes(), "shards": shards.len()});
        return io::print(&report.to_string());
    }
    io::print(&format!(
        "{}: {weights} weights in {} tensors, {} as {}, {:.1} MB in {} shards, {:.1} s",
        args.out.display(),
        manifest.tensors.len(),
        manifest.name,
        manifest.quantization,
        manifest.total_bytes() as f64 / 1e6,
        manifest.shards.len(),
        start.elapsed().as_secs_f64(),
    ))
}

fn from_directory(args: &PackArgs, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Manifest> {
    let mut options = args.options(Layout::Q4_0);
    options.name.get_or_insert_with(|| directory_name(&args.checkpoint));
    let writer = PackageWriter::new(DirectorySink::create(&args.out)?);
    pollster::block_on(hf::import(&Directory(args.checkpoint.clone()), writer, options, progress))
}

fn from_gguf(args: &PackArgs, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Manifest> {
    let options = args.options(Layouts::default());
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let import = GgufImport { text: path(&args.checkpoint), mmproj: args.mmproj.as_ref().map(path) };
    let writer = PackageWriter::new(DirectorySink::create(&args.out)?);
    // Paths are used as names, so the halves may be in different folders.
    pollster::block_on(gguf::import(&Directory(PathBuf::new()), &import, writer, options, progress))
}

fn directory_name(path: &Path) -> String {
    let resolved = path.canonicalize();
    let name = resolved.as_deref().unwrap_or(path).file_name();
    name.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}
