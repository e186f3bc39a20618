//! Conversations in files: restored by another engine, refused if anything differs, and limited by a budget.

use ocelli::Error;
use ocelli::engine::snapshots::rates::{Gain, Rates, Work};
use ocelli::engine::{Completion, Engine, LoadOptions, Speculation};

use super::backend::FakeBackend;
use super::fake::Kind;
use super::{FakeEngine, KINDS, MANIFEST, TOKENIZER, ask, generate};
use crate::memory_snapshots::MemorySnapshots;

const CONTEXT: usize = 240;
const PLENTY: u64 = 1 << 30;

/// A restarted engine with the same files.
fn started(kind: Kind, store: &MemorySnapshots, budget: u64) -> FakeEngine {
    on(kind, store, budget, "this device")
}

fn on(kind: Kind, store: &MemorySnapshots, budget: u64, numerics: &str) -> FakeEngine {
    let backend = FakeBackend::new(kind, MANIFEST.clone(), TOKENIZER.vocab_size(), (CONTEXT, 8)).on(numerics);
    let options = LoadOptions { speculation: Speculation::Off, ..LoadOptions::new(|| 0.0) };
    let mut engine = Engine::new(backend, TOKENIZER.clone(), &options);
    pollster::block_on(engine.open_snapshots(Box::new(store.clone()), budget)).expect("a store");
    engine
}

fn keep(engine: &mut FakeEngine) {
    assert_eq!(pollster::block_on(engine.keep_snapshots(&mut || true)), Ok(true));
}

/// Answers and saves; checks that the answer equals a cold run.
fn say(engine: &mut FakeEngine, kind: Kind, prompt: &[u32]) -> Completion {
    let rows = |engine: &FakeEngine| engine.backend().faults.borrow().rows;
    let before = rows(engine);
    let said = generate(engine, &ask(prompt, 10)).expect("an answer");
    assert_eq!(rows(engine) - before, prompt.len() - said.usage.cached_tokens, "{:?}", said.usage);
    let mut cold = super::engine(kind, Speculation::Off, (CONTEXT, 64));
    assert_eq!(said.tokens, generate(&mut cold, &ask(prompt, 10)).expect("a cold run").tokens);
    keep(engine);
    said
}

fn words(first: u32, count: u32) -> Vec<u32> {
    (0..count).map(|index| 1000 * first + index).collect()
}

#[test]
fn after_a_restart_only_the_difference_is_computed() {
    let store = MemorySnapshots::default();
    let anew = || started(Kind::Attention, &store, PLENTY);
    let system = words(1, 40);
    let one = [&system[..], &words(2, 20)].concat();
    let said = say(&mut anew(), Kind::Attention, &one);
    assert_eq!(said.usage.cached_tokens, 0);
    let cached = |prompt: &[u32]| say(&mut anew(), Kind::Attention, prompt).usage.cached_tokens;
    // The last token of an answer is not computed.
    let second = [&one[..], &said.tokens, &words(4, 5)].concat();
    assert_eq!(cached(&second), 60 + 9, "a follow-up");
    assert_eq!(cached(&[&system[..], &words(3, 25)].concat()), 40, "a shared beginning");
    assert_eq!(cached(&one), 59, "a regenerated answer");
    assert_eq!(cached(&[&second[..72], &words(5, 9)].concat()), 72, "an edited last turn");
    assert_eq!(cached(&second), second.len() - 1, "what was edited is still there");
    assert_eq!(cached(&words(6, 30)), 0, "nothing is common");
}

#[test]
fn a_recurrent_state_resumes_at_its_checkpoints() {
    let store = MemorySnapshots::default();
    let mut prompt = words(1, 30);
    for turn in 0..4 {
        let said = say(&mut started(Kind::Recurrence, &store, PLENTY), Kind::Recurrence, &prompt);
        // The end of the previous prompt: answers have no checkpoints.
        assert_eq!(said.usage.cached_tokens, 15 * (turn + usize::from(turn > 0)), "turn {turn}");
        prompt.extend([&said.tokens[..], &words(3, 5)].concat());
    }
    assert_eq!(store.0.borrow().files.len(), 1, "a continued conversation replaces its file");
}

