//! What the commands that run a model share: opening a package, reading pictures, sampling options.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use clap::Args;
use ocelli::config::KvPrecision;
use ocelli::engine::{Engine, LoadOptions, Picture};
use ocelli::gpu::Gpu;
use ocelli::sampling::SamplingOptions;
use ocelli::weights::manifest::MANIFEST_FILE;
use ocelli::weights::package::Package;
use ocelli::weights::source::Directory;
use ocelli::{Error, Result};

use crate::report::LoadReport;

/// How tokens are chosen.
#[derive(Args)]
pub(crate) struct SamplingArgs {
    /// 0 always takes the likeliest token.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Only this many of the likeliest tokens.
    #[arg(long)]
    top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Equal seeds give equal answers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Most tokens of an answer.
    #[arg(long)]
    pub(crate) max_tokens: Option<usize>,
    /// Tokens the context holds.
    #[arg(long)]
    pub(crate) context: Option<usize>,
    #[command(flatten)]
    pub(crate) kv: KvArgs,
}

/// How the cache of keys and values holds a number.
#[derive(Args, Default)]
pub(crate) struct KvArgs {
    /// Precision of the cache of earlier tokens: f32, f16 or int8. Less takes less memory [default: f32 for a small model, else
    /// f16].
    #[arg(long = "kv", value_name = "PRECISION")]
    precision: Option<KvPrecision>,
}

impl SamplingArgs {
    pub(crate) fn options(&self) -> SamplingOptions {
        SamplingOptions {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
            ..SamplingOptions::default()
        }
    }
}

/// Loads a package from a directory, telling standard error how far it is and what it took.
pub(crate) async fn engine(package: &Path, context: Option<usize>, kv: &KvArgs) -> Result<Engine> {
    let (engine, report) = load(package, context, kv).await?;
    // What cannot be said there is not worth failing for.
    let _ = writeln!(std::io::stderr(), "{report}");
    Ok(engine)
}

/// Loads a package from a directory, telling standard error how far it is.
pub(crate) async fn load(package: &Path, context: Option<usize>, kv: &KvArgs) -> Result<(Engine, LoadReport)> {
    let gpu = Gpu::open().await?;
    let opened = Package::open(Directory(package.to_path_buf())).await?;
    let manifest = read(&package.join(MANIFEST_FILE))?;
    let options = LoadOptions { context, kv_precision: kv.precision, clock: milliseconds };
    let tokenizer = opened.read_tokenizer().await?;
    let bar = crate::progress::bar("loading {bar:40} {bytes} of {total_bytes}");
    bar.set_length(opened.manifest.total_bytes());
    let start = Instant::now();
    let engine =
        Engine::load(&gpu, &manifest, &tokenizer, Box::new(opened), options, &mut |bytes| bar.inc(bytes)).await;
    bar.finish_and_clear();
    let engine = engine?;
    let report = LoadReport::new(&engine, start.elapsed().as_secs_f64());
    Ok((engine, report))
}

/// A picture's file.
pub(crate) fn picture(path: &Path) -> Result<Picture> {
    Ok(Picture::Encoded(read(path)?))
}

/// The pictures that a request names: paths or `file:` URLs. Relative ones count from `base`, or else from where the command
/// runs.
pub(crate) fn pictures(urls: &[String], base: &Path) -> Result<Vec<Picture>> {
    urls.iter().map(|url| picture(&picture_path(url, base)?)).collect()
}

fn picture_path(url: &str, base: &Path) -> Result<PathBuf> {
    if ["http:", "https:", "data:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::request("image_url", "only files are read here, not http or data URLs"));
    }
    let path = Path::new(url.strip_prefix("file://").unwrap_or(url));
    let beside = base.join(path);
    Ok(if !beside.exists() && path.exists() { path.to_path_buf() } else { beside })
}

/// A whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path.display(), &e))
}

/// The directory of a file.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn milliseconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}
