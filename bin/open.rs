//! What the commands that run a model share: opening a package, what that took, asking, reading pictures, options.

use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ocelli::chat::{ContentPart, Date, Message, Role};
use ocelli::config::KvPrecision;
use ocelli::engine::{
    Arithmetic, Completion, Detail, Engine, Event, LoadEvent, LoadOptions, Picture, PictureLimits, Plan, Prompt,
    Request, RequestControl, Residency, Speculation, Tune, tuning_key,
};
use ocelli::gpu::ledger::LedgerRow;
use ocelli::gpu::{Gpu, GpuOptions};
use ocelli::grammar::Format;
use ocelli::import::Progress;
use ocelli::package::Package;
use ocelli::package::manifest::MANIFEST_FILE;
use ocelli::package::source::Directory;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};
use serde::Serialize;

use crate::tuning;

/// How tokens are chosen.
#[derive(Args)]
pub(crate) struct SamplingArgs {
    /// 0 always takes the likeliest token.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) temperature: f32,
    /// Only this many of the likeliest tokens.
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// Equal seeds give equal answers.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Most tokens of an answer.
    #[arg(long)]
    pub(crate) max_tokens: Option<usize>,
    /// How large pictures are shown: low (512 pixels long at most), high (as large as the model takes them) or auto (as large as the
    /// device computes them in time).
    #[arg(long, value_name = "SIZE", default_value = "auto")]
    pub(crate) detail: Detail,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// Tokens the context holds.
    #[arg(long)]
    pub(crate) context: Option<usize>,
    /// Print on standard error what each answer took.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// What answers must be. The model is told, and held to it.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct FormatArgs {
    /// JSON that fits the schema in this file.
    #[arg(long, value_name = "FILE")]
    json_schema: Option<PathBuf>,
    /// What this regular expression matches from beginning to end.
    #[arg(long, value_name = "REGEX")]
    regex: Option<String>,
    /// What the Lark grammar in this file derives.
    #[arg(long, value_name = "FILE")]
    lark: Option<PathBuf>,
}

impl FormatArgs {
    pub(crate) fn format(&self) -> Result<Option<Format>> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| Error::io(path.display(), &error));
        Ok(match (&self.json_schema, &self.regex, &self.lark) {
            (Some(path), _, _) => Some(Format::JsonSchema(read(path)?)),
            (_, Some(regex), _) => Some(Format::Regex(regex.clone())),
            (_, _, Some(path)) => Some(Format::Lark(read(path)?)),
            _ => None,
        })
    }
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
    /// Pixels of a picture that the model is shown at most.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: Option<u64>,
    /// Seconds that pictures of automatic size may take until the first token [default: 10, or no limit with --max-pixels].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_picture_seconds: Option<f64>,
    /// Print on standard error how the model is run and what it takes.
    #[arg(long)]
    show_memory: bool,
}

/// A number of bytes: `2GiB`, `1.5GB`, `900MiB`, `4096`.
pub(crate) fn bytes(text: &str) -> std::result::Result<u64, String> {
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

/// A time above zero.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 => Ok(seconds),
        _ => Err(format!("{text:?} is no time above zero")),
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
        pictures: PictureLimits { max_pixels: memory.max_pixels, max_seconds: memory.max_picture_seconds },
        today,
        ..LoadOptions::new(milliseconds)
    };
    let tokenizer = opened.read_tokenizer().await?;
    let bar = bar("loading {bar:40} {bytes} of {total_bytes}");
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
    let report = LoadReport {
        bytes: engine.manifest().total_bytes(),
        seconds: start.elapsed().as_secs_f64(),
        gpu: engine.memory(),
        gpu_peak_bytes: engine.gpu().ledger().total().1,
        resident_peak_bytes: resident_peak(),
    };
    Ok((engine, report))
}

/// What loading a package took: time, GPU memory, this process's own.
#[derive(Debug, Serialize)]
pub(crate) struct LoadReport {
    bytes: u64,
    seconds: f64,
    gpu: Vec<LedgerRow>,
    /// The most there was at a time, all purposes together.
    gpu_peak_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_peak_bytes: Option<u64>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let speed = self.bytes as f64 / 1e9 / self.seconds.max(1e-9);
        write!(f, "loaded {:.1} MB in {:.2} s, {speed:.2} GB/s; ", megabytes(self.bytes), self.seconds)?;
        write!(f, "GPU memory at most {:.1} MB", megabytes(self.gpu_peak_bytes))?;
        for (index, row) in self.gpu.iter().filter(|row| row.peak > 0).enumerate() {
            write!(f, "{} {:?} {:.1}", if index == 0 { ":" } else { "," }, row.purpose, megabytes(row.peak))?;
        }
        match self.resident_peak_bytes {
            Some(bytes) => write!(f, "; this process at most {:.1} MB", megabytes(bytes)),
            None => Ok(()),
        }
    }
}

