//! Prompt caching: tokens computed for a request that shares its beginning with an earlier conversation.
//!
//! `OCELLI_SESSIONS=500` tries more sessions.

use ocelli::engine::Speculation;

use super::*;
use crate::injection::Injection;
use crate::memory_snapshots::MemorySnapshots;

/// A generator of the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub(super) async fn load(gpu: &ocelli::gpu::Gpu, checkpoint: &str) -> Engine {
    load_with(gpu, checkpoint, Speculation::Always).await
}

async fn load_with(gpu: &ocelli::gpu::Gpu, checkpoint: &str, speculation: Speculation) -> Engine {
    let files = packages::pack(checkpoint, Layout::Q8_0).await;
    let options = LoadOptions { context: Some(512), speculation, ..LoadOptions::new(|| 0.0) };
    packages::try_load(gpu, &files, options).await.expect("load")
}

pub(super) fn messages(request: &Request) -> Vec<Message> {
    let Prompt::Messages(messages) = &request.prompt else { panic!("no messages") };
    messages.clone()
}

/// A further question after an answer.
pub(super) fn follow_up(request: &Request, said: &str, question: &str) -> Request {
    let mut messages = messages(request);
    messages.push(Message::text(Role::Assistant, said));
    messages.push(Message::text(Role::User, question));
    ask(messages, request.pictures.clone(), 6)
}

/// The request with another last question.
pub(super) fn edited(request: &Request, question: &str) -> Request {
    let mut messages = messages(request);
    let last = messages.last_mut().and_then(|message| message.content.last_mut()).expect("a question");
    *last = ContentPart::Text(question.into());
    ask(messages, request.pictures.clone(), 6)
}

/// Each conversation answers as it would alone, and computes no more than alone.
#[test]
fn two_chats_about_pictures_in_turns_keep_their_caches() {
    pollster::block_on(async {
        for checkpoint in [CHECKPOINT, "qwen3_5"] {
            let gpu = device::gpu();
            let (mut engine, mut alone) =
                (load(gpu, checkpoint).await, [load(gpu, checkpoint).await, load(gpu, checkpoint).await]);
            let mut requests = [10, 200].map(|level| about_a_picture(level, "What is this?"));
            for turn in 0..3 {
                for (request, alone) in requests.iter_mut().zip(&mut alone) {
                    let said = answer(&mut engine, request).await;
                    let wanted = answer(alone, request).await;
                    assert_eq!(said.tokens, wanted.tokens, "{checkpoint}, turn {turn}");
                    if turn > 0 {
                        assert_eq!(said.usage.cached_tokens, wanted.usage.cached_tokens, "{checkpoint}, turn {turn}");
                    }
                    *request = follow_up(request, &said.text, "And?");
                }
            }
        }
    });
}

#[test]
fn the_same_picture_in_a_new_chat_is_neither_encoded_nor_computed_again() {
    with_engine(512, async |engine| {
        engine.reset();
        let before = answer(engine, &about_a_picture(10, "What is this?")).await;
        // Another chat runs meanwhile.
        answer(engine, &ask(vec![Message::text(Role::User, "Hello.")], Vec::new(), 6)).await;
        let other = about_a_picture(10, "How many?");
        let said = answer(engine, &other).await;
        assert!(said.usage.cached_tokens >= before.pictures[0].tokens, "{:?}", said.usage);
        assert_eq!(layers_of_the_tower_run(engine, &other).await, 0);
        assert_eq!(said.tokens, fresh_answer(engine, &other).await.tokens);
    });
}

#[test]
fn one_changed_pixel_is_another_picture() {
    with_engine(512, async |engine| {
        fresh_answer(engine, &about_a_picture(10, "What is this?")).await;
        let mut other = about_a_picture(10, "What is this?");
        let ocelli::engine::PictureContent::Rgb(pixels) = &mut other.pictures[0].content else { unreachable!() };
        pixels.pixels[1234] ^= 1;
        let said = answer(engine, &other).await;
        assert_eq!(said.usage.cached_tokens, 2, "only <s>[INST] is common");
        assert_eq!(said.tokens, fresh_answer(engine, &other).await.tokens);
    });
}

/// The request with thinking on.
fn thinking(request: &Request) -> Request {
    let mut messages = messages(request);
    messages.push(Message { role: Role::Assistant, content: vec![ContentPart::Thoughts(String::new())] });
    ask(messages, request.pictures.clone(), 6)
}

