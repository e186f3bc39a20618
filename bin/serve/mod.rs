//! `ocelli serve`: the OpenAI API over HTTP. The engine of the first model runs on the main thread, other engines and connections on others.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use clap::Args;
use ocelli::api::Service;
use ocelli::engine::Engine;
use ocelli::responses::Responses;
use ocelli::{Error, Result};

use crate::engines::{Loading, Monitor, Pulse, Queue, Residents, queue};
use crate::fetch::hosts::Host;
use crate::mcp::Roots;
use crate::page::{self, Page};
use crate::shared::access::Access;
use crate::shared::api::{MOST_RESPONSE_BYTES, NameArgs, embedder};
use crate::shared::args::MemoryArgs;
use crate::shared::disk;
use crate::shared::io;
use crate::shared::kept::KeepArgs;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::units;
use crate::usage::{Accounts, BudgetArgs};

mod agents;
mod album;
mod batches;
mod connections;
mod files;
mod handler;
mod http;
mod intake;
mod models;
mod stream;

use crate::shared::callers::Keys;
use crate::store::{Limits, Store, Temporary};
use album::Album;
use batches::Batches;
use connections::Signals;
use handler::Server;
use intake::Intake;
use models::{Model, Models, Names};

/// Answer requests of OpenAI's API over HTTP: chat completions, completions, responses, models, tokens, files, batches.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// The package: a directory, or the name of a model [default: the only model that was pulled]. Requests choose among several by the
    /// names of their folders; the first one answers requests without a name.
    #[arg(value_name = "PACKAGE", env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    pub(crate) packages: Vec<PackagePath>,
    /// Models that are loaded at the same time. For another one, the least recently used model is unloaded after its open requests.
    #[arg(long, value_name = "NUMBER", env = "OCELLI_RESIDENT_MODELS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    resident_models: u64,
    /// Address to listen on. A key is required if other machines can reach it.
    #[arg(long, env = "OCELLI_HOST", default_value = "127.0.0.1", value_parser = host)]
    host: IpAddr,
    /// Port; 0 selects a free one.
    #[arg(long, env = "OCELLI_PORT", default_value_t = 8080)]
    port: u16,
    /// API key that clients must send. Other users of the machine see it in the list of processes: prefer the environment variable.
    #[arg(long, env = "OCELLI_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// File of named API keys, made by `ocelli keys new`: each has its own files, batches, usage and cached prompts. It is read again when
    /// it changes.
    #[arg(long, value_name = "FILE", env = "OCELLI_KEYS")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    names: NameArgs,
    /// Web origin whose pages may send requests; may be repeated [default: all with a key, only those of this machine without one].
    #[arg(long = "origin", env = "OCELLI_ORIGINS", value_delimiter = ',')]
    origins: Vec<String>,
    /// Folder of files, batches and their answers; a restarted server continues them [default: a temporary folder].
    #[arg(long, value_name = "FOLDER", env = "OCELLI_FILES")]
    files: Option<PathBuf>,
    /// Limit of the size of all files together, such as 2GiB. A key of --keys may use a quarter of it.
    #[arg(long, value_name = "SIZE", env = "OCELLI_FILES_BYTES", value_parser = units::bytes, default_value = "10GiB")]
    files_bytes: u64,
    /// Limit of the number of files and batches. A key of --keys may use a quarter of it.
    #[arg(long, value_name = "NUMBER", env = "OCELLI_FILES_COUNT", default_value_t = 10_000)]
    files_count: u64,
    /// Folder of pictures that requests may name, by `file:` URLs or paths relative to it. Every client can then have all pictures in it
    /// described.
    #[arg(long, value_name = "FOLDER", env = "OCELLI_MEDIA_PATH")]
    media_path: Option<PathBuf>,
    /// Host whose pictures requests may name by https addresses, with a port if it is not 443; may be repeated. Redirections to other hosts
    /// and private addresses are refused, unless the host is such an address.
    #[arg(long = "fetch-pictures", value_name = "HOST", env = "OCELLI_FETCH_PICTURES", value_delimiter = ',')]
    fetch_pictures: Vec<Host>,
    /// Answer requests for embeddings though the model was not trained for them: the hidden state of the last token.
    #[arg(long, env = "OCELLI_EMBEDDINGS")]
    embeddings: bool,
    /// Let all users share the cached prompts. By default the KV cache is kept apart by `prompt_cache_key` and by `safety_identifier` or `user`.
    #[arg(long, env = "OCELLI_SHARE_CACHE")]
    share_cache: bool,
    /// Seconds without requests after which the model is unloaded; the next request loads it again [default: never].
    #[arg(long, value_name = "SECONDS", env = "OCELLI_IDLE_UNLOAD", value_parser = clap::value_parser!(u64).range(1..))]
    idle_unload: Option<u64>,
    /// Lines about requests on standard error.
    #[arg(long, value_enum, env = "OCELLI_LOG", default_value_t)]
    log: Log,
    /// Length of the context in tokens [default: 4096 to 32768, by the memory that it takes].
    #[arg(long, env = "OCELLI_CONTEXT")]
    context: Option<usize>,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    budgets: BudgetArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// Reads an address, or a name such as `localhost`, which stands for its first address of version 4, else for its first one.