/// The most memory that this process has had, where the system says it as Linux does.
fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
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

/// A user's message: pictures, then text.
pub(crate) fn question(pictures: impl IntoIterator<Item = usize>, text: &str) -> Message {
    let shown = pictures.into_iter().map(ContentPart::Image);
    Message { role: Role::User, content: shown.chain([ContentPart::Text(text.into())]).collect() }
}

/// Answers `messages`. The text is printed as it comes if `is_printed`, other events go to `tell`.
pub(crate) fn answer(
    engine: &mut Engine,
    (mut messages, pictures): (Vec<Message>, Vec<Picture>),
    args: &SamplingArgs,
    is_printed: bool,
    tell: impl Fn(Event),
) -> Result<Completion> {
    let SamplingArgs { temperature, top_k, top_p, seed, max_tokens, .. } = *args;
    let sampling = SamplingOptions { temperature, top_k, top_p, seed, ..SamplingOptions::default() };
    let format = args.format.format()?;
    format.iter().for_each(|format| format.tell(&mut messages));
    let grammar = format.map(|format| engine.grammar(&format)).transpose()?;
    let prompt = Prompt::Messages(messages);
    let request = Request { prompt, pictures, sampling, max_tokens, stop: Vec::new(), grammar };
    let mut printed = Ok(());
    let mut show = |event: Event| match event {
        Event::Text(text) if is_printed && printed.is_ok() => printed = crate::print_text(&text),
        event => tell(event),
    };
    let completion = pollster::block_on(engine.generate(&request, &RequestControl::new(), &mut show))?;
    printed?;
    if is_printed {
        crate::print("")?;
    }
    if is_printed && args.verbose {
        let Completion { usage, timings, .. } = &completion;
        let rate = 1e3 * usage.completion_tokens as f64 / timings.decode_ms.max(1e-3);
        inform(&format!(
            "{} tokens of prompt, {} of them from the cache, in {:.0} ms; {} tokens of answer in {:.0} ms, {rate:.2} a second; {} \
             tokens guessed, {} accepted; {} tokens without a choice, {:.0} ms for the grammar",
            usage.prompt_tokens,
            usage.cached_tokens,
            timings.prepare_ms + timings.vision_ms + timings.prefill_ms,
            usage.completion_tokens,
            timings.decode_ms,
            usage.drafted_tokens,
            usage.accepted_tokens,
            usage.forced_tokens,
            timings.grammar_ms,
        ));
    }
    Ok(completion)
}

/// A progress bar whose length is not known yet, drawn by an indicatif template.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Runs `import`, which tells how many weights it has written, beside a progress bar.
pub(crate) fn with_weights_bar<T>(import: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> T) -> T {
    let bar = bar("{bar:40} {percent:>3}% of {human_len} weights, {eta} left");
    let imported = import(&mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    imported
}

/// Writes a line to standard error.
pub(crate) fn inform(text: &str) {
    // With standard error closed as well, the exit code is all that is left to say.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A picture's file, to be shown as large as `detail` says.
pub(crate) fn picture(path: &Path, detail: Detail) -> Result<Picture> {
    Ok(Picture::encoded(read(path)?).at(detail))
}

/// A picture that a request names: a path or `file:` URL. Relative ones count from `base`, or else from where the command runs.
pub(crate) fn picture_at(url: &str, detail: Detail, base: &Path) -> Result<Picture> {
    if ["http:", "https:", "data:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::request("image_url", "only files are read here, not http or data URLs"));
    }
    let path = Path::new(url.strip_prefix("file://").unwrap_or(url));
    let beside = base.join(path);
    picture(if !beside.exists() && path.exists() { path } else { &beside }, detail)
}

/// A whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path.display(), &e))
}

/// The date in UTC: the standard library knows no time zones.
fn today() -> Option<Date> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs() / 86_400).ok().map(Date)
}

/// Since the first call.
pub(crate) fn milliseconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}
