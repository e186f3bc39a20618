//! `tokenizer.json` from the keys `tokenizer.ggml.*`, and the settings of conversations.

use std::collections::HashSet;

use crate::chat::layout::ChatLayout;
use crate::checkpoint::gguf::metadata::{MERGES, Metadata, TOKENS};
use crate::error::{Error, Result};
use crate::families::readers::{Family, GgufReader};
use crate::families::table::READERS;
use crate::import::tokenizer_json::write_tokenizer;
use crate::package::manifest::ChatSettings;
use crate::sampling::SamplingDefaults;

/// Values of `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

/// Value of `tokenizer.ggml.model` for vocabularies of characters.
const CHARACTERS: &str = "gemma4";

const TYPES: &str = "tokenizer.ggml.token_type";

fn fault(metadata: &Metadata, reason: &str) -> Error {
    Error::Tokenizer { reason: format!("{}: {reason}", metadata.file) }
}

/// The family of a file and its reader, chosen by architecture and then, if several match, by the tokenizer and by the vision half.
pub(super) fn reader(metadata: &Metadata, vision: Option<&Metadata>) -> Result<(&'static Family, &'static GgufReader)> {
    let architecture: &str = metadata.get("general.architecture")?.unwrap_or_default();
    let pre: &str = metadata.get("tokenizer.ggml.pre")?.unwrap_or_default();
    let readers = || READERS.into_iter().filter_map(|readers| Some((readers.family, readers.gguf.as_ref()?)));
    let known = || readers().filter(|(_, reader)| reader.architectures.contains(&architecture));
    let splits = |reader: &GgufReader| reader.pre_tokenizers.iter().any(|split| split.names.contains(&pre));
    let projector = match vision {
        Some(vision) => ["clip.projector_type", "clip.vision.projector_type"]
            .into_iter()
            .find_map(|key| vision.get::<&str>(key).transpose())
            .transpose()?,
        None => None,
    };
    let fitting = |projector: Option<&str>| known().find(|(_, reader)| splits(reader) && reader.projector == projector);
    if let Some(found) = fitting(projector).or_else(|| fitting(None)).or_else(|| known().next()) {
        return Ok(found);
    }
    let mut supported: Vec<&str> = readers().flat_map(|(_, reader)| reader.architectures).copied().collect();
    supported.sort_unstable();
    supported.dedup();
    let reason = match architecture {
        "clip" => "it is the vision half of a model: name the text model, and this one as mmproj".into(),
        _ => format!("supported are {}", supported.join(", ")),
    };
    Err(Error::UnsupportedArchitecture { file: metadata.file.clone(), architecture: architecture.into(), reason })
}

/// The tokens of a file by id.
pub(super) fn tokens(metadata: &Metadata) -> Result<&[String]> {
    metadata.get(TOKENS)?.ok_or_else(|| fault(metadata, &format!("{TOKENS} is missing")))
}

/// The text of a `tokenizer.json` that encodes as the tokenizer in the file's metadata.
///
/// # Errors
/// [`Error::Tokenizer`] for a tokenizer of another kind than those of the file's architecture, [`Error::UnsupportedArchitecture`],
/// [`Error::InvalidCheckpoint`].
pub fn tokenizer_json(metadata: &Metadata) -> Result<Vec<u8>> {
    let refuse = |reason: String| Err(fault(metadata, &reason));
    let model: &str = metadata.get("tokenizer.ggml.model")?.unwrap_or_default();
    let pre: &str = metadata.get("tokenizer.ggml.pre")?.unwrap_or_default();
    let known = reader(metadata, None)?.1.pre_tokenizers;
    let split = known.iter().find(|split| model == "gpt2" && split.names.contains(&pre));
    // Families whose vocabularies are of characters have no pre-tokenizers.
    if split.is_none() && !(known.is_empty() && model == CHARACTERS) {
        let names: Vec<String> = known.iter().flat_map(|split| split.names).map(|name| format!("{name:?}")).collect();
        return refuse(format!(
            "tokenizer {model:?} of kind {pre:?} is not supported, only \"gpt2\" of kind {}",
            names.join(", ")
        ));
    }
    let tokens = tokens(metadata)?;
    let Some(types): Option<&[i64]> = metadata.get(TYPES)? else { return refuse(format!("{TYPES} is missing")) };
    let Some(merges): Option<&[String]> = metadata.get(MERGES)? else { return refuse(format!("{MERGES} is missing")) };
    if types.len() != tokens.len() {
        return refuse(format!("{TYPES} has {} values for {} tokens", types.len(), tokens.len()));
    }
    let mut seen = HashSet::with_capacity(tokens.len());
    if let Some(token) = tokens.iter().find(|token| !seen.insert(token.as_str())) {
        return refuse(format!("{TOKENS} holds {token:?} twice"));
    }
    write_tokenizer(tokens, merges, split, |id| match types[id] {
        UNKNOWN | CONTROL | UNUSED => Some(true),
        USER_DEFINED => Some(false),
        _ => None,
    })
}

/// The tokens that begin and end a conversation, and its layout: the one recognised in the file's template, else the family's first.
pub(super) fn chat_settings(metadata: &Metadata, vocab_size: usize, family: &Family) -> Result<ChatSettings> {
    let id = |key: &str| match metadata.get::<u32>(key)? {
        Some(id) if id as usize >= vocab_size => {
            Err(metadata.refuse(format!("{key} is {id}, outside the vocabulary of {vocab_size}")))
        }
        id => Ok(id),
    };
    // Ollama's files have no template. A template that is not a string is ignored.
    let own = metadata.get("tokenizer.chat_template").unwrap_or_default();
    let (layout, template_is_assumed) = ChatLayout::recognise(family.chat_layouts, own);
    let mut eos_token_ids = vec![id("tokenizer.ggml.eos_token_id")?.unwrap_or(family.chat.eos)];
    for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        eos_token_ids.extend(id(key)?.filter(|id| !eos_token_ids.contains(id)));
    }
    let others =
        tokens(metadata)?.iter().zip(0u32..).filter(|(token, _)| family.chat.other_ends.contains(&token.as_str()));
    for (_, id) in others {
        if !eos_token_ids.contains(&id) {
            eos_token_ids.push(id);
        }
    }
    Ok(ChatSettings {
        template: layout.name.into(),
        template_is_assumed,
        default_system_prompt: None,
        bos_token_id: match family.chat.bos {
            Some(usual) => id("tokenizer.ggml.bos_token_id")?.or(Some(usual)),
            None => None,
        },
        eos_token_ids,
        pad_token_id: id("tokenizer.ggml.padding_token_id")?,
        sampling: family.chat.sampling.unwrap_or_else(|| sampling(metadata)),
        embedding: None,
    })
}

/// The publisher's sampling defaults, read as by llama.cpp. A value of another type is ignored.
fn sampling(metadata: &Metadata) -> SamplingDefaults {
    let number = |key: &str| metadata.get::<f64>(key).unwrap_or_default();
    SamplingDefaults {
        temperature: number("general.sampling.temp").map(|value| value as f32),
        top_k: number("general.sampling.top_k").filter(|top| *top >= 1.0).map(|top| top as usize),
        top_p: number("general.sampling.top_p").map(|value| value as f32),
        min_p: number("general.sampling.min_p").map(|value| value as f32),
        presence_penalty: None,
        repetition_penalty: number("general.sampling.penalty_repeat").map(|value| value as f32),
    }
}
