//! `ocelli keys`: new API keys for `ocelli serve --keys`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use ocelli::{Error, Result};
use serde_json::json;

use crate::shared::io;
use crate::shared::keys::{Day, KeyBudget, KeyEntry, KeyHash};

/// Random bytes of a key.
const BYTES: usize = 32;

/// Make API keys for `ocelli serve --keys`.
#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    New(NewArgs),
}

/// Print a new random key, and on a second line its entry for the list in the file of keys. The key is stored nowhere.
#[derive(Args)]
struct NewArgs {
    /// Name under which usage is counted. Files and batches belong to it.
    name: String,
    /// Tokens in a day (UTC), in place of --key-tokens.
    #[arg(long)]
    tokens: Option<u64>,
    /// Seconds of the engine's time in a day, in place of --key-seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// First day (UTC) on which the key is refused, such as 2027-01-31.
    #[arg(long, value_name = "DAY", value_parser = day)]
    expires: Option<Day>,
    /// Let the key read the files, batches and usage of all keys, and the metrics.
    #[arg(long)]
    admin: bool,
    /// Print a line of JSON with `key` and `entry` in place of the two lines.
    #[arg(long)]
    json: bool,
}

fn day(text: &str) -> std::result::Result<Day, &'static str> {
    text.to_owned().try_into()
}

pub(crate) fn run(args: &KeysArgs) -> Result<()> {
    let KeysCommand::New(NewArgs { name, tokens, seconds, expires, admin, json }) = &args.command;
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal { detail: format!("no random numbers: {error}") })?;
    // Client libraries and scanners for secrets know the prefix.
    let key = format!("sk-ocelli-{}", URL_SAFE_NO_PAD.encode(bytes));
    let entry = KeyEntry {
        name: name.clone(),
        sha256: KeyHash::of(&key),
        budget: KeyBudget { tokens: *tokens, seconds: *seconds },
        expires: expires.clone(),
        admin: *admin,
    };
    if let Some(reason) = entry.fault() {
        return Err(Error::request("name", reason));
    }
    let place = if *json { "`entry`" } else { "the second line" };
    io::inform(&format!("the key is shown only now; {place} is its entry for the list in the file of --keys"));
    if *json {
        return io::print(&json!({"key": key, "entry": entry}).to_string());
    }
    io::print_text(&format!("{key}\n{}\n", io::json(&entry)?))
}
