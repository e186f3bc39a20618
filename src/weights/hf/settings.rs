//! `config.json` and the small files beside it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::decoder::{default_text_config, text_config};
use super::fields::Fields;
use super::processor::Processor;
use super::tower::{ImageTokens, default_vision_config, vision_config};
use crate::error::{Error, Result};
use crate::families::{ModelConfig, mistral3};
use crate::weights::manifest::{ChatSettings, MAX_TOKENIZER_BYTES, TOKENIZER_FILE};
use crate::weights::source::{FileSet, read_whole};

const CONFIG_FILE: &str = "config.json";
const GENERATION_FILE: &str = "generation_config.json";
const PROCESSOR_FILE: &str = "processor_config.json";
const PREPROCESSOR_FILE: &str = "preprocessor_config.json";
const SYSTEM_PROMPT_FILE: &str = "SYSTEM_PROMPT.txt";
const MAX_SMALL_FILE_BYTES: u64 = 1 << 20;

/// What a checkpoint says about itself beside its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointSettings {
    /// The model. Whether the head is tied is what the files claim; the weights have the last word.
    pub config: ModelConfig,
    /// How a conversation becomes tokens.
    pub chat: ChatSettings,
    /// Contents of `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

/// Reads `config.json`, `tokenizer.json` and, where they are, `generation_config.json`, `processor_config.json`,
/// `preprocessor_config.json` and `SYSTEM_PROMPT.txt`.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`], [`Error::InvalidCheckpoint`], [`Error::Tokenizer`] or [`Error::Io`].
pub async fn read_settings<F: FileSet>(files: &F) -> Result<CheckpointSettings> {
    let Some(config) = read_json(files, CONFIG_FILE).await? else {
        return Err(Error::checkpoint(CONFIG_FILE, "", "there is no such file"));
    };
    let whole = Fields::new(CONFIG_FILE, "", &config)?;
    let family = family(whole)?;
    let Some(tokenizer) = read_whole(files, TOKENIZER_FILE, MAX_TOKENIZER_BYTES).await? else {
        return Err(Error::checkpoint(TOKENIZER_FILE, "", "there is no such file"));
    };
    let config = match family {
        Family::TextOnly => text_only(whole)?,
        Family::Mistral3 => {
            let processor = read_processor(files).await?;
            mistral3(whole, &processor, &tokenizer)?
        }
    };
    config.validate(CONFIG_FILE)?;
    let chat = chat_settings(files, whole, config.text().vocab_size).await?;
    Ok(CheckpointSettings { config, chat, tokenizer })
}

async fn read_json<F: FileSet>(files: &F, name: &str) -> Result<Option<Value>> {
    let Some(bytes) = read_whole(files, name, MAX_SMALL_FILE_BYTES).await? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|e| Error::checkpoint(name, "", format!("malformed: {e}")))
}

enum Family {
    Mistral3,
    TextOnly,
}

fn family(whole: Fields<'_>) -> Result<Family> {
    let model_type = whole.text("model_type")?;
    let named = match whole.get("architectures") {
        Some(list) => list.get(0).and_then(Value::as_str),
        None => None,
    };
    match named.or(model_type).unwrap_or_default() {
        "Mistral3ForConditionalGeneration" | "mistral3" => Ok(Family::Mistral3),
        "Ministral3ForCausalLM" | "MistralForCausalLM" | "ministral3" | "mistral" => Ok(Family::TextOnly),
        other => Err(Error::UnsupportedArchitecture {
            file: whole.file.into(),
            architecture: other.into(),
            reason: "supported are Mistral3ForConditionalGeneration, Ministral3ForCausalLM and MistralForCausalLM"
                .into(),
        }),
    }
}

fn text_only(whole: Fields<'_>) -> Result<ModelConfig> {
    let mut text = text_config(whole)?;
    text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(false);
    Ok(ModelConfig::Mistral3(mistral3::Config { text, vision: None }))
}

fn mistral3(whole: Fields<'_>, processor: &Processor, tokenizer: &[u8]) -> Result<ModelConfig> {
    let (default_text, default_vision) = (default_text_config(), default_vision_config());
    let text = whole.get("text_config").unwrap_or(&default_text);
    let vision = whole.get("vision_config").unwrap_or(&default_vision);
    let mut text = text_config(Fields::new(whole.file, "text_config.", text)?)?;
    text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(true);
    let vision = Fields::new(whole.file, "vision_config.", vision)?;
    let tokens = image_tokens(whole, processor, tokenizer)?;
    let vision = vision_config(whole, vision, processor, tokens)?;
    Ok(ModelConfig::Mistral3(mistral3::Config { text, vision: Some(vision) }))
}

