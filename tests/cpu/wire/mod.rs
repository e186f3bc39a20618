//! The API from the body of a request to the bytes of its answer, on a model without a device: answers and streams in OpenAI's formats,
//! several answers, log probabilities, parked answers, refusals.

mod answers;
mod desk;
mod elements;
mod embeddings;
mod fairness;
mod formats;
mod messages;
mod refusals;
mod response_thoughts;
mod scopes;
mod stored;
mod thoughts;
mod together;
mod tools;
mod turns;
mod whole_answers;

use std::sync::Arc;

use desk::{Desk, Heard};
use ocelli::api::{Embedder, Frame, Opened, Priority, Run, Scheduler, Service, Stamp, Work};
use ocelli::chat::EmbeddingSettings;
use ocelli::engine::Speculation;
use ocelli::responses::Responses;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};
use serde_json::{Value, json};

use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, KINDS, engine};
use crate::streams::{Added, added_up};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const CONTEXT: usize = 240;

fn fake() -> FakeEngine {
    engine(Kind::Attention, Speculation::Off, (CONTEXT, 8))
}

fn service() -> Service {
    service_of(&fake())
}

fn service_of(engine: &FakeEngine) -> Service {
    let settings = EmbeddingSettings { least_dimensions: Some(4), ..EmbeddingSettings::untrained() };
    Service {
        model: "mistral/3b".into(),
        aliases: vec!["gpt-4o".into()],
        defaults: SamplingOptions::default(),
        created: 1_700_000_000,
        context: CONTEXT,
        reads_pictures: engine.encoder().reads_pictures(),
        calls: engine.call_syntax(),
        thinking: engine.thinking(),
        tokenizer: engine.tokenizer().clone(),
        responses: Arc::new(Responses::new(1 << 20)),
        embedder: Some(Embedder { settings, width: 16 }),
        keeps_files: false,
    }
}

fn stamp() -> Stamp {
    Stamp { id: "1".into(), created: 1_700_000_001, seed: 5, owner: None }
}

/// Work of a request to a path.
fn work(path: &str, body: &Value) -> Result<Box<Work>> {
    work_for(&fake(), path, body)
}

fn work_for(engine: &FakeEngine, path: &str, body: &Value) -> Result<Box<Work>> {
    match service_of(engine).open(("POST", path), &body.to_string(), stamp())? {
        Opened::Work(work) => Ok(work),
        Opened::Ready(body) => panic!("no work: {body}"),
    }
}

/// A run with the grammar of its format.
fn run_of(engine: &mut FakeEngine, path: &str, body: &Value) -> Result<Box<Run>> {
    let mut run = Box::new(Run::new(work_for(engine, path, body)?, Vec::new()));
    if let Some(wanted) = run.format().cloned() {
        run.constrain(engine.grammar(&wanted.format).map_err(|error| wanted.locate(error))?);
    }
    Ok(run)
}

/// A whole answer, and the frames of its stream.
fn answer(engine: &mut FakeEngine, path: &str, body: &Value) -> Result<(Value, Vec<Frame>)> {
    let run = run_of(engine, path, body)?;
    let (mut desk, client) = (Desk::default(), Heard::default());
    desk.submit(run, Priority::Person, &client, 0);
    let mut scheduler = Scheduler::new(desk);
    loop {
        pollster::block_on(scheduler.run(engine));
        let outcome = client.borrow_mut().outcome.take();
        if let Some(outcome) = outcome {
            let frames = client.borrow_mut().frames.drain(..).collect();
            return Ok((serde_json::from_str(&outcome?).expect("JSON"), frames));
        }
        client.borrow_mut().read_all();
    }
}

/// Adds or replaces fields of a request.
fn with(mut request: Value, more: &Value) -> Value {
    request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    request
}

/// Data of frames, without the end mark.
fn data(frames: &[Frame]) -> impl Iterator<Item = &str> {
    frames.iter().map(|frame| frame.data.as_str()).filter(|data| *data != "[DONE]")
}

/// The answer that the chunks of a chat add up to.
fn streamed(engine: &mut FakeEngine, request: &Value) -> Added {
    let (_, frames) = answer(engine, CHAT, &with(request.clone(), &json!({"stream": true}))).expect("an answer");
    added_up(data(&frames))
}

/// Checks that an answer does not depend on drafts, nor on a device loss at every `step`th operation.
fn are_the_same_whatever_is_lost(
    make: impl Fn(Kind, Speculation) -> FakeEngine,
    (path, request): (&str, &Value),
    step: usize,
) {
    let said = |engine: &mut FakeEngine| {
        let (whole, _) = answer(engine, path, request).expect("an answer");
        ["choices", "output"].map(|part| whole.get(part).cloned())
    };
    for kind in KINDS {
        let wanted = said(&mut make(kind, Speculation::Off));
        let mut other = make(kind, Speculation::Always);
        assert_eq!(said(&mut other), wanted, "{kind:?} {request}");
        let end = other.backend().faults.borrow().operations;
        for at in (0..end).step_by(step) {
            let now = other.backend().faults.borrow().operations;
            other.backend().faults.borrow_mut().lose_at = vec![now + at];
            assert_eq!(said(&mut other), wanted, "{kind:?} lost at {at}: {request}");
        }
    }
}

/// Body of a reply that needs no engine.
fn get(path: &str) -> Result<Value> {
    match service().open(("GET", path), "", stamp())? {
        Opened::Ready(body) => Ok(serde_json::from_str(&body).expect("JSON")),
        Opened::Work(_) => Err(Error::Internal { detail: "work".into() }),
    }
}
