//! Options that several commands have.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ocelli::config::KvPrecision;
use ocelli::engine::{Arithmetic, Detail, Engine, Residency, Speculation, ThoughtOptions, Tune};
use ocelli::gpu::{DeviceChoice, GpuOptions};
use ocelli::grammar::Format;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

use super::units;

/// A parser of one of some names, which the help lists.
fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}

/// A parser of a kind of device.
pub(crate) fn device() -> impl TypedValueParser<Value = DeviceChoice> {
    PossibleValuesParser::new(["auto", "gpu", "cpu"]).try_map(|name| name.parse::<DeviceChoice>())
}

/// Headings in the help.
const SAMPLING: &str = "Sampling";
const FORMAT: &str = "Format of answers";
const DEVICE: &str = "Device and memory";

impl SamplingArgs {
    /// The temperature that is requested.
    pub(crate) fn requested_temperature(&self) -> Option<f32> {
        if self.greedy { Some(0.0) } else { self.temperature }
    }

    /// Options of reasoning, if it is requested.
    ///
    /// # Errors
    /// [`Error::UnsupportedOption`] for a model that does not reason.
    pub(crate) fn thoughts(&self, engine: &Engine) -> Result<Option<ThoughtOptions>> {
        let Some(most) = self.think else { return Ok(None) };
        let budget = most.map(|most| most as usize);
        let reason = || "this model has not learnt to think before it answers".into();
        let thinking =
            engine.thinking().ok_or_else(|| Error::UnsupportedOption { field: "--think".into(), reason: reason() })?;
        Ok(Some(ThoughtOptions { syntax: thinking.syntax, budget }))
    }

    /// Sampling options for a model: those that its publisher recommends, changed by the arguments.
    pub(crate) fn options(&self, engine: &Engine, shows_pictures: bool) -> SamplingOptions {
        let recommended = match (engine.thinking(), self.think) {
            (Some(thinking), Some(_)) => thinking.sampling[usize::from(shows_pictures)].clone(),
            _ => engine.sampling_defaults(),
        };
        let is_known = !engine.manifest().chat.sampling.are_none();
        let temperature = self.requested_temperature().unwrap_or(if is_known { recommended.temperature } else { 0.0 });
        let repetition = if temperature == 0.0 { 1.0 } else { recommended.repetition_penalty };
        SamplingOptions {
            temperature,
            top_k: self.top_k.or(recommended.top_k),
            top_p: self.top_p.unwrap_or(recommended.top_p),
            min_p: self.min_p.unwrap_or(recommended.min_p),
            seed: self.seed,
            // Recommended penalties are meant for sampling; they would change which token is likeliest.
            presence_penalty: if temperature == 0.0 { 0.0 } else { recommended.presence_penalty },
            repetition_penalty: self.repetition_penalty.unwrap_or(repetition),
            ..recommended
        }
    }
}

/// Sampling options.
#[derive(Args, Default)]
pub(crate) struct SamplingArgs {
    /// 0 for the likeliest token each time [default: as the model's publisher recommends, otherwise 0].
    #[arg(long, help_heading = SAMPLING)]
    pub(crate) temperature: Option<f32>,
    /// The likeliest token each time: the same as a temperature of 0.
    #[arg(long, help_heading = SAMPLING, conflicts_with = "temperature")]
    pub(crate) greedy: bool,
    /// Only this many of the likeliest tokens [default: as recommended, otherwise all].
    #[arg(long, help_heading = SAMPLING)]
    pub(crate) top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability [default: as recommended, otherwise 1].
    #[arg(long, help_heading = SAMPLING)]
    pub(crate) top_p: Option<f32>,
    /// Only tokens with at least this share of the highest probability [default: as recommended, otherwise 0].
    #[arg(long, help_heading = SAMPLING)]
    pub(crate) min_p: Option<f32>,
    /// Above 1, words of the prompt and of the answer are repeated less often [default: as recommended, otherwise 1].
    #[arg(long, help_heading = SAMPLING)]
    pub(crate) repetition_penalty: Option<f32>,
    /// Equal seeds give equal answers.
    #[arg(long, help_heading = SAMPLING, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Limit of an answer's tokens.
    #[arg(long, help_heading = SAMPLING)]
    pub(crate) max_tokens: Option<usize>,
    /// Text before which the answer ends; may be repeated.
    #[arg(long, help_heading = SAMPLING, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Size of pictures for the model: low (at most 512 pixels long), high (as large as the model supports) or auto (as large as the device
    /// can process in time).
    #[arg(long, value_name = "SIZE", default_value = "auto", value_parser = one_of::<Detail>(&["low", "high", "auto"]))]
    pub(crate) detail: Detail,
    /// Let a reasoning model think before it answers, with at most this many tokens if a number is given.
    #[arg(long, value_name = "TOKENS", num_args = 0..=1, require_equals = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) think: Option<Option<u32>>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// Length of the context in tokens [default: 4096 to 32768, by the memory that it takes].
    #[arg(long)]
    pub(crate) context: Option<usize>,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// Format of answers: added to the prompt, and enforced.
#[derive(Args, Default)]
#[group(multiple = false)]
pub(crate) struct FormatArgs {
    /// Constrain output to the JSON schema in this file.
    #[arg(long, value_name = "FILE", help_heading = FORMAT)]
    json_schema: Option<PathBuf>,
    /// Constrain output to this regular expression (full match).
    #[arg(long, value_name = "REGEX", help_heading = FORMAT)]
    regex: Option<String>,
    /// Constrain output to the Lark grammar in this file.
    #[arg(long, value_name = "FILE", help_heading = FORMAT)]
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

/// Choice of the device.
#[derive(Args, Clone, Copy)]
pub(crate) struct DeviceArgs {
    /// Device to compute on: auto (a GPU if there is one, else the processor), gpu or cpu.
    #[arg(help_heading = DEVICE, long, value_name = "DEVICE", default_value = "auto", env = "OCELLI_DEVICE", value_parser = device())]
    device: DeviceChoice,
    /// Threads of the processor [default: all].
    #[arg(help_heading = DEVICE, long, value_name = "N", env = "OCELLI_THREADS", value_parser = units::threads)]
    threads: Option<usize>,
}

impl Default for DeviceArgs {
    fn default() -> Self {
        Self::of(DeviceChoice::Auto)
    }
}

impl DeviceArgs {
    /// The device of a kind, with all its threads.
    pub(crate) fn of(device: DeviceChoice) -> Self {
        Self { device, threads: None }
    }

