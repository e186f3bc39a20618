//! Answers that are parked while their client does not read, and conversations that are too long.

use ocelli::Error;
use ocelli::api::{Priority, Scheduler};
use ocelli::engine::{Event, Speculation};
use serde_json::{Value, json};

use super::desk::{Desk, Heard, run_to_the_end};
use super::{CHAT, CONTEXT, answer, run_of, with, work};
use crate::generation::{KINDS, engine};

fn ask(text: &str, more: Value) -> Value {
    with(json!({"messages": [{"role": "user", "content": text}], "max_tokens": 60, "stream": true}), &more)
}

#[test]
fn a_parked_answer_resumes_unchanged() {
    for kind in KINDS {
        for speculation in [Speculation::Off, Speculation::Always] {
            for more in
                [json!({"temperature": 0}), json!({"temperature": 1.2, "seed": 3, "n": 2, "frequency_penalty": 0.5})]
            {
                let request = ask("Tell me", more);
                let (whole, _) = answer(&mut engine(kind, speculation, (CONTEXT, 8)), CHAT, &request).unwrap();
                // Number of other requests that use the engine while the client is slow.
                for others in [0, 1, 2, 5] {
                    let mut engine = engine(kind, speculation, (CONTEXT, 8));
                    let (mut desk, client) = (Desk::default(), Heard::default());
                    client.borrow_mut().is_slow = true;
                    desk.submit(run_of(&mut engine, CHAT, &request).unwrap(), Priority::Person, &client, 0);
                    let (mut scheduler, mut pauses) = (Scheduler::new(desk), 0);
                    while client.borrow().outcome.is_none() {
                        pollster::block_on(scheduler.run(&mut engine));
                        pauses += usize::from(client.borrow_mut().read_all());
                        for other in 0..others {
                            answer(&mut engine, CHAT, &ask(&format!("Number {other}"), json!({"max_tokens": 3})))
                                .unwrap();
                        }
                    }
                    let body = client.borrow_mut().outcome.take().unwrap().unwrap();
                    let body: Value = serde_json::from_str(&body).unwrap();
                    assert_eq!(body["choices"], whole["choices"], "{kind:?} {speculation:?} {others}");
                    assert!(pauses > 1, "it was paused {pauses} times");
                }
            }
        }
    }
}

#[test]
fn a_paused_answer_continues_only_when_it_is_read_and_can_be_cancelled() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (CONTEXT, 8));
        let request = ask("Tell me", json!({"temperature": 0}));
        let (mut desk, [read, cancelled]) = (Desk::default(), <[Heard; 2]>::default());
        for client in [&read, &cancelled] {
            client.borrow_mut().is_slow = true;
            desk.submit(run_of(&mut engine, CHAT, &request).unwrap(), Priority::Person, client, 0);
        }
        let mut scheduler = Scheduler::new(desk);
        let mut run = || pollster::block_on(scheduler.run(&mut engine));
        run();
        let frames = read.borrow().frames.len();
        assert!((16..20).contains(&frames), "{frames} frames");
        run();
        assert_eq!(read.borrow().frames.len(), frames, "nothing more is said");
        cancelled.borrow().control.cancel();
        run();
        assert_eq!(cancelled.borrow().outcome, Some(Err(Error::Aborted)));
        while read.borrow().outcome.is_none() {
            read.borrow_mut().read_all();
            run();
        }
        let body = read.borrow_mut().outcome.take().unwrap().unwrap();
        let (whole, _) = answer(&mut self::engine(kind, Speculation::Off, (CONTEXT, 8)), CHAT, &request).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["choices"], whole["choices"]);
    }
}

/// A conversation of `turns` turns after instructions.
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
fn the_oldest_turns_are_left_out_if_the_request_allows_it() {
    let fake = || engine(KINDS[0], Speculation::Off, (CONTEXT, 8));
    let refused = answer(&mut fake(), CHAT, &talk(40, json!({}))).unwrap_err();
    assert!(matches!(refused, Error::ContextOverflow { .. }), "{refused}");
    let (mut desk, mut engine, client) = (Desk::default(), fake(), Heard::default());
    let run = run_of(&mut engine, CHAT, &talk(40, json!({"truncation": "auto"}))).unwrap();
    desk.submit(run, Priority::Person, &client, 0);
    run_to_the_end(&mut engine, desk, std::slice::from_ref(&client));
    let body = client.borrow_mut().outcome.take().unwrap().unwrap();
    let events = std::mem::take(&mut client.borrow_mut().events);
    let body: Value = serde_json::from_str(&body).unwrap();
    let dropped = events.iter().find_map(|event| match event {
        Event::Truncated { turns } => Some(*turns),
        _ => None,
    });
    let dropped = dropped.expect("an event");
    assert!((1..40).contains(&dropped), "{dropped}");
    // The rest is the conversation without these turns, and no further turn was left out.
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
    // A conversation that fits is not cut, and a message that is too long by itself is refused.
    let (whole, _) = answer(&mut fake(), CHAT, &talk(2, json!({"truncation": "auto"}))).unwrap();
    let (same, _) = answer(&mut fake(), CHAT, &talk(2, json!({}))).unwrap();
    assert_eq!(whole["choices"], same["choices"]);
    let long = json!([{"role": "user", "content": "far too long ".repeat(200)}]);
    let long = answer(&mut fake(), CHAT, &json!({"messages": long, "truncation": "auto"})).unwrap_err();
    assert!(matches!(long, Error::ContextOverflow { .. }), "{long}");
    assert!(work(CHAT, &talk(1, json!({"truncation": "middle"}))).is_err());
}
