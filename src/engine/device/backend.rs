//! Interface to a model and its device, or to a model on the CPU in tests.

use std::sync::Arc;

use super::features::PromptImages;
use crate::engine::control::RequestContext;
use crate::engine::prompt::encoder::PromptLimits;
use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::error::Result;
use crate::model::LanguageModel;
use crate::package::manifest::Manifest;

/// A model, with everything that restores it after a device loss. Every method fails with the errors of the device.
#[allow(async_fn_in_trait, reason = "everything here runs on one thread")]
pub trait Backend {
    /// The model.
    type Model: LanguageModel;

    /// Most entries of a conversation.
    fn context(&self) -> usize;

    /// The model's package: name, configuration, tensors.
    fn manifest(&self) -> &Arc<Manifest>;

    /// Description of all that results depend on besides the conversation.
    fn numerics(&self) -> Result<String>;

    /// Returns true if submitted work has run when the submission returns: nothing is gained by submitting a step ahead of its token.
    fn runs_at_once(&self) -> bool;

    /// Limits of prompts.
    fn prompt_limits(&self) -> PromptLimits;

    /// The model; [`crate::Error::DeviceLost`] after a device loss until [`Self::reopen`].
    fn model(&mut self) -> Result<&mut Self::Model>;

    /// Most idle conversations.
    fn max_idle(&self) -> usize;

    /// Returns true if idle conversations must be dropped before these pictures are encoded, for lack of memory for both.
    fn lacks_room(&self, entries: &[ContextEntry], pictures: &[Arc<SizedPicture>]) -> bool;

    /// Encodes those of `pictures` that occur in `entries`. Fails with [`crate::Error::Aborted`] if the request was cancelled.
    async fn encode_images(
        &mut self,
        entries: &[ContextEntry],
        pictures: &[Arc<SizedPicture>],
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages>;

    /// Drops a lost device with its model.
    fn close(&mut self);

    /// Returns true if [`Self::fall_back`] is possible.
    fn has_fallback(&self) -> bool;

    /// Replaces the GPU by the processor, for a reason, and loads the model onto it. Fails like [`Self::reopen`]; the GPU is then kept.
    async fn fall_back(&mut self, context: &mut RequestContext<'_>, reason: &str) -> Result<()>;

    /// Opens a device and loads the model onto it. Fails with [`crate::Error::DeviceLost`], [`crate::Error::WebgpuUnavailable`],
    /// [`crate::Error::Aborted`], or errors of loading.
    async fn reopen(&mut self, context: &mut RequestContext<'_>) -> Result<()>;

    /// Frees memory used only for speed, and waits until it is free.
    async fn free_memory(&mut self) -> Result<()>;
}
