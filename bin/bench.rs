//! `ocelli bench`: how fast a package runs on this device.

use std::path::PathBuf;

use clap::Args;
use ocelli::bench::{BenchOptions, BenchReport, bench};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use serde::Serialize;

use crate::models::PackagePath;
use crate::open::{self, LoadReport};

/// Time a model on this device: loading, the first token, tokens behind long contexts, long prompts, pictures, and each kernel beside what the
/// device could do. Answers are noise.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// The package: a directory, or the name of a model that was pulled.
    package: PackagePath,
    /// Tokens in the context when decoding is timed.
    #[arg(long, value_delimiter = ',', default_value = "128,1024,4096")]
    decode: Vec<usize>,
    /// Tokens of the prompts that are timed.
    #[arg(long, value_delimiter = ',', default_value = "512,2048")]
    prefill: Vec<usize>,
    /// Sides of the pictures that are timed, in pixels; none for a model that does not see.
    #[arg(long, value_delimiter = ',', default_value = "448,1036", value_parser = side)]
    pictures: Vec<usize>,
    /// How many answers at once are timed: the rate is that of all together.
    #[arg(long, value_delimiter = ',')]
    together: Vec<usize>,
    /// Tokens decoded at a time, at least 2.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    tokens: u32,
    /// Times each is done; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds after which nothing is done another time.
    #[arg(long, default_value_t = 60)]
    patience: u32,
    /// Leave out the device's peaks and the kernels one by one.
    #[arg(long)]
    no_kernels: bool,
    /// Also write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE", alias = "json")]
    report: Option<PathBuf>,
    #[command(flatten)]
    memory: open::MemoryArgs,
}

/// Edges of pictures that there is any use in timing.
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
        open::inform(&load.to_string());
        let bench = bench(&mut engine, &options, &RequestControl::new(), &mut open::inform).await?;
        Ok::<_, Error>(Report { bench, load })
    })?;
    if let Some(path) = &args.report {
        std::fs::write(path, crate::json(&report)?).map_err(|e| Error::io(path.display(), &e))?;
    }
    crate::print_text(&report.bench.to_string())
}
