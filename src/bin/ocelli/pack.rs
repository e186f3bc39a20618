//! `ocelli pack`: a checkpoint to a package.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ocelli::Result;
use ocelli::weights::DirectorySink;
use ocelli::weights::hf::{ImportOptions, import};
use ocelli::weights::layout::Layout;
use ocelli::weights::source::Directory;
use ocelli::weights::writer::PackageWriter;

/// Turn a Hugging Face checkpoint into a package that ocelli can load.
#[derive(Args)]
pub(crate) struct PackArgs {
    /// Directory with config.json, tokenizer.json and safetensors weights.
    checkpoint: PathBuf,
    /// Directory to write; an older package there is replaced.
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
    /// How the matrices are stored.
    #[arg(long, value_enum, default_value_t = Quant::Q4_0)]
    quant: Quant,
    /// The model's name [default: the checkpoint directory's].
    #[arg(long)]
    name: Option<String>,
    /// Licence of the weights, kept in the package.
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
    let options = ImportOptions {
        name: args.name.clone().unwrap_or_else(|| directory_name(&args.checkpoint)),
        license: args.license.clone(),
        source: args.source.clone(),
        layout: args.quant.layout(),
    };
    let writer = PackageWriter::new(DirectorySink::create(&args.out)?);
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}% of {human_len} weights, {eta} left") {
        bar.set_style(style);
    }
    let progress = |progress: ocelli::weights::hf::Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    };
    let imported = pollster::block_on(import(&Directory(args.checkpoint.clone()), writer, options, progress));
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

fn directory_name(path: &Path) -> String {
    let resolved = path.canonicalize();
    let name = resolved.as_deref().unwrap_or(path).file_name();
    name.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}
