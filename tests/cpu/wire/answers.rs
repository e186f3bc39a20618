//! Answers and their streams.

use ocelli::api::{Frame, Service};
use ocelli::engine::{Prompt, RequestControl};
use ocelli::sampling::{log_softmax_top, logprob};
use serde_json::{Value, json};

use super::{CHAT, RESPONSES, answer, fake, get, service, stamp, with};

/// Frames of a stream, one per line.
fn lines(frames: &[Frame]) -> String {
    frames.iter().map(|frame| format!("{}\n", frame.text().trim_end().replace('\n', " | "))).collect()
}

fn hello(more: Value) -> Value {
    with(json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 6, "temperature": 0}), &more)
}

/// Texts of all choices of a stream, by index.
fn texts(frames: &[Frame], choices: usize) -> Vec<String> {
    let mut texts = vec![String::new(); choices];
    for frame in frames.iter().filter(|frame| frame.data != "[DONE]") {
        let chunk: Value = serde_json::from_str(&frame.data).unwrap();
        for choice in chunk["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap() as usize;
            texts[index] += choice["delta"]["content"].as_str().or(choice["text"].as_str()).unwrap_or_default();
        }
    }
    texts
}

#[test]
fn a_chat_and_its_stream_are_as_openai_sends_them() {
    let (whole, frames) = answer(&mut fake(), CHAT, &hello(json!({}))).unwrap();
    assert!(frames.is_empty());
    insta::assert_snapshot!("chat", serde_json::to_string_pretty(&whole).unwrap());
    let streamed = hello(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let (again, frames) = answer(&mut fake(), CHAT, &streamed).unwrap();
    assert_eq!(again, whole);
    insta::assert_snapshot!("chat_stream", lines(&frames));
    assert_eq!(texts(&frames, 1), [whole["choices"][0]["message"]["content"].as_str().unwrap()]);
}

#[test]
fn log_probabilities_equal_those_of_a_score() {
    let sampled = json!({
        "temperature": 1.5, "top_k": 3, "min_p": 0.01, "frequency_penalty": 1.5, "logit_bias": {"103": 5, "104": -100},
        "logprobs": true, "top_logprobs": 4, "max_tokens": 30, "stream": true
    });
    let (whole, frames) = answer(&mut fake(), CHAT, &hello(sampled)).unwrap();
    let content = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len() as u64, whole["usage"]["completion_tokens"].as_u64().unwrap());
    // Chunks of a stream carry the same values, in order.
    let streamed: Vec<Value> = frames
        .iter()
        .filter(|frame| frame.data != "[DONE]")
        .map(|frame| serde_json::from_str::<Value>(&frame.data).unwrap())
        .flat_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array().cloned().unwrap_or_default())
        .collect();
    assert_eq!(streamed, *content);
    let bytes: Vec<u8> = content
        .iter()
        .flat_map(|token| token["bytes"].as_array().unwrap())
        .map(|byte| byte.as_u64().unwrap() as u8)
        .collect();
    assert_eq!(String::from_utf8_lossy(&bytes), whole["choices"][0]["message"]["content"].as_str().unwrap());

    let mut engine = fake();
    let tokenizer = engine.tokenizer().clone();
    let prompt = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let (tokens, _) = answer(&mut engine, "/v1/tokenize", &prompt).unwrap();
    let mut ids: Vec<u32> = serde_json::from_value(tokens["tokens"].clone()).unwrap();
    assert_eq!(tokens["count"], ids.len());
    let first = ids.len();
    for token in content {
        ids.extend(tokenizer.encode_text(token["token"].as_str().unwrap()).unwrap());
    }
    assert_eq!(ids.len(), first + content.len(), "each of these tokens is one when it is encoded again");
    let mut rows = Vec::new();
    let mut keep = |scored: ocelli::engine::ScoredRows<'_>| {
        rows.extend(scored.logits.chunks(tokenizer.vocab_size()).map(<[f32]>::to_vec));
        Ok(())
    };
    pollster::block_on(engine.score(&Prompt::Ids(ids.clone()), &[], 7, &RequestControl::new(), &mut keep)).unwrap();
    let near = |told: &Value, wanted: f32| (told.as_f64().unwrap() - f64::from(wanted)).abs() < 1e-4;
    for (index, token) in content.iter().enumerate() {
        let row = &rows[first + index - 1];
        assert!(near(&token["logprob"], logprob(row, ids[first + index])), "{token}");
        for (told, (id, wanted)) in token["top_logprobs"].as_array().unwrap().iter().zip(log_softmax_top(row, 4)) {
            assert!(near(&told["logprob"], wanted), "{told}");
            assert_eq!(told["token"].as_str().unwrap().as_bytes(), tokenizer.token_bytes(id).unwrap());
        }
    }
}

