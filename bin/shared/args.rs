//! Options that several commands have.

use std::path::PathBuf;

use clap::Args;
use ocelli::config::KvPrecision;
use ocelli::engine::{Arithmetic, Detail, Engine, Residency, Speculation, Tune};
use ocelli::gpu::{DeviceChoice, GpuOptions};
use ocelli::grammar::Format;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

use super::units;

/// Headings in the help.
const SAMPLING: &str = "Sampling";
const FORMAT: &str = "Format of answers";
const DEVICE: &str = "Device and memory";

impl SamplingArgs {
    /// The temperature that is requested.
    pub(crate) fn requested_temperature(&self) -> Option<f32> {
        if self.greedy { Some(0.0) } else { self.temperature }
    }

    /// Sampling options for a model: those that its publisher recommends, changed by the arguments.
    pub(crate) fn options(&self, engine: &Engine) -> SamplingOptions {
        let recommended = engine.sampling_defaults();
        let is_known = !engine.manifest().chat.sampling.are_none();
        let temperature = self.requested_temperature().unwrap_or(if is_known { recommended.temperature } else { 0.0 });
        SamplingOptions {
            temperature,
            top_k: self.top_k.or(recommended.top_k),
            top_p: self.top_p.unwrap_or(recommended.top_p),
            min_p: self.min_p.unwrap_or(recommended.min_p),
            seed: self.seed,
            // A recommended penalty is meant for sampling; it would change which token is likeliest.
            presence_penalty: if temperature == 0.0 { 0.0 } else { recommended.presence_penalty },
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
    #[arg(long, value_name = "SIZE", default_value = "auto")]
    pub(crate) detail: Detail,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// Length of the context in tokens [default: 4096 to 32768, by the memory that it takes].
    #[arg(long)]
    pub(crate) context: Option<usize>,
    /// Print the usage and time of each answer on standard error.
    #[arg(long, short)]
    pub(crate) verbose: bool,
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
    #[arg(help_heading = DEVICE, long, value_name = "DEVICE", default_value = "auto", env = "OCELLI_DEVICE")]
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
    /// Precision of the KV cache: f32, f16 or int8 [default: f32 for a small model, else f16].
    #[arg(help_heading = DEVICE, long = "kv", value_name = "PRECISION")]
    pub(crate) kv: Option<KvPrecision>,
    /// Limit of GPU memory in total, such as 2GiB or 900MB. Other options are chosen to fit it.
    #[arg(help_heading = DEVICE, long, value_name = "SIZE", value_parser = units::bytes)]
    pub(crate) gpu_memory_budget: Option<u64>,
    /// Residency of the vision tower's weights: resident on the GPU, dropped after each picture, or streamed layer by layer
    /// [default: resident if the budget allows it].
    #[arg(help_heading = DEVICE, long, value_name = "WHERE")]
    pub(crate) vision: Option<Residency>,
    /// Speculative decoding with drafts from the conversation: auto (if faster) or off. Answers are the same.
    #[arg(help_heading = DEVICE, long, value_name = "WHEN", default_value = "auto")]
    pub(crate) speculation: Speculation,
    /// Largest buffer binding to use, to emulate a smaller device.
    #[arg(help_heading = DEVICE, long, value_name = "SIZE", value_parser = units::bytes)]
    pub(crate) max_binding: Option<u64>,
    /// When to autotune kernels: auto (on hardware), always or never. Results are stored.
    #[arg(help_heading = DEVICE, long, value_name = "WHEN", default_value = "auto")]
    pub(crate) tune: Tune,
    /// exact: f32 accuracy; fast: also 16-bit floats and 8-bit inputs where that is faster.
    #[arg(help_heading = DEVICE, long, value_name = "NUMBERS", default_value = "exact")]
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
}
