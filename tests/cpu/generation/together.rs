//! Several answers at once say what each says alone, whoever joins and leaves when, whatever is lost meanwhile and however few pages there are.

use std::collections::BTreeMap;
use std::rc::Rc;

use ocelli::engine::{Answering, Answers, Completion, Event, Request, RequestControl, Speculation};
use ocelli::kernels::cases::Random;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

use super::backend::FakeBackend;
use super::{FakeEngine, KINDS, ask, engine, engine_with, generate};

/// Requests that wait, and what became of them.
pub(super) struct Desk {
    waiting: Vec<(usize, Answering, RequestControl)>,
    heard: BTreeMap<usize, String>,
    pub(super) done: BTreeMap<usize, (Completion, Result<bool>)>,
    /// The most that were at work when another one was let in.
    most: usize,
}

impl Answers<FakeBackend> for Desk {
    fn next(&mut self, _: &mut FakeEngine, under_way: usize) -> Option<(usize, Answering, RequestControl)> {
        self.most = self.most.max(under_way);
        self.waiting.pop()
    }

    fn hear(&mut self, number: usize, event: Event) {
        if let Event::Text(text) = event {
            *self.heard.entry(number).or_default() += &text;
        }
    }

    fn done(&mut self, number: usize, answering: Answering, outcome: Result<bool>) {
        assert!(self.done.insert(number, (answering.completion().clone(), outcome)).is_none(), "{number} ends twice");
    }
}

fn together(engine: &mut FakeEngine, requests: &[Request]) -> Desk {
    together_under(engine, requests, &RequestControl::new())
}

pub(super) fn together_under(engine: &mut FakeEngine, requests: &[Request], cancel: &RequestControl) -> Desk {
    let mut desk = Desk { waiting: Vec::new(), heard: BTreeMap::new(), done: BTreeMap::new(), most: 0 };
    for (number, request) in requests.iter().enumerate().rev() {
        let encoded = Rc::new(engine.encode(&request.prompt, &[]).expect("a prompt"));
        let answering = Answering::new(encoded, request.sampling.clone(), request.max_tokens, request.stop.clone());
        desk.waiting.push((number, answering, cancel.clone()));
    }
    pollster::block_on(engine.answer_together(&mut desk));
    assert_eq!(desk.done.len(), requests.len());
    desk
}

fn any_request(random: &mut Random) -> Request {
    let below = |random: &mut Random, most: u32| random.bits() % most;
    let ids: Vec<u32> = (0..1 + below(random, 40)).map(|index| 100 + below(random, 12).min(index)).collect();
    let sampling = match random.bits() % 3 {
        0 => SamplingOptions {
            temperature: 1.3,
            seed: random.bits().into(),
            frequency_penalty: 0.5,
            ..SamplingOptions::default()
        },
        _ => SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
    };
    Request { sampling, ..ask(&ids, 1 + below(random, 30) as usize) }
}

#[test]
fn answers_together_say_what_each_says_alone() {
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
                let desk = together(&mut engine, &requests);
                crowded = crowded.max(desk.most);
                for (number, request) in requests.iter().enumerate() {
                    let cold = &mut super::engine(kind, Speculation::Off, (240, 64));
                    let alone = generate(cold, request).expect("an answer");
                    let (said, outcome) = &desk.done[&number];
                    assert_eq!(*outcome, Ok(true), "{kind:?} {seed} {number}");
                    assert_eq!(
                        (&said.tokens, said.finish_reason),
                        (&alone.tokens, alone.finish_reason),
                        "{kind:?} {seed} {number}"
                    );
                    assert_eq!(
                        desk.heard.get(&number).cloned().unwrap_or_default(),
                        alone.text,
                        "{kind:?} {seed} {number}"
                    );
                }
            }
            shared += engine.backend().faults.borrow().together;
        }
        assert!(shared > 2000 && crowded == 4, "{kind:?}: {shared} steps, {crowded} at work");
    }
}

#[test]
fn what_cannot_be_answered_keeps_nobody_else_from_it() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (64, 8));
        let desk = together(&mut engine, &[ask(&[1, 2], 20), ask(&[5; 64], 5), ask(&[3], 20)]);
        let full = Error::ContextOverflow { tokens: 65, context: 64 };
        assert_eq!(
            desk.done.values().map(|(_, outcome)| outcome.clone()).collect::<Vec<_>>(),
            [Ok(true), Err(full), Ok(true)]
        );
    }
}
