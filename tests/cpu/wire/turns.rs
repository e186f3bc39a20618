//! Answers that nobody reads leave the engine to others and come back.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ocelli::Error;
use ocelli::api::{Output, Run};
use ocelli::engine::{Event, RequestControl, Speculation};
use serde_json::{Value, json};

use super::{CHAT, CONTEXT, answer, with, work};
use crate::generation::{KINDS, engine};

fn ask(text: &str, more: Value) -> Value {
    with(json!({"messages": [{"role": "user", "content": text}], "max_tokens": 40, "stream": true}), &more)
}

#[test]
fn an_answer_that_leaves_the_engine_goes_on_as_if_it_had_not() {
    for kind in KINDS {
        for speculation in [Speculation::Off, Speculation::Always] {
            for more in
                [json!({"temperature": 0}), json!({"temperature": 1.2, "seed": 3, "n": 2, "frequency_penalty": 0.5})]
            {
                let request = ask("Tell me", more);
                let (whole, _) = answer(&mut engine(kind, speculation, (CONTEXT, 8)), CHAT, &request).unwrap();
                // It is held after so many frames; then nobody, or one, or two others have the engine.
                for (after, others) in [(1, 0), (2, 1), (5, 2), (9, 1)] {
                    let mut engine = engine(kind, speculation, (CONTEXT, 8));
                    let (mut run, cancel, mut left) =
                        (Run::new(work(CHAT, &request).unwrap(), Vec::new()), RequestControl::new(), 0);
                    cancel.yield_to_others(true);
                    let body = loop {
                        let mut frames = 0;
                        cancel.hold(false);
                        let mut hear = |output| {
                            frames += usize::from(matches!(output, Output::Frame(_)));
                            cancel.hold(frames >= after);
                        };
                        if let Some(body) = pollster::block_on(run.resume(&mut engine, &cancel, &mut hear)).unwrap() {
                            break body;
                        }
                        left += 1;
                        for other in 0..others {
                            answer(&mut engine, CHAT, &ask(&format!("Number {other}"), json!({"max_tokens": 3})))
                                .unwrap();
                        }
                    };
                    let body: Value = serde_json::from_str(&body).unwrap();
                    assert_eq!(body["choices"], whole["choices"], "{kind:?} {speculation:?} {after} {others}");
                    assert!(left > 1, "it left {left} times");
                }
            }
        }
    }
}

#[test]
fn a_held_answer_waits_where_nobody_else_wants_the_engine_and_can_be_ended() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (CONTEXT, 8));
        let request = ask("Tell me", json!({"temperature": 0}));
        let (whole, _) = answer(&mut engine, CHAT, &request).unwrap();
        let (mut run, cancel) = (Run::new(work(CHAT, &request).unwrap(), Vec::new()), RequestControl::new());
        let frames = std::cell::Cell::new(0);
        let mut hear = |_| {
            frames.set(frames.get() + 1);
            cancel.hold(frames.get() == 4);
        };
        let context = &mut Context::from_waker(Waker::noop());
        {
            let mut going = pin!(run.resume(&mut engine, &cancel, &mut hear));
            for _ in 0..5 {
                assert!(going.as_mut().poll(context).is_pending());
                assert_eq!(frames.get(), 4, "nothing more is said");
            }
            cancel.hold(false);
            let Poll::Ready(Ok(Some(body))) = going.as_mut().poll(context) else { panic!("it goes on to its end") };
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["choices"], whole["choices"]);
        }
        let mut again = Run::new(work(CHAT, &request).unwrap(), Vec::new());
        cancel.hold(true);
        let mut silent = |_| ();
        let mut going = pin!(again.resume(&mut engine, &cancel, &mut silent));
        assert!(going.as_mut().poll(context).is_pending());
        cancel.cancel();
        assert_eq!(going.as_mut().poll(context), Poll::Ready(Err(Error::Aborted)));
    }
}

/// A conversation of so many turns behind instructions.
fn talk(turns: usize, more: Value) -> Value {
    let mut messages = vec![json!({"role": "system", "content": "Be brief."})];
    for turn in 0..turns {
        messages.push(json!({"role": "user", "content": format!("Question number {turn}")}));
        messages.push(json!({"role": "assistant", "content": "An answer."}));
    }
    messages.push(json!({"role": "user", "content": "The last question"}));
    with(json!({"messages": messages, "max_tokens": 20, "temperature": 0}), &more)
}

#[test]
fn the_oldest_turns_go_where_there_are_too_many_and_the_caller_wants_that() {
    let fake = || engine(KINDS[0], Speculation::Off, (CONTEXT, 8));
    let refused = answer(&mut fake(), CHAT, &talk(40, json!({}))).unwrap_err();
    assert!(matches!(refused, Error::ContextOverflow { .. }), "{refused}");
    let mut run = Run::new(work(CHAT, &talk(40, json!({"truncation": "auto"}))).unwrap(), Vec::new());
    let mut events = Vec::new();
    let mut hear = |output| events.push(output);
    let body = pollster::block_on(run.resume(&mut fake(), &RequestControl::new(), &mut hear)).unwrap().unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let dropped = events.iter().find_map(|output| match output {
        Output::Event(Event::Truncated { turns }) => Some(*turns),
        _ => None,
    });
    let dropped = dropped.expect("an event");
    assert!((1..40).contains(&dropped), "{dropped}");
    // What is left is the conversation without these turns, and no turn more had to go.
    let without = |count: usize| {
        let mut request = talk(40, json!({}));
        request["messages"].as_array_mut().unwrap().drain(1..1 + 2 * count);
        request
    };
    let (cut, _) = answer(&mut fake(), CHAT, &without(dropped)).unwrap();
    assert_eq!((&body["choices"], &body["usage"]["prompt_tokens"]), (&cut["choices"], &cut["usage"]["prompt_tokens"]));
    let longer = answer(&mut fake(), CHAT, &without(dropped - 1));
    let room = |body: &Value| CONTEXT as u64 - body["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(room(&body) >= 20 && longer.is_ok_and(|(body, _)| room(&body) < 20));
    // Nothing goes of what fits, and what is too long by itself is refused.
    let (whole, _) = answer(&mut fake(), CHAT, &talk(2, json!({"truncation": "auto"}))).unwrap();
    let (same, _) = answer(&mut fake(), CHAT, &talk(2, json!({}))).unwrap();
    assert_eq!(whole["choices"], same["choices"]);
    let long = json!([{"role": "user", "content": "far too long ".repeat(200)}]);
    let long = answer(&mut fake(), CHAT, &json!({"messages": long, "truncation": "auto"})).unwrap_err();
    assert!(matches!(long, Error::ContextOverflow { .. }), "{long}");
    assert!(work(CHAT, &talk(1, json!({"truncation": "middle"}))).is_err());
}