#[test]
fn one_changed_token_device_or_model_is_never_taken_for_another() {
    for kind in KINDS {
        let store = MemorySnapshots::default();
        let prompt = words(1, 50);
        say(&mut started(kind, &store, PLENTY), kind, &prompt);
        for at in [0, 1, 20, 48, 49] {
            let mut changed = prompt.clone();
            changed[at] += 7;
            let said = say(&mut started(kind, &store, PLENTY), kind, &changed);
            assert!(said.usage.cached_tokens <= at, "{kind:?}, {at}: {:?}", said.usage);
            assert!(kind == Kind::Recurrence || said.usage.cached_tokens == at);
        }
        let mut other = on(kind, &store, PLENTY, "another device");
        assert_eq!(say(&mut other, kind, &prompt).usage.cached_tokens, 0);
        let longer = [&prompt[..], &words(2, 3)].concat();
        assert!(say(&mut on(kind, &store, PLENTY, "another device"), kind, &longer).usage.cached_tokens > 0);
    }
    let store = MemorySnapshots::default();
    say(&mut started(Kind::Attention, &store, PLENTY), Kind::Attention, &words(1, 50));
    let mut other = started(Kind::Recurrence, &store, PLENTY);
    assert_eq!(say(&mut other, Kind::Recurrence, &words(1, 50)).usage.cached_tokens, 0, "states of another kind");
}

#[test]
fn a_file_that_was_damaged_anywhere_is_refused_and_nothing_is_lost() {
    for kind in KINDS {
        let store = MemorySnapshots::default();
        let prompt = words(1, 50);
        say(&mut started(kind, &store, PLENTY), kind, &prompt);
        let whole = store.0.borrow().files[0].clone();
        let longer = [&prompt[..], &words(3, 3)].concat();
        assert!(say(&mut started(kind, &store, PLENTY), kind, &longer).usage.cached_tokens > 0);
        let len = whole.1.len();
        let flipped = (0..len).step_by(7).map(|at| {
            let mut bytes = whole.1.clone();
            bytes[at] ^= 0x10;
            bytes
        });
        let cut = (0..len).step_by(11).map(|to| whole.1[..to].to_vec());
        let extended = [[&whole.1[..], &[0; 40]].concat()];
        for bytes in flipped.chain(cut).chain(extended) {
            store.0.borrow_mut().files = vec![(whole.0.clone(), bytes)];
            let said = say(&mut started(kind, &store, PLENTY), kind, &longer);
            assert_eq!(said.usage.cached_tokens, 0, "{kind:?}");
        }
        let longer = [&longer[..], &words(2, 3)].concat();
        assert!(say(&mut started(kind, &store, PLENTY), kind, &longer).usage.cached_tokens > 0, "it was written again");
    }
}

#[test]
fn a_file_that_cannot_be_read_at_the_moment_is_not_removed() {
    let store = MemorySnapshots::default();
    let prompt = words(1, 50);
    say(&mut started(Kind::Attention, &store, PLENTY), Kind::Attention, &prompt);
    let longer = [&prompt[..], &words(3, 3)].concat();
    let mut engine = started(Kind::Attention, &store, PLENTY);
    store.0.borrow_mut().is_unreadable = true;
    let said = generate(&mut engine, &ask(&longer, 10)).expect("an answer");
    assert_eq!((said.usage.cached_tokens, store.0.borrow().files.len()), (0, 1));
    store.0.borrow_mut().is_unreadable = false;
    let said = say(&mut started(Kind::Attention, &store, PLENTY), Kind::Attention, &longer);
    assert_eq!(said.usage.cached_tokens, 50);
}

#[test]
fn the_least_recently_used_files_are_removed_first_and_the_budget_holds() {
    let store = MemorySnapshots::default();
    let anew = |budget| started(Kind::Attention, &store, budget);
    say(&mut anew(PLENTY), Kind::Attention, &words(1, 60));
    let one = store.bytes() as u64;
    for first in 2..=3 {
        say(&mut anew(3 * one), Kind::Attention, &words(first, 60));
    }
    // The first is used again, so that the second is removed.
    assert_eq!(say(&mut anew(3 * one), Kind::Attention, &words(1, 60)).usage.cached_tokens, 59);
    say(&mut anew(3 * one), Kind::Attention, &words(4, 60));
    assert!(store.bytes() as u64 <= 3 * one);
    let cached = |first| {
        let mut engine = anew(3 * one);
        generate(&mut engine, &ask(&words(first, 60), 10)).expect("an answer").usage.cached_tokens
    };
    assert_eq!([1, 2, 3, 4].map(cached), [59, 0, 59, 59]);
    anew(one);
    assert!(store.bytes() as u64 <= one, "a smaller budget holds from the beginning");
    say(&mut anew(one / 2), Kind::Attention, &words(5, 60));
    assert_eq!(store.bytes(), 0, "what is larger than the budget is not kept");
    say(&mut anew(PLENTY), Kind::Attention, &words(1, 60));
    let cleared = pollster::block_on(anew(PLENTY).clear_snapshots()).expect("a store");
    assert!(cleared > 0 && store.bytes() == 0);
}

