//! The native command.

#![deny(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod batch;
mod commands;
mod pull;
mod serve;
mod shared;
mod usage;

use commands::{bench, cache, chat, describe, inspect, keys, pack, score, synth};

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
    Keys(keys::KeysArgs),
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
        Command::Keys(args) => keys::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Cache(args) => cache::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shared::io::complain(&error);
            ExitCode::FAILURE
        }
    }
}
