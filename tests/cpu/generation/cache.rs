//! Prompts whose beginning is in the cache: only the difference is computed, whichever conversation left the beginning there.

use ocelli::engine::{Completion, Speculation};

use super::fake::Kind;
use super::{FakeEngine, KINDS, ask, engine, engine_with, generate};

const CONTEXT: usize = 240;

/// Answers; checks that the reported reuse matches the computed rows, and that the answer equals a cold run.
fn say(engine: &mut FakeEngine, prompt: &[u32]) -> Completion {
    let before = engine.backend().faults.borrow().rows;
    let said = generate(engine, &ask(prompt, 10)).expect("an answer");
    let rows = engine.backend().faults.borrow().rows - before;
    assert_eq!(rows, prompt.len() - said.usage.cached_tokens, "{:?}", said.usage);
    let cold = super::engine(Kind::Attention, Speculation::Off, (CONTEXT, 64));
    assert_eq!(said.tokens, generate(&mut { cold }, &ask(prompt, 10)).expect("a cold run").tokens);
    said
}

fn cached(engine: &mut FakeEngine, prompt: &[u32]) -> usize {
    say(engine, prompt).usage.cached_tokens
}

fn attention(pages: usize) -> FakeEngine {
    engine_with(Kind::Attention, Speculation::Off, (CONTEXT, 8), (pages, 8))
}

/// Tokens of a conversation; with another `first` they are all different.
fn words(first: u32, count: u32) -> Vec<u32> {
    (0..count).map(|index| 1000 * first + index).collect()
}

#[test]
fn only_the_difference_to_any_conversation_before_is_computed() {
    let engine = &mut attention(8);
    let system = words(1, 40);
    let (one, other) = ([&system[..], &words(2, 20)].concat(), [&system[..], &words(3, 25)].concat());
    let said = say(engine, &one);
    assert_eq!(said.usage.cached_tokens, 0);
    assert_eq!(cached(engine, &other), 40, "the shared beginning");
    // The last token of an answer is not computed.
    let second = [&one[..], &said.tokens, &words(4, 5)].concat();
    assert_eq!(cached(engine, &second), 60 + 9, "a follow-up, after another conversation");
    assert_eq!(cached(engine, &other), 64, "a regenerated answer, after another conversation");
    assert_eq!(cached(engine, &second), second.len() - 1);
    assert_eq!(cached(engine, &[&second[..72], &words(5, 9)].concat()), 72, "an edited last turn");
    assert_eq!(cached(engine, &second), second.len() - 1, "what was edited is still there");
    assert_eq!(cached(engine, &one), 59, "the first turn again");
    assert_eq!(cached(engine, &words(6, 30)), 0, "nothing is common");
}

#[test]
fn one_changed_token_is_never_taken_for_another() {
    let engine = &mut attention(8);
    let prompt = words(1, 50);
    say(engine, &prompt);
    for at in [0, 1, 20, 48, 49] {
        let mut changed = prompt.clone();
        changed[at] += 7;
        assert_eq!(cached(engine, &changed), at);
    }
}

#[test]
fn alternating_conversations_cost_as_much_as_each_alone() {
    for kind in KINDS {
        let mut together = engine(kind, Speculation::Off, (CONTEXT, 8));
        let mut alone = [1, 2].map(|_| engine(kind, Speculation::Off, (CONTEXT, 8)));
        let mut prompts = [words(1, 30), words(2, 30)];
        for turn in 0..4 {
            for (prompt, alone) in prompts.iter_mut().zip(&mut alone) {
                let (said, wanted) = (say(&mut together, prompt), say(alone, prompt));
                match kind {
                    Kind::Attention => assert_eq!(said.usage.cached_tokens, wanted.usage.cached_tokens),
                    // An idle recurrence keeps its last checkpoint: the end of its prompt.
                    Kind::Recurrence => assert!(turn == 0 || said.usage.cached_tokens == 15 * (turn + 1)),
                }
                prompt.extend([&said.tokens[..], &words(3, 5)].concat());
            }
        }
    }
}

#[test]
fn full_pages_evict_the_oldest_conversations_and_change_no_answer() {
    let engine = &mut attention(3);
    for first in 1..=4 {
        assert_eq!(cached(engine, &words(first, 30)), 0);
    }
    // Repeating a prompt forks its conversation, which takes a page.
    assert_eq!(cached(engine, &words(4, 30)), 29);
    assert_eq!(cached(engine, &words(3, 30)), 29);
    assert_eq!(cached(engine, &words(1, 30)), 0, "it went first");
}

#[test]
fn thousands_of_conversations_fit_in_the_pool() {
    for kind in KINDS {
        let engine = &mut engine_with(kind, Speculation::Off, (CONTEXT, 64), (4, 8));
        for first in 0..2000 {
            generate(engine, &ask(&words(first % 100 + 1, 5 + first % 7), 2)).expect("an answer");
        }
    }
}

#[test]
fn a_prompt_with_several_answers_is_computed_once() {
    let engine = &mut attention(8);
    let prompt = words(1, 100);
    let rows = |engine: &FakeEngine| engine.backend().faults.borrow().rows;
    say(engine, &prompt);
    for answer in 1..4 {
        assert_eq!(cached(engine, &prompt), 99);
        assert_eq!(rows(engine), 100 + answer);
    }
}
