//! `ocelli batch`: requests from a file, answers to a file. Killed and started again it goes on where it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use ocelli::api::{Opened, Output, Reply, Requests as SideBySide, Run, Service, Work, answer_side_by_side};
use ocelli::engine::{Device, Engine, RequestControl};
use ocelli::{Error, Result};

use crate::shared::api::{self, NameArgs};
use crate::shared::args::MemoryArgs;
use crate::shared::io;
use crate::shared::models::PackagePath;
use crate::shared::open;
use crate::shared::progress;
use crate::shared::report;
use crate::usage::{self, Accounts, BatchBudget, Bill, BudgetArgs, Used};

mod answers;
mod requests;

use answers::Response;
pub(crate) use answers::{Answered, Answers};
use requests::LineError;
pub(crate) use requests::{BatchRequest, Requests, survey};

/// Answer a file of requests, as OpenAI's Batch API does: each line `{"custom_id", "method": "POST", "url", "body"}`.
///
/// A line of JSON is written for each request as soon as it is answered: a command that was interrupted goes on where it was. Lines that are
/// no requests are reported among the answers, and so are requests that are refused.
#[derive(Args)]
pub(crate) struct BatchArgs {
    /// The requests. Pictures are data: URLs, or files whose paths count from this file's folder.
    input: PathBuf,
    /// The answers.
    output: PathBuf,
    /// The package: a directory, or the name of a model that was pulled.
    #[arg(long)]
    package: PackagePath,
    #[command(flatten)]
    names: NameArgs,
    /// Tokens the context holds.
    #[arg(long)]
    context: Option<usize>,
    /// Requests that are answered at once, at most. Answers are the same.
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    at_once: Option<u64>,
    #[command(flatten)]
    budgets: BudgetArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

pub(crate) fn run(args: &BatchArgs) -> Result<()> {
    let name = &args.input.display().to_string();
    let BatchArgs { input, output, package, names, context, at_once, budgets, memory } = args;
    let base = input.parent().unwrap_or(Path::new(""));
    let at_once = at_once.map_or(usize::MAX, |most| most as usize);
    let job = Job { name, base, output, package, names, context: *context, at_once, budgets, memory };
    carry_out(&job, || File::open(input).map(BufReader::new).map_err(|error| Error::io(name, &error)))
}

/// Where a batch comes from and goes.
pub(crate) struct Job<'a> {
    /// What its requests are called.
    pub(crate) name: &'a str,
    /// Where paths of pictures count from.
    pub(crate) base: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) package: &'a PackagePath,
    pub(crate) names: &'a NameArgs,
    pub(crate) context: Option<usize>,
    /// Requests at once.
    pub(crate) at_once: usize,
    pub(crate) budgets: &'a BudgetArgs,
    pub(crate) memory: &'a MemoryArgs,
}

/// Answers the requests that are not answered yet; `input` begins to read them.
pub(crate) fn carry_out<R: BufRead>(job: &Job<'_>, input: impl Fn() -> Result<R>) -> Result<()> {
    let &Job { name, base, output, package, names, context, at_once, budgets, memory } = job;
    let (ids, wrong) = survey(input()?, name)?;
    let mut answers = Answers::open(output)?;
    answers.check(&ids)?;
    answers.report(&wrong)?;
    let before = answers.len();
    let mut tally = Tally::default();
    if before < ids.len() {
        let accounts = budgets.accounts()?.map(|accounts| (accounts.batch(answers.spent()), accounts));
        let mut engine = pollster::block_on(open::engine(package, context, memory))?;
        let service = names.service(&engine, package);
        let (bar, requests) = (progress(ids.len(), before), Requests::new(input()?));
        let (open, failed) = (BTreeMap::new(), None);
        let (answers, tally) = (&mut answers, &mut tally);
        let mut desk = Desk { requests, name, service, base, answers, tally, at_once, accounts, bar, open, failed };
        pollster::block_on(answer_side_by_side(&mut engine, &mut desk));
        desk.bar.finish_and_clear();
        desk.failed.map_or(Ok(()), Err)?;
        report::show_memory(&engine, memory);
    }
    io::inform(&format!("{} requests: {before} answered before, {tally}; {} lines are none", ids.len(), wrong.len()));
    Ok(())
}

/// How far a batch is, how fast it goes and how long it will take.
fn progress(requests: usize, answered: usize) -> ProgressBar {
    let bar = progress::bar("{bar:40} {pos} of {len} answered, {per_sec}, {eta} left");
    bar.set_length(requests as u64);
    bar.set_position(answered as u64);
    bar.reset_eta();
    bar
}

/// The requests of a batch on their way to its answers.
struct Desk<'a, R> {
    requests: Requests<R>,
    /// What their file is called.
    name: &'a str,
    service: Service,
    base: &'a Path,
    answers: &'a mut Answers,
    tally: &'a mut Tally,
    at_once: usize,
    /// The budget of the batch, and the others.
    accounts: Option<(BatchBudget, Accounts)>,
    bar: ProgressBar,
    /// Of each request under way the caller's id and its answer's, and its bill.
    open: BTreeMap<usize, (String, String, Option<Bill>)>,
    /// What ends the batch.
    failed: Option<Error>,
}

