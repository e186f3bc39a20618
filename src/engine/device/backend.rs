//! The trait of a model and its device, or of a model on the CPU in tests.

use std::rc::Rc;

use super::features::PromptImages;
use crate::config::ImageGrid;
use crate::engine::control::RequestContext;
use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::error::Result;
use crate::model::LanguageModel;
use crate::package::manifest::Manifest;

/// A model, and what brings it back after a loss. Every method fails with what the device says.
#[allow(async_fn_in_trait, reason = "everything here runs on one thread")]
pub trait Backend {
    /// The model.
    type Model: LanguageModel;

    /// Entries a conversation may have.
    fn context(&self) -> usize;

    /// The model's package: name, configuration, tensors.
    fn manifest(&self) -> &Manifest;

    /// All that the numbers of a state depend on besides its conversation.
    fn numerics(&self) -> Result<String>;

    /// Longest edge of a picture in pixels; larger ones are scaled down.
    fn longest_edge(&self) -> usize;

    /// Seconds that a picture of this grid takes, from the tower to the end of its tokens in the prompt; `None` while the rate of the
    /// device is not known.
    fn seconds_for(&self, grid: ImageGrid) -> Result<Option<f64>>;

    /// The model; [`crate::Error::DeviceLost`] from the loss of a device until [`Self::reopen`].
    fn model(&mut self) -> Result<&mut Self::Model>;

    /// Most conversations that rest beside the one that goes on.
    fn max_idle(&self) -> usize;

    /// Whether the conversations that rest have to go before these pictures are encoded, because there is no memory for both.
    fn lacks_room(&self, entries: &[ContextEntry], pictures: &[Rc<SizedPicture>]) -> bool;

    /// Features of those of `pictures` that occur in `entries`, or [`crate::Error::Aborted`].
    async fn encode_images(
        &mut self,
        entries: &[ContextEntry],
        pictures: &[Rc<SizedPicture>],
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages>;

    /// Gives up a device that is lost, with the model on it.
    fn close(&mut self);

    /// Opens a device and brings the model there. Fails with [`crate::Error::DeviceLost`], [`crate::Error::WebgpuUnavailable`],
    /// [`crate::Error::Aborted`], or as loading.
    async fn reopen(&mut self, context: &mut RequestContext<'_>) -> Result<()>;

    /// Frees what is only kept for speed, and waits until its memory is free.
    async fn free_memory(&mut self) -> Result<()>;
}
