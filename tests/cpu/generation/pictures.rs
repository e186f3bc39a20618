//! Picture files are decoded once while a conversation or a prompt holds the picture.

use std::cell::Cell;

use ocelli::Result;
use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{Detail, Encoded, Engine, LoadOptions, Picture, Prompt};
use ocelli::image::{self, Rgb8};

use super::backend::FakeBackend;
use super::fake::Kind;
use super::{FakeEngine, MANIFEST, TOKENIZER};

thread_local! {
    static DECODED: Cell<usize> = const { Cell::new(0) };
}

fn decode(bytes: &[u8], limit_megapixels: u32) -> Result<Rgb8> {
    DECODED.set(DECODED.get() + 1);
    image::decode(bytes, limit_megapixels)
}

/// Runs `act` and counts the files that it decodes.
fn decoded<T>(act: impl FnOnce() -> T) -> (T, usize) {
    DECODED.set(0);
    (act(), DECODED.get())
}

fn fake(context: usize) -> FakeEngine {
    let tokenizer = TOKENIZER.clone();
    let backend = FakeBackend::new(Kind::Attention, MANIFEST.clone(), tokenizer.vocab_size(), (context, 64));
    Engine::new(backend, tokenizer, &LoadOptions::with_decoder(|| 0.0, decode))
}

fn photographs(count: usize) -> Vec<Picture> {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/grey.png"));
    let file = file.expect("a fixture");
    // Bytes after the end of a PNG change the file, but not the picture.
    (0..count).map(|index| Picture::encoded([&file[..], &[index as u8]].concat())).collect()
}

fn talk(pictures: usize, words: usize) -> Prompt {
    let turn = |index: usize| {
        let said = "word ".repeat(words);
        let content = vec![ContentPart::Image(index), ContentPart::Text(said)];
        [Message { role: Role::User, content }, Message::text(Role::Assistant, "Yes.")]
    };
    let mut messages: Vec<Message> = (0..pictures).flat_map(turn).collect();
    messages.pop();
    Prompt::Messages(messages)
}

#[test]
fn a_picture_that_is_held_is_not_decoded_again() {
    let engine = fake(100_000);
    let encode = |count: usize| engine.encode(&talk(count, 1), &photographs(count)).expect("a prompt");
    let (first, count) = decoded(|| encode(5));
    assert_eq!(count, 5, "every file is decoded once");
    let (next, count) = decoded(|| encode(6));
    assert_eq!(count, 1, "the next turn brings one");
    assert!(next.ids().starts_with(&first.ids()[..first.ids().len() / 2]));
    assert_eq!(decoded(|| encode(6)).1, 0);
    let low: Vec<Picture> = photographs(2).into_iter().map(|picture| picture.at(Detail::Low)).collect();
    assert_eq!(decoded(|| engine.encode(&talk(2, 1), &low).map(drop)), (Ok(()), 2), "another size is another picture");
    drop((first, next));
    assert_eq!(decoded(|| encode(2)).1, 2, "what nobody holds is decoded");
}

#[test]
fn pictures_are_decoded_once_where_turns_are_left_out() {
    let cut = |context: usize| -> Encoded {
        let engine = fake(context);
        let (cut, count) = decoded(|| engine.encode_cut(&talk(6, 200), &photographs(6), Some(50)));
        assert_eq!(count, 6, "{context}");
        cut.expect("a prompt")
    };
    let (whole, some) = (cut(100_000), cut(2_500));
    assert!(some.ids().len() < whole.ids().len() && some.ids().len() < 2_500);
}
