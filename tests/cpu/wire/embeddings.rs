//! `POST /v1/embeddings` on a model without a device.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocelli::api::Service;
use ocelli::engine::Speculation;
use serde_json::{Value, json};

use super::{CONTEXT, KINDS, answer, engine, fake, service, stamp, work};

const PATH: &str = "/v1/embeddings";

/// Numbers of the embedding of an input.
fn numbers(body: &Value, index: usize) -> Vec<f32> {
    let entry = &body["data"][index];
    assert_eq!((&entry["object"], &entry["index"]), (&json!("embedding"), &json!(index)), "{body}");
    serde_json::from_value(entry["embedding"].clone()).expect("numbers")
}

#[test]
fn embeddings_have_unit_length_and_the_order_of_the_inputs() {
    let mut engine = fake();
    let request = json!({"input": ["one", "two", {"type": "text", "text": "one"}], "model": "gpt-4o"});
    let (body, frames) = answer(&mut engine, PATH, &request).expect("embeddings");
    assert!(frames.is_empty());
    assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!("mistral/3b")));
    let [one, two, again] = [0, 1, 2].map(|index| numbers(&body, index));
    assert_eq!((one.len(), &one), (16, &again));
    assert_ne!(one, two);
    for embedding in [&one, &two] {
        assert!((embedding.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let usage = &body["usage"];
    assert!(usage["prompt_tokens"].as_u64() > Some(3) && usage["prompt_tokens"] == usage["total_tokens"], "{usage}");
    // A single input is a list of one; its instruction counts.
    let (single, _) = answer(&mut engine, PATH, &json!({"input": "one"})).expect("an embedding");
    assert_eq!(numbers(&single, 0), one);
    let (other, _) = answer(&mut engine, PATH, &json!({"input": "one", "instruction": "Find it"})).expect("one");
    assert_ne!(numbers(&other, 0), one);
    let stopped = json!({"input": "one", "instruction": " Find it. "});
    assert_eq!(answer(&mut engine, PATH, &stopped).expect("one").0, other, "a full stop is added");
}

#[test]
fn an_embedding_can_be_shortened_and_sent_in_base64() {
    let mut engine = fake();
    let ask = |more: Value| super::with(json!({"input": "one"}), &more);
    let (whole, _) = answer(&mut engine, PATH, &ask(json!({}))).expect("an embedding");
    let (short, _) = answer(&mut engine, PATH, &ask(json!({"dimensions": 4}))).expect("an embedding");
    let (whole, short) = (numbers(&whole, 0), numbers(&short, 0));
    let scale = whole[..4].iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(short.len() == 4 && short.iter().zip(&whole).all(|(a, b)| (a - b / scale).abs() < 1e-6));
    let (packed, _) = answer(&mut engine, PATH, &ask(json!({"encoding_format": "base64"}))).expect("an embedding");
    let bytes = STANDARD.decode(packed["data"][0]["embedding"].as_str().expect("text")).expect("base64");
    let unpacked: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
    assert_eq!(unpacked, whole);
}

#[test]
fn embeddings_are_the_same_whatever_is_lost() {
    let request = json!({"input": ["one", "two and some more words", "three"]});
    for kind in KINDS {
        let mut engine = engine(kind, Speculation::Off, (CONTEXT, 8));
        let (wanted, _) = answer(&mut engine, PATH, &request).expect("embeddings");
        let end = engine.backend().faults.borrow().operations;
        for at in (0..end).step_by(3) {
            let now = engine.backend().faults.borrow().operations;
            engine.backend().faults.borrow_mut().lose_at = vec![now + at];
            let (body, _) = answer(&mut engine, PATH, &request).expect("embeddings");
            assert_eq!(body["data"], wanted["data"], "{kind:?} lost at {at}");
        }
    }
}

#[test]
fn faults_name_their_field() {
    let refused = |request: Value| work(PATH, &request).expect_err("a fault").to_string();
    for (request, field) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": ""}), "input"),
        (json!({"input": ["a", ""]}), "input[1]"),
        (json!({"input": [[]]}), "input[0]"),
        (json!({"input": [1, 2]}), "input"),
        (json!({"input": [[1, 2]]}), "input[0]"),
        (json!({"input": [{"type": "input_audio"}]}), "input[0].type"),
        (json!({"input": "a", "dimensions": 3}), "dimensions"),
        (json!({"input": "a", "dimensions": 17}), "dimensions"),
        (json!({"input": "a", "encoding_format": "int8"}), "encoding_format"),
        (json!({"input": "a", "stream": true}), "stream"),
        (json!({"input": "a", "model": "another"}), "another"),
    ] {
        let message = refused(request.clone());
        assert!(message.contains(field), "{request}: {message}");
    }
    let plain = Service { embedder: None, ..service() };
    let error = plain.open(("POST", PATH), r#"{"input": "a"}"#, stamp()).expect_err("no embeddings");
    assert_eq!(error.code(), "unsupported-option");
    assert!(error.to_string().contains("not trained for embeddings"), "{error}");
}