async fn read_processor<F: FileSet>(files: &F) -> Result<Processor> {
    let whole = read_json(files, PROCESSOR_FILE).await?;
    let older = read_json(files, PREPROCESSOR_FILE).await?;
    let whole = whole.as_ref().map(|value| Fields::new(PROCESSOR_FILE, "", value)).transpose()?;
    let older = older.as_ref().map(|value| Fields::new(PREPROCESSOR_FILE, "", value)).transpose()?;
    Processor::read(whole, older)
}

/// Finds the picture tokens by their strings and holds them against the configuration.
fn image_tokens(whole: Fields<'_>, processor: &Processor, tokenizer: &[u8]) -> Result<ImageTokens> {
    #[derive(Deserialize)]
    struct Tokenizer {
        added_tokens: Vec<AddedToken>,
    }
    #[derive(Deserialize)]
    struct AddedToken {
        id: u32,
        content: String,
    }
    let tokenizer: Tokenizer = serde_json::from_slice(tokenizer)
        .map_err(|e| Error::Tokenizer { reason: format!("{TOKENIZER_FILE} is malformed: {e}") })?;
    let find = |content: &String| {
        let token = tokenizer.added_tokens.iter().find(|token| token.content == *content);
        token.map(|token| token.id).ok_or_else(|| Error::Tokenizer {
            reason: format!("{TOKENIZER_FILE} has no special token {content:?}, which pictures need"),
        })
    };
    let [image, row_end, end] = processor.tokens.each_ref();
    let tokens = ImageTokens { image: find(image)?, row_end: find(row_end)?, end: find(end)? };
    let key = if whole.has("image_token_id") { "image_token_id" } else { "image_token_index" };
    let claimed = whole.id(key)?.unwrap_or(10);
    if claimed != tokens.image {
        let reason = format!("is {claimed}, but {image:?} is token {} in {TOKENIZER_FILE}", tokens.image);
        return Err(whole.refuse(key, &reason));
    }
    Ok(tokens)
}

/// The tokens that begin and end, from the first file that names them, and the default system message.
async fn chat_settings<F: FileSet>(files: &F, whole: Fields<'_>, vocab_size: usize) -> Result<ChatSettings> {
    let generation = read_json(files, GENERATION_FILE).await?.unwrap_or_else(|| json!({}));
    let generation = Fields::new(GENERATION_FILE, "", &generation)?;
    let text = whole.get("text_config").unwrap_or(&Value::Null);
    let text = if text.is_null() { whole } else { Fields::new(whole.file, "text_config.", text)? };
    let first = |key: &str| {
        let ids = |fields: Fields<'_>| fields.ids(key).map(|ids| ids.filter(|ids| !ids.is_empty()));
        Ok::<_, Error>(ids(generation)?.or(ids(whole)?).or(ids(text)?))
    };
    let inside = |key: &str, ids: Vec<u32>| match ids.iter().find(|&&id| id as usize >= vocab_size) {
        Some(id) => Err(whole.refuse(key, &format!("is {id}, outside the vocabulary of {vocab_size}"))),
        None => Ok(ids),
    };
    let bos = inside("bos_token_id", first("bos_token_id")?.unwrap_or_else(|| vec![1]))?;
    let eos_token_ids = inside("eos_token_id", first("eos_token_id")?.unwrap_or_else(|| vec![2]))?;
    let default_pad = (text.text("model_type")? == Some("ministral3") && !text.has("pad_token_id")).then(|| vec![11]);
    let pad = first("pad_token_id")?.map(|ids| inside("pad_token_id", ids)).transpose()?;
    let pad = pad.or(default_pad.filter(|ids| (ids[0] as usize) < vocab_size));
    Ok(ChatSettings {
        template: "mistral-v13".into(),
        default_system_prompt: system_prompt(files).await?,
        bos_token_id: bos[0],
        eos_token_ids,
        pad_token_id: pad.map(|ids| ids[0]),
    })
}

async fn system_prompt<F: FileSet>(files: &F) -> Result<Option<String>> {
    let Some(bytes) = read_whole(files, SYSTEM_PROMPT_FILE, MAX_SMALL_FILE_BYTES).await? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| Error::checkpoint(SYSTEM_PROMPT_FILE, "", "is not UTF-8"))?;
    Ok(Some(text))
}
