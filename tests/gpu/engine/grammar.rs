//! Answers constrained by a grammar, drawn on the device: with and without passes over forced tokens, with pictures, penalties, filters and
//! lost devices.

use ocelli::engine::Speculation;
use ocelli::grammar::Format;

use super::*;
use crate::injection::Injection;

const SCHEMA: &str = r#"{"type": "object", "properties": {
    "shape": {"enum": ["circle", "square", "star"]}, "count": {"type": "integer", "minimum": 0, "maximum": 20},
    "colours": {"type": "array", "items": {"type": "string", "maxLength": 6}, "maxItems": 2}},
    "required": ["shape", "count", "colours"], "additionalProperties": false}"#;

fn fits(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return false };
    let shape = value["shape"].as_str().is_some_and(|shape| ["circle", "square", "star"].contains(&shape));
    let colours =
        value["colours"].as_array().is_some_and(|list| list.len() <= 2 && list.iter().all(|one| one.is_string()));
    shape
        && colours
        && value["count"].as_u64().is_some_and(|count| count <= 20)
        && value.as_object().map(|map| map.len()) == Some(3)
}

fn options() -> [SamplingOptions; 5] {
    let warm = SamplingOptions { temperature: 1.5, seed: 11, ..SamplingOptions::default() };
    [
        SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        SamplingOptions { top_k: Some(40), ..warm.clone() },
        SamplingOptions { top_p: 0.9, min_p: 0.01, ..warm.clone() },
        SamplingOptions { frequency_penalty: 1.5, presence_penalty: 0.5, ..warm.clone() },
        warm,
    ]
}

async fn load(files: &packages::Contents, gpu: &ocelli::gpu::Gpu, speculation: Speculation) -> Engine {
    let options = LoadOptions { context: Some(512), speculation, ..LoadOptions::new(|| 0.0) };
    packages::try_load(gpu, files, options).await.expect("load")
}

#[test]
fn answers_fit_their_schema_however_tokens_are_computed_and_drawn() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let mut steps = load(&files, device::gpu(), Speculation::Off).await;
        let mut passes = load(&files, device::gpu(), Speculation::Always).await;
        let format = Format::JsonSchema(SCHEMA.into());
        let grammar = steps.grammar(&format).expect("a grammar");
        for sampling in options() {
            let request = Request {
                sampling,
                grammar: Some(grammar.clone()),
                max_tokens: None,
                ..about_a_picture(10, "What is this?")
            };
            let one = answer(&mut steps, &request).await;
            let other = answer(&mut passes, &request).await;
            assert_eq!((one.finish_reason, fits(&one.text)), (FinishReason::Stop, true), "{}", one.text);
            assert_eq!(one.tokens, other.tokens, "a pass over known tokens rounds as steps do");
            assert!(
                one.text.starts_with(r#"{"shape": ""#) && one.usage.forced_tokens > 10,
                "{} {:?}",
                one.text,
                one.usage
            );
            let again = Request { grammar: None, max_tokens: Some(8), ..request };
            assert_eq!(answer(&mut steps, &again).await.tokens.len(), 8, "the next answer is free");
        }
    });
}

#[test]
fn a_device_lost_at_any_submission_changes_no_answer_within_a_grammar() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let injection = Injection::default();
        let gpu = injection.open().await.expect("a device");
        let mut engine = load(&files, &gpu, Speculation::Always).await;
        let grammar = engine.grammar(&Format::JsonSchema(SCHEMA.into())).expect("a grammar");
        let [greedy, .., warm] = options();
        for sampling in [greedy, warm] {
            let request = Request {
                sampling,
                grammar: Some(grammar.clone()),
                max_tokens: None,
                ..about_a_picture(10, "What is this?")
            };
            let before = injection.submissions();
            let right = fresh_answer(&mut engine, &request).await;
            let submissions = injection.submissions() - before;
            assert!(fits(&right.text), "{}", right.text);
            // The same steps repeat.
            for lost in (0..submissions).step_by(23) {
                injection.lose_at_submission(injection.submissions() + lost);
                engine.reset();
                assert_eq!(answer(&mut engine, &request).await.tokens, right.tokens, "lost at {lost} of {submissions}");
            }
        }
    });
}
