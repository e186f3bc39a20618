//! The native command.

#![deny(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use ocelli::Error;

mod batch;
mod commands;
mod engines;
mod fetch;
mod lanes;
mod mcp;
mod page;
mod pull;
mod serve;
mod shared;
mod store;
mod usage;

use commands::{bench, cache, chat, describe, inspect, keys, models, pack, score, search, synth};
use pull::Consent;
use shared::models::PackagePath;
use shared::pdf;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 other errors; 2 a wrong argument or request; 3 a file or model is missing or cannot be read; \
    4 too little memory; 5 the GPU or processor cannot be used.";

/// Vision-language models on this machine's own GPU.
#[derive(Parser)]
#[command(name = "ocelli", version, after_help = EXIT_CODES)]
struct Cli {
    /// Print no progress and no remarks on standard error, only errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Download a known model that is not here, without a question.
    #[arg(long, global = true)]
    pull: bool,
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
    /// Talk to a model, which is downloaded if it is not here: `ocelli run smolvlm2-500m`.
    Run(chat::ChatArgs),
    Search(search::SearchArgs),
    Score(score::ScoreArgs),
    Batch(batch::BatchArgs),
    Serve(serve::ServeArgs),
    Mcp(mcp::McpArgs),
    Keys(keys::KeysArgs),
    Usage(usage::UsageArgs),
    Synth(synth::SynthArgs),
    Bench(bench::BenchArgs),
    Cache(cache::CacheArgs),
    /// Print the completions of a shell: `source <(ocelli completions bash)`.
    Completions {
        shell: Shell,
    },
    /// Write the manual pages of all commands into a folder.
    #[command(hide = true)]
    Man {
        folder: PathBuf,
    },
    #[command(name = pdf::VERB, hide = true)]
    RenderPdf(pdf::RenderArgs),
}

/// The exit code for an error.
fn exit_code(error: &Error) -> u8 {
    match error.code() {
        "invalid-request" | "unsupported-option" | "unsupported-schema" | "invalid-grammar" | "context-overflow" => 2,
        "io" | "storage-full" | "no-such-object" | "model-not-found" => 3,
        "budget-too-small" | "out-of-memory" => 4,
        "webgpu-unavailable" | "limits-too-small" | "device-lost" | "gpu" | "self-test-failed" => 5,
        _ => 1,
    }
}

impl Command {
    /// The packages that the command opens.
    fn packages(&mut self) -> &mut [PackagePath] {
        slice::from_mut(match self {
            Self::Inspect(args) => &mut args.package,
            Self::Describe(args) => args.settled_package(),
            Self::Chat(args) | Self::Run(args) => &mut args.package,
            Self::Search(args) => &mut args.model,
            Self::Score(args) => &mut args.package,
            Self::Batch(args) => return args.package().map_or(&mut [], slice::from_mut),
            Self::Serve(args) => return &mut args.packages,
            Self::Mcp(args) => &mut args.package,
            Self::Bench(args) => &mut args.package,
            _ => return &mut [],
        })
    }
}

fn main() -> ExitCode {
    let Cli { quiet, pull, command } = Cli::parse();
    shared::io::set_quiet(quiet);
    match run(command, pull) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shared::io::complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(mut command: Command, pulls: bool) -> ocelli::Result<()> {
    let consent = if pulls || matches!(command, Command::Run(_)) { Consent::Given } else { Consent::Ask };
    for package in command.packages() {
        *package = pull::here(package, consent)?;
    }
    match command {
        Command::Pull(args) => pull::pull(&args),
        Command::List(args) => models::list(&args),
        Command::Rm(args) => models::remove(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Chat(args) | Command::Run(args) => chat::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Mcp(args) => mcp::run(args),
        Command::Keys(args) => keys::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man { folder } => man(&folder),
        Command::RenderPdf(args) => pdf::run(&args),
    }
}

fn completions(shell: Shell) -> ocelli::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ocelli", &mut script);
    shared::io::print_text(&String::from_utf8_lossy(&script))
}

fn man(folder: &Path) -> ocelli::Result<()> {
    let failed = |error: std::io::Error| Error::io(folder.display(), &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_contradict_one_another_nowhere() {
        Cli::command().debug_assert();
    }
}
