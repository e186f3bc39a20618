//! The engine is shared fairly, counted in steps: a short question is answered after a bounded number of steps, and no request starves. All
//! answers equal those of single requests.

use ocelli::api::Priority;
use ocelli::api::schedule::{CONTINUED, MOST_AGED, QUANTUM};
use ocelli::engine::Speculation;
use ocelli::kernels::cases::Random;
use serde_json::{Value, json};

use super::desk::{Desk, Heard, run_to_the_end};
use super::{CHAT, answer, run_of, thoughts, with};
use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, engine, engine_with};

const CONTEXT: usize = 900;
const CHUNK: usize = 8;

fn chat(text: &str, more: &Value) -> Value {
    with(json!({"messages": [{"role": "user", "content": text}], "temperature": 1.2, "seed": 3}), more)
}

/// Steps from the arrival of a short question at step `before` to its end; six long requests arrived at step 0.
fn waited(engine: &mut FakeEngine, long: &Value, short: &Value, before: usize) -> u64 {
    let (mut desk, mut clients) = (Desk::default(), Vec::new());
    let mut submit = |engine: &mut FakeEngine, body: &Value, at: usize| {
        let client = Heard::default();
        desk.submit(run_of(engine, CHAT, body).unwrap(), Priority::Person, &client, at);
        clients.push(client);
    };
    (0..6).for_each(|index| submit(engine, &with(long.clone(), &json!({"seed": index})), 0));
    submit(engine, short, before);
    run_to_the_end(engine, desk, &clients);
    let ended = clients.iter().map(|client| client.borrow().ended_at.unwrap()).collect::<Vec<_>>();
    assert!(ended[..6].iter().all(|at| *at > ended[6]), "the short one ends first: {ended:?}");
    for (index, client) in clients.iter().enumerate() {
        let body = client.borrow_mut().outcome.take().unwrap().unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["choices"].as_array().unwrap().len(), if index < 6 { 8 } else { 1 });
    }
    let begun = clients[6].borrow().begun_at.unwrap();
    println!("submitted at {before}, begun at {begun}, ended at {}", ended[6]);
    (ended[6] - before) as u64
}

/// Most steps that a short question takes after `waiting` other requests, by the tokens of its prompt and of its answer.
fn bound(waiting: u64, prompt: u64, tokens: u64) -> u64 {
    // Some turns belong to answers that have begun. Every turn has a step that begins it and one that ends it.
    let turns = waiting + waiting.div_ceil(CONTINUED as u64 - 1);
    turns * (QUANTUM + 3) + prompt.div_ceil(CHUNK as u64) + tokens + 8
}

