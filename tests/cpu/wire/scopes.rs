//! Prompts of different owners share no entries of the KV cache: the count of cached tokens tells nothing of others.

use ocelli::api::{Priority, Run, Scheduler};
use ocelli::engine::{Scope, Speculation};
use serde_json::{Value, json};

use super::desk::{Desk, Heard};
use super::{CHAT, CONTEXT, work_for};
use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, KINDS, engine};

/// Tokens of a prompt that were in the KV cache, as the API reports them.
fn cached(engine: &mut FakeEngine, text: &str, scope: Scope) -> u64 {
    let request = json!({"messages": [{"role": "user", "content": text}], "max_tokens": 2});
    let mut work = work_for(engine, CHAT, &request).expect("work");
    work.scope = scope;
    let (mut desk, client) = (Desk::default(), Heard::default());
    desk.submit(Box::new(Run::new(work, Vec::new())), Priority::Person, &client, 0);
    pollster::block_on(Scheduler::new(desk).run(engine));
    let body = client.borrow_mut().outcome.take().expect("an end").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    body["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a number")
}

/// Cached tokens of a prompt that is repeated by an engine without owners. A recurrent state cannot be rewound to a repeated prompt.
fn own_cache(kind: Kind, text: &str) -> u64 {
    let mut engine = engine(kind, Speculation::Off, (CONTEXT, 8));
    let [_, again] = [(); 2].map(|()| cached(&mut engine, text, Scope::SHARED));
    assert_eq!(again > 10, matches!(kind, Kind::Attention), "{kind:?}: {again}");
    again
}

#[test]
fn cached_tokens_of_other_owners_are_not_reused() {
    let (ann, bob) = (Scope::of("ann"), Scope::of("bob"));
    let secret = "The password of the cellar is a horse that eats batteries.";
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (CONTEXT, 8));
        let [first, again] = [(); 2].map(|()| cached(&mut engine, secret, ann));
        assert_eq!((first, again), (0, own_cache(kind, secret)), "{kind:?}: the owner's own cache is used");
        // Guesses of every length, each by an owner that has asked nothing before.
        for length in (0..secret.len()).step_by(7) {
            let other = Scope::of(&format!("eve {length}"));
            assert_eq!(cached(&mut engine, &secret[..length], other), 0, "{kind:?} {length}");
        }
        assert_eq!((cached(&mut engine, secret, bob), cached(&mut engine, secret, Scope::SHARED)), (0, 0), "{kind:?}");
    }
}
