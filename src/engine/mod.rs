//! Loads a model and answers requests: the room that sees all the others.
//!
//! Knows no platform: bytes come from the caller, time from a [`Clock`], results go to callbacks.

mod events;
mod footprint;
mod generate;
mod load;
mod pictures;
mod plan;
mod prompt;
mod score;
mod session;
mod source;
mod tower;

pub use events::{Cancel, Clock, Completion, Event, FinishReason, Stage, Timings, Usage};
pub use footprint::{Phase, PhaseBytes, PurposeBytes};
pub use load::LoadOptions;
pub use plan::{Plan, Wishes, plan, smaller};
pub use prompt::{Picture, Prompt};
pub use score::{Positions, ScoredRows};
pub use source::{ShardFuture, ShardSource};
pub use tower::Residency;

use std::sync::Arc;

use crate::chat::Tokenizer;
use crate::config::{KvPrecision, ModelConfig};
use crate::error::Result;
use crate::gpu::{Gpu, ledger::LedgerRow};
use crate::model::Model;
use crate::sampling::SamplingOptions;
use crate::weights::manifest::Manifest;
use pictures::FeatureCache;
use session::Session;
use tower::Tower;

/// A request for an answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the model is to continue.
    pub prompt: Prompt,
    /// The pictures that the prompt counts.
    pub pictures: Vec<Picture>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Most tokens of the answer; `None` for as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Strings before which the answer ends.
    pub stop: Vec<String>,
}

/// A loaded model with one conversation in its cache.
#[derive(Debug)]
pub struct Engine {
    gpu: Gpu,
    plan: Plan,
    model: Model,
    /// The weights of the picture side, where they stay.
    tower: Option<Tower>,
    tokenizer: Arc<Tokenizer>,
    manifest: Manifest,
    shards: Box<dyn ShardSource>,
    session: Session,
    features: FeatureCache,
    clock: Clock,
}

impl Engine {
    /// What the model is called and how it is stored.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The device it runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// GPU memory by purpose.
    pub fn memory(&self) -> Vec<LedgerRow> {
        self.gpu.ledger().rows()
    }

    /// How the model is run, and what that takes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tokens the context holds.
    pub fn context(&self) -> usize {
        self.session.context()
    }

    /// How the cache of keys and values holds a number.
    pub fn kv_precision(&self) -> KvPrecision {
        self.session.cache.precision()
    }

    /// Forgets the conversation, its cache and its pictures.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub fn reset(&mut self) -> Result<()> {
        self.features.clear();
        let (context, precision) = (self.context(), self.kv_precision());
        self.session = Session::new(&self.gpu, &self.model.config().text, context, precision)?;
        Ok(())
    }
}
