//! `config.json` and the small files beside it.

use serde_json::Value;

use crate::chat::EmbeddingSettings;
use crate::chat::layout::ChatLayout;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::{HfFiles, TOKENIZER_FILE};
use crate::error::{Error, Result};
use crate::families::readers::{ChatDefaults, HfReader};
use crate::families::table::READERS;
use crate::families::{ModelConfig, definition};
use crate::package::manifest::{ChatSettings, MAX_TOKENIZER_BYTES};
use crate::package::source::{FileSet, read_whole};
use crate::sampling::SamplingDefaults;

const CONFIG_FILE: &str = "config.json";
const GENERATION_FILE: &str = "generation_config.json";
const PROCESSOR_FILE: &str = "processor_config.json";
const PREPROCESSOR_FILE: &str = "preprocessor_config.json";
const TEMPLATE_FILE: &str = "chat_template.jinja";
const SYSTEM_PROMPT_FILE: &str = "SYSTEM_PROMPT.txt";
/// The stages of a model of `sentence-transformers`; other models lack it.
const MODULES_FILE: &str = "modules.json";
const MAX_SMALL_FILE_BYTES: u64 = 1 << 20;

/// The configuration of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointSettings {
    /// The model. `tie_word_embeddings` is as in the files; the weights decide.
    pub config: ModelConfig,
    /// How a conversation becomes tokens.
    pub chat: ChatSettings,
    /// Contents of `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

/// Reads `config.json`, `tokenizer.json` and, if present, `generation_config.json`, `processor_config.json`,
/// `preprocessor_config.json`, `chat_template.jinja`, `SYSTEM_PROMPT.txt` and `modules.json`.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`], [`Error::InvalidCheckpoint`], [`Error::Tokenizer`] or [`Error::Io`].
pub async fn read_settings<F: FileSet>(files: &F) -> Result<CheckpointSettings> {
    let Some(config) = read_json(files, CONFIG_FILE).await? else {
        return Err(Error::checkpoint(CONFIG_FILE, "", "there is no such file"));
    };
    let config = Fields::new(CONFIG_FILE, "", Some(&config))?;
    let (reader, architecture) = reader(config)?;
    let Some(tokenizer) = read_whole(files, TOKENIZER_FILE, MAX_TOKENIZER_BYTES).await? else {
        return Err(Error::checkpoint(TOKENIZER_FILE, "", "there is no such file"));
    };
    let processor = read_json(files, PROCESSOR_FILE).await?;
    let preprocessor = read_json(files, PREPROCESSOR_FILE).await?;
    let small = HfFiles {
        architecture,
        config,
        processor: Fields::new(PROCESSOR_FILE, "", processor.as_ref())?,
        preprocessor: Fields::new(PREPROCESSOR_FILE, "", preprocessor.as_ref())?,
        tokenizer: &tokenizer,
    };
    let (model, chat) = (reader.read)(&small)?;
    model.validate(CONFIG_FILE)?;
    let chat = chat_settings(files, config, &model, chat).await?;
    Ok(CheckpointSettings { config: model, chat, tokenizer })
}

async fn read_json<F: FileSet>(files: &F, name: &str) -> Result<Option<Value>> {
    let Some(bytes) = read_whole(files, name, MAX_SMALL_FILE_BYTES).await? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|e| Error::checkpoint(name, "", format!("malformed: {e}")))
}

/// The reader of the family that the configuration names, and that name.
fn reader<'a>(config: Fields<'a>) -> Result<(&'static HfReader, &'a str)> {
    let model_type = config.text("model_type")?;
    let named = config.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let name = named.or(model_type).unwrap_or_default();
    let mut readers = READERS.iter().map(|readers| &readers.hf);
    let known = |reader: &&HfReader| reader.architectures.contains(&name) || reader.model_types.contains(&name);
    let reader = readers.clone().find(known).ok_or_else(|| {
        let supported: Vec<&str> = readers.by_ref().flat_map(|reader| reader.architectures).copied().collect();
        Error::UnsupportedArchitecture {
            file: config.file.into(),
            architecture: name.into(),
            reason: format!("supported are {}", supported.join(", ")),
        }
    })?;
    Ok((reader, name))
}

