//! `ocelli serve`: the OpenAI API over HTTP. The engine has this process's first thread, connections have others.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use ocelli::api::Service;
use ocelli::{Error, Result};

use crate::open::{self, MemoryArgs};

mod access;
mod connections;
mod handler;
mod jobs;
mod picture;
mod stream;

use access::Access;
use handler::Server;

/// Answer requests of OpenAI's API over HTTP: chat completions, completions, responses, models, tokens.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// The package.
    package: PathBuf,
    /// The address to listen on. One that other machines reach needs an API key.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port; 0 for any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// What clients must send as their API key.
    #[arg(long, env = "OCELLI_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The model's name in answers [default: the package's folder].
    #[arg(long)]
    model: Option<String>,
    /// Another name that requests may call it; may be repeated.
    #[arg(long = "alias")]
    aliases: Vec<String>,
    /// A web origin whose pages may send requests; may be repeated. With a key all may, without one those of this machine.
    #[arg(long = "origin")]
    origins: Vec<String>,
    /// Tokens the context holds.
    #[arg(long)]
    context: Option<usize>,
    #[command(flatten)]
    memory: MemoryArgs,
}

pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    if !args.host.is_loopback() && args.api_key.as_deref().is_none_or(str::is_empty) {
        return Err(Error::request("api_key", format!("{} is reached by other machines: set --api-key", args.host)));
    }
    let mut engine = pollster::block_on(open::engine(&args.package, args.context, &args.memory))?;
    let service = Service {
        model: args.model.clone().unwrap_or_else(|| folder_name(&args.package)),
        aliases: args.aliases.iter().cloned().chain([engine.manifest().name.clone()]).collect(),
        defaults: engine.sampling_defaults(),
        created: seconds(),
        context: engine.plan().context,
    };
    let access = Access::new(args.host, args.api_key.clone(), args.origins.clone());
    let (jobs, queue) = jobs::queue();
    let server = Arc::new(Server { service, access, jobs });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("the server's threads", &error))?;
    let address = SocketAddr::new(args.host, args.port);
    let listener = runtime.block_on(connections::listen(address))?;
    let model = server.service.model.clone();
    let listening = listener.local_addr().map_err(|error| Error::io(address, &error))?;
    open::inform(&format!("{model} answers at http://{listening}/v1"));
    runtime.spawn(connections::serve(listener, server));
    queue.work(&mut engine);
    runtime.shutdown_background();
    Ok(())
}

/// The name of a folder as it is, without the path to it.
fn folder_name(package: &Path) -> String {
    let full = package.canonicalize().unwrap_or_else(|_| package.to_path_buf());
    full.file_name().map_or_else(|| "ocelli".into(), |name| name.to_string_lossy().into_owned())
}

/// Since 1970.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
