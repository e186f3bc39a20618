//! Model loading and request handling: the only room that may import all others.
//!
//! Independent of the platform: bytes come from the caller, time comes from a [`Clock`], results go to callbacks.

mod answer;
mod control;
mod conversation;
mod device;
mod events;
mod meter;
mod prompt;
mod tuned;

pub use crate::memory::{Plan, Residency};
pub use answer::answering::Answering;
pub use answer::batch::{Batch, BatchEvents, Departure, Left, Progress, Room};
pub use answer::options::{AnswerOptions, CallOptions, ThoughtOptions};
pub use answer::prefill::ScoredRows;
pub use answer::speculate::Speculation;
pub use control::{RequestContext, RequestControl};
pub use conversation::history::PastPass;
pub use conversation::snapshots;
pub use device::Device;
pub use device::backend::Backend;
pub use device::features::PromptImages;
pub use device::load::LoadOptions;
pub use device::tuning::{Arithmetic, BUDGET_MS, Tune, tuning_key};
pub use device::weight_source::{ShardFuture, ShardSource};
pub use events::{Calendar, Clock, Completion, Event, FinishReason, LoadEvent, Stage, Timings, TokenLogprob, Usage};
pub use meter::Meter;
pub use prompt::encoder::{Encoder, PromptLimits};
pub use prompt::picture_cost::PictureSeconds;
pub use prompt::picture_size::{Detail, PictureLimits, ShownPicture, Wanted, longest_edge};
pub use prompt::{ContextEntry, Encoded, Picture, PictureContent, Prompt, Reading, Scope, SizedPicture};
pub use tuned::Tuned;

use std::rc::Rc;
use std::sync::Arc;

use crate::chat::{CallSyntax, EmbeddingSettings, ThoughtSyntax, Tokenizer};
use crate::error::Result;
use crate::families::{ModelConfig, definition};
use crate::gpu::ledger::LedgerRow;
use crate::gpu::{DeviceClass, Gpu};
use crate::grammar::Grammar;
use crate::kernels::self_test::SelfTestReport;
use crate::package::manifest::Manifest;
use crate::sampling::SamplingDefaults;
use crate::sampling::SamplingOptions;
use answer::speculate::LatencyModel;
use conversation::Conversation;
use conversation::idle::IdleConversations;
use conversation::snapshots::Snapshots;
use device::features::FeatureCache;

/// A request for an answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// The input that the model continues.
    pub prompt: Prompt,
    /// The pictures to which the prompt refers.
    pub pictures: Vec<Picture>,
    /// Sampling options.
    pub sampling: SamplingOptions,
    /// Limit of the answer in tokens; `None` for the rest of the context.
    pub max_tokens: Option<usize>,
    /// Stop strings, before which the answer ends.
    pub stop: Vec<String>,
    /// Grammar that the answer must match, if any.
    pub grammar: Option<Rc<dyn Grammar>>,
}

/// A loaded model and its conversations. Entries that an earlier request left in the KV cache are not computed again.
#[derive(Debug)]
pub struct Engine<B: Backend = Device> {
    backend: B,
    tokenizer: Arc<Tokenizer>,
    /// The active conversation.
    conversation: Conversation<B::Model>,
    idle: IdleConversations<B::Model>,
    /// Conversations in files, if a store was opened.
    snapshots: Option<Snapshots>,
    speculation: Speculation,
    /// Measured durations of steps and verification passes.
    latency: LatencyModel,
    encoder: Arc<Encoder>,
    clock: Clock,
    /// The vocabulary prepared for grammars, on first use.
    #[cfg(feature = "grammar")]
    grammars: Option<crate::grammar::native::NativeGrammars>,
}

impl<B: Backend> Engine<B> {
    /// Creates an engine on a backend other than [`Device`], for which [`Self::load`](Engine::load) exists. Options that concern the device
    /// are ignored.
    pub fn new(backend: B, tokenizer: Arc<Tokenizer>, options: &LoadOptions) -> Self {
        let LoadOptions { speculation, clock, .. } = *options;
        let (manifest, limits) = (backend.manifest().clone(), backend.prompt_limits());
        let encoder = Arc::new(Encoder::new(manifest, tokenizer.clone(), limits, options));
        let (conversation, latency) = (Conversation::default(), LatencyModel::new(DeviceClass::Hardware));
        #[cfg(feature = "grammar")]
        let grammars = None;
        Self {
            backend,
            tokenizer,
            conversation,
            idle: IdleConversations::default(),
            snapshots: None,
            speculation,
            latency,
            encoder,
            clock,
            #[cfg(feature = "grammar")]
            grammars,
        }
    }

    /// Prepares an output format for requests. The first call takes half a second longer if the vocabulary is large.
    ///
    /// # Errors
    /// [`crate::Error::UnsupportedSchema`] or [`crate::Error::InvalidGrammar`].
    #[cfg(feature = "grammar")]
    pub fn grammar(&mut self, format: &crate::grammar::Format) -> Result<Rc<dyn Grammar>> {
        let grammars = match self.grammars.take() {
            Some(grammars) => grammars,
            None => {
                let eos = &self.backend.manifest().chat.eos_token_ids;
                crate::grammar::native::NativeGrammars::new(&self.tokenizer, eos)?
            }
        };
        Ok(Rc::new(self.grammars.insert(grammars).grammar(format)?))
    }

