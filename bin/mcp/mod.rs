//! `ocelli mcp`: tools that look at pictures, for agents, over the Model Context Protocol.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ocelli::{Error, Result};
use rmcp::ServiceExt;

use crate::shared::args::MemoryArgs;
use crate::shared::models::PackagePath;
use crate::shared::open;

mod handler;
mod progress;
mod question;
mod roots;
mod tools;
mod worker;

pub(crate) use handler::Tools;
pub(crate) use question::{Model, Question, Step};
pub(crate) use roots::Roots;
use worker::Worker;

/// Serve tools for agents over the Model Context Protocol, on standard input and output: describe, `read_text`, extract, compare and
/// `find_in_folder`. `ocelli serve` has the same tools at `/mcp`.
#[derive(Args)]
pub(crate) struct McpArgs {
    /// The package: a directory, or the name of a model [default: the only model that was pulled].
    #[arg(env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    pub(crate) package: PackagePath,
    /// Folder whose pictures the tools may read; may be repeated [default: the working directory].
    #[arg(long = "root", value_name = "DIR")]
    roots: Vec<PathBuf>,
    /// Seconds without questions after which the model is released.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    idle_unload: u64,
    /// Length of the context in tokens [default: 4096 to 32768, by the memory that it takes].
    #[arg(long)]
    context: Option<usize>,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// Answers until standard input ends.
pub(crate) fn run(args: McpArgs) -> Result<()> {
    let McpArgs { package, mut roots, idle_unload, context, memory } = args;
    if roots.is_empty() {
        roots.push(".".into());
    }
    let roots = Roots::new(&roots)?;
    // A wrong path is told at once, not to the first agent.
    open::check(&package)?;
    let opened = package.clone();
    let open = move || pollster::block_on(open::engine(&opened, context, &memory));
    let model = Worker::start(Box::new(open), package, Duration::from_secs(idle_unload));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("the server's threads", &error))?;
    let outcome = runtime.block_on(async {
        let failed =
            |error: &dyn std::fmt::Display| Error::Io { path: "standard input".into(), reason: error.to_string() };
        let service = Tools::new(model, roots).serve(rmcp::transport::stdio()).await.map_err(|error| failed(&error))?;
        service.waiting().await.map_err(|error| failed(&error)).map(drop)
    });
    // Standard input cannot be read with a limit of time.
    runtime.shutdown_background();
    outcome
}
