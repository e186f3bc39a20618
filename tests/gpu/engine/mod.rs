//! Requests, sessions, cancelling and errors, on a tiny random checkpoint. Its answers are noise, but the same noise for the same prompt.

mod bench;
mod cache;
mod compile;
mod grammar;
mod logprobs;
mod memory;
mod pictures;
mod pieces;
mod recurrent;
mod snapshots;
mod tiles;
mod tuning;

use crate::device;
use crate::packages;
use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{
    Completion, Engine, Event, FinishReason, LoadOptions, Picture, Prompt, Request, RequestControl, Stage,
};
use ocelli::image::Rgb8;
use ocelli::layout::Layout;
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

const CHECKPOINT: &str = "tied_two_images";

fn with_engine(context: usize, test: impl AsyncFnOnce(&mut Engine)) {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        test(&mut packages::load(&files, context).await).await;
    });
}

fn picture(level: u8) -> Picture {
    let (width, height) = (40_u32, 60_u32);
    let pixels = (0..width * height * 3).map(|i| level.wrapping_add((i % 7 * 9) as u8)).collect();
    Picture::rgb(Rgb8 { width, height, pixels })
}

fn user(content: Vec<ContentPart>) -> Message {
    Message { role: Role::User, content }
}

fn ask(messages: Vec<Message>, pictures: Vec<Picture>, max_tokens: usize) -> Request {
    Request {
        prompt: Prompt::Messages(messages),
        pictures,
        sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        max_tokens: Some(max_tokens),
        stop: Vec::new(),
        grammar: None,
    }
}

fn about_a_picture(level: u8, question: &str) -> Request {
    let content = vec![ContentPart::Image(0), ContentPart::Text(question.into())];
    ask(vec![user(content)], vec![picture(level)], 6)
}

async fn answer(engine: &mut Engine, request: &Request) -> Completion {
    engine.generate(request, &RequestControl::new(), &mut |_| ()).await.expect("generate")
}

async fn fresh_answer(engine: &mut Engine, request: &Request) -> Completion {
    engine.reset();
    let completion = answer(engine, request).await;
    assert_eq!(completion.usage.cached_tokens, 0);
    completion
}

async fn layers_of_the_tower_run(engine: &mut Engine, request: &Request) -> usize {
    let mut count = 0;
    let mut watch = |event: Event| {
        count += usize::from(matches!(event, Event::Progress { stage: Stage::Vision, .. }));
    };
    engine.generate(request, &RequestControl::new(), &mut watch).await.expect("generate");
    count
}

#[test]
fn a_follow_up_computes_only_new_tokens_and_answers_the_same() {
    with_engine(512, async |engine| {
        let first = about_a_picture(10, "What is this?");
        let said = fresh_answer(engine, &first).await;
        let Prompt::Messages(mut messages) = first.prompt.clone() else { unreachable!() };
        messages.push(Message::text(Role::Assistant, said.text.clone()));
        messages.push(Message::text(Role::User, "And its colour?"));
        let follow_up = ask(messages, vec![picture(10)], 6);
        let reused = answer(engine, &follow_up).await;
        assert!(reused.usage.cached_tokens >= said.usage.prompt_tokens, "{:?} after {:?}", reused.usage, said.usage);
        let fresh = fresh_answer(engine, &follow_up).await;
        assert_eq!(reused.tokens, fresh.tokens);
        assert_eq!(reused.usage.prompt_tokens, fresh.usage.prompt_tokens);
    });
}

#[test]
fn an_edited_question_keeps_the_picture_before_it() {
    with_engine(512, async |engine| {
        fresh_answer(engine, &about_a_picture(10, "What is this?")).await;
        let edited = about_a_picture(10, "How many are there?");
        let reused = answer(engine, &edited).await;
        assert!(reused.usage.cached_tokens > 6, "the picture's tokens stay: {:?}", reused.usage);
        assert_eq!(reused.tokens, fresh_answer(engine, &edited).await.tokens);
        assert_eq!(layers_of_the_tower_run(engine, &edited).await, 0);
    });
}

#[test]
fn another_picture_of_the_same_size_is_not_taken_for_the_first() {
    with_engine(512, async |engine| {
        let question = "What is this?";
        fresh_answer(engine, &about_a_picture(10, question)).await;
        let other = about_a_picture(200, question);
        let after = answer(engine, &other).await;
        assert_eq!(after.usage.cached_tokens, 2, "only <s>[INST] is common");
        assert_eq!(after.tokens, fresh_answer(engine, &other).await.tokens);
    });
}

