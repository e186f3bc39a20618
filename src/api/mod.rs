//! The OpenAI chat API's shapes: JSON in, typed request out; results in, JSON out.
//!
//! Fields this crate does not know or does not support are refused by name, never ignored. Knows no clock and no source of
//! randomness: ids, times and seeds are passed in.

pub mod chat_request;
pub mod response;
pub mod score_request;

mod field;
mod messages;

pub use chat_request::ChatRequest;
pub use response::{ChatCompletion, ChatCompletionChunk, ErrorBody, Stamp, Usage};
pub use score_request::ScoreRequest;
