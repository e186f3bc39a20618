//! The OpenAI API, and Anthropic's messages: parses request bodies into typed work, and formats the engine's output as JSON.
//!
//! Used by `engine.fetch` in a page and by `ocelli serve`. Unknown fields, and unsupported ones that would change the meaning of a request,
//! are refused by name. This room has no clock and no source of randomness: ids, times and seeds are passed in.

pub mod chat_request;
pub mod completion_request;
pub mod embeddings;
pub mod reply;
pub mod response_request;
pub mod run;
pub mod schedule;
pub mod score_request;
pub mod service;
pub mod tokenize_request;
pub mod wire;

mod answer_fields;
mod asker;
mod caller;
mod field;
mod format;
mod message_request;
mod messages;
mod thinking;
mod tools;
mod turns;

pub use asker::{Asker, Limit};
pub use chat_request::ChatRequest;
pub use completion_request::CompletionRequest;
pub use embeddings::{Embedder, EmbeddingRequest};
pub use format::Wanted;
pub use messages::PictureUrl;
pub use reply::Reply;
pub use response_request::ResponseRequest;
pub use run::{Output, Run};
pub use schedule::{Client, Inbox, Priority, Scheduler, Submission};
pub use score_request::ScoreRequest;
pub use service::{Opened, Service, Stamp, Work};
pub use thinking::Thinking;
pub use tokenize_request::TokenizeRequest;
pub use tools::Tools;
pub use wire::Frame;
