//! `ocelli synth`: a model with random weights in the shape of a published model or another.

use std::fs::{File, create_dir_all};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::ProgressBar;
use ocelli::families::ModelConfig;
use ocelli::layout::Layout;
use ocelli::package::DirectorySink;
use ocelli::package::writer::PackageWriter;
use ocelli::{Error, Result};
use ocelli_synth::{FileType, GgufFile, package};
use ocelli_synth::{published, published_names};
use pollster::block_on;
use serde_json::json;

use crate::shared::io::{self, read};
use crate::shared::progress::{bar, with_weights_bar};
use crate::shared::quant::QuantArgs;

/// Make a model with random weights in the exact shape of a published model or any other, to test memory, speed and imports. Its answers
/// are noise.
#[derive(Args)]
pub(crate) struct SynthArgs {
    /// The published model; or a JSON file with a shape, which is the `config` of a `model.json`.
    #[arg(long, value_name = "NAME|FILE", long_help = shape_help())]
    shape: String,
    /// Directory of the package to write; with --gguf, the directory that gets the two files.
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
    /// Write GGUF files, text and vision half, of these types instead of a package.
    #[arg(long, value_parser = gguf_type(), value_name = "TYPE", num_args = 0..=1, default_missing_value = "q4_k_m")]
    #[arg(conflicts_with_all = ["quant", "vision_quant", "requant"])]
    gguf: Option<FileType>,
    #[command(flatten)]
    quant: QuantArgs,
    /// Layers of the decoder, to cut the depth.
    #[arg(long)]
    layers: Option<usize>,
    /// Layers of the tower, to cut the depth; 0 for a text model.
    #[arg(long)]
    vision_layers: Option<usize>,
    /// Equal seeds give equal bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The types in a GGUF file's text half, as `llama-quantize` names them.
const GGUF_TYPES: [(&str, FileType); 5] = [
    ("q4_k_m", FileType::Q4KM),
    ("q5_k_m", FileType::Q5KM),
    ("q4_0", FileType::Q4_0),
    ("q8_0", FileType::Q8_0),
    ("bf16", FileType::Bf16),
];

fn shape_help() -> String {
    let names: Vec<&str> = published_names().collect();
    let file = "or a JSON file with a shape, which is the `config` of a `model.json`";
    format!("The published model: {}; {file}", names.join(", "))
}

fn gguf_type() -> impl TypedValueParser<Value = FileType> {
    let find = |name: String| GGUF_TYPES.iter().find(|(known, _)| *known == name).map(|row| row.1);
    PossibleValuesParser::new(GGUF_TYPES.map(|row| row.0)).try_map(move |name| find(name).ok_or("no such type"))
}

pub(crate) fn run(args: &SynthArgs) -> Result<()> {
    let start = Instant::now();
    let (shape, mut config) = find_shape(&args.shape)?;
    if let Some(layers) = args.layers {
        config.text_mut().layers.truncate(layers);
    }
    if let Some(layers) = args.vision_layers {
        ocelli_synth::keep_vision_layers(&mut config, layers);
    }
    let name = format!("synth-{shape}");
    let bytes = match args.gguf {
        Some(kind) => gguf(args, &name, &config, kind)?,
        None => write_package(args, &name, config)?,
    };
    if args.json {
        return io::print(&json!({"path": args.out, "name": name, "bytes": bytes}).to_string());
    }
    let (megabytes, seconds) = (bytes as f64 / 1e6, start.elapsed().as_secs_f64());
    io::print(&format!("{}: {name}, {megabytes:.1} MB, {seconds:.1} s", args.out.display()))
}

/// The name and configuration of a published model or a file.
fn find_shape(shape: &str) -> Result<(String, ModelConfig)> {
    if let Some(config) = published(shape) {
        return Ok((shape.into(), config));
    }
    let path = Path::new(shape);
    if path.extension().is_none_or(|extension| extension != "json") {
        let names: Vec<&str> = published_names().collect();
        return Err(Error::request(
            "shape",
            format!("invalid value {shape:?}; expected a JSON file or {}", names.join(", ")),
        ));
    }
    let parsed = serde_json::from_slice(&read(path)?);
    let config: ModelConfig = parsed.map_err(|e| Error::request("shape", format!("{shape}: {e}")))?;
    config.validate(shape)?;
    let name = path.file_stem().map_or_else(|| shape.into(), |stem| stem.to_string_lossy().into_owned());
    Ok((name, config))
}

fn write_package(args: &SynthArgs, name: &str, config: ModelConfig) -> Result<u64> {
    let writer = PackageWriter::new(DirectorySink::create(&args.out)?);
    let layouts = args.quant.layouts(Layout::Q4_0);
    let made = with_weights_bar(|progress| block_on(package(name, config, layouts, args.seed, writer, progress)));
    Ok(made?.total_bytes())
}

fn gguf(args: &SynthArgs, name: &str, config: &ModelConfig, kind: FileType) -> Result<u64> {
    let text = GgufFile::text(name, config, kind)?;
    let mmproj = GgufFile::mmproj(name, config)?;
    create_dir_all(&args.out).map_err(|e| Error::io(args.out.display(), &e))?;
    let bytes = text.data_bytes() + mmproj.as_ref().map_or(0, GgufFile::data_bytes);
    let bar = bar("{bar:40} {bytes} of {total_bytes}, {eta} left");
    bar.set_length(bytes);
    write_file(text, &args.out.join(format!("{name}-{}.gguf", kind.name())), args.seed, &bar)?;
    if let Some(mmproj) = mmproj {
        write_file(mmproj, &args.out.join(format!("{name}-BF16-mmproj.gguf")), args.seed.wrapping_add(1), &bar)?;
    }
    bar.finish_and_clear();
    Ok(bytes)
}

fn write_file(gguf: GgufFile, path: &Path, seed: u64, bar: &ProgressBar) -> Result<()> {
    let name = path.display().to_string();
    let file = File::create(path).map_err(|e| Error::io(&name, &e))?;
    gguf.write(&name, seed, &mut BufWriter::new(file), |bytes| bar.inc(bytes))
}
