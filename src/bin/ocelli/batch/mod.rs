//! `ocelli batch`: requests from a file, answers to a file. Killed and started again it goes on where it was.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use ocelli::api::{Opened, Output, Reply, Run, Service, Work};
use ocelli::engine::{Cancel, Engine};
use ocelli::{Error, Result};

use crate::api::{self, NameArgs};
use crate::models::PackagePath;
use crate::open::{self, MemoryArgs};

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
    #[command(flatten)]
    memory: MemoryArgs,
}

pub(crate) fn run(args: &BatchArgs) -> Result<()> {
    let name = args.input.display().to_string();
    let input = || File::open(&args.input).map(BufReader::new).map_err(|error| Error::io(&name, &error));
    let (ids, wrong) = survey(input()?, &name)?;
    let mut answers = Answers::open(&args.output)?;
    answers.check(&ids)?;
    answers.report(&wrong)?;
    let before = answers.len();
    let mut tally = Tally::default();
    if before < ids.len() {
        let mut engine = pollster::block_on(open::engine(&args.package, args.context, &args.memory))?;
        let service = args.names.service(&engine, &args.package);
        let base = args.input.parent().unwrap_or(Path::new(""));
        let bar = progress(ids.len(), before);
        let mut requests = Requests::new(input()?);
        while let Some(line) = requests.next().map_err(|error| Error::io(&name, &error))? {
            let Ok(request) = line else { continue };
            if answers.has(&request.custom_id) {
                continue;
            }
            let answered = answer(&mut engine, &service, &request, base)?;
            tally.count(&answered);
            answers.add(&answered)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        open::show_memory(&engine, &args.memory);
    }
    open::inform(&format!("{} requests: {before} answered before, {tally}; {} lines are none", ids.len(), wrong.len()));
    Ok(())
}

/// How far a batch is, how fast it goes and how long it will take.
fn progress(requests: usize, answered: usize) -> ProgressBar {
    let bar = open::bar("{bar:40} {pos} of {len} answered, {per_sec}, {eta} left");
    bar.set_length(requests as u64);
    bar.set_position(answered as u64);
    bar.reset_eta();
    bar
}

/// Answers one request.
///
/// # Errors
/// As [`Answered::new`].
fn answer(engine: &mut Engine, service: &Service, request: &BatchRequest, base: &Path) -> Result<Answered> {
    let (id, outcome) = request.answer(service, |work| {
        let pictures = work.pictures.iter().map(|picture| api::own_picture(picture, base)).collect::<Result<_>>()?;
        let mut run = Run::new(work, pictures);
        if let Some(wanted) = run.format().cloned() {
            run.hold_to(engine.grammar(&wanted.format).map_err(|error| wanted.locate(error))?);
        }
        let mut tell = |output| {
            if let Output::Event(event) = output {
                crate::tell(&event);
            }
        };
        // It cannot be held: nobody else knows of this `Cancel`.
        let body = pollster::block_on(run.go_on(engine, &Cancel::new(), &mut tell))?;
        body.ok_or(Error::Aborted)
    });
    Answered::new(&request.custom_id, &id, outcome)
}

impl BatchRequest {
    /// What answers it, and the id of the answer; `carry_out` does what needs the engine.
    pub(crate) fn answer(
        &self,
        service: &Service,
        carry_out: impl FnOnce(Box<Work>) -> Result<String>,
    ) -> (String, Result<String>) {
        let stamp = api::stamp();
        let id = stamp.id.clone();
        let opened = service.open(("POST", &self.url), &self.body, stamp);
        let outcome = opened.and_then(|opened| match opened {
            Opened::Ready(body) => Ok(body),
            Opened::Work(work) if work.stream => Err(Error::request("stream", "a batch has no streams")),
            Opened::Work(work) => carry_out(work),
        });
        (id, outcome)
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
            Err(error) => match Reply::from(&error) {
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
        let usage = answered.response.as_ref().map(|response| &response.body["usage"]);
        // Responses call them otherwise.
        let tokens = |names: [&str; 2]| {
            names.iter().find_map(|name| usage.and_then(|usage| usage[*name].as_u64())).unwrap_or_default()
        };
        self.prompt_tokens += tokens(["prompt_tokens", "input_tokens"]);
        self.completion_tokens += tokens(["completion_tokens", "output_tokens"]);
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
