//! Sizes of shown pictures: they are reported, and a chosen size stays.

use ocelli::chat::ContentPart;
use ocelli::engine::{
    Completion, Detail, Engine, Event, LoadOptions, Picture, PictureLimits, Request, RequestControl, ShownPicture,
    Tuned,
};
use ocelli::gpu::Gpu;
use ocelli::image::Rgb8;
use ocelli::layout::Layout;

use super::{ask, fresh_answer, user};
use crate::packages;

/// A model that takes pictures of up to 1540 pixels.
const LARGE_PICTURES: &str = "like_8b";
/// At full size 25 x 11 cells of 28 pixels, at low detail 19 x 8; a row of cells ends in a token of its own.
const FULL: (usize, usize, usize) = (700, 308, 11 * 26);
const LOW: (usize, usize, usize) = (532, 224, 8 * 20);

fn question(detail: Detail) -> Request {
    let (width, height) = (700_u32, 300_u32);
    let pixels = (0..width * height * 3).map(|i| (i / 7 % 251) as u8).collect();
    let picture = Picture::rgb(Rgb8 { width, height, pixels }).at(detail);
    let content = vec![ContentPart::Image(0), ContentPart::Text("What is this?".into())];
    ask(vec![user(content)], vec![picture], 4)
}

/// An engine on a device of its own with a known speed in GFLOP/s.
async fn engine(gflops: u32, pictures: PictureLimits) -> Engine {
    let files = packages::pack(LARGE_PICTURES, Layout::Q8_0).await;
    let gpu = Gpu::open().await.expect("a device");
    let tuned = Tuned { gflops, ..Tuned::default() };
    let options = LoadOptions { context: Some(1024), tuned, pictures, ..LoadOptions::new(|| 0.0) };
    packages::try_load(&gpu, &files, options).await.expect("load")
}

fn within(max_seconds: f64) -> PictureLimits {
    PictureLimits { max_seconds: Some(max_seconds), ..PictureLimits::default() }
}

/// The answer and the size of the shown picture, which must be the same in event and answer.
async fn say(engine: &mut Engine, request: &Request) -> (Completion, (usize, usize, usize)) {
    let mut told = Vec::new();
    let mut listen = |event| {
        if let Event::Picture { picture, shown } = event {
            told.push((picture, shown));
        }
    };
    let said = engine.generate(request, &RequestControl::new(), &mut listen).await.expect("an answer");
    let [shown] = said.pictures[..] else { panic!("{:?}", said.pictures) };
    assert_eq!(told, [(0, shown)]);
    let ShownPicture { detail, width, height, tokens } = shown;
    assert_eq!(detail, request.pictures[0].detail);
    (said, (width, height, tokens))
}

#[test]
fn details_are_told_and_not_taken_for_one_another() {
    pollster::block_on(async {
        let mut engine = engine(0, PictureLimits::default()).await;
        let (high, at_high) = say(&mut engine, &question(Detail::High)).await;
        let (low, at_low) = say(&mut engine, &question(Detail::Low)).await;
        assert_eq!((at_high, at_low), (FULL, LOW));
        assert_eq!(high.usage.prompt_tokens - low.usage.prompt_tokens, FULL.2 - LOW.2);
        assert!(low.usage.cached_tokens < 8, "what is held is the picture at another size: {:?}", low.usage);
        assert_eq!(low.tokens, fresh_answer(&mut engine, &question(Detail::Low)).await.tokens);
        let (auto, at_auto) = say(&mut engine, &question(Detail::Auto)).await;
        assert_eq!((at_auto, auto.tokens), (FULL, high.tokens), "a small model computes it in no time");
    });
}

#[test]
fn auto_follows_the_rate_until_a_conversation_holds_the_picture() {
    pollster::block_on(async {
        let mut engine = engine(1, within(1e-3)).await;
        let slow = say(&mut engine, &question(Detail::Auto)).await;
        assert_eq!(slow.1, LOW, "a millisecond at 1 GFLOP a second is too little");
        engine.gpu().set_pace(|| 0.0, 1_000_000);
        let request = question(Detail::Auto);
        let again = say(&mut engine, &request).await;
        assert_eq!(again.1, LOW, "the cache is of use for no other size");
        let ids = engine.score(&request.prompt, &request.pictures, 256, &RequestControl::new(), &mut |_| Ok(())).await;
        assert_eq!(
            ids.expect("scores").len() - again.0.usage.prompt_tokens,
            FULL.2 - LOW.2,
            "scores are of all there is"
        );
        assert!(again.0.usage.cached_tokens > LOW.2, "{:?}", again.0.usage);
        assert_eq!(say(&mut engine, &question(Detail::High)).await.1, FULL);
        engine.reset();
        assert_eq!(say(&mut engine, &question(Detail::Auto)).await.1, FULL);
    });
}

#[test]
fn the_time_is_that_of_the_tower_and_the_prompt() {
    pollster::block_on(async {
        let mut shown = Vec::new();
        for milliseconds in [1, 3, 10, 30, 100, 300, 1000, 3000] {
            let mut engine = engine(1, within(f64::from(milliseconds) / 1e3)).await;
            let (said, (width, ..)) = say(&mut engine, &question(Detail::Auto)).await;
            assert!(said.usage.prompt_tokens > said.pictures[0].tokens);
            shown.push(width);
        }
        assert!(shown.is_sorted() && shown[0] == LOW.0 && shown.contains(&FULL.0), "{shown:?}");
    });
}

#[test]
fn pixels_that_the_caller_limits_are_not_exceeded() {
    pollster::block_on(async {
        let limits = PictureLimits { max_pixels: Some(90_000), max_seconds: None };
        for gflops in [0, 1] {
            let mut engine = engine(gflops, limits).await;
            for detail in [Detail::Auto, Detail::High] {
                let (_, (width, height, tokens)) = say(&mut engine, &question(detail)).await;
                assert_eq!((width, height, tokens), (448, 196, 7 * 17));
            }
        }
    });
}
