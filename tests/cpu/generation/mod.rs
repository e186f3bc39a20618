//! Generation without a device, on models whose states can and cannot be rewound to any entry: reuse, recomputation, stop strings,
//! streaming, limits, errors.

pub(crate) mod backend;
mod cache;
pub(crate) mod fake;
mod fake_state;
mod grammar;
mod meters;
mod pictures;
mod sessions;
mod snapshots;
mod together;

use crate::manifests;
use std::sync::{Arc, LazyLock};

use backend::FakeBackend;
use fake::Kind;
use ocelli::chat::Tokenizer;
use ocelli::engine::{
    Completion, Engine, Event, FinishReason, LoadOptions, Prompt, Request, RequestControl, Speculation,
};
use ocelli::layout::Layout;
use ocelli::package::manifest::Manifest;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

pub(crate) type FakeEngine = Engine<FakeBackend>;

/// Shared by all engines, because reading it takes longer than most answers.
static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json");
    Arc::new(Tokenizer::from_json(&std::fs::read(path).expect("a fixture")).expect("a tokenizer"))
});
static MANIFEST: LazyLock<Manifest> =
    LazyLock::new(|| manifests::manifest(manifests::ministral_3b(), Layout::Q4_0, Layout::Q4_0));

pub(crate) fn engine(kind: Kind, speculation: Speculation, sizes: (usize, usize)) -> FakeEngine {
    engine_with(kind, speculation, sizes, (8, 8))
}

/// An engine with a pool of `pages` and at most `idle` idle conversations.
pub(crate) fn engine_with(
    kind: Kind,
    speculation: Speculation,
    sizes: (usize, usize),
    (pages, idle): (usize, usize),
) -> FakeEngine {
    let tokenizer = TOKENIZER.clone();
    let backend = FakeBackend::new(kind, MANIFEST.clone(), tokenizer.vocab_size(), sizes).with(pages, idle);
    let options = LoadOptions { speculation, ..LoadOptions::new(|| 0.0) };
    Engine::new(backend, tokenizer, &options)
}

fn ask(ids: &[u32], max_tokens: usize) -> Request {
    Request {
        prompt: Prompt::Ids(ids.to_vec()),
        pictures: Vec::new(),
        sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        max_tokens: Some(max_tokens),
        stop: Vec::new(),
        grammar: None,
    }
}

fn generate(engine: &mut FakeEngine, request: &Request) -> Result<Completion> {
    pollster::block_on(engine.generate(request, &RequestControl::new(), &mut |_| ()))
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Attention, Kind::Recurrence];

#[test]
fn an_answer_ends_at_its_limit_at_a_stop_string_and_at_the_end_of_the_context() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (64, 8));
        let whole = generate(&mut engine, &ask(&[1, 2, 3], 40)).expect("an answer");
        assert_eq!((whole.tokens.len(), whole.finish_reason), (40, FinishReason::Length));
        let end = generate(&mut engine, &Request { max_tokens: None, ..ask(&[1, 2, 3], 1) }).expect("an answer");
        assert_eq!((end.tokens.len(), end.finish_reason), (61, FinishReason::Length), "the context holds 64");
        let at = whole.text.char_indices().nth(9).expect("a long answer").0;
        let stop = whole.text[at..].chars().take(3).collect::<String>();
        let stopped =
            generate(&mut engine, &Request { stop: vec![stop.clone()], ..ask(&[1, 2, 3], 40) }).expect("an answer");
        let cut = whole.text.find(&stop).expect("it is there");
        assert_eq!((stopped.text.as_str(), stopped.finish_reason), (&whole.text[..cut], FinishReason::Stop));
        let full = generate(&mut engine, &ask(&[5; 64], 1)).expect_err("no room for an answer");
        assert_eq!(full, Error::ContextOverflow { tokens: 65, context: 64 });
    }
}

