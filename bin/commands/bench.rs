//! `ocelli bench`: how fast a package runs on this device.

use std::path::PathBuf;

use clap::Args;
use ocelli::bench::{BenchOptions, BenchReport, bench};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use serde::Serialize;

use crate::shared::args::MemoryArgs;
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::report::LoadReport;

/// Time a model on this device: loading, first token, decoding after long contexts, long prompts, pictures, and each kernel compared with the
/// device's peak. Answers are noise.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// The package: a directory, or the name of a model [default: the only model that was pulled].
    #[arg(env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    pub(crate) package: PackagePath,
    /// Tokens in the context when decoding is timed.
    #[arg(long, value_delimiter = ',', default_value = "128,1024,4096")]
    decode: Vec<usize>,
    /// Tokens of the prompts that are timed.
    #[arg(long, value_delimiter = ',', default_value = "512,2048")]
    prefill: Vec<usize>,
    /// Sides of the timed pictures, in pixels; ignored for a text model.
    #[arg(long, value_delimiter = ',', default_value = "448,1036", value_parser = side)]
    pictures: Vec<usize>,
    /// Numbers of parallel answers to time; the rate is their total.
    #[arg(long, value_delimiter = ',')]
    together: Vec<usize>,
    /// Tokens decoded at a time, at least 2.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    tokens: u32,
    /// Repetitions; the median is reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds after which nothing is repeated.
    #[arg(long, default_value_t = 60)]
    patience: u32,
    /// Skip the device's peaks and the single kernels.
    #[arg(long)]
    no_kernels: bool,
    /// Also write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE", alias = "json")]
    report: Option<PathBuf>,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// Range of useful edges of timed pictures.
fn side(text: &str) -> std::result::Result<usize, String> {
    let side = text.parse().ok().filter(|side| (1..=4096).contains(side));
    side.ok_or_else(|| format!("{text:?} is no number from 1 to 4096"))
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    bench: BenchReport,
    load: LoadReport,
}

/// A Markdown table on standard output.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let options = BenchOptions {
        decode: args.decode.clone(),
        prefill: args.prefill.clone(),
        pictures: args.pictures.clone(),
        together: args.together.clone(),
        tokens: args.tokens as usize,
        rounds: args.rounds as usize,
        patience_ms: 1e3 * f64::from(args.patience),
        kernels: !args.no_kernels,
    };
    let report = pollster::block_on(async {
        let (mut engine, load) = open::load(&args.package, Some(options.context()), &args.memory).await?;
        io::inform(&load.to_string());
        let bench = bench(&mut engine, &options, &RequestControl::new(), &mut io::inform).await?;
        Ok::<_, Error>(Report { bench, load })
    })?;
    if let Some(path) = &args.report {
        std::fs::write(path, io::json(&report)?).map_err(|e| Error::io(path.display(), &e))?;
    }
    io::print_text(&report.bench.to_string())
}
