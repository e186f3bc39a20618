//! The native command.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ocelli::{Error, Result};

mod inspect;
mod pack;

/// Vision-language models on this machine's own GPU.
#[derive(Parser)]
#[command(name = "ocelli", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pack(pack::PackArgs),
    Inspect(inspect::InspectArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Pack(args) => pack::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error closed as well, the exit code is all that is left to say.
            let _ = writeln!(std::io::stderr(), "error[{}]: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output. A closed pipe is an error like any other, not a panic.
fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(|e| Error::io("standard output", &e))
}
