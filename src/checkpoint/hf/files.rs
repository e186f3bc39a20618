//! The input of a family's reader of Hugging Face checkpoints.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::fields::Fields;
use crate::checkpoint::vocabulary::Vocabulary;
use crate::error::{Error, Result};

/// The tokenizer's file.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Pillow's number of a filter, and its name.
pub const BICUBIC: (usize, &str) = (3, "bicubic");
/// The number and name of another filter.
pub const BILINEAR: (usize, &str) = (2, "bilinear");
/// The number and name of a third filter.
pub const LANCZOS: (usize, &str) = (1, "Lanczos");

/// The small files of a checkpoint.
#[derive(Debug)]
pub struct HfFiles<'a> {
    /// The first of `architectures`, or `model_type`.
    pub architecture: &'a str,
    /// `config.json`.
    pub config: Fields<'a>,
    /// `processor_config.json`, if there is one.
    pub processor: Fields<'a>,
    /// `preprocessor_config.json`, if there is one.
    pub preprocessor: Fields<'a>,
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
}

impl<'a> HfFiles<'a> {
    /// The fields of the image processor, if it resamples, scales and normalises as this crate does.
    ///
    /// # Errors
    /// [`Error::UnsupportedArchitecture`] that names `processor` for any other, [`Error::InvalidCheckpoint`].
    pub fn images(&self, processor: &str) -> Result<Fields<'a>> {
        self.images_by(processor, BICUBIC)
    }

    /// The same for a processor that resamples with another filter.
    ///
    /// # Errors
    /// See [`Self::images`].
    pub fn images_by(&self, processor: &str, (number, filter): (usize, &str)) -> Result<Fields<'a>> {
        let nested = self.processor.object("image_processor.")?;
        let images = if nested.is_there() { nested } else { self.preprocessor };
        for key in ["do_resize", "do_rescale", "do_normalize"] {
            if images.flag(key)? == Some(false) {
                return Err(images.unsupported(processor, key, "is false"));
            }
        }
        if images.size("resample")?.is_some_and(|other| other != number) {
            return Err(images.unsupported(processor, "resample", &format!("is not {number}, {filter}")));
        }
        if images.number("rescale_factor")?.is_some_and(|factor| (factor * 255.0 - 1.0).abs() > 1e-6) {
            return Err(images.unsupported(processor, "rescale_factor", "is not 1/255"));
        }
        Ok(images)
    }

    /// The ids of the tokens outside the text vocabulary, by their spelling; fails with [`Error::Tokenizer`].
    pub fn added_tokens(&self) -> Result<HashMap<String, u32>> {
        #[derive(Deserialize)]
        struct Tokenizer {
            added_tokens: Vec<AddedToken>,
        }
        Ok(by_name(self.parse_tokenizer::<Tokenizer>()?.added_tokens).collect())
    }

    /// The vocabulary; fails with [`Error::Tokenizer`].
    pub fn vocabulary(&self) -> Result<Vocabulary> {
        #[derive(Deserialize)]
        struct Tokenizer {
            #[serde(default)]
            added_tokens: Vec<AddedToken>,
            model: Model,
        }
        #[derive(Deserialize)]
        struct Model {
            vocab: HashMap<String, u32>,
            merges: Vec<Value>,
        }
        let Tokenizer { added_tokens, model } = self.parse_tokenizer()?;
        // A merge is a pair, or in older files a text with a space.
        let pair = |merge: Value| {
            let text = |at: usize| Some(merge.get(at)?.as_str()?.to_owned());
            let joined = || merge.as_str()?.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
            text(0).zip(text(1)).or_else(joined)
        };
        Ok(Vocabulary::new(
            model.vocab.into_iter().chain(by_name(added_tokens)),
            model.merges.into_iter().filter_map(pair),
        ))
    }

    fn parse_tokenizer<T: Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_slice(self.tokenizer)
            .map_err(|e| Error::Tokenizer { reason: format!("{TOKENIZER_FILE} is malformed: {e}") })
    }
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// Tokens by name. The first of two tokens with the same spelling comes last, so that it wins.
fn by_name(tokens: Vec<AddedToken>) -> impl Iterator<Item = (String, u32)> {
    tokens.into_iter().rev().map(|token| (token.content, token.id))
}
