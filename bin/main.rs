//! The native command.

#![deny(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use ocelli::Error;

mod batch;
mod commands;
mod pull;
mod serve;
mod shared;
mod usage;

use commands::{bench, cache, chat, describe, inspect, keys, models, pack, score, search, synth};

const EXIT_CODES: &str = "Exit codes: 0 done; 1 other errors; 2 a wrong argument or request; 3 a file or model is missing or cannot be read; \
    4 too little memory; 5 the GPU or processor cannot be used.";

/// Vision-language models on this machine's own GPU.
#[derive(Parser)]
#[command(name = "ocelli", version, after_help = EXIT_CODES)]
struct Cli {
    /// Print no progress and no remarks on standard error, only errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pull(pull::PullArgs),
    List(models::ListArgs),
    Rm(models::RemoveArgs),
    Pack(pack::PackArgs),
    Inspect(inspect::InspectArgs),
    Describe(describe::DescribeArgs),
    Chat(chat::ChatArgs),
    Search(search::SearchArgs),
    Score(score::ScoreArgs),
    Batch(batch::BatchArgs),
    Serve(serve::ServeArgs),
    Keys(keys::KeysArgs),
    Usage(usage::UsageArgs),
    Synth(synth::SynthArgs),
    Bench(bench::BenchArgs),
    Cache(cache::CacheArgs),
    /// Print the completions of a shell: `source <(ocelli completions bash)`.
    Completions {
        shell: Shell,
    },
}

/// The exit code for an error.
fn exit_code(error: &Error) -> u8 {
    match error.code() {
        "invalid-request" | "unsupported-option" | "unsupported-schema" | "invalid-grammar" | "context-overflow" => 2,
        "io" | "no-such-object" | "model-not-found" => 3,
        "budget-too-small" | "out-of-memory" => 4,
        "webgpu-unavailable" | "limits-too-small" | "device-lost" | "gpu" | "self-test-failed" => 5,
        _ => 1,
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    shared::io::set_quiet(cli.quiet);
    let result = match cli.command {
        Command::Pull(args) => pull::run(&args),
        Command::List(args) => models::list(&args),
        Command::Rm(args) => models::remove(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Completions { shell } => completions(shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shared::io::complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn completions(shell: Shell) -> ocelli::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ocelli", &mut script);
    shared::io::print_text(&String::from_utf8_lossy(&script))
}
