//! Embeddings against `transformers`, and requests for them.

use ocelli::api::{Embedder, EmbeddingRequest};
use ocelli::chat::{EmbeddingSettings, embedding_of};
use ocelli::engine::{Engine, Picture, RequestControl};
use ocelli::layout::Layout;
use serde_json::Value;

use crate::packages::{engine, folder};

const CHECKPOINT: &str = "qwen3_vl";

fn cases() -> Value {
    let bytes = std::fs::read(folder(CHECKPOINT).join("embeddings.json")).expect("the fixture");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

async fn embed(engine: &mut Engine, body: &Value) -> Vec<f32> {
    let embedder = Embedder { settings: EmbeddingSettings::untrained(), width: engine.config().text().hidden_size };
    let request = EmbeddingRequest::from_json(body, &embedder).expect("a request");
    let read = |url: &String| Picture::encoded(std::fs::read(folder(CHECKPOINT).join(url)).expect("a picture"));
    let pictures: Vec<Picture> = request.pictures.iter().map(|picture| read(&picture.url)).collect();
    let control = RequestControl::new();
    let hidden = engine.hidden_state(&request.prompts[0], &pictures, &control).await.expect("a hidden state");
    embedding_of(&hidden, request.dimensions)
}

#[test]
fn embeddings_are_those_of_transformers() {
    pollster::block_on(async {
        let mut engine = engine(CHECKPOINT, Layout::F32).await;
        let cases = cases();
        let mut furthest = 0.0f64;
        for _ in 0..2 {
            // The second time the KV cache holds all entries but the last.
            for case in cases["cases"].as_array().expect("cases") {
                let expected: Vec<f32> = serde_json::from_value(case["embedding"].clone()).expect("numbers");
                let embedding = embed(&mut engine, &case["body"]).await;
                let length: f32 = embedding.iter().map(|x| x * x).sum();
                assert!((length - 1.0).abs() < 1e-5, "{}: {length}", case["name"]);
                furthest = furthest.max(1.0 - cosine(&embedding, &expected));
            }
        }
        println!("1 - cosine is at most {furthest:e}");
        assert!(furthest <= 1e-4, "{furthest:e}");
    });
}
