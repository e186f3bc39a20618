//! Answers that nobody reads leave the engine to others and come back.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ocelli::Error;
use ocelli::api::{Output, Run};
use ocelli::engine::{Cancel, Speculation};
use serde_json::{Value, json};

use super::{CONTEXT, answer, work};
use crate::generation::{KINDS, engine};

const CHAT: &str = "/v1/chat/completions";

fn ask(text: &str, more: Value) -> Value {
    let mut request = json!({"messages": [{"role": "user", "content": text}], "max_tokens": 40, "stream": true});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
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
                        (Run::new(work(CHAT, &request).unwrap(), Vec::new()), Cancel::new(), 0);
                    cancel.give_way(true);
                    let body = loop {
                        let mut frames = 0;
                        cancel.hold(false);
                        let mut hear = |output| {
                            frames += usize::from(matches!(output, Output::Frame(_)));
                            cancel.hold(frames >= after);
                        };
                        if let Some(body) = pollster::block_on(run.go_on(&mut engine, &cancel, &mut hear)).unwrap() {
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
        let (mut run, cancel) = (Run::new(work(CHAT, &request).unwrap(), Vec::new()), Cancel::new());
        let frames = std::cell::Cell::new(0);
        let mut hear = |_| {
            frames.set(frames.get() + 1);
            cancel.hold(frames.get() == 4);
        };
        let context = &mut Context::from_waker(Waker::noop());
        {
            let mut going = pin!(run.go_on(&mut engine, &cancel, &mut hear));
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
        let mut going = pin!(again.go_on(&mut engine, &cancel, &mut silent));
        assert!(going.as_mut().poll(context).is_pending());
        cancel.cancel();
        assert_eq!(going.as_mut().poll(context), Poll::Ready(Err(Error::Aborted)));
    }
}
