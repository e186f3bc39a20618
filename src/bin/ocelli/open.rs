//! What the commands that run a model share: opening a package, reading pictures, sampling options.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use ocelli::chat::Date;
use ocelli::config::KvPrecision;
use ocelli::engine::{
    Arithmetic, Completion, Engine, LoadEvent, LoadOptions, Picture, Plan, Residency, Speculation, Tune, tuning_key,
};
use ocelli::gpu::{Gpu, GpuOptions};
use ocelli::sampling::SamplingOptions;
use ocelli::weights::manifest::MANIFEST_FILE;
use ocelli::weights::package::Package;
use ocelli::weights::source::Directory;
use ocelli::{Error, Result};

use crate::report::LoadReport;
use crate::tuning;

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
    /// Print on standard error what each answer took.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// How much GPU memory is taken, and for what.
#[derive(Args, Default)]
pub(crate) struct MemoryArgs {
    /// Precision of the cache of earlier tokens: f32, f16 or int8. Less takes less memory [default: f32 for a small model, else
    /// f16].
    #[arg(long = "kv", value_name = "PRECISION")]
    kv: Option<KvPrecision>,
    /// GPU memory that everything together may take, such as 2GiB or 900MB. How the model is run follows from it.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    gpu_memory_budget: Option<u64>,
    /// Where the weights that read pictures are: resident on the GPU, dropped after each picture, or streamed layer by layer
    /// [default: resident if the budget allows it].
    #[arg(long, value_name = "WHERE")]
    vision: Option<Residency>,
    /// Whether tokens that stand earlier in the conversation are guessed and verified several at a time: auto, where that is faster,
    /// or off. Answers are the same.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) speculation: Speculation,
    /// Largest buffer to use, as if the device allowed no larger ones.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_binding: Option<u64>,
    /// When ways to compute are tried on the device: auto (on hardware), always or never. What is found is remembered.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    tune: Tune,
    /// exact: kernels come to the numbers of 32-bit floats; fast: 16-bit floats and 8-bit inputs too, where that is quicker.
    #[arg(long, value_name = "NUMBERS", default_value = "exact")]
    arithmetic: Arithmetic,
    /// Print on standard error how the model is run and what it takes.
    #[arg(long)]
    show_memory: bool,
}

/// A number of bytes: `2GiB`, `1.5GB`, `900MiB`, `4096`.
fn bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        other => return Err(format!("{other:?} is no unit of bytes")),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok((number * unit as f64) as u64),
        _ => Err(format!("{digits:?} is no number of bytes")),
    }
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
pub(crate) async fn engine(package: &Path, context: Option<usize>, memory: &MemoryArgs) -> Result<Engine> {
    let (engine, report) = load(package, context, memory).await?;
    inform(&report.to_string());
    Ok(engine)
}

/// Loads a package from a directory, telling standard error how far it is.
pub(crate) async fn load(package: &Path, context: Option<usize>, memory: &MemoryArgs) -> Result<(Engine, LoadReport)> {
    let gpu = Gpu::open_with(GpuOptions { max_binding: memory.max_binding, ..GpuOptions::default() }).await?;
    let opened = Package::open(Directory(package.to_path_buf())).await?;
    let manifest = read(&package.join(MANIFEST_FILE))?;
    let key = tuning_key(&gpu, &manifest, memory.arithmetic);
    let options = LoadOptions {
        context,
        kv_precision: memory.kv,
        vision: memory.vision,
        gpu_memory_budget: memory.gpu_memory_budget,
        tune: memory.tune,
        arithmetic: memory.arithmetic,
        tuned: tuning::recall(&key),
        speculation: memory.speculation,
        clock: milliseconds,
        today,
    };
    let tokenizer = opened.read_tokenizer().await?;
    let bar = crate::progress::bar("loading {bar:40} {bytes} of {total_bytes}");
    bar.set_length(opened.manifest.total_bytes());
    let start = Instant::now();
    let mut on_event = |event| {
        if let LoadEvent::Bytes(bytes) = event {
            bar.inc(bytes);
        }
    };
    let engine = Engine::load(&gpu, &manifest, &tokenizer, Box::new(opened), options, &mut on_event).await;
    bar.finish_and_clear();
    let engine = engine?;
    tuning::remember(key, engine.tuned());
    if memory.show_memory {
        inform(&plan_text(engine.plan()));
    }
    let report = LoadReport::new(&engine, start.elapsed().as_secs_f64());
    Ok((engine, report))
}

/// Writes how the model was run and the most it took to standard error.
pub(crate) fn show_memory(engine: &Engine, memory: &MemoryArgs) {
    if !memory.show_memory {
        return;
    }
    let (_, peak) = engine.gpu().ledger().total();
    let mut text = format!("GPU memory: {} at most\n", mebibytes(peak));
    for row in engine.memory() {
        text +=
            &format!("  {:<15} {} now, {} at most\n", row.purpose.name(), mebibytes(row.current), mebibytes(row.peak));
    }
    inform(text.trim_end());
}

fn plan_text(plan: &Plan) -> String {
    let budget = plan.budget.map_or(String::new(), |budget| format!(" of {}", mebibytes(budget)));
    let mut text = format!(
        "plan: {} at most{budget}; context {}, cache {}, tower {}, pictures up to {} pixels, {}/{}/{} rows at a time",
        mebibytes(plan.peak),
        plan.context,
        plan.kv,
        plan.vision,
        plan.longest_edge,
        plan.rows.text.prompt,
        plan.rows.text.head,
        plan.rows.vision,
    );
    for phase in &plan.phases {
        let purposes = phase.purposes.iter().filter(|row| row.bytes > 0);
        let parts: Vec<String> =
            purposes.map(|row| format!("{} {}", row.purpose.name(), mebibytes(row.bytes))).collect();
        text += &format!("\n  {:<8} {}: {}", format!("{:?}", phase.phase), mebibytes(phase.total), parts.join(", "));
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// Tells standard error what an answer took, if it is wanted.
pub(crate) fn show_answer(completion: &Completion, args: &SamplingArgs) {
    if !args.verbose {
        return;
    }
    let Completion { usage, timings, .. } = completion;
    let rate = 1e3 * usage.completion_tokens as f64 / timings.decode_ms.max(1e-3);
    inform(&format!(
        "{} tokens of prompt, {} of them from the cache, in {:.0} ms; {} tokens of answer in {:.0} ms, {rate:.2} a second; {} tokens \
         guessed, {} accepted",
        usage.prompt_tokens,
        usage.cached_tokens,
        timings.prepare_ms + timings.vision_ms + timings.prefill_ms,
        usage.completion_tokens,
        timings.decode_ms,
        usage.drafted_tokens,
        usage.accepted_tokens,
    ));
}

/// Says something on standard error that is no complaint.
pub(crate) fn inform(text: &str) {
    // With standard error closed nobody wants to know.
    let _ = writeln!(std::io::stderr(), "{text}");
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

/// The date in UTC: the standard library knows no time zones.
fn today() -> Option<Date> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs() / 86_400).ok().map(Date::from_days)
}

/// Since the first call.
pub(crate) fn milliseconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}