fn host(name: &str) -> std::result::Result<IpAddr, String> {
    if let Ok(address) = name.parse() {
        return Ok(address);
    }
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().copied().ok_or_else(|| format!("{name} has no address"))
}

/// Format of the log, which has ids, paths, times and counts but no prompts and no answers.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Log {
    #[default]
    Text,
    /// A JSON object for each line.
    Json,
    Off,
}

impl Log {
    fn start(self) {
        let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
        match self {
            Self::Text => lines.with_ansi(false).init(),
            Self::Json => lines.json().flatten_event(true).init(),
            Self::Off => {}
        }
    }
}

/// Time for threads to end; the temporary folder of files is removed after them.
const LAST_TIME: Duration = Duration::from_secs(2);

/// Characters of the shortest key that cannot be guessed.
const SHORTEST_KEY: usize = 16;

/// Reads the keys. A server that other machines reach needs one that cannot be guessed.
fn keys(args: &ServeArgs) -> Result<Keys> {
    let keys = Keys::open(args.api_key.as_deref(), args.keys.as_deref())?;
    let (is_reached, host) = (!args.host.is_loopback(), args.host);
    if is_reached && !keys.are_needed() {
        return Err(Error::request("api_key", format!("{host} is reached by other machines: set --api-key or --keys")));
    }
    let is_short = |key: &&String| (1..SHORTEST_KEY).contains(&key.chars().count());
    if args.api_key.as_ref().filter(is_short).is_some() {
        let short = format!("has fewer than {SHORTEST_KEY} characters; `ocelli keys new NAME` prints a long one");
        if is_reached {
            return Err(Error::request("api_key", short));
        }
        io::inform(&format!("the API key {short}"));
    }
    Ok(keys)
}

/// The models of the packages, and the other sides of their queues.
///
/// # Errors
/// `invalid-request` for names that do not tell them apart; the errors of packages.
fn models(args: &ServeArgs, monitor: &Arc<Monitor>) -> Result<(Models, Vec<Queue>)> {
    let are_several = args.packages.len() > 1;
    if are_several && args.names.model().is_some() {
        return Err(Error::request("model", "several models have the names of their folders"));
    }
    let model = |(number, package): (usize, &PackagePath)| {
        let names = if number == 0 { Names::of_first(package, &args.names) } else { Names::of(package)? };
        let (jobs, queue) = queue(monitor.clone(), Pulse::new());
        Ok((Model::new(names, jobs), queue))
    };
    let models = args.packages.iter().enumerate().map(model).collect::<Result<Vec<_>>>()?;
    let (models, queues) = models.into_iter().unzip();
    Ok((Models::new(models)?, queues))
}

/// Opens the engine of a model.
struct Opener<'a> {
    args: &'a ServeArgs,
    server: Arc<Server>,
    /// Responses of all models, which requests to any of them may continue.
    responses: Arc<Responses>,
    /// Number of the model.
    number: usize,
}

impl Opener<'_> {
    fn open(&self, alive: &dyn Fn()) -> Result<Engine> {
        let Self { args, server, responses, number } = self;
        let package = &args.packages[*number];
        let mut engine = pollster::block_on(open::watched(package, args.context, &args.memory, alive))?;
        alive();
        let name = args.names.name(package);
        let folder = if server.models.are_several() { Path::new(&name) } else { Path::new("") };
        args.keep.open(&mut engine, folder)?;
        server.models.all()[*number].opened(&engine, || {
            let (embedder, responses) = (embedder(&engine, args.embeddings), responses.clone());
            // Other names are those of the first model.
            let others = NameArgs::default();
            let names = if *number == 0 { &args.names } else { &others };
            Service { keeps_files: true, embedder, responses, ..names.service(&engine, package) }
        });
        Ok(engine)
    }
}

