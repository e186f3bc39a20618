//! `ocelli batch`: requests from a file, answers to a file. An interrupted batch resumes when it is started again.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;
use ocelli::api::{Client, Inbox, Opened, Output, Priority, Reply, Run, Scheduler, Service, Stamp, Submission, Work};
use ocelli::engine::{Encoder, Meter, RequestControl};
use ocelli::usage::{BatchBudget, Counts};
use ocelli::{Error, Result};

use crate::shared::api::{self, NameArgs};
use crate::shared::args::MemoryArgs;
use crate::shared::ask::PictureFolder;
use crate::shared::disk;
use crate::shared::documents::{self, Uploads};
use crate::shared::formats::Formats;
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::progress;
use crate::shared::report;
use crate::usage::{Accounts, Bill, BudgetArgs};

mod answers;
mod attempts;
mod endpoint;
mod inline;
mod remote;
mod requests;
mod retries;
mod tally;

use answers::Response;
pub(crate) use answers::{Answered, Answers};
pub(crate) use attempts::Attempts;
use endpoint::Endpoints;
use remote::RemoteJob;
pub(crate) use requests::{BatchRequest, LineError, Requests, survey};
pub(crate) use retries::Retries;
use tally::Tally;

/// Answer a file of requests, as OpenAI's Batch API does: each line `{"custom_id", "method": "POST", "url", "body"}`.
///
/// Each answer is written as a line of JSON as soon as it is complete. An interrupted command resumes when it is started again. Invalid
/// lines and refused requests are reported among the answers.
#[derive(Args)]
pub(crate) struct BatchArgs {
    /// The requests. Pictures are data: URLs, or paths of files in this file's folder or below it, relative to it; `-` is
    /// standard input.
    input: PathBuf,
    /// The answers.
    output: PathBuf,
    /// The package: a directory, or the name of a model [default: the only model that was pulled].
    #[arg(long, short, env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    package: PackagePath,
    /// Address of a server with OpenAI's API, such as `http://host:8000/v1`, that answers instead of this machine; may be repeated, for
    /// several with the same model. Its API key is read from `OCELLI_ENDPOINT_KEY`, else from `OPENAI_API_KEY`.
    #[arg(long = "endpoint", value_name = "URL", conflicts_with_all = ["context", "at_once", "BudgetArgs"])]
    endpoints: Vec<String>,
    /// Requests that are sent to --endpoint at the same time.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "endpoints", value_parser = clap::value_parser!(u64).range(1..=1024))]
    concurrency: u64,
    #[command(flatten)]
    names: NameArgs,
    /// Context size in tokens.
    #[arg(long)]
    context: Option<usize>,
    /// Most requests that are answered at the same time. The answers do not depend on it.
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    at_once: Option<u64>,
    /// Accept pictures in any folder.
    #[arg(long)]
    any_path: bool,
    #[command(flatten)]
    budgets: BudgetArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

impl BatchArgs {
    /// The package, if it is needed.
    pub(crate) fn package(&mut self) -> Option<&mut PackagePath> {
        self.endpoints.is_empty().then_some(&mut self.package)
    }
}

pub(crate) fn run(args: &BatchArgs) -> Result<()> {
    let name = &args.input.display().to_string();
    let BatchArgs { input, output, package, names, context, at_once, any_path, budgets, memory, .. } = args;
    if disk::is_same_file(input, output) {
        return Err(Error::request("output", "is the file of the requests"));
    }
    let pictures = PictureFolder { base: input.parent().unwrap_or(Path::new("")), any_path: *any_path };
    // It is read twice.
    let standard = if input == Path::new("-") { Some(io::read_standard(usize::MAX)?) } else { None };
    let open = || -> Result<Box<dyn BufRead + Send + '_>> {
        match &standard {
            Some(text) => Ok(Box::new(text.as_slice())),
            None => Ok(Box::new(BufReader::new(File::open(input).map_err(|error| Error::io(name, &error))?))),
        }
    };
    if !args.endpoints.is_empty() {
        let endpoints = Endpoints::new(&args.endpoints, endpoint_key())?;
        let (concurrency, model) = (args.concurrency as usize, names.model());
        return remote::carry_out(&RemoteJob { name, pictures, output, endpoints, concurrency, model }, open);
    }
    let at_once = at_once.map_or(usize::MAX, |most| most as usize);
    let job = Job { name, pictures, output, package, names, context: *context, at_once, budgets, memory };
    carry_out(&job, open)
}

/// The API key of other servers. Not an option, because other users of the machine see those.
fn endpoint_key() -> Option<String> {
    let of = |name| std::env::var(name).ok().filter(|key| !key.is_empty());
    of("OCELLI_ENDPOINT_KEY").or_else(|| of("OPENAI_API_KEY"))
}

