//! Requests that are computed together are answered like single ones, including the frames of streams.

use ocelli::Error;
use ocelli::api::{Frame, Priority};
use ocelli::engine::Speculation;
use serde_json::{Value, json};

use super::desk::{Desk, Heard, run_to_the_end};
use super::{CHAT, CONTEXT, RESPONSES, answer, run_of, with};
use crate::generation::engine;
use crate::generation::fake::Kind;

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
fn concurrent_requests_are_answered_like_single_ones() {
    // Requests arrive `apart` steps one after another; every `batches`th is one of a batch.
    for (apart, batches) in [(0, 0), (1, 0), (11, 0), (3, 2), (30, 3)] {
        let mut engine = engine(Kind::Attention, Speculation::Off, (CONTEXT, 8));
        let (mut desk, mut clients) = (Desk::default(), Vec::new());
        for (number, (path, body)) in requests().iter().enumerate() {
            let client = Heard::default();
            client.borrow_mut().is_slow = true;
            let priority = if batches > 0 && number % batches == 0 { Priority::Batch } else { Priority::Person };
            desk.submit(run_of(&mut engine, path, body).unwrap(), priority, &client, number * apart);
            clients.push(client);
        }
        let pauses = run_to_the_end(&mut engine, desk, &clients);
        assert!(pauses >= 2, "{pauses} pauses");
        for (number, (path, body)) in requests().iter().enumerate() {
            let alone = answer(&mut self::engine(Kind::Attention, Speculation::Off, (CONTEXT, 8)), path, body);
            match (alone, &clients[number].borrow().outcome.clone().unwrap()) {
                (Ok((alone, frames)), Ok(body)) => {
                    let body: Value = serde_json::from_str(body).unwrap();
                    for part in ["choices", "output", "input_tokens"] {
                        assert_eq!(body.get(part), alone.get(part), "{number} {part}");
                    }
                    let said = |frames: &[Frame]| {
                        let data = frames.iter().map(|frame| serde_json::from_str::<Value>(&frame.data).ok());
                        data.map(|data| data.map(|data| (data["choices"].clone(), data["delta"].clone()))).collect()
                    };
                    let got: Vec<_> = said(&clients[number].borrow().frames);
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
