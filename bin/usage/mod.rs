//! Budgets and usage by key and day, stored in a folder. `ocelli usage` prints it.

use std::path::PathBuf;

use clap::Args;
use ocelli::api::{Limit, Reply};
use ocelli::{Error, Result};
use serde_json::{Value, json};

use crate::shared::io;

mod accounts;
mod ledger;
mod report;
mod rules;
#[cfg(test)]
mod tests;

pub(crate) use accounts::{Accounts, BatchBudget, Bill};
pub(crate) use rules::Spent;

/// Budgets: tokens of prompts and answers, and seconds of the engine's time.
#[derive(Args, Default)]
pub(crate) struct BudgetArgs {
    /// Tokens of a request, including its prompt.
    #[arg(long, value_name = "TOKENS")]
    request_tokens: Option<u64>,
    /// Seconds of the engine's time for a request.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    request_seconds: Option<f64>,
    /// Tokens of all requests of a key in a day (UTC). A request's key is its `safety_identifier`, else its `user`.
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
    /// The accounts; `None` if nothing is limited or stored.
    ///
    /// # Errors
    /// `io`, also if another process has locked the folder.
    pub(crate) fn accounts(&self) -> Result<Option<Accounts>> {
        let Self { request_tokens, request_seconds, key_tokens, key_seconds, batch_tokens, batch_seconds, usage } =
            self;
        let request = Limit { tokens: *request_tokens, seconds: *request_seconds };
        let key = Limit { tokens: *key_tokens, seconds: *key_seconds };
        let batch = Limit { tokens: *batch_tokens, seconds: *batch_seconds };
        if usage.is_none() && [request, key, batch].iter().all(|limit| limit.is_none()) {
            return Ok(None);
        }
        Accounts::open((request, key, batch), usage.as_deref(), crate::shared::api::seconds).map(Some)
    }
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
}

pub(crate) fn run(args: &UsageArgs) -> Result<()> {
    let kept = ledger::read(&args.folder)?;
    let text = if args.csv { report::csv(&kept) } else { report::json(&kept).to_string() + "\n" };
    io::print_text(&text)
}

/// The API response for an error; a budget error includes its numbers.
pub(crate) fn reply(error: &Error) -> Reply {
    let mut reply = Reply::from(error);
    if matches!(error, Error::BudgetExceeded { .. })
        && let Ok(mut body) = serde_json::from_str::<Value>(&reply.body)
    {
        body["error"]["detail"] = json!(error);
        reply.body = body.to_string();
    }
    reply
}

/// Usage in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Seconds of the engine: pictures, prompt, answer.
    pub(crate) seconds: f64,
}

impl Used {
    /// Reads the usage in an answer's body.
    pub(crate) fn of(body: &Value) -> Self {
        let usage = &body["usage"];
        // The Responses API has other names.
        let tokens = |paths: [&str; 2]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64()).unwrap_or_default();
        let ms = |stage: &str| usage["ocelli"][stage].as_f64().unwrap_or_default();
        Self {
            prompt_tokens: tokens(["/prompt_tokens", "/input_tokens"]),
            cached_tokens: tokens(["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens"]),
            completion_tokens: tokens(["/completion_tokens", "/output_tokens"]),
            seconds: ["vision_ms", "prefill_ms", "decode_ms"].map(ms).iter().sum::<f64>() / 1e3,
        }
    }

    /// Tokens of prompt and answer.
    pub(crate) fn spent(&self) -> Spent {
        Spent { tokens: self.prompt_tokens + self.completion_tokens, seconds: self.seconds }
    }
}
