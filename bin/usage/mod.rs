//! Budgets and usage by key and day, stored in a folder. `ocelli usage` prints it.

use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::Result;
use ocelli::api::Limit;
use ocelli::usage::{Limits, Sums};
use serde_json::json;

use crate::shared::{api, io};

mod folder;
#[cfg(test)]
mod tests;

use folder::Folder;

pub(crate) type Accounts = ocelli::usage::Accounts<Folder>;
pub(crate) type Bill = ocelli::usage::Bill<Folder>;

/// Budgets: tokens of prompts and answers, and seconds of the engine's time.
#[derive(Args, Default)]
pub(crate) struct BudgetArgs {
    /// Tokens of a request, including its prompt.
    #[arg(long, value_name = "TOKENS")]
    request_tokens: Option<u64>,
    /// Seconds of the engine's time for a request.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    request_seconds: Option<f64>,
    /// Tokens of all requests of a key in a day (UTC). A request's key is its `safety_identifier`, else its `user`; with --keys of
    /// `ocelli serve`, the name of its API key.
    #[arg(long, value_name = "TOKENS")]
    key_tokens: Option<u64>,
    /// Seconds of all requests of a key in a day.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    key_seconds: Option<f64>,
    /// Tokens of a batch.
    #[arg(long, value_name = "TOKENS")]
    batch_tokens: Option<u64>,
    /// Seconds of a batch.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    batch_seconds: Option<f64>,
    /// Folder for usage by key and day, read by `ocelli usage` and at the next start [default: none].
    #[arg(long, value_name = "FOLDER")]
    usage: Option<PathBuf>,
}

impl BudgetArgs {
    /// The accounts; `None` if nothing is limited or stored, unless usage `is_counted` in any case.
    ///
    /// # Errors
    /// `io`, also if another process has locked the folder.
    pub(crate) fn accounts(&self, is_counted: bool) -> Result<Option<Accounts>> {
        let Self { request_tokens, request_seconds, key_tokens, key_seconds, batch_tokens, batch_seconds, usage } =
            self;
        let request = Limit { tokens: *request_tokens, seconds: *request_seconds };
        let key = Limit { tokens: *key_tokens, seconds: *key_seconds };
        let batch = Limit { tokens: *batch_tokens, seconds: *batch_seconds };
        let limits = Limits { request, key, batch };
        if !is_counted && usage.is_none() && limits == Limits::default() {
            return Ok(None);
        }
        open(limits, usage.as_deref(), api::seconds).map(Some)
    }
}

/// Accounts with the usage that a folder contains.
///
/// # Errors
/// `io`, also if another process has locked the folder.
fn open(limits: Limits, folder: Option<&Path>, clock: fn() -> u64) -> Result<Accounts> {
    let (sums, folder) = Folder::open(folder, clock)?;
    Ok(Accounts::new(limits, clock, sums, folder))
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must be 0 or more".into()) }
}

/// Print usage by key and day, as stored by `ocelli serve --usage` and `ocelli batch --usage`.
#[derive(Args)]
pub(crate) struct UsageArgs {
    /// The folder.
    folder: PathBuf,
    /// Print CSV instead of JSON.
    #[arg(long)]
    csv: bool,
    /// Print JSON, as without it.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

pub(crate) fn run(args: &UsageArgs) -> Result<()> {
    let sums = folder::read(&args.folder)?;
    io::print_text(&if args.csv { sums.csv() } else { report(&sums) + "\n" })
}

/// Usage by day and key as JSON.
pub(crate) fn report(sums: &Sums) -> String {
    json!({"object": "list", "data": sums.report(), "damaged_lines": sums.damaged_lines}).to_string()
}
