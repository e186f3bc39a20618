//! Requests that are answered side by side are answered as each is alone, streams and their frames too.

use std::collections::BTreeMap;

use ocelli::api::{Frame, Output, Requests, Run, answer_side_by_side};
use ocelli::engine::{RequestControl, Speculation};
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::{CHAT, CONTEXT, RESPONSES, answer, with, work};
use crate::generation::backend::FakeBackend;
use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, engine};

/// Requests that wait, and what became of them.
#[derive(Default)]
struct Desk {
    waiting: Vec<(usize, Box<Run>, RequestControl)>,
    cancels: BTreeMap<usize, RequestControl>,
    /// Has them make room at every frame.
    makes_room: bool,
    frames: BTreeMap<usize, Vec<Frame>>,
    done: BTreeMap<usize, Result<String>>,
    /// How often one left that was not complete, and the most that were under way.
    left: usize,
    most: usize,
}

impl Requests<FakeBackend> for Desk {
    fn next(&mut self, _: &mut FakeEngine, under_way: usize) -> Option<(usize, Box<Run>, RequestControl)> {
        self.most = self.most.max(under_way);
        let (number, run, cancel) = self.waiting.pop()?;
        cancel.make_room(false);
        cancel.hold(false);
        self.cancels.insert(number, cancel.clone());
        Some((number, run, cancel))
    }

    fn send(&mut self, number: usize, output: Output) {
        if let Output::Frame(frame) = output {
            self.cancels[&number].make_room(self.makes_room);
            let frames = self.frames.entry(number).or_default();
            frames.push(frame);
            // As if nobody read it for a moment.
            self.cancels[&number].hold(frames.len() == 3);
        }
    }

    fn done(&mut self, number: usize, run: Box<Run>, outcome: Result<Option<String>>) {
        match outcome {
            Ok(None) => {
                self.left += 1;
                self.waiting.push((number, run, self.cancels[&number].clone()));
            }
            Ok(Some(body)) => assert!(self.done.insert(number, Ok(body)).is_none(), "{number} ends twice"),
            Err(error) => assert!(self.done.insert(number, Err(error)).is_none(), "{number} ends twice"),
        }
    }
}

fn requests() -> Vec<(&'static str, Value)> {
    let chat = |text: &str, more: Value| {
        (CHAT, with(json!({"messages": [{"role": "user", "content": text}], "max_tokens": 30}), &more))
    };
    vec![
        chat("Tell me", json!({"temperature": 0})),
        chat("Tell me more", json!({"temperature": 1.2, "seed": 3, "n": 3, "frequency_penalty": 0.5})),
        chat("Tell me", json!({"temperature": 1.1, "seed": 8, "n": 2, "stream": true})),
        ("/v1/completions", json!({"prompt": "far too long ".repeat(200), "max_tokens": 3})),
        ("/v1/completions", json!({"prompt": ["One", "Two"], "temperature": 0, "max_tokens": 12})),
        chat("A token at a time", json!({"temperature": 0, "logprobs": true, "top_logprobs": 2})),
        (RESPONSES, json!({"input": "Tell me", "temperature": 0, "max_output_tokens": 20, "stream": true})),
        ("/v1/responses/input_tokens", json!({"input": "Tell me"})),
        chat("The last", json!({"temperature": 0, "stream": true})),
    ]
}

#[test]
fn requests_side_by_side_are_answered_as_each_is_alone() {
    for makes_room in [false, true] {
        let mut engine = engine(Kind::Attention, Speculation::Off, (CONTEXT, 8));
        let mut desk = Desk { makes_room, ..Desk::default() };
        for (number, (path, body)) in requests().iter().enumerate().rev() {
            let cancel = RequestControl::new();
            cancel.yield_to_others(true);
            desk.waiting.push((number, Box::new(Run::new(work(path, body).unwrap(), Vec::new())), cancel));
        }
        pollster::block_on(answer_side_by_side(&mut engine, &mut desk));
        assert!(desk.left >= 2 && desk.most >= 3, "{} left, {} under way", desk.left, desk.most);
        for (number, (path, body)) in requests().iter().enumerate() {
            let alone = answer(&mut self::engine(Kind::Attention, Speculation::Off, (CONTEXT, 8)), path, body);
            match (alone, &desk.done[&number]) {
                (Ok((alone, frames)), Ok(body)) => {
                    let body: Value = serde_json::from_str(body).unwrap();
                    for part in ["choices", "output", "input_tokens"] {
                        assert_eq!(body.get(part), alone.get(part), "{number} {part}");
                    }
                    let said = |frames: &[Frame]| {
                        let data = frames.iter().map(|frame| serde_json::from_str::<Value>(&frame.data).ok());
                        data.map(|data| data.map(|data| (data["choices"].clone(), data["delta"].clone()))).collect()
                    };
                    let got: Vec<_> = said(desk.frames.get(&number).map_or(&[], Vec::as_slice));
                    let wanted: Vec<_> = said(&frames);
                    assert_eq!(got, wanted, "{number}");
                }
                (Err(alone), Err(error)) => {
                    assert_eq!(*error, alone);
                    assert!(matches!(error, Error::ContextOverflow { .. }), "{error}");
                }
                (alone, got) => panic!("{number}: {alone:?}, {got:?}"),
            }
        }
    }
}