    /// Options for opening the device.
    pub(crate) fn options(&self) -> GpuOptions {
        GpuOptions { device: self.device, threads: self.threads, ..GpuOptions::default() }
    }
}

/// Device, memory and speed of the model.
#[derive(Args, Default)]
pub(crate) struct MemoryArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Precision of the KV cache [default: f32 for a small model, else f16].
    #[arg(help_heading = DEVICE, long = "kv", env = "OCELLI_KV", value_name = "PRECISION", value_parser = one_of::<KvPrecision>(&["f32", "f16", "int8"]))]
    pub(crate) kv: Option<KvPrecision>,
    /// Limit of GPU memory in total, such as 2GiB or 900MB. Other options are chosen to fit it.
    #[arg(help_heading = DEVICE, long, value_name = "SIZE", env = "OCELLI_GPU_MEMORY_BUDGET", value_parser = units::bytes)]
    pub(crate) gpu_memory_budget: Option<u64>,
    /// Residency of the vision tower's weights: resident on the GPU, dropped after each picture, or streamed layer by layer
    /// [default: resident if the budget allows it].
    #[arg(help_heading = DEVICE, long, value_name = "WHERE", value_parser = one_of::<Residency>(&["resident", "dropped", "streamed"]))]
    pub(crate) vision: Option<Residency>,
    /// Speculative decoding with drafts from the conversation: auto (if faster) or off. Answers are the same.
    #[arg(help_heading = DEVICE, long, value_name = "WHEN", default_value = "auto", value_parser = one_of::<Speculation>(&["auto", "off", "always"]))]
    pub(crate) speculation: Speculation,
    /// Largest buffer binding to use, to emulate a smaller device.
    #[arg(help_heading = DEVICE, long, value_name = "SIZE", value_parser = units::bytes)]
    pub(crate) max_binding: Option<u64>,
    /// When to autotune kernels: auto (on hardware), always or never. Results are stored.
    #[arg(help_heading = DEVICE, long, value_name = "WHEN", default_value = "auto", value_parser = one_of::<Tune>(&["auto", "always", "never"]))]
    pub(crate) tune: Tune,
    /// exact: f32 accuracy; fast: also 16-bit floats and 8-bit inputs where that is faster.
    #[arg(help_heading = DEVICE, long, value_name = "NUMBERS", default_value = "exact", value_parser = one_of::<Arithmetic>(&["exact", "fast"]))]
    pub(crate) arithmetic: Arithmetic,
    /// Limit of a picture's pixels.
    #[arg(help_heading = DEVICE, long, value_name = "PIXELS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_pixels: Option<u64>,
    /// Time limit for pictures of automatic size until the first token, in seconds [default: 10, or no limit with --max-pixels].
    #[arg(help_heading = DEVICE, long, value_name = "SECONDS", value_parser = units::positive_seconds)]
    pub(crate) max_picture_seconds: Option<f64>,
    /// Print the memory plan and the used memory on standard error.
    #[arg(help_heading = DEVICE, long)]
    pub(crate) show_memory: bool,
    /// Print times on standard error: that of loading, and with its usage that of each answer of `describe` and `chat`.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}