/// Input and output of a batch.
pub(crate) struct Job<'a> {
    /// Name of the input, for errors.
    pub(crate) name: &'a str,
    pub(crate) pictures: PictureFolder<'a>,
    pub(crate) output: &'a Path,
    pub(crate) package: &'a PackagePath,
    pub(crate) names: &'a NameArgs,
    pub(crate) context: Option<usize>,
    /// Limit of concurrent requests.
    pub(crate) at_once: usize,
    pub(crate) budgets: &'a BudgetArgs,
    pub(crate) memory: &'a MemoryArgs,
}

/// Answers the requests that are not answered yet; `input` begins to read them.
pub(crate) fn carry_out<R: BufRead>(job: &Job<'_>, input: impl Fn() -> Result<R>) -> Result<()> {
    let &Job { name, pictures, output, package, names, context, at_once, budgets, memory } = job;
    let (ids, wrong) = survey(input()?, name, usize::MAX)?;
    let mut answers = Answers::open(output)?;
    answers.check(&ids)?;
    answers.report(&wrong)?;
    let before = answers.len();
    let mut tally = Tally::default();
    if before < ids.len() {
        let accounts = budgets.accounts(false)?.map(|accounts| (accounts.batch(answers.spent()), accounts));
        let mut engine = pollster::block_on(open::engine(package, context, memory))?;
        let service = names.service(&engine, package);
        let (bar, requests) = (progress(ids.len(), before), Requests::new(input()?));
        let most = at_once.min(2 * engine.max_batch().max(1));
        let (failed, retries, attempts) = (None, Retries::default(), Attempts::open(output));
        let progress = Progress { answers: &mut answers, tally: &mut tally, bar, failed, retries };
        let progress = Rc::new(RefCell::new(progress));
        let (encoder, formats) = (engine.encoder().clone(), Formats::new(&engine));
        let lines = Lines {
            requests,
            name,
            service,
            pictures,
            encoder,
            formats,
            most,
            accounts,
            attempts,
            progress: progress.clone(),
        };
        let mut scheduler = Scheduler::new(lines);
        loop {
            pollster::block_on(scheduler.run(&mut engine));
            let Progress { failed, retries, .. } = &*progress.borrow();
            if failed.is_some() || retries.is_empty() {
                break;
            }
        }
        progress.borrow().bar.finish_and_clear();
        progress.borrow_mut().failed.take().map_or(Ok(()), Err)?;
        report::show_memory(&engine, memory);
    }
    io::inform(&format!("{} requests: {before} answered before, {tally}; {} lines are none", ids.len(), wrong.len()));
    Ok(())
}

/// Progress bar with the rate and the remaining time.
fn progress(requests: usize, answered: usize) -> ProgressBar {
    let bar = progress::bar("{bar:40} {pos} of {len} answered, {per_sec}, {eta} left");
    bar.set_length(requests as u64);
    bar.set_position(answered as u64);
    bar.reset_eta();
    bar
}

/// Supplies the lines of a batch's input to the scheduler.
struct Lines<'a, R> {
    requests: Requests<R>,
    /// Name of the input, for errors.
    name: &'a str,
    service: Service,
    pictures: PictureFolder<'a>,
    encoder: Arc<Encoder>,
    formats: Formats,
    /// Limit of concurrent requests.
    most: usize,
    /// Budget of the batch, and all accounts.
    accounts: Option<(BatchBudget, Accounts)>,
    attempts: Attempts,
    progress: Rc<RefCell<Progress<'a>>>,
}

/// Answers of a batch so far.
struct Progress<'a> {
    answers: &'a mut Answers,
    tally: &'a mut Tally,
    bar: ProgressBar,
    /// The error that ends the batch.
    failed: Option<Error>,
    retries: Retries,
}

impl Progress<'_> {
    fn add(&mut self, (custom_id, id): (&str, &str), outcome: Result<String>) -> Result<()> {
        let answered = Answered::new(custom_id, id, outcome)?;
        self.tally.count(&answered);
        self.answers.add(&answered)?;
        self.bar.inc(1);
        Ok(())
    }
}