#[test]
fn a_picture_shown_again_elsewhere_is_not_encoded_again() {
    with_engine(512, async |engine| {
        engine.reset();
        assert!(layers_of_the_tower_run(engine, &about_a_picture(10, "What?")).await > 0);
        let content = vec![
            ContentPart::Text("Look:".into()),
            ContentPart::Image(0),
            ContentPart::Text("What?".into()),
            ContentPart::Image(1),
        ];
        let request = ask(vec![user(content)], vec![picture(10), picture(10)], 2);
        assert_eq!(layers_of_the_tower_run(engine, &request).await, 0);
    });
}

#[test]
fn text_events_join_to_the_answer_and_cancelling_stops_within_one_token() {
    with_engine(512, async |engine| {
        let request = ask(vec![Message::text(Role::User, "Say something long.")], Vec::new(), 24);
        let mut pieces = Vec::new();
        let mut gather = |event: Event| {
            if let Event::Text(text) = event {
                pieces.push(text);
            }
        };
        let whole = engine.generate(&request, &RequestControl::new(), &mut gather).await.expect("generate");
        assert!(pieces.len() > 3, "{pieces:?}");
        assert_eq!(pieces.concat(), whole.text);

        let cancel = RequestControl::new();
        let mut seen = 0;
        let mut stop_at_three = |event: Event| {
            if matches!(event, Event::Text(_)) {
                seen += 1;
                if seen == 3 {
                    cancel.cancel();
                }
            }
        };
        let stopped = engine.generate(&request, &cancel, &mut stop_at_three).await;
        assert_eq!(stopped, Err(Error::Aborted));
        assert!(seen <= 4, "{seen} pieces of text");
        assert_eq!(answer(engine, &request).await.tokens, whole.tokens);
    });
}

#[test]
fn cancelling_in_the_tower_or_in_the_prompt_loses_nothing() {
    with_engine(512, async |engine| {
        let request = about_a_picture(77, "What is this?");
        let whole = fresh_answer(engine, &request).await;
        for stage in [Stage::Vision, Stage::Prefill] {
            engine.reset();
            let cancel = RequestControl::new();
            let mut stop = |event: Event| {
                if matches!(event, Event::Progress { stage: at, .. } if at == stage) {
                    cancel.cancel();
                }
            };
            assert_eq!(engine.generate(&request, &cancel, &mut stop).await, Err(Error::Aborted), "{stage:?}");
            assert_eq!(answer(engine, &request).await.tokens, whole.tokens, "{stage:?}");
        }
    });
}

/// Regression: a chunk of the prompt was still computed.
#[test]
fn cancelling_with_the_last_layer_of_the_tower_computes_no_prompt() {
    with_engine(512, async |engine| {
        let request = about_a_picture(77, "What is this?");
        engine.reset();
        let (cancel, mut is_prefilled) = (RequestControl::new(), false);
        let mut stop = |event: Event| match event {
            Event::Progress { stage: Stage::Vision, done, total } if done == total => cancel.cancel(),
            Event::Progress { stage: Stage::Prefill, .. } => is_prefilled = true,
            _ => (),
        };
        assert_eq!(engine.generate(&request, &cancel, &mut stop).await, Err(Error::Aborted));
        assert!(cancel.check().is_err() && !is_prefilled);
    });
}

#[test]
fn an_answer_ends_at_its_limit_at_a_stop_string_and_at_the_end_of_the_context() {
    with_engine(40, async |engine| {
        let question = vec![Message::text(Role::User, "Continue.")];
        let five = fresh_answer(engine, &ask(question.clone(), Vec::new(), 5)).await;
        assert_eq!((five.tokens.len(), five.finish_reason), (5, FinishReason::Length));

        let long = ask(question.clone(), Vec::new(), 1000);
        let to_the_end = fresh_answer(engine, &long).await;
        let tokens = to_the_end.usage.prompt_tokens + to_the_end.usage.completion_tokens;
        assert_eq!((tokens, to_the_end.finish_reason), (40, FinishReason::Length));

        let start: String = to_the_end.text.chars().take(4).collect();
        let stop: String = to_the_end.text.chars().skip(4).take(3).collect();
        let stopped = answer(engine, &Request { stop: vec![stop.clone()], ..long }).await;
        assert_eq!(stopped.finish_reason, FinishReason::Stop);
        assert!(!stopped.text.contains(&stop) && start.starts_with(&stopped.text), "{:?} at {stop:?}", stopped.text);
        assert!(stopped.tokens.len() < to_the_end.tokens.len());

        let none = fresh_answer(engine, &ask(question, Vec::new(), 0)).await;
        assert_eq!((none.text.as_str(), none.tokens.len()), ("", 0));
    });
}

