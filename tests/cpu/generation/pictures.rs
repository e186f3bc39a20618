//! Picture files are decoded once while a conversation or a prompt holds the picture.

use std::cell::Cell;

use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{
    Detail, Encoded, Encoder, Engine, LoadOptions, Picture, PictureContent, Prompt, Reading, RequestControl, Scope,
};
use ocelli::image::{self, Rgb8};
use ocelli::{Error, Result};

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

fn options() -> LoadOptions {
    LoadOptions { read_picture_size: Some(image::size), ..LoadOptions::with_decoder(|| 0.0, decode) }
}

fn fake(context: usize) -> FakeEngine {
    let tokenizer = TOKENIZER.clone();
    let backend = FakeBackend::new(Kind::Attention, MANIFEST.clone(), tokenizer.vocab_size(), (context, 64));
    Engine::new(backend, tokenizer, &options())
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
        let (cut, count) = decoded(|| {
            let reading = Reading { control: &RequestControl::new(), scope: Scope::SHARED };
            engine.encoder().encode_cut(&talk(6, 200), &photographs(6), (Some(50), reading))
        });
        assert_eq!(count, 6, "{context}");
        cut.expect("a prompt")
    };
    let (whole, some) = (cut(100_000), cut(2_500));
    assert!(some.ids().len() < whole.ids().len() && some.ids().len() < 2_500);
}

/// A PNG file of 10,000 x 10,000 black pixels in some 12 kB; `index` makes files differ.
fn large_picture(index: u32) -> Picture {
    let mut file = std::io::Cursor::new(Vec::new());
    let pixels = ::image::GrayImage::new(10_000, 10_000);
    pixels.write_to(&mut file, ::image::ImageFormat::Png).expect("a PNG file");
    Picture::encoded([file.into_inner(), index.to_le_bytes().to_vec()].concat())
}

#[test]
fn pictures_with_too_many_pixels_together_are_refused_before_any_is_decoded() {
    let engine = fake(100_000);
    let one = large_picture(0);
    let many = |count: u32| -> Vec<Picture> {
        let PictureContent::Encoded(file) = &one.content else { return Vec::new() };
        (0..count).map(|index| Picture::encoded([&file[..], &index.to_le_bytes()].concat())).collect()
    };
    let (refused, count) = decoded(|| engine.encode(&talk(400, 1), &many(400)).map(drop));
    let message = refused.expect_err("40,000 megapixels").to_string();
    assert_eq!((count, &*message), (0, "pictures: the pictures have 40000 megapixels together, more than 400"));
    // The same file counts once.
    let (refused, count) = decoded(|| engine.encode(&talk(5, 1), &vec![one.clone(); 5]).map(drop));
    assert_eq!((refused, count), (Ok(()), 1));
}

#[test]
fn pictures_that_cannot_fit_the_context_are_refused_before_any_is_decoded() {
    let (refused, count) = decoded(|| fake(20).encode(&talk(40, 1), &photographs(40)).map(drop));
    assert!(matches!(refused, Err(Error::ContextOverflow { context: 20, .. })), "{refused:?}");
    assert_eq!(count, 0);
}

#[test]
fn text_that_cannot_fit_the_context_is_refused_before_it_is_encoded() {
    let word = Prompt::Text("a".repeat(64 << 20));
    let refused = fake(1000).encode(&word, &[]).map(drop);
    assert!(matches!(refused, Err(Error::ContextOverflow { context: 1000, .. })), "{refused:?}");
}

#[test]
fn a_cancelled_request_decodes_no_picture() {
    let (engine, control) = (fake(100_000), RequestControl::new());
    control.cancel();
    let reading = Reading { control: &control, scope: Scope::SHARED };
    let (outcome, count) = decoded(|| engine.encoder().encode(&talk(3, 1), &photographs(3), reading).map(drop));
    assert_eq!((outcome, count), (Err(Error::Aborted), 0));
}

#[test]
fn prompts_are_encoded_on_other_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Encoder>();
    sent::<Encoded>();
    let engine = fake(100_000);
    let (encoder, prompt) = (engine.encoder().clone(), talk(2, 3));
    let elsewhere = std::thread::spawn(move || {
        let reading = Reading { control: &RequestControl::new(), scope: Scope::SHARED };
        encoder.encode(&prompt, &photographs(2), reading)
    });
    let elsewhere = elsewhere.join().expect("a thread").expect("a prompt");
    assert_eq!(elsewhere.ids(), engine.encode(&talk(2, 3), &photographs(2)).expect("a prompt").ids());
}
