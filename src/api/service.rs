//! Endpoints of the API, and the work that their requests ask for.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asker::Asker;
use super::chat_request::ChatRequest;
use super::completion_request::CompletionRequest;
use super::embeddings::{Embedder, EmbeddingRequest, no_embeddings};
use super::field::parse;
use super::format::Wanted;
use super::message_request;
use super::messages::PictureUrl;
use super::response_request::{History, ResponseRequest};
use super::thinking::Thinking;
use super::tokenize_request::TokenizeRequest;
use super::tools::Tools;
use super::wire::{ChatWire, EmbeddingWire, Head, Keeper, MessageWire, ResponseWire, TextWire, Wire};
use crate::chat::{CallSyntax, Message, Role, Tokenizer};
use crate::engine::{
    self, AnswerOptions, CallOptions, Encoded, Encoder, Picture, Prompt, Reading, RequestControl, Scope, ThoughtOptions,
};
use crate::error::{Error, Result};
use crate::responses::Responses;
use crate::sampling::SamplingOptions;

/// The served model, and defaults for requests.
#[derive(Debug, Clone)]
pub struct Service {
    /// Name of the model in answers.
    pub model: String,
    /// Other names that requests may use; `*` stands for any.
    pub aliases: Vec<String>,
    /// Sampling options that requests do not set: the model's own defaults.
    pub defaults: SamplingOptions,
    /// Load time in seconds since 1970.
    pub created: u64,
    /// Context size in tokens.
    pub context: usize,
    /// True if the model reads pictures.
    pub reads_pictures: bool,
    /// Tool call syntax of the model, if it has one: [`crate::engine::Engine::call_syntax`].
    pub calls: Option<CallSyntax>,
    /// Reasoning syntax of the model, if it has one: [`crate::engine::Engine::thinking`].
    pub thinking: Option<engine::Thinking>,
    /// Vocabulary of the model.
    pub tokenizer: Arc<Tokenizer>,
    /// Responses that later requests may continue.
    pub responses: Arc<Responses>,
    /// Embeddings of the model; `None` to refuse them.
    pub embedder: Option<Embedder>,
    /// True if the platform has uploaded files, which pictures may name.
    pub keeps_files: bool,
}

/// Values that are unique to a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Stamp {
    /// Unique letters and digits.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Seed for a request without one.
    pub seed: u32,
    /// Name of the sender, which may be empty: its responses are stored for it. `None` to store none.
    #[serde(default)]
    pub owner: Option<String>,
}

/// Result of reading a request.
#[derive(Debug)]
pub enum Opened {
    /// An answer as JSON that needs no engine.
    Ready(String),
    /// Work for the engine.
    Work(Box<Work>),
}

/// Work for the engine: one or more answers to one or more prompts.
#[derive(Debug, Default)]
pub struct Work {
    /// Pictures in order of appearance.
    pub pictures: Vec<PictureUrl>,
    /// Required format of the answers; the caller passes its grammar to the [`super::Run`].
    pub format: Option<Wanted>,
    /// Sends the answer in frames.
    pub stream: bool,
    /// User key and budget.
    pub asker: Asker,
    /// Owner of the prompts' entries in the KV cache: the platform's choice.
    pub scope: Scope,
    /// Bytes of the stored items that the request refers to, which its prompts repeat.
    pub stored_bytes: usize,
    pub(super) prompts: Vec<Prompt>,
    /// Pictures of each prompt, where prompts have their own.
    pub(super) shares: Vec<Range<usize>>,
    /// Leaves out the oldest turns if the conversation is too long for the context.
    pub(super) truncates: bool,
    /// Answers per prompt.
    pub(super) n: usize,
    pub(super) options: AnswerOptions,
    pub(super) wire: Wire,
}

impl Work {
    /// Number of answers; 0 if only the prompt's tokens are requested.
    pub fn answers(&self) -> usize {
        self.prompts.len() * self.n
    }

