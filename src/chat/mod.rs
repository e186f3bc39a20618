//! Messages to token ids, and token ids back to text.
//!
//! A family's [`layout`] makes segments of a conversation, [`template`] and [`tokenizer`] turn each segment into ids, [`stream`] turns the
//! bytes of generated tokens into text. Knows nothing of pictures beyond their tokens, and nothing of GPUs.

pub mod calls;
mod characters;
pub mod draft;
pub mod elements;
pub mod layout;
pub mod message;
pub mod pattern;
pub mod stream;
pub mod system_prompt;
pub mod template;
pub mod thoughts;
pub mod tokenizer;

mod byte_alphabet;
mod embedding;
mod json;
mod nfc;
mod pre_tokenizer;
mod tokenizer_file;

pub use calls::{CallPart, CallReader, CallSyntax, ToolForms};
pub use embedding::{EmbeddingSettings, embedding_of};
pub use json::definition_line;
pub use layout::{ChatLayout, Segment};
pub use message::{ContentPart, Message, Role, ToolCall};
pub use pre_tokenizer::GPT_2;
pub use stream::TextStream;
pub use system_prompt::{Date, fill_system_prompt};
pub use template::{ChatTemplate, EncodedChat};
pub use thoughts::{ThoughtLayout, ThoughtSyntax};
pub use tokenizer::Tokenizer;
