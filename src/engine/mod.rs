//! Loads a model and answers requests: the room that sees all the others.
//!
//! Knows no platform: bytes come from the caller, time from a [`Clock`], results go to callbacks.

mod decode;
mod events;
mod footprint;
mod generate;
mod load;
mod pictures;
mod plan;
mod preallocate;
mod prompt;
mod recover;
mod score;
mod session;
mod source;
mod speculate;
mod tower;
mod tuning;
mod verify;

pub use events::{Calendar, Cancel, Clock, Completion, Event, FinishReason, LoadEvent, Stage, Timings, Usage};
pub use footprint::{Phase, PhaseBytes, PurposeBytes};
pub use load::{LoadOptions, kernel_needs};
pub use plan::{MemoryOptions, Plan, plan, smaller};
pub use prompt::{Picture, Prompt};
pub use score::{ScoreOptions, ScoredRows};
pub use source::{ShardFuture, ShardSource};
pub use speculate::Speculation;
pub use tower::Residency;
pub use tuning::{Arithmetic, BUDGET_MS, Tune, Tuned, tuning_key};

use std::sync::Arc;

use crate::chat::Tokenizer;
use crate::config::KvPrecision;
use crate::error::{Error, Result};
use crate::families::ModelConfig;
use crate::gpu::{Gpu, ledger::LedgerRow};
use crate::kernels::self_test::SelfTestReport;
use crate::model::KvCache;
use crate::sampling::SamplingOptions;
use crate::weights::manifest::Manifest;
use load::Resident;
use pictures::FeatureCache;
use session::Session;
use speculate::LatencyModel;

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
    /// `None` from the loss of a device until another one holds the model.
    resident: Option<Resident>,
    tokenizer: Arc<Tokenizer>,
    manifest: Manifest,
    shards: Box<dyn ShardSource>,
    session: Session,
    features: FeatureCache,
    self_test: SelfTestReport,
    tuned: Tuned,
    /// Whether the kernel that few answers need has been tested on this device.
    filter_is_tested: bool,
    /// Counts of rows whose kernels have been tested on this device, and whether they are right.
    rows_tested: Vec<(usize, bool)>,
    speculation: Speculation,
    /// How long steps and passes over drafts take on this device.
    latency: LatencyModel,
    clock: Clock,
    today: Calendar,
}

impl Engine {
    /// What the model is called and how it is stored.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.manifest.config
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
        self.plan.context
    }

    /// What the kernels' self-test on this device found.
    pub fn self_test(&self) -> &SelfTestReport {
        &self.self_test
    }

    /// What is known by now of how this device computes best: for [`LoadOptions::tuned`] of the next load.
    pub fn tuned(&self) -> Tuned {
        self.tuned
    }

    /// How the cache of keys and values holds a number.
    pub fn kv_precision(&self) -> KvPrecision {
        self.plan.kv
    }

    /// Forgets the conversation, its cache and its pictures.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub fn reset(&mut self) -> Result<()> {
        self.features.clear();
        self.session = Session::default();
        if let Some(resident) = &mut self.resident {
            resident.cache = KvCache::new(&self.gpu, self.manifest.config.text(), self.plan.context, self.plan.kv)?;
        }
        Ok(())
    }

    fn resident(&self) -> Result<&Resident> {
        self.resident.as_ref().ok_or_else(not_there)
    }

    fn resident_mut(&mut self) -> Result<&mut Resident> {
        self.resident.as_mut().ok_or_else(not_there)
    }
}

fn not_there() -> Error {
    Error::DeviceLost { reason: "it has not been opened again".into() }
}
