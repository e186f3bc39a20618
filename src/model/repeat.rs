//! Repetition of a model's own work. Drivers that lose writes, replay recordings wrongly or need barriers that they were not given compute something
//! else the second time.

use super::forward::Model;
use super::language::LanguageModel;
use crate::error::Result;
use crate::gpu::Slice;
use crate::layers::step::StepHeader;
use crate::layers::{Form, Pass};
use crate::state::State;

/// Rows of the prompt, or as many as a chunk has.
const ROWS: usize = 128;
/// Content of results before a run: a NaN that no kernel computes.
const POISON: u32 = 0x7fc0_dead;

impl Model {
    /// Returns true if a layer of a prompt and then a step have the same bits when they are computed again. Fails like
    /// [`LanguageModel::forward`].
    pub async fn repeats_exactly(&mut self) -> Result<bool> {
        let state = &mut self.new_state()?;
        let rows = ROWS.min(self.rows.prompt).min(state.context().saturating_sub(1));
        state.reserve(&self.gpu.clone(), rows + 1).await?;
        let is_exact = self.prompt_repeats(state, rows).await? && self.step_repeats(state, rows).await?;
        self.release();
        Ok(is_exact)
    }

    /// Computes the first layer with attention, and those before it, twice.
    async fn prompt_repeats(&mut self, state: &mut State, rows: usize) -> Result<bool> {
        let gpu = self.gpu.clone();
        self.write_step(state, StepHeader { token: 0, entry: 0, drawn: 0 }, rows)?;
        self.catch_up(state)?;
        let before = state.save_recurrent(&gpu)?;
        let work = self.work()?;
        let tokens: Vec<u32> = (0..rows as u32).map(|row| row % self.config().vocab_size as u32).collect();
        gpu.write(&work.sources, 0, bytemuck::cast_slice(&tokens))?;
        let last = self.config().layers.iter().position(|kind| kind.is_self_attention()).unwrap_or(0);
        let mut recording = gpu.recording();
        let form = Form::Chunk { first_entry: 0 };
        let mut pass = Pass::new(&mut recording, work, rows, form);
        self.decoder.record_inputs(&mut pass, &work.sources.all(), &work.gathered.all())?;
        self.decoder.record_layers(&mut pass, state, 0..last + 1)?;
        let results = work.x.slice(0..(rows * self.config().hidden_size * size_of::<f32>()) as u64); // [rows, hidden]
        let most = gpu.most_flops();
        let pieces = std::iter::from_fn(|| recording.take_piece(most)).map(|piece| gpu.prepare("prompt", &piece));
        let pieces = pieces.collect::<Result<Vec<_>>>()?;
        let mut found = Vec::new();
        for _ in 0..2 {
            state.restore_recurrent(&gpu, 0, before.as_ref())?;
            // The pass changes them.
            self.prepare(&tokens).await?;
            self.poison(&results)?;
            for piece in &pieces {
                gpu.submit(&[piece], None)?;
                gpu.wait_idle().await?;
            }
            found.push(gpu.read(&results).await?);
        }
        Ok(are_alike(&found))
    }

    /// Computes the step at `entry` twice.
    async fn step_repeats(&mut self, state: &mut State, entry: usize) -> Result<bool> {
        let gpu = self.gpu.clone();
        let before = state.save_recurrent(&gpu)?;
        let (logits, _) = self.logits_and_step()?;
        let mut found = Vec::new();
        for _ in 0..2 {
            state.restore_recurrent(&gpu, 0, before.as_ref())?;
            self.prepare(&[0]).await?;
            self.start_steps(state, StepHeader { token: 0, entry, drawn: 0 })?;
            self.poison(&logits)?;
            gpu.submit(&[self.prepared_step(state, entry)?], None)?;
            found.push(gpu.read(&logits).await?);
        }
        Ok(are_alike(&found))
    }

    fn poison(&self, results: &Slice) -> Result<()> {
        let words = vec![POISON; (results.bytes / 4) as usize];
        self.gpu.write(&results.buffer, results.offset, bytemuck::cast_slice(&words))
    }
}

/// Returns true if two runs have the same bits and wrote all of them.
fn are_alike(found: &[Vec<u8>]) -> bool {
    let is_whole = |bytes: &Vec<u8>| !bytes.chunks_exact(4).any(|word| word == POISON.to_le_bytes());
    found.iter().all(|bytes| *bytes == found[0] && is_whole(bytes))
}
