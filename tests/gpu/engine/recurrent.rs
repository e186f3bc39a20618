//! Conversations with a model whose state cannot rewind to every entry: the answer depends only on the prompt.

use super::cache::{edited, follow_up};
use super::*;

const CHECKPOINT: &str = "qwen3_5";
/// Tokens of an empty block of thoughts, which later prompts do not contain.
const THOUGHTS: usize = 6;

fn with_engine(test: impl AsyncFnOnce(&mut Engine)) {
    pollster::block_on(async { test(&mut cache::load(device::gpu(), CHECKPOINT).await).await });
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
fn an_edited_question_keeps_the_entries_before_it() {
    with_engine(async |engine| {
        let first = about_a_picture(10, "What is this?");
        let said = fresh_answer(engine, &first).await;
        let other = edited(&first, "How many are there?");
        let reused = answer(engine, &other).await;
        assert!(reused.usage.cached_tokens > 6, "the picture's tokens stay: {:?}", reused.usage);
        assert_eq!(reused.tokens, fresh_answer(engine, &other).await.tokens);
        // All entries before the answer of a later turn are reused.
        assert_eq!(fresh_answer(engine, &first).await.tokens, said.tokens);
        let second = follow_up(&first, &said.text, "And its colour?");
        answer(engine, &second).await;
        let reused = answer(engine, &edited(&second, "And how large is it?")).await;
        assert_eq!(reused.usage.cached_tokens, said.usage.prompt_tokens - THOUGHTS);
    });
}