/// Answers requests to all models until the server stops; the engine of the first one is loaded.
fn work(queues: Vec<Queue>, engine: Engine, openers: &[Opener<'_>], residents: &Residents) -> Result<()> {
    let work = |queue: Queue, engine, opener: &Opener<'_>| {
        let idle = opener.args.idle_unload.map(Duration::from_secs);
        let (model, name) = (opener.number, opener.server.models.all()[opener.number].name());
        let loading = Loading { idle, open: &|alive| opener.open(alive), residents, model, name };
        let outcome = queue.work(engine, &loading);
        opener.server.models.stop();
        residents.stop();
        outcome
    };
    thread::scope(|scope| {
        let mut queues = queues.into_iter().zip(openers);
        let first = queues.next();
        let others: Vec<_> = queues.map(|(queue, opener)| scope.spawn(move || work(queue, None, opener))).collect();
        let outcome = first.map_or(Ok(()), |(queue, opener)| work(queue, Some(engine), opener));
        let panicked = |_| Err(Error::Internal { detail: "the thread of an engine panicked".into() });
        others.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).fold(outcome, Result::and)
    })
}

/// Waits until all usage is stored. A disk that hangs does not hold up the end.
fn store(usage: &Accounts) {
    let (stored, waiting) = channel();
    usage.when_stored(Box::new(move || {
        let _ = stored.send(());
    }));
    let _ = waiting.recv_timeout(LAST_TIME);
}

pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    let keys = keys(args)?;
    args.log.start();
    let (accounts, monitor) = (args.budgets.accounts(args.keys.is_some())?, Arc::new(Monitor::new()));
    let access = Access::new(args.host, keys, args.origins.clone());
    args.files.iter().for_each(|folder| disk::warn_of_readers(folder));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("the server's threads", &error))?;
    // Before there are temporary files.
    let signals = runtime.block_on(async { Signals::new() })?;
    let limits = Limits { bytes: args.files_bytes, objects: args.files_count };
    let (batches, waiting) = Batches::new(Store::open(args.files.as_deref(), limits)?);
    let (_temporary, batches) = (Temporary(batches.store.clone()), Arc::new(batches));
    let (models, queues) = models(args, &monitor)?;
    let residents = Residents::new(args.resident_models as usize, models.occupants());
    let album =
        Album { store: batches.store.clone(), folder: args.media_path.clone(), hosts: args.fetch_pictures.clone() };
    let server = Arc::new(Server {
        access,
        shares_cache: args.share_cache,
        models,
        intake: Intake::new(),
        monitor,
        batches: batches.clone(),
        accounts: accounts.clone(),
        album,
        tools: OnceLock::new(),
        page: Page::of_build(),
    });
    let address = SocketAddr::new(args.host, args.port);
    let listener = runtime.block_on(connections::listen(address))?;
    let listening = listener.local_addr().map_err(|error| Error::io(address, &error))?;
    // Probes are answered while the model is loading.
    runtime.spawn(connections::serve(listener, signals, server.clone()));
    let watching = server.clone();
    runtime.spawn(async move { watching.access.keys.watch().await });
    let expiring = batches.store.clone();
    runtime.spawn(async move { files::expire(expiring).await });
    let responses = Arc::new(Responses::new(MOST_RESPONSE_BYTES));
    let opener = |number| Opener { args, server: server.clone(), responses: responses.clone(), number };
    let openers: Vec<_> = (0..args.packages.len()).map(opener).collect();
    let roots = Roots::new(args.media_path.as_slice())?;
    // Nothing else sets them.
    let _ = server.tools.set(agents::tools(&server, roots));
    let engine = openers[0].open(&|| {})?;
    let verb = if server.models.are_several() { "answer" } else { "answers" };
    io::inform(&format!("{} {verb} at http://{listening}/v1", server.models.list()));
    if server.page.is_there() {
        page::link::inform(listening, args.api_key.as_deref(), server.access.keys.are_needed());
    }
    let working = server.clone();
    thread::spawn(move || batches::work(&working, &waiting));
    let outcome = work(queues, engine, &openers, &residents);
    runtime.shutdown_timeout(LAST_TIME);
    batches.close();
    accounts.iter().for_each(store);
    outcome
}

#[cfg(test)]
#[path = "../../tests/command/serve.rs"]
mod tests;
