//! Conversations with a model whose state cannot go back to every entry: what is said depends on the prompt alone, whatever came before it.
//!
//! `OCELLI_SESSIONS=500` tries more of them.

use ocelli::engine::Speculation;

use super::*;
use crate::injection::Injection;

const CHECKPOINT: &str = "qwen3_5";
/// Tokens of an empty block of thoughts, which are in no later prompt.
const THOUGHTS: usize = 6;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub(super) async fn load(gpu: &ocelli::gpu::Gpu, checkpoint: &str) -> Engine {
    let files = packages::pack(checkpoint, Layout::Q8_0).await;
    let options = LoadOptions { context: Some(512), speculation: Speculation::Always, ..LoadOptions::new(|| 0.0) };
    packages::try_load(gpu, &files, options).await.expect("load")
}

fn with_engine(test: impl AsyncFnOnce(&mut Engine)) {
    pollster::block_on(async { test(&mut load(device::gpu(), CHECKPOINT).await).await });
}

pub(super) fn messages(request: &Request) -> Vec<Message> {
    let Prompt::Messages(messages) = &request.prompt else { panic!("no messages") };
    messages.clone()
}

/// What is asked behind an answer.
pub(super) fn follow_up(request: &Request, said: &str, question: &str) -> Request {
    let mut messages = messages(request);
    messages.push(Message::text(Role::Assistant, said));
    messages.push(Message::text(Role::User, question));
    ask(messages, request.pictures.clone(), 6)
}

/// The same with another last question.
pub(super) fn edited(request: &Request, question: &str) -> Request {
    let mut messages = messages(request);
    let last = messages.last_mut().and_then(|message| message.content.last_mut()).expect("a question");
    *last = ContentPart::Text(question.into());
    ask(messages, request.pictures.clone(), 6)
}

#[test]
fn a_follow_up_computes_the_answer_and_the_question_again_and_no_more() {
    with_engine(async |engine| {
        let first = about_a_picture(10, "What is this?");
        let said = fresh_answer(engine, &first).await;
        let second = follow_up(&first, &said.text, "And its colour?");
        let reused = answer(engine, &second).await;
        assert_eq!(reused.usage.cached_tokens, said.usage.prompt_tokens - THOUGHTS);
        assert_eq!(reused.tokens, fresh_answer(engine, &second).await.tokens);
    });
}

#[test]
fn an_edited_question_keeps_what_is_before_it() {
    with_engine(async |engine| {
        let first = about_a_picture(10, "What is this?");
        let said = fresh_answer(engine, &first).await;
        let other = edited(&first, "How many are there?");
        let reused = answer(engine, &other).await;
        assert!(reused.usage.cached_tokens > 6, "the picture's tokens stay: {:?}", reused.usage);
        assert_eq!(reused.tokens, fresh_answer(engine, &other).await.tokens);
        // Of a later turn: all up to the answer before it.
        assert_eq!(fresh_answer(engine, &first).await.tokens, said.tokens);
        let second = follow_up(&first, &said.text, "And its colour?");
        answer(engine, &second).await;
        let reused = answer(engine, &edited(&second, "And how large is it?")).await;
        assert_eq!(reused.usage.cached_tokens, said.usage.prompt_tokens - THOUGHTS);
    });
}

/// Asks, asks on, edits, asks again, cancels and loses the device, in any order.
pub(super) fn sessions_agree(checkpoint: &str) {
    pollster::block_on(async {
        let injection = Injection::default();
        let gpu = injection.open().await.expect("a device");
        let (mut engine, mut cold) = (load(&gpu, checkpoint).await, load(device::gpu(), checkpoint).await);
        let sessions = std::env::var("OCELLI_SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(6);
        let questions =
            ["What is this?", "How many?", "Why?", "Say more about the second one, please.", "e\u{301} 123"];
        let mut random = Random(7);
        for session in 0..sessions {
            let question = |random: &mut Random| questions[random.below(questions.len() as u64) as usize];
            let mut request = if random.below(2) == 0 {
                about_a_picture(random.below(200) as u8, question(&mut random))
            } else {
                ask(vec![Message::text(Role::User, question(&mut random))], Vec::new(), 6)
            };
            for turn in 0..4 {
                match random.below(4) {
                    0 => injection.lose_at_submission(injection.submissions() + random.below(20)),
                    1 => {
                        let (cancel, at) = (Cancel::new(), random.below(6));
                        let mut events = 0;
                        let mut count = |_| {
                            events += 1;
                            if events > at {
                                cancel.cancel();
                            }
                        };
                        let outcome = engine.generate(&request, &cancel, &mut count).await;
                        assert!(outcome.is_ok() || outcome == Err(Error::Aborted), "{outcome:?}");
                    }
                    _ => {}
                }
                let said = answer(&mut engine, &request).await;
                let alone = fresh_answer(&mut cold, &request).await;
                assert_eq!(said.tokens, alone.tokens, "session {session}, turn {turn}: {request:?}");
                let next = question(&mut random);
                match random.below(4) {
                    0 => {}
                    1 => request = edited(&request, next),
                    _ if said.usage.prompt_tokens > 300 => break,
                    _ => request = follow_up(&request, &said.text, next),
                }
            }
        }
    });
}

#[test]
fn sessions_say_what_their_prompts_alone_say() {
    sessions_agree(CHECKPOINT);
}
