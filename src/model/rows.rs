//! Per-layer embeddings of the tokens of a pass, read from storage before it.

use super::forward::Model;
use super::language::Input;
use crate::error::{Error, Result};

/// Row of the table for rows of pictures (`transformers` `modeling_gemma4.py`): that of the padding token.
const PADDING: u32 = 0;

impl Model {
    /// Writes the per-layer embeddings of a pass over these rows; nothing in models without them. Fails like [`crate::weights::RowSource::rows`].
    pub(super) async fn write_rows(&mut self, tokens: impl Iterator<Item = u32>) -> Result<()> {
        let width = self.config().per_layer_width();
        if width == 0 {
            return Ok(());
        }
        let source = self.rows_source.clone().ok_or_else(|| Error::Internal { detail: "no table of rows".into() })?;
        let tokens: Vec<u32> = tokens.collect();
        // Tokens of a prompt repeat: each row is read once.
        let mut distinct = tokens.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let scale = (self.config().layer_options.per_layer_inputs.unwrap_or(1) as f32).sqrt();
        let mut read = source.rows(&distinct).await?; // [distinct, width]
        read.iter_mut().for_each(|number| *number *= scale);
        let mut rows: Vec<f32> = Vec::with_capacity(tokens.len() * width); // [tokens, width]
        for token in &tokens {
            let at = distinct.binary_search(token).unwrap_or(0);
            rows.extend(read.get(at * width..(at + 1) * width).unwrap_or_default());
        }
        self.ensure_workspace()?;
        self.gpu.write(&self.work()?.per_layer, 0, bytemuck::cast_slice(&rows))
    }

    /// [`Self::write_rows`] for the inputs of a chunk.
    pub(super) async fn write_rows_of(&mut self, inputs: &[Input]) -> Result<()> {
        let token = |input: &Input| if let Input::Token(token) = *input { token } else { PADDING };
        self.write_rows(inputs.iter().map(token)).await
    }
}
