//! Conversations with a model whose pictures have their own keys and values: the answer depends only on the prompt.

use super::cache::{edited, follow_up, load, messages};
use super::*;

const CHECKPOINT: &str = "mllama";

fn with_engine(test: impl AsyncFnOnce(&mut Engine)) {
    pollster::block_on(async { test(&mut load(device::gpu(), CHECKPOINT).await).await });
}

/// The question with another picture before it.
fn with_picture(request: &Request, level: u8) -> Request {
    let (mut messages, mut pictures) = (messages(request), request.pictures.clone());
    let question = messages.last_mut().expect("a question");
    question.content.insert(0, ContentPart::Image(pictures.len()));
    pictures.push(picture(level));
    ask(messages, pictures, 6)
}

#[test]
fn a_follow_up_keeps_the_picture() {
    with_engine(async |engine| {
        let first = about_a_picture(10, "What is this?");
        let said = fresh_answer(engine, &first).await;
        let second = follow_up(&first, &said.text, "And its colour?");
        assert_eq!(layers_of_the_tower_run(engine, &second).await, 0);
        let fresh = fresh_answer(engine, &second).await;
        fresh_answer(engine, &first).await;
        let reused = answer(engine, &second).await;
        assert!(reused.usage.cached_tokens >= said.usage.prompt_tokens, "{:?}", reused.usage);
        assert_eq!(reused.tokens, fresh.tokens);
    });
}

/// Text sees the last pictures before it: after an edit before the second picture it sees the first one again, whose keys have been
/// dropped.
#[test]
fn an_edit_before_the_second_picture_sees_the_first_again() {
    with_engine(async |engine| {
        let first = about_a_picture(10, "What is this?");
        let said = fresh_answer(engine, &first).await;
        let second = with_picture(&follow_up(&first, &said.text, "And this?"), 200);
        let alone = fresh_answer(engine, &second).await;
        let without = follow_up(&first, &said.text, "And this?");
        let unseen = fresh_answer(engine, &without).await;
        assert_ne!(alone.tokens, unseen.tokens, "a picture changes what is said");
        fresh_answer(engine, &first).await;
        assert_eq!(answer(engine, &second).await.tokens, alone.tokens);
        // The question after the second picture.
        let other = edited(&second, "And what is that?");
        let reused = answer(engine, &other).await;
        assert!(reused.usage.cached_tokens > said.usage.prompt_tokens, "{:?}", reused.usage);
        assert_eq!(reused.tokens, fresh_answer(engine, &other).await.tokens);
        // Without a second picture.
        let reused = answer(engine, &without).await;
        assert!(reused.usage.cached_tokens < said.usage.prompt_tokens, "{:?}", reused.usage);
        assert_eq!(reused.tokens, unseen.tokens);
    });
}

/// Consecutive pictures are seen together, also if the second one is added later.
#[test]
fn consecutive_pictures_are_seen_together() {
    with_engine(async |engine| {
        let content = |pictures: usize| {
            (0..pictures).map(ContentPart::Image).chain([ContentPart::Text("What?".into())]).collect()
        };
        let both = ask(vec![user(content(2))], vec![picture(10), picture(200)], 6);
        let one = ask(vec![user(content(1))], vec![picture(10)], 6);
        let alone = fresh_answer(engine, &both).await;
        let only_one = fresh_answer(engine, &one).await;
        let reused = answer(engine, &both).await;
        assert!(reused.usage.cached_tokens > 0);
        assert_eq!(reused.tokens, alone.tokens);
        assert_eq!(answer(engine, &one).await.tokens, only_one.tokens);
    });
}
