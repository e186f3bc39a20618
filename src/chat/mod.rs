//! Messages to token ids, and token ids back to text.
//!
//! [`template`] lays a conversation out as segments, [`tokenizer`] turns each segment into ids, [`stream`] turns the
//! bytes of generated tokens into text. Knows nothing of pictures beyond how many tokens each takes, and nothing of GPUs.

pub mod message;
pub mod stream;
pub mod system_prompt;
pub mod template;
pub mod tokenizer;

mod byte_alphabet;
mod tokenizer_file;

pub use message::{Message, Part, Role};
pub use stream::TextStream;
pub use system_prompt::default_system_prompt;
pub use template::{Segment, encode_chat, picture_order};
pub use tokenizer::Tokenizer;
