//! Batched answers equal single ones, whichever join or leave, whatever fails meanwhile and however few pages there are.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use ocelli::engine::{
    AnswerOptions, Answering, Batch, Completion, Departure, Event, Left, Request, RequestControl, Room, Speculation,
};
use ocelli::kernels::cases::Random;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

use super::{FakeEngine, KINDS, ask, engine, engine_with, generate};

#[derive(Default)]
pub(super) struct Answered {
    heard: BTreeMap<usize, String>,
    pub(super) done: BTreeMap<usize, (Completion, Result<Left>)>,
    /// Largest size of the batch.
    most: usize,
}

fn together(engine: &mut FakeEngine, requests: &[Request]) -> Answered {
    together_under(engine, requests, &RequestControl::new())
}

pub(super) fn together_under(engine: &mut FakeEngine, requests: &[Request], control: &RequestControl) -> Answered {
    let mut waiting: VecDeque<(usize, Answering)> = VecDeque::new();
    for (number, request) in requests.iter().enumerate() {
        let encoded = Rc::new(engine.encode(&request.prompt, &[]).expect("a prompt"));
        let Request { sampling, max_tokens, stop, .. } = request.clone();
        let options = AnswerOptions { sampling, max_tokens, stop, ..AnswerOptions::default() };
        let answering = Answering::new(encoded, options, None);
        waiting.push_back((number, answering));
    }
    let (mut batch, Answered { mut heard, mut done, mut most }) = (Batch::default(), Answered::default());
    let mut tell = |number: usize, event: Event| {
        if let Event::Text(text) = event {
            *heard.entry(number).or_default() += &text;
        }
    };
    while done.len() < requests.len() {
        while let Some((number, answering)) = waiting.pop_front() {
            if engine.room(&batch, &answering.encoded().clone(), answering.can_share()) != Room::Free {
                waiting.push_front((number, answering));
                break;
            }
            let completion = answering.completion().clone();
            let added = pollster::block_on(engine.add(&mut batch, number, answering, control.clone(), &mut tell));
            if let Err(error) = added {
                done.insert(number, (completion, Err(error)));
            }
            most = most.max(batch.len());
        }
        for Departure { number, answering, outcome } in pollster::block_on(engine.step(&mut batch, true, &mut tell)) {
            if outcome == Ok(Left::Displaced) {
                waiting.push_front((number, answering));
            } else {
                let ended = done.insert(number, (answering.completion().clone(), outcome));
                assert!(ended.is_none(), "{number} ends twice");
            }
        }
    }
    Answered { heard, done, most }
}

fn any_request(random: &mut Random) -> Request {
    let below = |random: &mut Random, most: u32| random.bits() % most;
    let ids: Vec<u32> = (0..1 + below(random, 40)).map(|index| 100 + below(random, 12).min(index)).collect();
    let sampling = match random.bits() % 3 {
        0 => SamplingOptions {
            temperature: 1.3,
            seed: random.bits().into(),
            frequency_penalty: 0.5,
            repetition_penalty: [1.0, 1.2][below(random, 2) as usize],
            ..SamplingOptions::default()
        },
        _ => SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
    };
    Request { sampling, ..ask(&ids, 1 + below(random, 30) as usize) }
}

#[test]
fn batched_answers_equal_single_ones() {
    for kind in KINDS {
        let (mut shared, mut crowded) = (0, 0);
        for seed in 0..120 {
            let mut random = Random::new(seed);
            let (chunk, pages) = ([3, 8, 64][random.bits() as usize % 3], 1 + random.bits() as usize % 7);
            let mut engine = engine_with(kind, Speculation::Off, (240, chunk), (pages, 4));
            for _ in 0..2 {
                let requests: Vec<Request> = (0..1 + random.bits() % 9).map(|_| any_request(&mut random)).collect();
                {
                    let mut faults = engine.backend().faults.borrow_mut();
                    let now = faults.operations;
                    (faults.lose_at, faults.full_at) = (Vec::new(), Vec::new());
                    match random.bits() % 3 {
                        0 => faults.lose_at = vec![now + 1 + random.bits() as usize % 200],
                        1 => faults.full_at = vec![now + 1 + random.bits() as usize % 200],
                        _ => {}
                    }
                }
                let answered = together(&mut engine, &requests);
                crowded = crowded.max(answered.most);
                for (number, request) in requests.iter().enumerate() {
                    let cold = &mut super::engine(kind, Speculation::Off, (240, 64));
                    let alone = generate(cold, request).expect("an answer");
                    let (said, outcome) = &answered.done[&number];
                    assert_eq!(*outcome, Ok(Left::Complete), "{kind:?} {seed} {number}");
                    assert_eq!(
                        (&said.tokens, said.finish_reason),
                        (&alone.tokens, alone.finish_reason),
                        "{kind:?} {seed} {number}"
                    );
                    assert_eq!(
                        answered.heard.get(&number).cloned().unwrap_or_default(),
                        alone.text,
                        "{kind:?} {seed} {number}"
                    );
                }
            }
            shared += engine.backend().faults.borrow().together;
        }
        assert!(shared > 2000 && crowded == 5, "{kind:?}: {shared} steps, {crowded} at work");
    }
}

#[test]
fn a_refused_prompt_leaves_other_answers_unchanged() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (64, 8));
        let answered = together(&mut engine, &[ask(&[1, 2], 20), ask(&[5; 64], 5), ask(&[3], 20)]);
        let full = Error::ContextOverflow { tokens: 65, context: 64 };
        assert_eq!(
            answered.done.values().map(|(_, outcome)| outcome.clone()).collect::<Vec<_>>(),
            [Ok(Left::Complete), Err(full), Ok(Left::Complete)]
        );
    }
}
