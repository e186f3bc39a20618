//! Lists of embeddings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Frame, Usage};
use crate::api::embeddings::Encoding;
use crate::chat::embedding_of;
use crate::engine::Completion;

/// Writes embeddings.
#[derive(Debug)]
pub struct EmbeddingWire {
    /// Name of the model.
    pub model: String,
    /// Numbers of an embedding.
    pub dimensions: usize,
    /// Form of its numbers.
    pub encoding: Encoding,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry>,
    model: &'a str,
    usage: Tokens,
}

#[derive(Serialize)]
struct Entry {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    Floats(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Tokens {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl EmbeddingWire {
    /// The whole reply.
    pub(super) fn end(&self, answers: &[Completion]) -> String {
        let entry = |(index, answer): (usize, &Completion)| {
            let embedding = self.numbers(embedding_of(&answer.hidden, self.dimensions));
            Entry { object: "embedding", index, embedding }
        };
        let data = answers.iter().enumerate().map(entry).collect();
        let Usage { prompt_tokens, total_tokens, .. } = Usage::of(answers, 1);
        let usage = Tokens { prompt_tokens, total_tokens };
        Frame::of(&List { object: "list", data, model: &self.model, usage }).data
    }

    fn numbers(&self, embedding: Vec<f32>) -> Numbers {
        match self.encoding {
            Encoding::Float => Numbers::Floats(embedding),
            Encoding::Base64 => {
                let bytes: Vec<u8> = embedding.iter().flat_map(|x| x.to_le_bytes()).collect();
                Numbers::Base64(STANDARD.encode(bytes))
            }
        }
    }
}
