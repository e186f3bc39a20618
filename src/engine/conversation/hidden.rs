//! Hidden states of a conversation, for embeddings.

use super::Conversation;
use crate::error::{Error, Result};
use crate::model::LanguageModel;

impl<M: LanguageModel> Conversation<M> {
    /// Last hidden state of the last entry, which must be in the model's last pass, a chunk. `// [hidden]`
    pub(in crate::engine) async fn hidden(&mut self, model: &mut M) -> Result<Vec<f32>> {
        let last = self.entries().len().saturating_sub(1);
        let chunk = self.history.last_pass().filter(|pass| !pass.is_step);
        let detail = || "a hidden state without a chunk".into();
        let first = chunk.ok_or_else(|| Error::Internal { detail: detail() })?.first;
        model.hidden(self.state_mut(model)?, last - first).await
    }
}
