//! `ocelli pack`: a checkpoint to a package.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ocelli::weights::DirectorySink;
use ocelli::weights::gguf::{self, GgufImport, GgufOptions};
use ocelli::weights::hf::{self, ImportOptions, Progress};
use ocelli::weights::layout::Layout;
use ocelli::weights::manifest::Manifest;
use ocelli::weights::source::Directory;
use ocelli::weights::writer::PackageWriter;
use ocelli::{Error, Result};

/// Turn a Hugging Face checkpoint or a GGUF file into a package that ocelli can load.
#[derive(Args)]
pub(crate) struct PackArgs {
    /// Directory with config.json, tokenizer.json and safetensors weights; or a text model ending in .gguf, of a split one the
    /// first part.
    checkpoint: PathBuf,
    /// The GGUF file with the vision half; without it a GGUF model does not see.
    #[arg(long, value_name = "GGUF")]
    mmproj: Option<PathBuf>,
    /// Directory to write; an older package there is replaced.
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
    /// How the matrices are stored, by default in 4 bits. Of a GGUF file, how those are stored that it holds in floats, by default
    /// as they are (BF16 as f16); what it holds quantised is never changed.
    #[arg(long, value_enum)]
    quant: Option<Quant>,
    /// The model's name [default: the checkpoint directory's, or what the GGUF file says].
    #[arg(long)]
    name: Option<String>,
    /// Licence of the weights, kept in the package [default: what the GGUF file says].
    #[arg(long)]
    license: Option<String>,
    /// Where the weights come from, kept in the package.
    #[arg(long)]
    source: Option<String>,
}

/// A layout on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum Quant {
    /// 4.5 bits a weight.
    #[value(name = "q4_0")]
    Q4_0,
    /// 8.5 bits a weight.
    #[value(name = "q8_0")]
    Q8_0,
    /// 16-bit floats.
    F16,
    /// 32-bit floats.
    F32,
}

impl Quant {
    fn layout(self) -> Layout {
        match self {
            Self::Q4_0 => Layout::Q4_0,
            Self::Q8_0 => Layout::Q8_0,
            Self::F16 => Layout::F16,
            Self::F32 => Layout::F32,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever the importer finds wrong.
pub(crate) fn run(args: &PackArgs) -> Result<()> {
    let start = Instant::now();
    let is_gguf = args.checkpoint.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if args.mmproj.is_some() && !is_gguf {
        return Err(Error::request("--mmproj", "goes with a text model that ends in .gguf"));
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}% of {human_len} weights, {eta} left") {
        bar.set_style(style);
    }
    let progress = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    };
    let imported = if is_gguf { from_gguf(args, progress) } else { from_directory(args, progress) };
    bar.finish_and_clear();
    let manifest = imported?;
    let len = |shape: &[usize]| shape.iter().map(|&size| size as u64).product::<u64>();
    let weights: u64 = manifest.tensors.iter().map(|tensor| len(&tensor.shape)).sum();
    crate::print(&format!(
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

fn from_directory(args: &PackArgs, progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<Manifest> {
    let options = ImportOptions {
        name: args.name.clone().unwrap_or_else(|| directory_name(&args.checkpoint)),
        license: args.license.clone(),
        source: args.source.clone(),
        layout: args.quant.unwrap_or(Quant::Q4_0).layout(),
    };
    let writer = PackageWriter::new(DirectorySink::create(&args.out)?);
    pollster::block_on(hf::import(&Directory(args.checkpoint.clone()), writer, options, progress))
}

fn from_gguf(args: &PackArgs, progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<Manifest> {
    let options = GgufOptions {
        name: args.name.clone(),
        license: args.license.clone(),
        source: args.source.clone(),
        layout: args.quant.map(Quant::layout),
    };
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let import = GgufImport { text: path(&args.checkpoint), mmproj: args.mmproj.as_ref().map(path) };
    let writer = PackageWriter::new(DirectorySink::create(&args.out)?);
    // Paths take the place of names, so both halves may lie anywhere.
    pollster::block_on(gguf::import(&Directory(PathBuf::new()), &import, writer, options, progress))
}

fn directory_name(path: &Path) -> String {
    let resolved = path.canonicalize();
    let name = resolved.as_deref().unwrap_or(path).file_name();
    name.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}
