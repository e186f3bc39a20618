//! Random concurrent conversations: edits, follow-ups, regenerated answers, returns to earlier conversations, cancelling, lost devices,
//! full memory, few pages, restarts with snapshots. Greedy answers must equal those of cold runs, token by token.

use ocelli::Error;
use ocelli::engine::{Event, RequestControl, Speculation};

use super::fake::Kind;
use super::{FakeEngine, KINDS, ask, engine_with, generate};
use crate::memory_snapshots::MemorySnapshots;

const CONTEXT: usize = 240;
const SESSIONS: u64 = 500;

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 31)) >> 20) as usize % most
    }

    fn tokens(&mut self, most: usize) -> Vec<u32> {
        (0..1 + self.below(most)).map(|_| 100 + self.below(12) as u32).collect()
    }
}

/// Injects faults for a turn: none, one or two device losses, or full memory. Returns the event at which the turn is cancelled.
fn order_faults(engine: &FakeEngine, dice: &mut Dice) -> Option<usize> {
    let mut faults = engine.backend().faults.borrow_mut();
    let now = faults.operations;
    (faults.lose_at, faults.full_at) = (Vec::new(), Vec::new());
    match dice.below(6) {
        0 => faults.lose_at = vec![now + 1 + dice.below(90)],
        1 => faults.lose_at = vec![now + 1 + dice.below(30), now + 31 + dice.below(60)],
        2 => faults.full_at = vec![now + 1 + dice.below(60)],
        3 => return Some(1 + dice.below(12)),
        _ => {}
    }
    None
}

/// Prompt of the next turn, based on any earlier one.
fn next_prompt(dice: &mut Dice, turns: &[[Vec<u32>; 2]]) -> Vec<u32> {
    let back = dice.below(2) * dice.below(turns.len());
    let [before, said] = &turns[turns.len() - 1 - back];
    let mut prompt = match dice.below(6) {
        // The same question.
        0 => return before.clone(),
        // An edit somewhere in the middle.
        1 => before[..dice.below(before.len())].to_vec(),
        // A new conversation, perhaps with the beginning of the first one.
        2 => turns[0][0][..dice.below(2) * dice.below(turns[0][0].len())].to_vec(),
        // A follow-up.
        _ => [&before[..], said].concat(),
    };
    prompt.extend(dice.tokens(20));
    if prompt.len() > CONTEXT / 2 { dice.tokens(20) } else { prompt }
}

/// Runs a session. Returns the tokens that were reused, accepted as drafts, and reused after a restart.
fn session(kind: Kind, seed: u64) -> [usize; 3] {
    let mut dice = Dice(seed);
    let speculation = [Speculation::Off, Speculation::Always][dice.below(2)];
    let chunk = [3, 8, 64][dice.below(3)];
    let room = (1 + dice.below(5), dice.below(5));
    let (store, budget) = (MemorySnapshots::default(), [2500, 6000, 1 << 20][dice.below(3)]);
    let start = || {
        let mut engine = engine_with(kind, speculation, (CONTEXT, chunk), room);
        pollster::block_on(engine.open_snapshots(Box::new(store.clone()), budget)).expect("a store");
        engine
    };
    let (mut engine, mut is_new) = (start(), false);
    let (mut prompt, mut turns, [mut reused, mut guessed, mut found]) = (dice.tokens(30), Vec::new(), [0; 3]);
    for turn in 0..10 {
        let request = ask(&prompt, 1 + dice.below(40));
        let cold = generate(&mut super::engine(kind, Speculation::Off, (CONTEXT, 64)), &request).expect("a cold run");
        let stop_after = order_faults(&engine, &mut dice);
        let (cancel, mut events) = (RequestControl::new(), 0);
        let mut listen = |_: Event| {
            events += 1;
            if Some(events) == stop_after {
                cancel.cancel();
            }
        };
        let outcome = pollster::block_on(engine.generate(&request, &cancel, &mut listen));
        match outcome {
            Ok(said) => {
                assert_eq!(said.tokens, cold.tokens, "{kind:?} session {seed} turn {turn}");
                reused += said.usage.cached_tokens;
                guessed += said.usage.accepted_tokens;
                found += if is_new { said.usage.cached_tokens } else { 0 };
            }
            Err(Error::Aborted) => assert!(stop_after.is_some(), "nobody stopped it"),
            Err(error) => panic!("{kind:?} session {seed} turn {turn}: {error}"),
        }
        is_new = restart(&mut engine, &mut dice, &start);
        assert!(store.bytes() as u64 <= budget, "{kind:?} session {seed} turn {turn}");
        turns.push([prompt, cold.tokens]);
        prompt = next_prompt(&mut dice, &turns);
    }
    [reused, guessed, found]
}

/// Saves all, some or no conversations; restarts the engine in one of three cases.
fn restart(engine: &mut FakeEngine, dice: &mut Dice, start: &dyn Fn() -> FakeEngine) -> bool {
    let mut parts = [0, 1 + dice.below(12), usize::MAX][dice.below(3)];
    let mut go_on = || {
        parts = parts.saturating_sub(1);
        parts > 0
    };
    // The device may be lost at any part.
    let _ = pollster::block_on(engine.keep_snapshots(&mut go_on));
    let is_new = dice.below(3) == 0;
    if is_new {
        *engine = start();
    }
    is_new
}

#[test]
fn random_sessions_equal_cold_runs() {
    for kind in KINDS {
        let mut sums = [0; 3];
        for seed in 0..SESSIONS {
            sums.iter_mut().zip(session(kind, seed)).for_each(|(sum, more)| *sum += more);
        }
        let [reused, guessed, found] = sums;
        println!("{kind:?}: {reused} tokens reused, {found} of them after a restart, {guessed} guessed");
        assert!(sums.iter().all(|sum| *sum > 1000), "{kind:?}: {reused} reused, {guessed} guessed, {found} found");
    }
}
