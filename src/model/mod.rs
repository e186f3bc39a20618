//! A decoder on a device: chunks of a prompt, steps, drafts, logits and draws.
//!
//! [`LanguageModel`] is its interface for conversations, so that everything above can be tested with a model on the CPU.

mod batch;
mod drafts;
mod draw;
mod dry;
mod forward;
mod inputs;
mod language;
mod repeat;
mod rows;
mod stored;
mod trial;

pub use draw::Draw;
pub use dry::DryModel;
pub use forward::Model;
pub use language::{BatchRow, DRAFT_ROWS, Features, Input, LanguageModel, LogitsAt, MaskFn, Verdict};
