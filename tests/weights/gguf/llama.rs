//! Llama's files, compared with Mistral's of the same architecture.

use ocelli::chat::{ChatTemplate, Message, Role, Segment};
use ocelli::config::Llama3Rope;
use ocelli::families::{ModelConfig, definition};
use ocelli::import::gguf::GgufImport;
use ocelli::import::hf::read_settings;
use ocelli::package::manifest::Manifest;
use ocelli::package::source::Directory;
use ocelli::{Error, Result};

use super::super::common::checkpoint_dir;
use super::parts::{Parts, Tensor};
use super::{TEXT, assert_says, pack_as, text_files};
use crate::common::MemoryFiles;

/// A fixture in the form of a converted `LlamaForCausalLM`.
fn llama(change: impl FnOnce(&mut Parts)) -> MemoryFiles {
    text_files("q4_0", |parts| {
        for (key, ..) in &mut parts.pairs {
            *key = key.replace("mistral3.", "llama.");
        }
        parts.set_text("general.architecture", "llama");
        parts.set_text("tokenizer.ggml.pre", "llama-bpe");
        for key in ["rope.scaling.type", "attention.temperature_scale"] {
            parts.remove(&format!("llama.{key}"));
        }
        for key in ["rope.scaling.factor", "rope.scaling.original_context_length"] {
            parts.remove(&format!("llama.{key}"));
        }
        change(parts);
    })
}

fn pack(files: &MemoryFiles) -> Result<Manifest> {
    Ok(pack_as(files, &GgufImport { text: TEXT.into(), mmproj: None }, None)?.0)
}

fn divisors(parts: &mut Parts, values: &[f32]) {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let name = "rope_freqs.weight".into();
    parts.tensors.push(Tensor { name, dims: vec![values.len() as u64], kind: 0, data, offset: None });
}

#[test]
fn the_tokenizer_tells_llama_from_mistral() {
    let manifest = pack(&llama(|_| ())).expect("a package");
    assert!(matches!(manifest.config, ModelConfig::Llama(_)), "{:?}", manifest.config);
    assert_eq!((manifest.chat.template.as_str(), manifest.chat.template_is_assumed), ("llama3", false));
    let mistral = pack(&llama(|parts| parts.set_text("tokenizer.ggml.pre", "tekken"))).expect("a package");
    assert!(matches!(mistral.config, ModelConfig::Mistral3(_)), "{:?}", mistral.config);
    assert_eq!(mistral.chat.template, "mistral-v13");
    assert_eq!(manifest.config.text(), mistral.config.text());
}

#[test]
fn rope_divisors_are_read_from_their_tensor() {
    let values = Llama3Rope::published(32, 8.0).divisors();
    assert!(values[0] == 1.0 && values[15] == 8.0 && values.is_sorted(), "{values:?}");
    let manifest = pack(&llama(|parts| divisors(parts, &values))).expect("a package");
    assert_eq!(manifest.config.text().rope.divisors.as_ref(), Some(&values));
    let error = pack(&llama(|parts| divisors(parts, &values[1..]))).map(drop).expect_err("too few");
    assert_says(&error, "unsupported-architecture", &["15 divisors"]);
    let error = pack(&llama(|parts| divisors(parts, &[f32::NAN; 16]))).map(drop).expect_err("no numbers");
    assert_says(&error, "unsupported-architecture", &["divisor"]);
    let with_pictures = pack_as(&llama(|_| ()), &super::both(), None).map(drop).expect_err("a tower");
    assert_says(&with_pictures, "unsupported-architecture", &["no pictures"]);
}

#[test]
fn a_checkpoint_says_how_it_talks_and_turns() {
    let settings = pollster::block_on(read_settings(&Directory(checkpoint_dir("llama3")))).expect("settings");
    let chat = &settings.chat;
    assert_eq!((chat.template.as_str(), chat.template_is_assumed), ("llama3", false));
    assert_eq!((chat.bos_token_id, &chat.eos_token_ids[..]), (Some(320), &[321, 325, 326][..]));
    let divisors = settings.config.text().rope.divisors.as_ref().expect("divisors");
    assert!(divisors.len() == 8 && divisors[0] == 1.0 && divisors[7] == 8.0, "{divisors:?}");
    assert!(divisors.iter().any(|&divisor| divisor > 1.0 && divisor < 8.0), "the band between acts: {divisors:?}");
}

fn flat(messages: &[Message], default_system: Option<&str>) -> Result<String> {
    let settings = pollster::block_on(read_settings(&Directory(checkpoint_dir("llama3")))).expect("settings");
    let layout = definition(&settings.config).chat_layout("llama3")?;
    let template = ChatTemplate { layout, bos: Some(320), default_system };
    let one = |segment: &Segment<'_>| match segment {
        Segment::Start => "<|begin_of_text|>".to_owned(),
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(_) | Segment::Branch => panic!("neither pictures nor branches"),
    };
    Ok(template.segments(messages)?.iter().map(one).collect())
}

#[test]
fn the_layout_is_llama_3s() {
    let user = Message::text(Role::User, " Hi \n");
    let head = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let open = format!("<|begin_of_text|>{}Hi<|eot_id|>{}", head("user"), head("assistant"));
    assert_eq!(flat(std::slice::from_ref(&user), None).expect("segments"), open);
    let continued = [user.clone(), Message::text(Role::Assistant, "Well, ")];
    assert_eq!(flat(&continued, None).expect("segments"), format!("{open}Well,"));
    let with_system = flat(std::slice::from_ref(&user), Some("Be kind.")).expect("segments");
    assert_eq!(
        with_system,
        open.replacen("<|begin_of_text|>", &format!("<|begin_of_text|>{}Be kind.<|eot_id|>", head("system")), 1)
    );
    assert_eq!(flat(&[], None).map(drop), Err(Error::request("messages", "at least one message is needed")));
}