    /// Reads the prompts. `pictures` are those of [`Self::pictures`].
    ///
    /// # Errors
    /// The errors of [`Encoder::encode`], and [`Error::ContextOverflow`] for a prompt that leaves no room for an answer.
    pub fn encode(&self, encoder: &Encoder, pictures: &[Picture], control: &RequestControl) -> Result<Vec<Encoded>> {
        let reading = Reading { control, scope: self.scope };
        // The pictures of a single prompt are checked with it.
        if !self.shares.is_empty() {
            encoder.check_pictures(pictures)?;
        }
        let encode = |(index, prompt): (usize, &Prompt)| {
            let pictures = self.shares.get(index).map_or(pictures, |share| &pictures[share.clone()]);
            let encoded = match self.truncates {
                true => encoder.encode_cut(prompt, pictures, (self.options.max_tokens, reading)),
                false => encoder.encode(prompt, pictures, reading),
            }?;
            if self.n > 0 {
                encoder.check_length(&encoded)?;
            }
            Ok(encoded)
        };
        self.prompts.iter().enumerate().map(encode).collect()
    }
}

enum Endpoint<'a> {
    Models,
    Model(&'a str),
    Chat,
    Text,
    Response,
    StoredResponse(&'a str),
    CountResponse,
    Message,
    CountMessage,
    Tokenize,
    Embed,
}

impl Service {
    /// Reads a request. `path` is the path of its URL; anything before `/v1` is ignored.
    ///
    /// # Errors
    /// [`Error::UnknownUrl`], [`Error::WrongMethod`], [`Error::ModelNotFound`], or those of [`ChatRequest::from_json`].
    pub fn open(&self, (method, path): (&str, &str), body: &str, stamp: Stamp) -> Result<Opened> {
        let (endpoint, allowed) =
            endpoint(path).ok_or_else(|| Error::UnknownUrl { method: method.to_owned(), path: path.to_owned() })?;
        if !allowed.split(" or ").any(|allowed| allowed == method) {
            return Err(Error::WrongMethod { method: method.to_owned(), path: path.to_owned(), allowed });
        }
        let owner = stamp.owner.clone();
        let history = owner.as_deref().map(|owner| (&*self.responses, owner));
        let defaults = SamplingOptions { seed: stamp.seed.into(), ..self.defaults.clone() };
        let work = match endpoint {
            Endpoint::Models => {
                return Ok(Opened::Ready(json!({"object": "list", "data": [self.entry()]}).to_string()));
            }
            Endpoint::Model(name) => {
                self.check_model(Some(&decoded(name)))?;
                return Ok(Opened::Ready(self.entry().to_string()));
            }
            Endpoint::Text => self.text(CompletionRequest::with_defaults(&parse(body)?, &defaults)?, stamp)?,
            Endpoint::Chat => {
                let request = ChatRequest::read(&parse(body)?, self.defaults_for(defaults))?;
                let wire = ChatWire::new(self.head("chatcmpl-", stamp, request.include_usage));
                self.chat(request, Wire::Chat(wire))?
            }
            Endpoint::Message => {
                let request = message_request::read(&parse(body)?, true, self.defaults_for(defaults))?;
                self.chat(request, Wire::Message(MessageWire::new(self.head("msg_", stamp, false))))?
            }
            Endpoint::CountMessage => {
                let request = message_request::read(&parse(body)?, false, self.defaults_for(defaults))?;
                self.check_model(request.model.as_deref())?;
                let ChatRequest { messages, pictures, asker, .. } = request;
                let prompts = vec![Prompt::Messages(messages)];
                Work { prompts, pictures, asker, wire: Wire::CountMessage, ..Work::default() }
            }
            Endpoint::Response => {
                self.response(ResponseRequest::read(&parse(body)?, history, self.defaults_for(defaults))?, stamp)?
            }
            Endpoint::StoredResponse(id) => return stored(history, method, id).map(Opened::Ready),
            Endpoint::CountResponse => {
                let request = ResponseRequest::read(&parse(body)?, history, self.defaults_for(defaults))?;
                let stored_bytes = request.stored_bytes;
                Work { stored_bytes, ..self.tokens(TokenizeRequest::of_response(request), true)? }
            }
            Endpoint::Embed => self.embeddings(body)?,
            Endpoint::Tokenize => self.tokens(TokenizeRequest::from_json(&parse(body)?)?, false)?,
        };
        match work.pictures.iter().find(|picture| !self.keeps_files && picture.file_id().is_some()) {
            Some(picture) => {
                let reason = "files are not kept here: send the picture itself".into();
                Err(Error::UnsupportedOption { field: picture.field.clone(), reason })
            }
            None => Ok(Opened::Work(Box::new(work))),
        }
    }

    /// Entry of the model in `/v1/models`.
    pub fn entry(&self) -> Value {
        let input = if self.reads_pictures { &["text", "image"][..] } else { &["text"] };
        json!({"id": self.model, "object": "model", "created": self.created, "owned_by": "ocelli", "max_model_len": self.context,
            "architecture": {"input_modalities": input, "output_modalities": ["text"]}})
    }

    /// Refuses models that are not loaded.
    fn check_model(&self, model: Option<&str>) -> Result<()> {
        let Some(name) = model else { return Ok(()) };
        if name == self.model || self.aliases.iter().any(|alias| alias == name || alias == "*") {
            return Ok(());
        }
        Err(Error::ModelNotFound { model: name.to_owned(), known: self.model.clone() })
    }

    fn head(&self, prefix: &str, stamp: Stamp, include_usage: bool) -> Head {
        let id = format!("{prefix}{}", stamp.id);
        Head { id, created: stamp.created, model: self.model.clone(), include_usage }
    }

    /// Format of an answer that may call tools, and options for parsing the calls.
    fn held_to(&self, format: Option<Wanted>, tools: Option<&Tools>) -> Result<(Option<Wanted>, Option<CallOptions>)> {
        let Some(tools) = tools else { return Ok((format, None)) };
        let reason = || "this model has not learnt to call tools".into();
        let syntax = self.calls.ok_or_else(|| Error::UnsupportedOption { field: "tools".into(), reason: reason() })?;
        let (wanted, calling) = tools.wanted(format, &syntax, &self.tokenizer)?;
        Ok((Some(wanted), Some(calling)))
    }

    /// Default sampling options; a model may have others for reasoning. An effort means nothing to a model that does not reason.
    fn defaults_for(
        &self,
        without: SamplingOptions,
    ) -> impl FnOnce(&mut Option<Thinking>, bool) -> Result<SamplingOptions> {
        move |thinking, shows_pictures| {
            thinking.take_if(|thinking| thinking.is_effort && self.thinking.is_none());
            let Some(Thinking { field, .. }) = thinking else { return Ok(without) };
            let reason = || "this model has not learnt to think before it answers".into();
            let learnt = self.thinking.as_ref();
            let learnt = learnt.ok_or_else(|| Error::UnsupportedOption { field: field.clone(), reason: reason() })?;
            Ok(SamplingOptions { seed: without.seed, ..learnt.sampling[usize::from(shows_pictures)].clone() })
        }
    }

    /// Options for parsing an answer that begins with reasoning.
    fn thoughts(&self, messages: &[Message], thinking: Option<&Thinking>) -> Option<ThoughtOptions> {
        let last = messages.iter().rfind(|message| message.role != Role::Tools)?;
        let syntax = self.thinking.as_ref().filter(|_| last.is_thinking())?.syntax.clone();
        Some(ThoughtOptions { syntax, budget: thinking.and_then(|thinking| thinking.budget) })
    }

    fn chat(&self, request: ChatRequest, wire: Wire) -> Result<Work> {
        self.check_model(request.model.as_deref())?;
        let (format, calls) = self.held_to(request.format, request.tools.as_ref())?;
        let thoughts = self.thoughts(&request.messages, request.thinking.as_ref());
        let ChatRequest { sampling, max_tokens, stop, .. } = request;
        Ok(Work {
            prompts: vec![Prompt::Messages(request.messages)],
            pictures: request.pictures,
            format,
            truncates: request.truncates,
            n: request.n,
            options: AnswerOptions { sampling, max_tokens, stop, thoughts, calls, embeds: false },
            stream: request.stream,
            asker: request.asker,
            wire,
            ..Work::default()
        })
    }

    fn text(&self, request: CompletionRequest, stamp: Stamp) -> Result<Work> {
        self.check_model(request.model.as_deref())?;
        let head = self.head("cmpl-", stamp, request.include_usage);
        let CompletionRequest { sampling, max_tokens, stop, .. } = request;
        Ok(Work {
            prompts: request.prompts,
            n: request.n,
            options: AnswerOptions { sampling, max_tokens: Some(max_tokens), stop, ..AnswerOptions::default() },
            stream: request.stream,
            asker: request.asker,
            wire: Wire::Text(TextWire::new(head)),
            ..Work::default()
        })
    }

    fn response(&self, mut request: ResponseRequest, stamp: Stamp) -> Result<Work> {
        self.check_model(request.model.as_deref())?;
        let (responses, owner) = (self.responses.clone(), stamp.owner.clone().unwrap_or_default());
        let keeper = request.kept.take().map(|items| Keeper { responses, owner, items });
        let wire = ResponseWire::new(self.head("", stamp, false), &request, keeper);
        let thoughts = self.thoughts(&request.messages, request.thinking.as_ref());
        let (format, calls) = self.held_to(request.format, request.tools.as_ref())?;
        let ResponseRequest { sampling, max_tokens, .. } = request;
        Ok(Work {
            prompts: vec![Prompt::Messages(request.messages)],
            pictures: request.pictures,
            format,
            truncates: request.truncates,
            n: 1,
            options: AnswerOptions { sampling, max_tokens, thoughts, calls, ..AnswerOptions::default() },
            stream: request.stream,
            asker: request.asker,
            stored_bytes: request.stored_bytes,
            wire: Wire::Response(Box::new(wire)),
            ..Work::default()
        })
    }

    fn embeddings(&self, body: &str) -> Result<Work> {
        let embedder = self.embedder.as_ref().ok_or_else(no_embeddings)?;
        let request = EmbeddingRequest::from_json(&parse(body)?, embedder)?;
        self.check_model(request.model.as_deref())?;
        let EmbeddingRequest { prompts, pictures, shares, dimensions, encoding, asker, .. } = request;
        let wire = Wire::Embedding(EmbeddingWire { model: self.model.clone(), dimensions, encoding });
        let options = AnswerOptions { embeds: true, ..AnswerOptions::default() };
        Ok(Work { prompts, pictures, shares, n: 1, options, asker, wire, ..Work::default() })
    }

    fn tokens(&self, request: TokenizeRequest, is_count: bool) -> Result<Work> {
        self.check_model(request.model.as_deref())?;
        let wire = if is_count { Wire::Count } else { Wire::Tokens { context: self.context } };
        let TokenizeRequest { prompt, pictures, asker, .. } = request;
        Ok(Work { prompts: vec![prompt], pictures, asker, wire, ..Work::default() })
    }
}

/// A stored response, or the answer to its removal.
fn stored(history: History<'_>, method: &str, id: &str) -> Result<String> {
    let found = history.and_then(|(responses, owner)| match method {
        "GET" => responses.body(owner, id),
        _ => responses.remove(owner, id).then(|| json!({"id": id, "object": "response", "deleted": true}).to_string()),
    });
    found.ok_or_else(|| Error::NoSuchObject { kind: "response", id: id.to_owned() })
}

/// Endpoint at a path, and its HTTP method or methods.
fn endpoint(path: &str) -> Option<(Endpoint<'_>, &'static str)> {
    let below = path.find("/v1/").map_or(path, |at| &path[at + "/v1".len()..]);
    let found = match below.trim_matches('/') {
        "models" => (Endpoint::Models, "GET"),
        "chat/completions" => (Endpoint::Chat, "POST"),
        "completions" => (Endpoint::Text, "POST"),
        "responses" => (Endpoint::Response, "POST"),
        "responses/input_tokens" => (Endpoint::CountResponse, "POST"),
        "messages" => (Endpoint::Message, "POST"),
        "messages/count_tokens" => (Endpoint::CountMessage, "POST"),
        "tokenize" => (Endpoint::Tokenize, "POST"),
        "embeddings" => (Endpoint::Embed, "POST"),
        other if other.starts_with("responses/resp_") => {
            (Endpoint::StoredResponse(other.trim_start_matches("responses/")), "GET or DELETE")
        }
        other => (Endpoint::Model(other.strip_prefix("models/").filter(|name| !name.is_empty())?), "GET"),
    };
    Some(found)
}

/// Decodes `%XX` in a part of a path.
fn decoded(part: &str) -> String {
    let hex = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        match (first, others.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => (bytes.push(byte), rest = &others[2..]).0,
            _ => (bytes.push(first), rest = others).0,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