/// Random sessions: asks, follows up, edits, repeats, resumes earlier conversations, thinks if the model has learnt it, cancels, loses the
/// device and restarts from snapshots, with and without drafts. Returns the number of drafted tokens.
async fn sessions_of(checkpoint: &str) -> usize {
    let injection = Injection::default();
    let gpu = injection.open().await.expect("a device");
    let store = MemorySnapshots::default();
    let start = async |session: u32| {
        let speculation = if session.is_multiple_of(2) { Speculation::Always } else { Speculation::Off };
        let mut engine = load_with(&gpu, checkpoint, speculation).await;
        engine.open_snapshots(Box::new(store.clone()), 16 << 20).await.expect("a store");
        engine
    };
    let (mut engine, mut cold) = (start(0).await, load_with(device::gpu(), checkpoint, Speculation::Off).await);
    let sessions = std::env::var("OCELLI_SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(6);
    let questions = ["What is this?", "How many?", "Why?", "Say more about the second one, please.", "e\u{301} 123"];
    let (mut random, mut reused, mut drafted) = (Random(7), 0, 0);
    for session in 0..sessions {
        // A loaded engine costs more than a session.
        if session % 3 == 2 {
            // The scheduled loss of the device may happen here.
            let _ = engine.keep_snapshots(&mut || true).await;
            drop(std::mem::replace(&mut engine, start(session).await));
        }
        let question = |random: &mut Random| questions[random.below(questions.len() as u64) as usize];
        let mut request = if random.below(2) == 0 {
            about_a_picture(random.below(200) as u8, question(&mut random))
        } else {
            ask(vec![Message::text(Role::User, question(&mut random))], Vec::new(), 6)
        };
        let mut turns: Vec<(Request, Completion)> = Vec::new();
        for turn in 0..6 {
            let thinks = engine.thinking().is_some() && random.below(3) == 0;
            let asked = if thinks { thinking(&request) } else { request.clone() };
            match random.below(4) {
                0 => injection.lose_at_submission(injection.submissions() + random.below(20)),
                1 => {
                    let (cancel, at) = (RequestControl::new(), random.below(6));
                    let mut events = 0;
                    let mut count = |_| {
                        events += 1;
                        if events > at {
                            cancel.cancel();
                        }
                    };
                    let outcome = engine.generate(&asked, &cancel, &mut count).await;
                    assert!(outcome.is_ok() || outcome == Err(Error::Aborted), "{outcome:?}");
                }
                _ => {}
            }
            let said = answer(&mut engine, &asked).await;
            if random.below(2) == 0 {
                let _ = engine.keep_snapshots(&mut || true).await;
                assert!(store.bytes() <= 16 << 20);
                engine.reset();
            }
            let alone = fresh_answer(&mut cold, &asked).await;
            assert_eq!(said.tokens, alone.tokens, "{checkpoint}, session {session}, turn {turn}: {asked:?}");
            let next = question(&mut random);
            reused += said.usage.cached_tokens;
            drafted += said.usage.drafted_tokens;
            turns.push((request.clone(), said));
            let (before, said) = &turns[random.below(turns.len() as u64) as usize];
            request = match random.below(4) {
                0 => before.clone(),
                1 => edited(before, next),
                _ if said.usage.prompt_tokens > 300 => break,
                _ => follow_up(before, &said.text, next),
            };
        }
    }
    println!("{checkpoint}: {drafted} tokens were guessed, {reused} kept, in {sessions} sessions");
    assert!(reused > 20 * sessions as usize, "{reused} tokens of {sessions} sessions");
    drafted
}

#[test]
fn sessions_with_recurrent_layers_depend_only_on_their_prompts() {
    assert!(pollster::block_on(sessions_of("qwen3_5")) > 0, "drafts took part");
}

#[test]
fn sessions_with_keys_of_pictures_depend_only_on_their_prompts() {
    pollster::block_on(sessions_of("mllama"));
}

#[test]
fn sessions_with_windows_and_rows_of_storage_depend_only_on_their_prompts() {
    pollster::block_on(sessions_of("gemma4"));
}

#[test]
fn sessions_depend_only_on_their_prompts() {
    pollster::block_on(sessions_of(CHECKPOINT));
}
