//! Work to time: what a token or a prompt takes of a device, over a model's own weights.

use super::decoder::{Decoder, Workspace};
use super::kv_cache::KvCache;
use crate::error::Result;
use crate::gpu::{Gpu, Recording, Ways};
use crate::kernels::Family;

/// Bytes of weights that a step's trial reads: more than caches hold, some milliseconds for a small GPU.
const STEP_BYTES: u64 = 256 << 20;
/// Tokens of a prompt's trial at most.
pub(super) const PROMPT_TOKENS: usize = 64;

impl Decoder {
    /// Records what tells ways of `family` apart: some layers of a step, or one of a prompt of so many tokens. What they compute is of no meaning, and
    /// is overwritten by the next pass.
    pub(super) fn record_trial(
        &self,
        gpu: &Gpu,
        (work, cache): (&Workspace, &KvCache),
        (family, tokens): (Family, usize),
        ways: Ways,
    ) -> Result<Recording> {
        let mut recording = Recording::on(ways);
        match family {
            Family::FewRows | Family::AttentionStep => {
                let layers = (STEP_BYTES / self.layer_bytes().max(1)).clamp(1, self.layers.len().max(1) as u64);
                self.record_step_layers(gpu, &mut recording, (work, cache), 0..layers as usize, 1)?;
            }
            Family::Matmul | Family::Attention => {
                self.record_layers(&mut recording, work, cache, 0..1, tokens)?;
            }
        }
        Ok(recording)
    }

    /// Bytes of the matrices of the first layer.
    fn layer_bytes(&self) -> u64 {
        let Some(layer) = self.layers.first() else { return 0 };
        let matrices = layer.qkv_proj.weights().iter().chain(layer.gate_up_proj.weights());
        let parts = matrices.chain([&layer.o_proj, &layer.down_proj]).flat_map(|weight| &weight.parts);
        parts.flat_map(|part| &part.planes).map(|plane| plane.bytes).sum()
    }
}