#[test]
fn a_full_store_and_an_interruption_leave_no_half_file() {
    for kind in KINDS {
        let store = MemorySnapshots::default();
        let (mut engine, prompt) = (started(kind, &store, PLENTY), words(1, 100));
        let whole = {
            say(&mut engine, kind, &prompt);
            store.bytes()
        };
        for room in (0..whole).step_by(whole / 13) {
            let store = MemorySnapshots::default();
            store.0.borrow_mut().room = Some(room);
            let mut engine = started(kind, &store, PLENTY);
            generate(&mut engine, &ask(&prompt, 10)).expect("an answer");
            let kept = pollster::block_on(engine.keep_snapshots(&mut || true));
            assert!(matches!(kept, Err(Error::Io { .. })), "{kept:?}");
            assert_eq!(store.bytes(), 0);
            assert_eq!(pollster::block_on(engine.keep_snapshots(&mut || true)), Ok(true), "it is not tried again");
            let longer = [&prompt[..], &words(2, 3)].concat();
            assert!(generate(&mut engine, &ask(&longer, 10)).expect("an answer").usage.cached_tokens > 0);
        }
        for steps in 0.. {
            let store = MemorySnapshots::default();
            let mut engine = started(kind, &store, PLENTY);
            generate(&mut engine, &ask(&prompt, 10)).expect("an answer");
            let mut left = steps;
            let mut go_on = || {
                left -= 1;
                left >= 0
            };
            if pollster::block_on(engine.keep_snapshots(&mut go_on)) == Ok(true) {
                assert!(steps > 2, "it was asked {steps} times");
                break;
            }
            // A complete file is read once before it counts as kept.
            assert!([0, whole].contains(&store.bytes()), "{steps} steps: {}", store.bytes());
            keep(&mut engine);
            assert_eq!(store.bytes(), whole, "it is begun again");
        }
    }
}

#[test]
fn a_device_that_is_lost_while_a_file_is_read_or_written_loses_no_answer() {
    for kind in KINDS {
        let (store, prompt) = (MemorySnapshots::default(), words(1, 60));
        say(&mut started(kind, &store, PLENTY), kind, &prompt);
        for lost in 1..60 {
            let mut engine = started(kind, &store, PLENTY);
            let now = engine.backend().faults.borrow().operations;
            engine.backend().faults.borrow_mut().lose_at = vec![now + lost];
            let longer = [&prompt[..], &words(3, 3)].concat();
            let said = generate(&mut engine, &ask(&longer, 10)).expect("an answer");
            let mut cold = super::engine(kind, Speculation::Off, (CONTEXT, 64));
            assert_eq!(said.tokens, generate(&mut cold, &ask(&longer, 10)).expect("a cold run").tokens);
            let now = engine.backend().faults.borrow().operations;
            engine.backend().faults.borrow_mut().lose_at = vec![now + lost];
            let other = words(2, 40);
            generate(&mut engine, &ask(&other, 10)).expect("an answer");
            // If the device is lost here, nothing is kept, and the next answer reopens it.
            let _ = pollster::block_on(engine.keep_snapshots(&mut || true));
            generate(&mut engine, &ask(&other, 10)).expect("an answer");
        }
    }
}

#[test]
fn conversations_are_kept_only_if_reading_is_faster_than_computing() {
    let rates = |token: f64, picture: f64, byte: f64| Rates::new([token, picture, byte]);
    let gain = |entries, pictures, bytes| Gain { entries, pictures, bytes };
    // 100 tokens of 1 ms against 10 MB at 10 ns a byte, which is 100 ms, and at 5 ns.
    assert!(!rates(1.0, 0.0, 1e-5).pays(gain(100, 0, 10_000_000)));
    assert!(rates(1.0, 0.0, 5e-6).pays(gain(100, 0, 10_000_000)));
    assert!(rates(1.0, 2.0, 1e-5).pays(gain(100, 50, 10_000_000)), "the tower is spared as well");
    assert!(!rates(1e-3, 0.0, 1e-12).pays(gain(100, 0, 10)), "a file takes longer than that");
    assert!(!rates(1.0, 0.0, 1e-9).pays(gain(0, 0, 0)), "nothing is gained");
    assert!(rates(0.0, 0.0, 1.0).pays(gain(1, 0, u64::MAX)), "what has not been measured is tried");
    assert!(rates(1.0, 0.0, 0.0).pays(gain(100, 0, u64::MAX)));
    for wrong in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(rates(wrong, wrong, wrong), Rates::default());
    }
    let mut measured = rates(50.0, 0.0, 0.0);
    measured.note(Work::Tokens, 1000.0, 1000.0);
    assert!((measured.known()[0] - 1.049).abs() < 0.001, "what was known before weighs little: {measured:?}");
    measured.note(Work::Tokens, 5.0, 0.0);
    measured.note(Work::Bytes, 1e6, 10.0);
    assert!((measured.known()[2] - 1e-5).abs() < 1e-12);
    for _ in 0..100 {
        measured.note(Work::Tokens, 1000.0, 3000.0);
    }
    assert!((measured.known()[0] - 3.0).abs() < 0.01, "a device that has become slower: {measured:?}");
}