#[test]
fn several_answers_differ_share_the_prompt_and_repeat_by_their_seed() {
    let request = hello(json!({"n": 4, "temperature": 1, "seed": 11, "max_tokens": 12, "stream": true}));
    let (whole, frames) = answer(&mut fake(), CHAT, &request).unwrap();
    let said: Vec<&str> = (0..4).map(|i| whole["choices"][i]["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(texts(&frames, 4), said);
    assert!((1..4).all(|i| said[i] != said[0]), "{said:?}");
    let alone = |seed: i32| {
        let (one, _) =
            answer(&mut fake(), CHAT, &hello(json!({"temperature": 1, "seed": seed, "max_tokens": 12}))).unwrap();
        one["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!([alone(11), alone(12), alone(14)], [said[0], said[1], said[3]]);
    let usage = &whole["usage"];
    let (one, _) = answer(&mut fake(), CHAT, &hello(json!({}))).unwrap();
    assert_eq!(usage["prompt_tokens"], one["usage"]["prompt_tokens"]);
    assert_eq!(usage["completion_tokens"], 48);
}

#[test]
fn texts_are_continued() {
    let request = json!({"prompt": ["One", [105, 106, 107]], "n": 2, "max_tokens": 5, "temperature": 0.5, "logprobs": 2, "stream": true});
    let (whole, frames) = answer(&mut fake(), "/v1/completions", &request).unwrap();
    insta::assert_snapshot!("completion", serde_json::to_string_pretty(&whole).unwrap());
    let said: Vec<&str> = (0..4).map(|i| whole["choices"][i]["text"].as_str().unwrap()).collect();
    assert_eq!(texts(&frames, 4), said);
    let (short, _) = answer(&mut fake(), "/v1/completions", &json!({"prompt": "One"})).unwrap();
    assert_eq!(short["usage"]["completion_tokens"], 16, "as many as OpenAI's server gives where nothing is said");
}

#[test]
fn responses_and_their_events_are_as_openai_sends_them() {
    let request = json!({
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Yes?", "annotations": []}]},
            {"role": "user", "content": "Go\x20on"}],
        "instructions": "Be brief.", "max_output_tokens": 4, "temperature": 0, "metadata": {"a": "b"}, "store": true,
        "include": ["message.output_text.logprobs"], "top_logprobs": 1, "stream": true
    });
    let (whole, frames) = answer(&mut fake(), RESPONSES, &request).unwrap();
    insta::assert_snapshot!("response", serde_json::to_string_pretty(&whole).unwrap());
    insta::assert_snapshot!("response_stream", lines(&frames));
    let (count, _) = answer(&mut fake(), "/v1/responses/input_tokens", &request).unwrap();
    assert_eq!(count["input_tokens"], whole["usage"]["input_tokens"]);
}

#[test]
fn models_are_listed_and_found_by_any_name() {
    let model = json!({"id": "mistral/3b", "object": "model", "created": 1_700_000_000, "owned_by": "ocelli", "max_model_len": 240,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]}});
    assert_eq!(get("/v1/models").unwrap(), json!({"object": "list", "data": [model]}));
    for path in ["/v1/models/mistral%2F3b", "/proxy/v1/models/gpt-4o", "models/mistral/3b"] {
        assert_eq!(get(path).unwrap(), model, "{path}");
    }
    let (by_alias, _) = answer(&mut fake(), CHAT, &hello(json!({"model": "gpt-4o"}))).unwrap();
    assert_eq!(by_alias["model"], "mistral/3b", "answers tell the real name");
    let any = Service { aliases: vec!["*".into()], ..service() };
    let request = hello(json!({"model": "gpt-5"})).to_string();
    assert!(
        any.open(("POST", CHAT), &request, stamp()).is_ok()
            && service().open(("POST", CHAT), &request, stamp()).is_err()
    );
}