/// The tokens that begin and end a conversation, from the first file that names them, and the default system message.
async fn chat_settings<F: FileSet>(
    files: &F,
    whole: Fields<'_>,
    model: &ModelConfig,
    defaults: ChatDefaults,
) -> Result<ChatSettings> {
    let vocab_size = model.text().vocab_size;
    let generation = read_json(files, GENERATION_FILE).await?;
    let generation = Fields::new(GENERATION_FILE, "", generation.as_ref())?;
    let text = whole.object("text_config.")?;
    let first = |key: &str| {
        let ids = |fields: Fields<'_>| fields.ids(key).map(|ids| ids.filter(|ids| !ids.is_empty()));
        Ok::<_, Error>(ids(generation)?.or(ids(whole)?).or(ids(text)?))
    };
    let inside = |key: &str, ids: Vec<u32>| match ids.iter().find(|&&id| id as usize >= vocab_size) {
        Some(id) => Err(whole.refuse(key, &format!("is {id}, outside the vocabulary of {vocab_size}"))),
        None => Ok(ids),
    };
    let one = |id: Option<u32>| id.into_iter().collect::<Vec<_>>();
    let named = first("bos_token_id")?.filter(|_| defaults.bos.is_some());
    let bos = inside("bos_token_id", named.unwrap_or_else(|| one(defaults.bos)))?;
    let eos_token_ids = inside("eos_token_id", first("eos_token_id")?.unwrap_or_else(|| vec![defaults.eos]))?;
    let pad = first("pad_token_id")?.map(|ids| inside("pad_token_id", ids)).transpose()?;
    let default_pad = defaults.pad.filter(|&id| (id as usize) < vocab_size);
    let own = read_text(files, TEMPLATE_FILE).await?;
    let (layout, template_is_assumed) = ChatLayout::recognise(definition(model).family().chat_layouts, own.as_deref());
    Ok(ChatSettings {
        template: layout.name.into(),
        template_is_assumed,
        default_system_prompt: read_text(files, SYSTEM_PROMPT_FILE).await?,
        bos_token_id: bos.first().copied(),
        eos_token_ids,
        pad_token_id: pad.map(|ids| ids[0]).or(default_pad),
        sampling: defaults.sampling.map_or_else(|| sampling(generation), Ok)?,
        embedding: embedding(files, model).await?,
    })
}

/// Prompts of a model whose `modules.json` lists a stage that pools hidden states.
async fn embedding<F: FileSet>(files: &F, model: &ModelConfig) -> Result<Option<EmbeddingSettings>> {
    let Some(modules) = read_json(files, MODULES_FILE).await? else { return Ok(None) };
    let is_pooling = |module: &&Value| module["type"].as_str().is_some_and(|name| name.ends_with("Pooling"));
    let Some(pooling) = modules.as_array().into_iter().flatten().find(is_pooling) else { return Ok(None) };
    let file = format!("{}/config.json", pooling["path"].as_str().unwrap_or("1_Pooling"));
    // Without its file the family's own pooling is assumed, which is that of the last token.
    let options = read_json(files, &file).await?.unwrap_or_default();
    let by_flag = options["pooling_mode_lasttoken"].as_bool();
    let by_name = options["pooling_mode"].as_str().map(|name| name == "lasttoken");
    match by_flag.or(by_name) {
        Some(false) => {
            Err(Error::checkpoint(file, "", "pools other states than that of the last token, which alone is supported"))
        }
        _ => Ok(definition(model).embedding()),
    }
}

/// The publisher's sampling defaults. A `top_k` of 0 or less means no limit, and `do_sample: false` the likeliest token.
fn sampling(generation: Fields<'_>) -> Result<SamplingDefaults> {
    let is_greedy = generation.flag("do_sample")? == Some(false);
    let number = |key: &str| generation.number(key).map(|value| value.map(|value| value as f32));
    let top_k = generation.number("top_k")?.filter(|top| *top >= 1.0).map(|top| top as usize);
    Ok(SamplingDefaults {
        temperature: if is_greedy { Some(0.0) } else { number("temperature")? },
        top_k,
        top_p: number("top_p")?,
        min_p: number("min_p")?,
        presence_penalty: None,
        repetition_penalty: number("repetition_penalty")?,
    })
}

async fn read_text<F: FileSet>(files: &F, name: &str) -> Result<Option<String>> {
    let Some(bytes) = read_whole(files, name, MAX_SMALL_FILE_BYTES).await? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| Error::checkpoint(name, "", "is not UTF-8"))
}
