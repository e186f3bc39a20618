//! Transfer of conversation states between the device and files, in pieces no larger than the logits that are read anyway.

use super::forward::Model;
use crate::error::Result;
use crate::gpu::Slice;
use crate::state::{Outline, Part, State};

impl Model {
    /// Bytes transferred at a time; the plan counts as many for the logits of a prompt.
    fn piece(&self) -> u64 {
        (self.rows.head * self.config().vocab_size * size_of::<f32>()) as u64
    }

    /// The pieces of a part, in the order of its bytes.
    fn pieces(&self, state: &State, part: &Part) -> Result<Vec<Slice>> {
        let (piece, mut pieces) = (self.piece(), Vec::new());
        for Slice { buffer, offset, bytes } in state.slices(part)? {
            let end = offset + bytes;
            let starts = (offset..end).step_by(piece as usize);
            pieces.extend(starts.map(|start| buffer.slice(start..end.min(start + piece))));
        }
        Ok(pieces)
    }

    /// See [`super::LanguageModel::read_part`].
    pub(super) async fn part_of(&self, state: &State, part: &Part) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(part.bytes as usize);
        for piece in self.pieces(state, part)? {
            bytes.extend(self.gpu.read(&piece).await?);
        }
        State::shape(self.pool()).clear_unused(part, &mut bytes);
        Ok(bytes)
    }

    /// See [`super::LanguageModel::write_part`].
    pub(super) async fn put_part(&self, state: &State, part: &Part, mut bytes: &[u8]) -> Result<()> {
        let mut under_way = 0;
        for piece in self.pieces(state, part)? {
            let (own, rest) = bytes.split_at_checked(piece.bytes as usize).unwrap_or((bytes, &[]));
            under_way += piece.bytes;
            if under_way > self.piece() {
                // The queue keeps a copy until it has run.
                self.gpu.wait_idle().await?;
                under_way = piece.bytes;
            }
            self.gpu.write(&piece.buffer, piece.offset, own)?;
            bytes = rest;
        }
        self.gpu.wait_idle().await
    }

    /// See [`super::LanguageModel::restore`].
    pub(super) async fn state_of(&self, outline: &Outline) -> Result<State> {
        State::restore(&self.gpu, self.pool(), (self.context, self.rows.prompt), outline).await
    }
}