impl<R: BufRead> Desk<'_, R> {
    /// The next request that needs the engine; the others are answered.
    fn open(&mut self, engine: &mut Engine) -> Result<Option<(Box<Run>, RequestControl)>> {
        while let Some(line) = self.requests.next().map_err(|error| Error::io(self.name, &error))? {
            let Ok(request) = line else { continue };
            if self.answers.has(&request.custom_id) {
                continue;
            }
            let (id, opened) = request.open(&self.service);
            let run = match opened {
                Ok(Opened::Ready(body)) => Err(Ok(body)),
                Ok(Opened::Work(work)) => self.admit(engine, &request.body, work).map_err(Err),
                Err(error) => Err(Err(error)),
            };
            match run {
                Ok((run, cancel, bill)) => {
                    self.open.insert(self.requests.line(), (request.custom_id, id, bill));
                    return Ok(Some((run, cancel)));
                }
                Err(outcome) => self.add((&request.custom_id, &id), outcome)?,
            }
        }
        Ok(None)
    }

    /// Work that the budgets allow, and what counts and ends it.
    fn admit(
        &self,
        engine: &mut Engine,
        body: &str,
        work: Box<Work>,
    ) -> Result<(Box<Run>, RequestControl, Option<Bill>)> {
        let counted = self.accounts.as_ref().filter(|_| work.answers() > 0);
        let bill = counted.map(|(batch, accounts)| accounts.bill(body, "", Some(batch))).transpose()?;
        let (mut run, cancel) = (self.run(engine, work)?, RequestControl::new());
        let Some(mut bill) = bill else { return Ok((run, cancel, None)) };
        cancel.count_by(bill.admit(run.prompt_tokens(engine)?)?);
        Ok((run, cancel, Some(bill)))
    }

    /// Work with its pictures, and held to its format.
    fn run(&self, engine: &mut Engine, work: Box<Work>) -> Result<Box<Run>> {
        let pictures =
            work.pictures.iter().map(|picture| api::own_picture(picture, self.base)).collect::<Result<_>>()?;
        let mut run = Run::new(work, pictures);
        if let Some(wanted) = run.format().cloned() {
            run.constrain(engine.grammar(&wanted.format).map_err(|error| wanted.locate(error))?);
        }
        Ok(Box::new(run))
    }

    fn add(&mut self, (custom_id, id): (&str, &str), outcome: Result<String>) -> Result<()> {
        let answered = Answered::new(custom_id, id, outcome)?;
        self.tally.count(&answered);
        self.answers.add(&answered)?;
        self.bar.inc(1);
        Ok(())
    }
}

impl<R: BufRead> SideBySide<Device> for Desk<'_, R> {
    fn next(&mut self, engine: &mut Engine, _: usize) -> Option<(usize, Box<Run>, RequestControl)> {
        if self.failed.is_some() || self.open.len() >= self.at_once {
            return None;
        }
        match self.open(engine) {
            Ok(next) => next.map(|(run, cancel)| (self.requests.line(), run, cancel)),
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    fn send(&mut self, _: usize, output: Output) {
        if let Output::Event(event) = output {
            io::tell(&event);
        }
    }

    fn done(&mut self, number: usize, _: Box<Run>, outcome: Result<Option<String>>) {
        let Some((custom_id, id, bill)) = self.open.remove(&number) else { return };
        // It cannot be held: nobody else knows of its `RequestControl`.
        let outcome = outcome.and_then(|body| body.ok_or(Error::Aborted));
        if let (Some(bill), Ok(body)) = (bill, &outcome) {
            bill.close(body);
        }
        if let Err(error) = self.add((&custom_id, &id), outcome) {
            self.failed.get_or_insert(error);
        }
    }
}

impl BatchRequest {
    /// What it asks for, and the id of its answer.
    pub(crate) fn open(&self, service: &Service) -> (String, Result<Opened>) {
        let stamp = api::stamp();
        let id = stamp.id.clone();
        let opened = service.open(("POST", &self.url), &self.body, stamp).and_then(|opened| match opened {
            Opened::Work(work) if work.stream => Err(Error::request("stream", "a batch has no streams")),
            opened => Ok(opened),
        });
        (id, opened)
    }
}

impl Answered {
    /// The answer to a request, or why it is refused.
    ///
    /// # Errors
    /// That of the outcome where the device is to blame, which other requests need as well.
    pub(crate) fn new(custom_id: &str, id: &str, outcome: Result<String>) -> Result<Self> {
        let reply = match outcome {
            Ok(body) => Reply::ok(body),
            Err(error) => match usage::reply(&error) {
                Reply { status: 503, .. } => return Err(error),
                reply => reply,
            },
        };
        let body = serde_json::from_str(&reply.body).map_err(|error| Error::Internal { detail: error.to_string() })?;
        let response = Response { status_code: reply.status, request_id: format!("req_{id}"), body };
        let (custom_id, id) = (Some(custom_id.to_owned()), format!("batch_req_{id}"));
        Ok(Self { id, custom_id, response: Some(response), error: None })
    }

    /// A line that is no request.
    fn wrong(error: LineError) -> Self {
        Self { id: format!("batch_req_{}", api::random_name()), custom_id: None, response: None, error: Some(error) }
    }

    /// What its answer took.
    pub(crate) fn used(&self) -> Used {
        self.response.as_ref().map(|response| Used::of(&response.body)).unwrap_or_default()
    }

    /// Whether the request was answered as it was meant.
    pub(crate) fn is_right(&self) -> bool {
        self.response.as_ref().is_some_and(|response| response.status_code == 200)
    }
}

/// What a batch came to.
#[derive(Default)]
struct Tally {
    answered: usize,
    refused: usize,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Tally {
    fn count(&mut self, answered: &Answered) {
        let is_right = answered.is_right();
        self.answered += usize::from(is_right);
        self.refused += usize::from(!is_right);
        let used = answered.used();
        self.prompt_tokens += used.prompt_tokens;
        self.completion_tokens += used.completion_tokens;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answered, refused, prompt_tokens, completion_tokens } = self;
        write!(
            f,
            "{answered} now, {refused} refused; {prompt_tokens} tokens of prompts, {completion_tokens} of answers"
        )
    }
}
