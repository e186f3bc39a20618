//! Importing GGUF files: a text model, and beside it its `mmproj` file, the vision half. No other file is needed.
//!
//! The container is that of gguf-py 0.19. Tensors that a file holds in blocks keep their bits; floats get the layout asked for.

mod cursor;
mod file;
mod import;
mod model;
mod pairs;
mod tokenizer;

pub use file::{DEFAULT_ALIGNMENT, type_number};
pub use import::{GgufImport, import, second_frame};
pub use model::GgufModel;
pub use tokenizer::tokenizer_json;
