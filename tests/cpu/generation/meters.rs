//! Answers end early when their budget is spent.

use std::cell::Cell;
use std::sync::Arc;

use ocelli::engine::{
    Completion, Engine, FinishReason, Left, LoadOptions, Meter, Request, RequestControl, Speculation,
};
use ocelli::sampling::SamplingOptions;

use super::backend::FakeBackend;
use super::fake::Kind;
use super::together::together_under;
use super::{FakeEngine, KINDS, MANIFEST, TOKENIZER, ask, engine, generate};

/// A control, and its meter with a budget of tokens and milliseconds.
fn metered(tokens: f64, ms: f64) -> (RequestControl, Arc<Meter>) {
    let (cancel, meter) = (RequestControl::new(), Arc::new(Meter::default()));
    meter.allow(tokens, ms);
    cancel.count_by(vec![Arc::new(Meter::default()), meter.clone()]);
    (cancel, meter)
}

fn answer(engine: &mut FakeEngine, request: &Request, cancel: &RequestControl) -> Completion {
    pollster::block_on(engine.generate(request, cancel, &mut |_| ())).expect("an answer")
}

#[test]
fn an_answer_ends_with_the_tokens_that_are_allowed() {
    for kind in KINDS {
        for speculation in [Speculation::Off, Speculation::Always] {
            let request = ask(&(100..130).collect::<Vec<_>>(), 40);
            let whole = generate(&mut engine(kind, speculation, (200, 8)), &request).expect("an answer");
            assert_eq!(whole.tokens.len(), 40);
            let mut engine = engine(kind, speculation, (200, 8));
            for tokens in [17, 0, 1, 39] {
                let (cancel, meter) = metered(f64::from(tokens), f64::INFINITY);
                let cut = answer(&mut engine, &request, &cancel);
                assert_eq!((cut.tokens.len(), cut.finish_reason), (tokens as usize, FinishReason::Length));
                assert_eq!(cut.tokens, whole.tokens[..tokens as usize]);
                assert!(whole.text.starts_with(&cut.text), "{:?} of {:?}", cut.text, whole.text);
                assert_eq!((meter.spent().0, meter.left()), (tokens as u64, 0));
                let usage = (cut.usage.prompt_tokens, cut.usage.completion_tokens);
                assert_eq!(usage, (30, tokens as usize), "{kind:?} {speculation:?}");
            }
            assert_eq!(generate(&mut engine, &request).expect("an answer").tokens, whole.tokens, "nothing is lost");
        }
    }
}

#[test]
fn batched_answers_exceed_a_budget_by_at_most_one_token_each() {
    let requests: Vec<Request> = (0..5)
        .map(|index| {
            let sampling = SamplingOptions { temperature: 1.2, seed: index, ..SamplingOptions::default() };
            Request { sampling, ..ask(&[100 + index as u32, 7, 9], 50) }
        })
        .collect();
    let open = || engine(Kind::Attention, Speculation::Off, (200, 8));
    for tokens in [0_u32, 30, 31, 1000] {
        let (cancel, meter) = metered(f64::from(tokens), f64::INFINITY);
        let desk = together_under(&mut open(), &requests, &cancel);
        let mut taken = 0;
        for (number, (cut, outcome)) in &desk.done {
            assert_eq!(*outcome, Ok(Left::Complete));
            let whole = generate(&mut open(), &requests[*number]).expect("an answer");
            assert_eq!(cut.tokens, whole.tokens[..cut.tokens.len()], "{number}");
            taken += cut.tokens.len() as u64;
        }
        assert_eq!(taken, meter.spent().0);
        let most = if tokens == 0 { 0 } else { u64::from(tokens) + requests.len() as u64 - 1 };
        assert!(taken <= most && taken >= u64::from(tokens.min(250)), "{taken} of {tokens}");
    }
}

thread_local! {
    static NOW: Cell<f64> = const { Cell::new(0.0) };
}

/// A clock that advances by a millisecond per call.
fn ticking() -> f64 {
    NOW.with(|now| now.replace(now.get() + 1.0))
}

#[test]
fn an_answer_ends_when_its_time_is_up() {
    let tokenizer = TOKENIZER.clone();
    let backend = FakeBackend::new(Kind::Attention, MANIFEST.clone(), tokenizer.vocab_size(), (200, 8)).with(8, 8);
    let options = LoadOptions { speculation: Speculation::Off, ..LoadOptions::new(ticking) };
    let mut engine = Engine::new(backend, tokenizer, &options);
    let request = ask(&(100..130).collect::<Vec<_>>(), 100);
    let whole = generate(&mut engine, &request).expect("an answer");
    for ms in [20.0, 60.0] {
        let (cancel, meter) = metered(f64::INFINITY, ms);
        let cut = answer(&mut engine, &request, &cancel);
        assert!(!cut.tokens.is_empty() && cut.tokens.len() < 100, "{} tokens in {ms} ms", cut.tokens.len());
        assert_eq!((cut.finish_reason, &cut.tokens[..]), (FinishReason::Length, &whole.tokens[..cut.tokens.len()]));
        let spent = meter.spent().1;
        // One step more than allowed, and the end of the answer.
        assert!(spent >= ms && spent < ms + 10.0, "{spent} of {ms}");
    }
    // A budget that ends within the prompt gives an empty answer.
    let (cancel, meter) = metered(f64::INFINITY, 2.0);
    let long = ask(&(100..250).collect::<Vec<_>>(), 10);
    let cut = answer(&mut engine, &long, &cancel);
    assert_eq!((cut.tokens.len(), cut.usage.prompt_tokens, cut.finish_reason), (0, 150, FinishReason::Length));
    assert!(meter.spent().1 < 15.0, "{:?}", meter.spent());
    assert_eq!(generate(&mut engine, &request).expect("an answer").tokens, whole.tokens, "nothing is lost");
    let requests: Vec<Request> = (0..4).map(|index| ask(&[100 + index, 7], 100)).collect();
    let (cancel, meter) = metered(f64::INFINITY, 300.0);
    let desk = together_under(&mut engine, &requests, &cancel);
    let taken: usize = desk.done.values().map(|(cut, _)| cut.tokens.len()).sum();
    assert!(taken > 4 && taken < 400 && meter.spent().1 >= 300.0, "{taken} tokens, {:?}", meter.spent());
}