#[test]
fn text_events_join_to_the_answer_and_a_cancelled_one_loses_nothing() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Always, (200, 8));
        let request = ask(&(100..130).collect::<Vec<_>>(), 60);
        let mut streamed = String::new();
        let mut listen = |event: Event| {
            if let Event::Text(text) = event {
                streamed += &text;
            }
        };
        let whole =
            pollster::block_on(engine.generate(&request, &RequestControl::new(), &mut listen)).expect("an answer");
        assert_eq!(streamed, whole.text);
        assert!(whole.usage.accepted_tokens > 0, "{:?}", whole.usage);
        for texts in [1, 7, 20] {
            let (cancel, mut heard) = (RequestControl::new(), 0);
            let mut stop = |event: Event| {
                heard += usize::from(matches!(event, Event::Text(_)));
                if heard == texts {
                    cancel.cancel();
                }
            };
            let error =
                pollster::block_on(engine.generate(&request, &cancel, &mut stop)).expect_err("it was cancelled");
            assert_eq!((error, heard), (Error::Aborted, texts), "nothing is said after it");
            let again = generate(&mut engine, &request).expect("an answer");
            assert_eq!(again.tokens, whole.tokens, "{kind:?}");
        }
    }
}

#[test]
fn equal_seeds_give_equal_answers_even_after_device_losses() {
    for kind in KINDS {
        let sampling = SamplingOptions { temperature: 1.5, seed: 7, ..SamplingOptions::default() };
        let request = Request { sampling, ..ask(&[1, 2, 3, 4], 30) };
        let mut engine = engine(kind, Speculation::Always, (200, 8));
        let first = generate(&mut engine, &request).expect("an answer");
        assert_eq!(generate(&mut engine, &request).expect("an answer").tokens, first.tokens);
        let now = engine.backend().faults.borrow().operations;
        engine.backend().faults.borrow_mut().lose_at = vec![now + 9, now + 40];
        assert_eq!(generate(&mut engine, &request).expect("an answer").tokens, first.tokens, "{kind:?}");
        let other = Request { sampling: SamplingOptions { seed: 8, ..request.sampling.clone() }, ..request.clone() };
        assert_ne!(generate(&mut engine, &other).expect("an answer").tokens, first.tokens);
    }
}

#[test]
fn accepted_drafts_survive_a_device_loss() {
    for kind in KINDS {
        let request = ask(&(100..130).collect::<Vec<_>>(), 30);
        let whole = generate(&mut engine(kind, Speculation::Always, (200, 8)), &request).expect("an answer");
        assert!(whole.usage.accepted_tokens > 0, "{:?}", whole.usage);
        for lost in 1.. {
            let mut engine = engine(kind, Speculation::Always, (200, 8));
            let devices = engine.backend().faults.borrow().devices;
            engine.backend().faults.borrow_mut().lose_at = vec![lost];
            assert_eq!(generate(&mut engine, &request).expect("an answer").tokens, whole.tokens, "{kind:?}: {lost}");
            if engine.backend().faults.borrow().devices == devices {
                break;
            }
        }
    }
}

#[test]
fn the_third_loss_of_a_request_is_an_error_and_the_next_request_starts_anew() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (200, 8));
        let request = ask(&[1, 2, 3, 4], 30);
        let right = generate(&mut engine, &request).expect("an answer");
        let now = engine.backend().faults.borrow().operations;
        engine.backend().faults.borrow_mut().lose_at = vec![now + 5, now + 8, now + 12];
        let error = generate(&mut engine, &request).expect_err("lost three times");
        assert_eq!(error.code(), "device-lost");
        assert_eq!(generate(&mut engine, &request).expect("an answer").tokens, right.tokens, "{kind:?}");
    }
}

#[test]
fn a_scored_prompt_gives_the_logits_of_every_position_however_it_is_divided() {
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (200, 16));
        let ids: Vec<u32> = (100..130).collect();
        let mut score = |chunk: usize| {
            let (mut all, mut firsts) = (Vec::new(), Vec::new());
            let rows = &mut |rows: ocelli::engine::ScoredRows<'_>| {
                firsts.push(rows.first);
                all.extend_from_slice(rows.logits);
                Ok(())
            };
            let (prompt, cancel) = (Prompt::Ids(ids.clone()), RequestControl::new());
            let scored = engine.score(&prompt, &[], chunk, &cancel, rows);
            assert_eq!(pollster::block_on(scored).expect("scores"), ids);
            (all, firsts)
        };
        let (whole, firsts) = score(usize::MAX);
        assert_eq!(firsts, [0, 16]);
        assert_eq!(score(7), (whole, vec![0, 7, 14, 21, 28]), "{kind:?}");
    }
}
