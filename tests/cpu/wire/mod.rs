//! The API from the body of a request to the bytes of its answer, on a model without a device: answers and their streams in OpenAI's
//! formats, several answers, log probabilities, answers that leave the engine to others, and what is refused.

mod answers;
mod elements;
mod formats;
mod refusals;
mod thoughts;
mod together;
mod tools;
mod turns;
mod whole_answers;

use ocelli::api::{Frame, Opened, Output, Run, Service, Stamp, Work};
use ocelli::engine::{Cancel, Speculation};
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};
use serde_json::Value;

use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, engine};

const CONTEXT: usize = 240;

fn fake() -> FakeEngine {
    engine(Kind::Attention, Speculation::Off, (CONTEXT, 8))
}

fn service() -> Service {
    service_of(&fake())
}

fn service_of(engine: &FakeEngine) -> Service {
    Service {
        model: "mistral/3b".into(),
        aliases: vec!["gpt-4o".into()],
        defaults: SamplingOptions::default(),
        created: 1_700_000_000,
        context: CONTEXT,
        calls: engine.call_syntax(),
        thinking: engine.thinking(),
        tokenizer: engine.tokenizer().clone(),
    }
}

fn stamp() -> Stamp {
    Stamp { id: "1".into(), created: 1_700_000_001, seed: 5 }
}

/// Work that a request to a path comes to.
fn work(path: &str, body: &Value) -> Result<Box<Work>> {
    work_for(&fake(), path, body)
}

fn work_for(engine: &FakeEngine, path: &str, body: &Value) -> Result<Box<Work>> {
    match service_of(engine).open(("POST", path), &body.to_string(), stamp())? {
        Opened::Work(work) => Ok(work),
        Opened::Ready(body) => panic!("no work: {body}"),
    }
}

/// A whole answer, and what was streamed of it.
fn answer(engine: &mut FakeEngine, path: &str, body: &Value) -> Result<(Value, Vec<Frame>)> {
    let (mut run, mut frames) = (Run::new(work_for(engine, path, body)?, Vec::new()), Vec::new());
    if let Some(wanted) = run.format().cloned() {
        run.hold_to(engine.grammar(&wanted.format).map_err(|error| wanted.locate(error))?);
    }
    let mut hear = |output| {
        if let Output::Frame(frame) = output {
            frames.push(frame);
        }
    };
    let body = pollster::block_on(run.go_on(engine, &Cancel::new(), &mut hear))?;
    Ok((serde_json::from_str(&body.expect("a complete answer")).expect("JSON"), frames))
}

/// The body of a reply that needs no engine.
fn get(path: &str) -> Result<Value> {
    match service().open(("GET", path), "", stamp())? {
        Opened::Ready(body) => Ok(serde_json::from_str(&body).expect("JSON")),
        Opened::Work(_) => Err(Error::Internal { detail: "work".into() }),
    }
}