impl<'a, R: BufRead> Lines<'a, R> {
    /// The next request that needs the engine, while `open` requests are being answered; others are answered here.
    fn submission(&mut self, open: usize) -> Result<Option<Submission<'a>>> {
        while let Some(line) = self.requests.next().map_err(|error| Error::io(self.name, &error))? {
            let Ok(request) = line else { continue };
            if self.progress.borrow().answers.has(&request.custom_id) {
                continue;
            }
            if let Some(submission) = self.begin(request, false)? {
                return Ok(Some(submission));
            }
        }
        if open > 0 {
            return Ok(None);
        }
        let retry = || self.progress.borrow_mut().retries.next();
        while let Some(request) = retry() {
            if let Some(submission) = self.begin(request, true)? {
                return Ok(Some(submission));
            }
        }
        Ok(None)
    }

    /// Prepares a request, or answers it if it does not need the engine.
    fn begin(&self, request: BatchRequest, is_alone: bool) -> Result<Option<Submission<'a>>> {
        let stamp = api::stamp();
        let (id, opened) = (stamp.id.clone(), request.open(&self.service, &documents::none, stamp));
        let control = RequestControl::new();
        let outcome = match opened {
            Ok(Opened::Ready(body)) => Ok(body),
            Ok(Opened::Work(work)) => {
                match self.attempts.prepare(&request.custom_id, || self.prepare(work, &control)) {
                    Ok((run, bill)) => {
                        let progress = self.progress.clone();
                        let client = Box::new(LineClient { request, is_alone, id, bill, progress });
                        return Ok(Some(Submission { run, priority: Priority::Batch, control, client }));
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        self.progress.borrow_mut().add((&request.custom_id, &id), outcome)?;
        Ok(None)
    }

    /// Prepares a request: pictures, prompts, grammar, and a bill if its usage is counted.
    fn prepare(&self, work: Box<Work>, control: &RequestControl) -> Result<(Box<Run>, Option<Bill>)> {
        let counted = self.accounts.as_ref().filter(|_| work.answers() > 0);
        let bill = counted.map(|(batch, accounts)| accounts.bill(&work.asker, "", Some(batch))).transpose()?;
        let pictures = work.pictures.iter().map(|picture| api::own_picture(picture, self.pictures));
        let prompts = work.encode(&self.encoder, &pictures.collect::<Result<Vec<_>>>()?, control)?;
        let grammar = self.formats.grammar(&work)?;
        let mut run = Box::new(Run::with_prompts(work, prompts));
        if let Some(grammar) = grammar {
            run.constrain(Rc::new(grammar));
        }
        Ok((run, bill))
    }
}

impl<'a, R: BufRead> Inbox<'a> for Lines<'a, R> {
    fn next(&mut self, open: usize) -> Option<Submission<'a>> {
        if self.progress.borrow().failed.is_some() || open >= self.most {
            return None;
        }
        self.submission(open).unwrap_or_else(|error| {
            self.progress.borrow_mut().failed = Some(error);
            None
        })
    }
}

struct LineClient<'a> {
    request: BatchRequest,
    /// True if no other request is answered beside it.
    is_alone: bool,
    /// Id of the answer.
    id: String,
    bill: Option<Bill>,
    progress: Rc<RefCell<Progress<'a>>>,
}

impl Client for LineClient<'_> {
    fn admit(&mut self, prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        self.bill.as_mut().map_or(Ok(Vec::new()), |bill| bill.admit(prompt_tokens))
    }

    fn send(&mut self, output: Output) {
        if let Output::Event(event) = output {
            io::tell(&event);
        }
    }

    fn end(self: Box<Self>, outcome: Result<String>) {
        let Self { request, is_alone, id, bill, progress } = *self;
        if let Some(bill) = bill {
            bill.close(&Counts::of_outcome(&outcome));
        }
        let mut progress = progress.borrow_mut();
        if progress.retries.keep(&request, is_alone, &outcome) {
            return;
        }
        if let Err(error) = progress.add((&request.custom_id, &id), outcome) {
            progress.failed.get_or_insert(error);
        }
    }
}

impl BatchRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// The errors of the service and of documents, and `invalid-request` for a stream.
    pub(crate) fn open(&self, service: &Service, uploads: Uploads<'_>, stamp: Stamp) -> Result<Opened> {
        let opened = documents::expanded(&self.body, uploads, &RequestControl::new())
            .and_then(|expanded| service.open(("POST", &self.url), expanded.as_ref().unwrap_or(&self.body), stamp));
        match opened? {
            Opened::Work(work) if work.stream => Err(Error::request("stream", "a batch has no streams")),
            opened => Ok(opened),
        }
    }
}

impl Answered {
    /// The answer to a request, or its refusal.
    ///
    /// # Errors
    /// The error of the outcome if the device caused it, because other requests would fail too. Memory may suffice for them.
    pub(crate) fn new(custom_id: &str, id: &str, outcome: Result<String>) -> Result<Self> {
        let reply = match outcome {
            Ok(body) => Reply::ok(body),
            Err(error) => match (Reply::from(&error), &error) {
                (Reply { status: 503, .. }, error) if !matches!(error, Error::OutOfMemory { .. }) => {
                    return Err(error.clone());
                }
                (reply, _) => reply,
            },
        };
        let body = serde_json::from_str(&reply.body).map_err(|error| Error::Internal { detail: error.to_string() })?;
        let response = Response { status_code: reply.status, request_id: format!("req_{id}"), body };
        let (custom_id, id) = (Some(custom_id.to_owned()), format!("batch_req_{id}"));
        Ok(Self { id, custom_id, response: Some(response), error: None })
    }

    /// Reports a line that is not a request.
    pub(crate) fn wrong(error: LineError) -> Self {
        Self { id: format!("batch_req_{}", api::random_name()), custom_id: None, response: None, error: Some(error) }
    }

    /// Usage of its answer.
    pub(crate) fn used(&self) -> Counts {
        self.response.as_ref().map(|response| Counts::of_answer(&response.body)).unwrap_or_default()
    }

    /// Returns whether the request was answered, not refused.
    pub(crate) fn is_right(&self) -> bool {
        self.response.as_ref().is_some_and(|response| response.status_code == 200)
    }
}

#[cfg(test)]
mod tests;
