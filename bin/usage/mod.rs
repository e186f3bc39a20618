//! Budgets, and what requests took: by key and by day, in a folder that outlives the process. `ocelli usage` tells it.

use std::path::PathBuf;

use clap::Args;
use ocelli::api::Reply;
use ocelli::{Error, Result};
use serde_json::{Value, json};

mod accounts;
mod ledger;
mod report;
mod rules;
#[cfg(test)]
mod tests;

pub(crate) use accounts::{Accounts, BatchBudget, Bill};
use rules::Limit;
pub(crate) use rules::Spent;

/// Limits of what requests take: tokens of prompts and answers, and seconds of the engine's time.
#[derive(Args, Default)]
pub(crate) struct BudgetArgs {
    /// Tokens that a request may take, its prompt included.
    #[arg(long, value_name = "TOKENS")]
    request_tokens: Option<u64>,
    /// Seconds of the engine's time that a request may take.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    request_seconds: Option<f64>,
    /// Tokens that all requests of a key may take in a day (UTC). A request's key is its `safety_identifier`, else its `user`.
    #[arg(long, value_name = "TOKENS")]
    key_tokens: Option<u64>,
    /// Seconds that they may take in a day.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    key_seconds: Option<f64>,
    /// Tokens that a batch may take.
    #[arg(long, value_name = "TOKENS")]
    batch_tokens: Option<u64>,
    /// Seconds that a batch may take.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    batch_seconds: Option<f64>,
    /// Where it is kept what was taken, by key and by day, for `ocelli usage` and for the next start [default: nowhere].
    #[arg(long, value_name = "FOLDER")]
    usage: Option<PathBuf>,
}

impl BudgetArgs {
    /// What counts; nothing where nothing is limited and nothing kept.
    ///
    /// # Errors
    /// `io`: also where another process has the folder.
    pub(crate) fn accounts(&self) -> Result<Option<Accounts>> {
        let Self { request_tokens, request_seconds, key_tokens, key_seconds, batch_tokens, batch_seconds, usage } =
            self;
        let request = Limit { tokens: *request_tokens, seconds: *request_seconds };
        let key = Limit { tokens: *key_tokens, seconds: *key_seconds };
        let batch = Limit { tokens: *batch_tokens, seconds: *batch_seconds };
        if usage.is_none() && [request, key, batch].iter().all(|limit| limit.is_none()) {
            return Ok(None);
        }
        Accounts::open((request, key, batch), usage.as_deref(), crate::api::seconds).map(Some)
    }
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must be 0 or more".into()) }
}

/// Tell what requests took, by key and by day, as `ocelli serve --usage` and `ocelli batch --usage` keep it.
#[derive(Args)]
pub(crate) struct UsageArgs {
    /// The folder.
    folder: PathBuf,
    /// As CSV, not as JSON.
    #[arg(long)]
    csv: bool,
}

pub(crate) fn run(args: &UsageArgs) -> Result<()> {
    let kept = ledger::read(&args.folder)?;
    let text = if args.csv { report::csv(&kept) } else { report::json(&kept).to_string() + "\n" };
    crate::print_text(&text)
}

/// An error as the API reports it; of a budget with its numbers.
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

/// What an answer says that it took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Of the engine: pictures, prompt, answer.
    pub(crate) seconds: f64,
}

impl Used {
    /// By the body of an answer.
    pub(crate) fn of(body: &Value) -> Self {
        let usage = &body["usage"];
        // Responses call them otherwise.
        let tokens = |paths: [&str; 2]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64()).unwrap_or_default();
        let ms = |stage: &str| usage["ocelli"][stage].as_f64().unwrap_or_default();
        Self {
            prompt_tokens: tokens(["/prompt_tokens", "/input_tokens"]),
            cached_tokens: tokens(["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens"]),
            completion_tokens: tokens(["/completion_tokens", "/output_tokens"]),
            seconds: ["vision_ms", "prefill_ms", "decode_ms"].map(ms).iter().sum::<f64>() / 1e3,
        }
    }

    /// Both kinds of tokens.
    pub(crate) fn spent(&self) -> Spent {
        Spent { tokens: self.prompt_tokens + self.completion_tokens, seconds: self.seconds }
    }
}