#[test]
fn equal_seeds_give_equal_answers() {
    with_engine(512, async |engine| {
        let mut request = ask(vec![Message::text(Role::User, "Dream.")], Vec::new(), 16);
        let mut draw = async |engine: &mut Engine, seed: u64| {
            request.sampling = SamplingOptions { seed, ..SamplingOptions::default() };
            answer(engine, &request).await.tokens
        };
        let first = draw(engine, 7).await;
        assert_eq!(first, draw(engine, 7).await);
        assert_ne!(first, draw(engine, 8).await);
    });
}

/// The GPU is a step ahead of the reader. The end of an answer does not change its tokens.
#[test]
fn a_shorter_answer_is_the_beginning_of_a_longer_one() {
    with_engine(512, async |engine| {
        let greedy = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let filtered = SamplingOptions {
            seed: 3,
            top_k: Some(9),
            top_p: 0.9,
            frequency_penalty: 0.7,
            presence_penalty: 0.3,
            repetition_penalty: 1.1,
            ..SamplingOptions::default()
        };
        for sampling in [greedy, SamplingOptions { seed: 11, ..SamplingOptions::default() }, filtered] {
            let of_length = |max| Request {
                sampling: sampling.clone(),
                ..ask(vec![Message::text(Role::User, "Say.")], Vec::new(), max)
            };
            let whole = fresh_answer(engine, &of_length(24)).await.tokens;
            for max in [1, 2, 3, 7] {
                let said = fresh_answer(engine, &of_length(max)).await.tokens;
                assert_eq!(said, whole[..said.len()], "{sampling:?}");
                assert_eq!(said.len(), max.min(whole.len()));
            }
        }
    });
}

#[test]
fn invalid_requests_are_refused_by_name_and_nothing_is_lost() {
    with_engine(64, async |engine| {
        let good = ask(vec![Message::text(Role::User, "Hello.")], Vec::new(), 4);
        let before = fresh_answer(engine, &good).await;
        let ids = |ids: &[u32]| Request { prompt: Prompt::Ids(ids.to_vec()), ..good.clone() };
        let long = "words ".repeat(100);
        let broken = Request { pictures: vec![Picture::encoded(b"no picture".to_vec())], ..about_a_picture(1, "?") };
        let cold = SamplingOptions { temperature: -1.0, ..SamplingOptions::default() };
        let refused: [(&str, Request); 7] = [
            ("invalid-request", ids(&[1, 99_999])),
            ("invalid-request", ids(&[])),
            ("invalid-request", ids(&[1, 10, 10, 13])),
            ("invalid-request", ask(vec![user(vec![ContentPart::Image(3)])], vec![picture(1)], 4)),
            ("context-overflow", ask(vec![Message::text(Role::User, long)], Vec::new(), 4)),
            ("invalid-image", broken),
            ("invalid-request", Request { sampling: cold, ..good.clone() }),
        ];
        for (code, request) in refused {
            let result: Result<Completion> = engine.generate(&request, &RequestControl::new(), &mut |_| ()).await;
            assert_eq!(result.expect_err("refused").code(), code, "{:?}", request.prompt);
            assert_eq!(answer(engine, &good).await.tokens, before.tokens);
        }
    });
}

#[test]
fn a_model_without_a_tower_refuses_pictures() {
    pollster::block_on(async {
        let mut engine = packages::engine("text_long", Layout::F16).await;
        let result = engine.generate(&about_a_picture(1, "What?"), &RequestControl::new(), &mut |_| ()).await;
        assert_eq!(result.expect_err("refused").code(), "invalid-request");
    });
}

#[test]
fn a_shard_with_a_flipped_byte_or_left_out_is_refused() {
    pollster::block_on(async {
        let options = LoadOptions::new(|| 0.0);
        let mut files = packages::pack(CHECKPOINT, Layout::Q4_0).await;
        files.get_mut("shard-0001.bin").expect("a shard")[1000] ^= 1;
        assert_eq!(packages::try_load(device::gpu(), &files, options).await.expect_err("refused").code(), "integrity");
        files.remove("shard-0001.bin");
        assert_eq!(
            packages::try_load(device::gpu(), &files, options).await.expect_err("refused").code(),
            "invalid-package"
        );
    });
}
