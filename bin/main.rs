//! The native command.

#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ocelli::engine::Event;
use ocelli::{Error, Result};

mod api;
mod batch;
mod bench;
mod cache;
mod chat;
mod describe;
mod inspect;
mod models;
mod open;
mod pack;
mod pull;
mod quant;
mod score;
mod serve;
mod synth;
mod tuning;
mod usage;

/// Vision-language models on this machine's own GPU.
#[derive(Parser)]
#[command(name = "ocelli", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pull(pull::PullArgs),
    Pack(pack::PackArgs),
    Inspect(inspect::InspectArgs),
    Describe(describe::DescribeArgs),
    Chat(chat::ChatArgs),
    Score(score::ScoreArgs),
    Batch(batch::BatchArgs),
    Serve(serve::ServeArgs),
    Usage(usage::UsageArgs),
    Synth(synth::SynthArgs),
    Bench(bench::BenchArgs),
    Cache(cache::CacheArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Pull(args) => pull::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Cache(args) => cache::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Writes an error to standard error.
fn complain(error: &Error) {
    open::inform(&format!("error[{}]: {error}", error.code()));
}

/// Tells standard error what the user should know of.
fn tell(event: &Event) {
    if let Event::Recovering { attempt, reason } = event {
        open::inform(&format!("the GPU was lost ({reason}); opening it again, attempt {attempt}"));
    }
}

/// Writes text to standard output at once. A closed pipe is an error like any other, not a panic.
fn print_text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Error::io("standard output", &e))
}

/// Writes a line to standard output.
fn print(line: &str) -> Result<()> {
    print_text(&format!("{line}\n"))
}

/// JSON for standard output.
fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal { detail: e.to_string() })
}
