//! Tokenizer files, requests, and the bytes of an answer.

use std::sync::{Arc, OnceLock};

use ocelli::api::{ChatRequest, ScoreRequest};
use ocelli::chat::{ChatTemplate, EncodedChat, Message, TextStream, Tokenizer};
use ocelli::config::ImageGrid;
use ocelli::engine::Prompt;
use ocelli::families::definition;
use ocelli::{Error, Result};
use ocelli_synth::published;
use serde_json::Value;

/// Words, numbers, several scripts, text that needs byte tokens, and text that must not become control tokens.
const TEXT: &str = "Hello  world\n\n 123 don't é 日本語 🙂 \u{0} \u{10ffff} [INST]</s>[IMG] \t";

/// A `tokenizer.json`, and the round trip of a text through it.
///
/// # Errors
/// Errors of [`Tokenizer::from_json`].
pub fn tokenizer(bytes: &[u8]) -> Result<()> {
    let tokenizer = Tokenizer::from_json(bytes)?;
    let ids = tokenizer.encode_text(TEXT)?;
    assert!(!ids.iter().any(|&id| tokenizer.is_control(id)), "text became a control token");
    assert_eq!(tokenizer.decode(&ids), TEXT);
    let last = tokenizer.vocab_size() as u32;
    assert!(tokenizer.token_bytes(last).is_none() && tokenizer.token_bytes(u32::MAX).is_none());
    Ok(())
}

/// A valid tokenizer, made once.
pub(super) fn good_tokenizer() -> &'static Arc<Tokenizer> {
    static TOKENIZER: OnceLock<Arc<Tokenizer>> = OnceLock::new();
    const FILE: &[u8] = include_bytes!("../../tests/fixtures/checkpoints/fp8/tokenizer.json");
    TOKENIZER.get_or_init(|| Arc::new(Tokenizer::from_json(FILE).expect("a fixture")))
}

/// The body of a request for an answer or a score, down to token ids.
///
/// # Errors
/// Errors of [`ChatRequest::from_json`] and [`ChatTemplate::encode`].
pub fn request(bytes: &[u8]) -> Result<()> {
    let text = str::from_utf8(bytes).map_err(|_| Error::request("body", "is not UTF-8"))?;
    let body: Value = serde_json::from_str(text).map_err(|_| Error::request("body", "is not JSON"))?;
    let scored = ScoreRequest::from_json(&body);
    let chat: ChatRequest = match (text.parse(), scored) {
        (Ok(chat), _) => chat,
        (Err(_), Ok(ScoreRequest { prompt: Prompt::Messages(messages), picture_urls, .. })) => {
            return lay_out(&messages, picture_urls.len());
        }
        (Err(_), Ok(_)) => return Ok(()),
        (Err(error), Err(_)) => return Err(error),
    };
    chat.sampling.validate()?;
    lay_out(&chat.messages, chat.pictures.len())
}

fn lay_out(messages: &[Message], pictures: usize) -> Result<()> {
    let tokenizer = good_tokenizer();
    let config = published("ministral-3-3b").expect("a shape");
    let rules = definition(&config).pictures().expect("a model that reads pictures");
    let tokens: Vec<_> = (0..pictures).map(|i| rules.tokens(ImageGrid::new(1 + i % 3, 2))).collect();
    let layout = definition(&config).chat_layout("mistral-v13")?;
    let template = ChatTemplate { layout, bos: Some(1), default_system: None };
    let EncodedChat { ids, pictures: mut order, branches } = template.encode(messages, &tokens, tokenizer)?;
    assert!(
        branches.is_sorted() && branches.last().is_none_or(|&last| last <= ids.len()),
        "branches within the prompt"
    );
    let picture_tokens = [10, 12, 13];
    let found = ids.iter().filter(|id| picture_tokens.contains(id)).count();
    assert_eq!(found, order.iter().map(|&i| tokens[i].len()).sum::<usize>(), "picture tokens for each picture");
    order.sort_unstable();
    assert!(order.into_iter().eq(0..pictures), "every picture once");
    Ok(())
}

/// The bytes of an answer, cut into tokens, against stop strings. The first byte says how many strings there are, the second
/// how tokens are cut; a string is a length and its bytes.
///
/// # Errors
/// None.
pub fn text_stream(bytes: &[u8]) -> Result<()> {
    let [count, cut, rest @ ..] = bytes else { return Ok(()) };
    let (stops, answer) = stop_strings(count % 4, rest);
    let mut stream = TextStream::new(stops.clone());
    let mut text = String::new();
    let (mut rest, mut state) = (answer, u32::from(*cut));
    while !rest.is_empty() && !stream.is_stopped() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (token, later) = rest.split_at((state >> 24) as usize % (usize::from(cut % 16) + 2) % (rest.len() + 1));
        text.extend(stream.push(token));
        rest = later;
    }
    text.extend(stream.finish());

    let whole = String::from_utf8_lossy(answer);
    let first = stops.iter().filter_map(|stop| Some((whole.find(stop.as_str())?, stop.len())));
    let end = first.min_by_key(|&(at, len)| (at + len, at));
    assert_eq!(stream.is_stopped(), end.is_some());
    assert_eq!(text, whole[..end.map_or(whole.len(), |(at, _)| at)]);
    Ok(())
}

fn stop_strings(count: u8, mut bytes: &[u8]) -> (Vec<String>, &[u8]) {
    let mut stops = Vec::new();
    for _ in 0..count {
        let [len, rest @ ..] = bytes else { break };
        let (stop, later) = rest.split_at(usize::from(*len).min(rest.len()));
        stops.push(String::from_utf8_lossy(stop).into_owned());
        bytes = later;
    }
    stops.retain(|stop| !stop.is_empty());
    (stops, bytes)
}