#[test]
fn a_short_question_is_answered_after_a_bounded_number_of_steps() {
    let tool = json!({"type": "function", "function": {"name": "clock"}});
    let long = |more: &Value| chat("Tell me everything", &with(json!({"n": 8, "max_tokens": 40}), more));
    let requests = [
        ("log probabilities", long(&json!({"logprobs": true, "top_logprobs": 3}))),
        ("a grammar", long(&json!({"response_format": {"type": "regex", "regex": "[a-z ]{150}[a-z ]*"}}))),
        ("tools", long(&json!({"tools": [tool], "max_tokens": 40}))),
        // A batch continues several answers per step, so these need more tokens to be active when the short question arrives.
        ("all rows", long(&json!({"max_tokens": 80}))),
    ];
    let short = chat("Hello", &json!({"max_tokens": 4}));
    let prompt = {
        let (whole, _) =
            answer(&mut engine(Kind::Attention, Speculation::Off, (CONTEXT, CHUNK)), CHAT, &short).unwrap();
        whole["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    for (name, long) in requests {
        for is_one_by_one in [false, true] {
            for kind in [Kind::Attention, Kind::Recurrence] {
                for (before, waiting) in [(400, 1), (150, 2), (0, 6)] {
                    let mut engine = engine_with(kind, Speculation::Off, (CONTEXT, CHUNK), (40, 8));
                    engine.backend().faults.borrow_mut().is_one_by_one = is_one_by_one;
                    let waited = waited(&mut engine, &long, &short, before);
                    let bound = bound(waiting, prompt, 4);
                    assert!(waited <= bound, "{name}, {kind:?}, one by one {is_one_by_one}: {waited} of {bound}");
                }
            }
        }
    }
}

#[test]
fn a_short_question_is_answered_while_others_think() {
    let long = with(thoughts::ask(&json!({"n": 8, "max_tokens": 50})), &json!({"logit_bias": {}}));
    let bounded = json!({"response_format": {"type": "regex", "regex": "[a-z]{20}[a-z]*"}});
    let short = thoughts::ask(&json!({"max_tokens": 4, "chat_template_kwargs": {"enable_thinking": false}}));
    let engine = || thoughts::thinker_of(Kind::Recurrence, Speculation::Off);
    let prompt = answer(&mut engine(), CHAT, &short).unwrap().0["usage"]["prompt_tokens"].as_u64().unwrap();
    for long in [with(long.clone(), &bounded), with(long.clone(), &json!({"logprobs": true})), long] {
        for (before, waiting) in [(400, 1), (0, 6)] {
            // Few conversations stay idle: others are recomputed when they resume, which takes as long as the turn.
            let waited = waited(&mut engine(), &long, &short, before);
            let bound = 2 * bound(waiting, prompt, 4) + 20;
            assert!(waited <= bound, "{waited} of {bound}: {long}");
        }
    }
}

#[test]
fn an_answer_that_has_begun_continues_while_short_requests_arrive_without_end() {
    let long = |more: &Value| chat("Tell me everything", &with(json!({"stream": true, "max_tokens": 300}), more));
    let alone = long(&json!({"logprobs": true, "top_logprobs": 1}));
    let short = chat("Hello", &json!({"max_tokens": 4, "logprobs": true}));
    for (long, short) in
        [(&alone, &short), (&long(&json!({})), &short), (&long(&json!({})), &chat("Hi", &json!({"max_tokens": 9})))]
    {
        for is_one_by_one in [false, true] {
            for answers in [1, 2] {
                let mut engine = engine_with(Kind::Attention, Speculation::Off, (CONTEXT, CHUNK), (40, 8));
                engine.backend().faults.borrow_mut().is_one_by_one = is_one_by_one;
                let (mut desk, mut clients) = (Desk::default(), Vec::new());
                let mut submit = |body: &Value, at: usize| {
                    clients.push(Heard::default());
                    desk.submit(
                        run_of(&mut engine, CHAT, body).unwrap(),
                        Priority::Person,
                        &clients[clients.len() - 1],
                        at,
                    );
                };
                (0..answers).for_each(|seed| submit(&with(long.clone(), &json!({"seed": seed})), 0));
                // More than can be answered, so that at every step some wait.
                (50..1500).for_each(|at| submit(short, at));
                run_to_the_end(&mut engine, desk, &clients);
                for client in &clients[..answers] {
                    let heard = &client.borrow().heard_at;
                    println!("{answers} answers, one by one {is_one_by_one}: {:?} steps", heard.last());
                    assert!(heard.len() > 100 && heard.last() > Some(&150), "{heard:?}");
                    let gap = heard.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
                    let most = answers * CONTINUED * (QUANTUM as usize + 3);
                    assert!(
                        gap <= most,
                        "{gap} steps of {most}, one by one {is_one_by_one}, {answers} answers: {long}"
                    );
                }
            }
        }
    }
}

fn any_request(random: &mut Random) -> Value {
    let mut below = |most: u32| random.bits() % most;
    let text = ["Hello", "Tell me", "Tell me everything about it", "A"][below(4) as usize];
    let mut request = chat(text, &json!({"max_tokens": 1 + below(40), "seed": below(5), "n": 1 + below(3)}));
    let more = match below(7) {
        0 => json!({"logprobs": true}),
        1 => json!({"response_format": {"type": "regex", "regex": "[a-z ]{9}[a-z ]*"}}),
        2 => json!({"stream": true}),
        3 => json!({"stream": true, "logprobs": true, "top_logprobs": 1}),
        4 => json!({"temperature": 0}),
        5 => json!({"repetition_penalty": 1.3}),
        _ => json!({}),
    };
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[test]
fn randomly_arriving_requests_are_answered_like_single_ones() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let kind = [Kind::Attention, Kind::Recurrence][random.bits() as usize % 2];
        let (pages, idle) = (1 + random.bits() as usize % 9, random.bits() as usize % 6);
        let mut engine = engine_with(kind, Speculation::Off, (CONTEXT, CHUNK), (pages.max(4), idle));
        engine.backend().faults.borrow_mut().is_one_by_one = random.bits().is_multiple_of(3);
        let (mut desk, mut clients, mut bodies) = (Desk::default(), Vec::new(), Vec::new());
        for _ in 0..2 + random.bits() % 9 {
            let (client, body) = (Heard::default(), any_request(&mut random));
            client.borrow_mut().is_slow = random.bits().is_multiple_of(2);
            let priority = if random.bits().is_multiple_of(4) { Priority::Batch } else { Priority::Person };
            let at = random.bits() as usize % 300;
            desk.submit(run_of(&mut engine, CHAT, &body).unwrap(), priority, &client, at);
            clients.push((client, priority, at));
            bodies.push(body);
        }
        let heard: Vec<Heard> = clients.iter().map(|(client, ..)| client.clone()).collect();
        run_to_the_end(&mut engine, desk, &heard);
        let most = MOST_AGED as usize + clients.len() * 4 * QUANTUM as usize;
        for ((client, priority, at), body) in clients.iter().zip(&bodies) {
            let client = client.borrow();
            let alone = &mut engine_with(kind, Speculation::Off, (CONTEXT, CHUNK), (40, 8));
            let (alone, _) = answer(alone, CHAT, body).unwrap();
            let got: Value = serde_json::from_str(client.outcome.as_ref().unwrap().as_ref().unwrap()).unwrap();
            assert_eq!(got["choices"], alone["choices"], "{seed} {kind:?}: {body}");
            let waited = client.begun_at.unwrap().saturating_sub(*at);
            assert!(*priority == Priority::Batch || waited <= most, "{seed} {kind:?}: {waited} steps of {most}");
        }
    }
}