    /// The device with the model.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Sampling options recommended by the model's publisher, for requests that set none. Values out of range are ignored.
    pub fn sampling_defaults(&self) -> SamplingOptions {
        options_of(&self.backend.manifest().chat.sampling)
    }

    /// Reasoning of the model; `None` if it was not trained for it, or if its vocabulary lacks the tokens.
    pub fn thinking(&self) -> Option<Thinking> {
        let Manifest { chat, config, .. } = &**self.backend.manifest();
        let definition = definition(config);
        let layout = definition.chat_layout(&chat.template).ok()?.thoughts?;
        let syntax = ThoughtSyntax::new(&layout, &self.tokenizer).ok()??;
        let published = definition.family().chat.thinking.unwrap_or([chat.sampling; 2]);
        Some(Thinking { syntax: Arc::new(syntax), sampling: published.map(|published| options_of(&published)) })
    }

    /// Prompts of the model's embeddings; `None` if it was not trained for them.
    pub fn embedding(&self) -> Option<&EmbeddingSettings> {
        self.backend.manifest().chat.embedding.as_ref()
    }

    /// Syntax of the model's tool calls; `None` if it was not trained for them, or if its vocabulary lacks the tokens.
    pub fn call_syntax(&self) -> Option<CallSyntax> {
        let Manifest { chat, config, .. } = &**self.backend.manifest();
        let layout = definition(config).chat_layout(&chat.template).ok()?;
        CallSyntax::new(layout.calls.as_ref()?, &self.tokenizer).ok()
    }

    /// The reader of prompts, which other threads may use.
    pub fn encoder(&self) -> &Arc<Encoder> {
        &self.encoder
    }

    /// Reads a prompt.
    ///
    /// # Errors
    /// The errors of [`Encoder::encode`].
    pub fn encode(&self, prompt: &Prompt, pictures: &[Picture]) -> Result<Encoded> {
        let reading = Reading { control: &RequestControl::new(), scope: Scope::SHARED };
        self.encoder.encode(prompt, pictures, reading)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Switches to the cached conversation that shares the longest prefix with `wanted`.
    fn switch_to(&mut self, wanted: &[ContextEntry]) {
        self.idle.switch_to(&mut self.conversation, wanted, self.backend.max_idle());
    }
}

impl Engine {
    /// The model's package: name, configuration, tensors.
    pub fn manifest(&self) -> &Manifest {
        &self.backend.manifest
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.backend.manifest.config
    }

    /// The device that the model runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.backend.gpu
    }

    /// The platform's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// GPU memory by purpose.
    pub fn memory(&self) -> Vec<LedgerRow> {
        self.backend.gpu.ledger().rows()
    }

    /// Memory plan of the model.
    pub fn plan(&self) -> &Plan {
        &self.backend.plan
    }

    /// Result of the kernels' self-test on this device.
    pub fn self_test(&self) -> &SelfTestReport {
        &self.backend.self_test
    }

    /// Tuning results for this device so far, for [`LoadOptions::tuned`] of the next load.
    pub fn tuned(&self) -> Tuned {
        Tuned { gflops: self.backend.gpu.gflops(), ..self.backend.tuned }
    }

    /// Forgets all conversations, their states and all pictures.
    pub fn reset(&mut self) {
        self.backend.features = FeatureCache::default();
        self.idle.clear();
        self.conversation = Conversation::default();
    }

    /// Returns the milliseconds of a pass over `rows` tokens after the conversation, whose results are dropped; `None` if memory is short.
    /// The first pass of a size takes longer, because it is prepared. The result also informs the decision whether speculation pays. Fails
    /// with [`crate::Error::ContextOverflow`] if the context is full.
    pub async fn time_pass(&mut self, rows: usize) -> Result<Option<f64>> {
        let model = &mut self.backend.resident_mut()?.model;
        let state = self.conversation.state_mut(model)?;
        let ms = model.time_drafts(state, rows, self.clock).await?;
        if let Some(ms) = ms {
            self.latency.passed(rows, ms);
        }
        Ok(ms)
    }
}

/// Reasoning of a model.
#[derive(Debug, Clone)]
pub struct Thinking {
    /// Syntax of its reasoning.
    pub syntax: Arc<ThoughtSyntax>,
    /// Sampling options while it reasons, for requests that set none: for text, and for pictures.
    pub sampling: [SamplingOptions; 2],
}

/// The recommended options, or the defaults if a value is out of range.
fn options_of(published: &SamplingDefaults) -> SamplingOptions {
    let open = SamplingOptions::default();
    let options = SamplingOptions {
        temperature: published.temperature.unwrap_or(open.temperature),
        top_k: published.top_k,
        top_p: published.top_p.unwrap_or(open.top_p),
        min_p: published.min_p.unwrap_or(open.min_p),
        presence_penalty: published.presence_penalty.unwrap_or(open.presence_penalty),
        repetition_penalty: published.repetition_penalty.unwrap_or(open.repetition_penalty),
        ..SamplingOptions::default()
    };
    if options.validate().is_ok() { options } else { open }
}
