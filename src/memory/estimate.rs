//! GPU memory of a model for one plan, by phase and purpose: a dry run of the code that allocates and records on a device.

use std::collections::HashMap;

use super::{Phase, PhaseBytes, Plan, Residency, VISION_GROUP};
use crate::config::{ImageGrid, KvPrecision, TextConfig};
use crate::error::Result;
use crate::families::{ModelConfig, PictureShape, Pictures, definition};
use crate::gpu::buffer::allocated;
use crate::gpu::{Allocator, DryDevice, KernelConfig, Purpose};
use crate::kernels::sample::Sampling;
use crate::layers::step::{max_batch, words_apart};
use crate::layers::vision::Pixels;
use crate::layers::{TextRows, Workspace};
use crate::model::{DRAFT_ROWS, DryModel};
use crate::package::manifest::Manifest;
use crate::sampling::{Past, SamplingOptions};
use crate::state::{PAGE, State};

/// Storage buffers that every device allows in a kernel. With fewer, less is fused and there are more launches to count.
const MAX_BINDINGS: usize = 8;

/// Bytes of the readback when waiting for the device.
const WAIT: u64 = 4;

/// Bytes of feature rows.
fn feature_bytes(text: &TextConfig, rows: usize) -> u64 {
    rows as u64 * (text.hidden_size * size_of::<f32>()) as u64
}

/// Bytes of the parameters for computing text.
#[derive(Debug, Clone, Copy)]
struct TextParams {
    chunk: u64,
    head: u64,
    /// Parameters of a step and of passes over drafts, with their numbers of rows.
    steps: [(usize, u64); 1 + DRAFT_ROWS.len()],
    draw: u64,
}

/// A model on a dry device.
pub(super) struct Estimate<'a> {
    config: &'a ModelConfig,
    model: DryModel,
    /// Bytes of the largest shard, which is in transit while loading.
    shard: u64,
    text_params: HashMap<KvPrecision, TextParams>,
    /// Parameters of the first stage, the largest layer and the last stage, for pictures computed in one, two and three chunks of rows.
    stage_params: [[u64; 3]; 3],
    /// Bytes of a state, by precision, room and rows of passes over drafts.
    states: HashMap<(KvPrecision, usize, usize), u64>,
}

impl<'a> Estimate<'a> {
    /// The estimate of a package on a device with bindings of at most `limit` bytes.
    pub(super) fn new(manifest: &'a Manifest, limit: u64) -> Result<Self> {
        let device = DryDevice::new(limit, MAX_BINDINGS);
        let mut model = DryModel::new(manifest, device, KernelConfig::default())?;
        let mut stage_params = [[0; 3]; 3];
        if let Some(pictures) = definition(&manifest.config).pictures() {
            for (chunks, params) in (1..).zip(&mut stage_params) {
                *params = params_of_stages(&mut model, pictures, chunks)?;
            }
        }
        Ok(Self {
            config: &manifest.config,
            shard: manifest.shards.iter().map(|shard| shard.bytes).max().unwrap_or(0),
            text_params: HashMap::new(),
            stage_params,
            states: HashMap::new(),
            model,
        })
    }

    /// Memory of `plan` in every phase, or the exceeded limit of the device.
    pub(super) fn phases(&mut self, plan: &Plan) -> Result<Vec<PhaseBytes>> {
        let resident = if plan.vision == Residency::Resident { self.model.stage_bytes.iter().sum() } else { 0 };
        let load = [self.model.text_bytes, resident, 0, 0, 0, self.shard];
        let mut phases = vec![PhaseBytes::new(Phase::Load, load), self.text(plan, resident)?];
        if let Some(pictures) = definition(self.config).pictures() {
            let mut all = Vec::new();
            for shape in pictures.shapes(plan.longest_edge, plan.context) {
                all.extend(self.picture(pictures, plan, shape)?);
            }
            let largest = all.into_iter().reduce(|most, phase| if phase.total > most.total { phase } else { most });
            phases.extend(largest);
        }
        Ok(phases)
    }

    /// Bytes that `allocate` allocates for `purpose` in a dry run.
    fn allocated<T>(&self, purpose: Purpose, allocate: impl FnOnce(&DryDevice) -> Result<T>) -> Result<u64> {
        let before = self.model.device.bytes(purpose);
        let kept = allocate(&self.model.device)?;
        let after = self.model.device.bytes(purpose);
        drop(kept);
        Ok(after - before)
    }

    /// Bytes of the pages for `entries` entries, and of the keys and values of pictures that have their own.
    fn state_bytes(&mut self, plan: &Plan, entries: usize) -> Result<u64> {
        let (text, room, rows) = (self.config.text(), entries.next_multiple_of(PAGE), plan.rows.text.step);
        let further = State::further_picture_bytes(text, plan.kv, plan.feature_rows, plan.rows.text.prompt);
        if let Some(bytes) = self.states.get(&(plan.kv, room, rows)) {
            return Ok(bytes + further);
        }
        let room_for = |device: &DryDevice| State::with_room(device, text, plan.kv, (room, rows));
        // The first pass over drafts is compared with single steps, and the recurrent states are saved meanwhile.
        let aside = if rows > 1 { State::recurrent_bytes(text) } else { 0 };
        let bytes = self.allocated(Purpose::KvCache, room_for)? + aside;
        self.states.insert((plan.kv, room, rows), bytes);
        Ok(bytes + further)
    }

    fn text(&mut self, plan: &Plan, resident: u64) -> Result<PhaseBytes> {
        let (text, rows) = (self.config.text(), plan.rows.text);
        // While the cache grows or shrinks, one layer exists twice.
        let state = self.state_bytes(plan, plan.context)?;
        let widest = text.kv_layers().map(|layer| text.entry_bytes(layer, plan.kv).iter().sum::<u64>()).max();
        let room = self.state_bytes(plan, plan.context.saturating_sub(PAGE))?;
        let twice = room.saturating_mul(widest.unwrap_or(0)) / State::entry_bytes(text, plan.kv).max(1);
        let params = self.text_params(plan.kv)?;
        let steps = params.steps.iter().filter(|(step, _)| *step <= rows.step);
        let kept = steps.map(|(_, bytes)| allocated(*bytes)).sum::<u64>();
        let work = self.allocated(Purpose::Activations, |device| Workspace::new(device, text, rows, plan.context))?;
        let (together, draws) = (max_batch(text, rows.step) as u64, self.draw_bytes(plan.kv)?);
        let features = feature_bytes(text, plan.feature_rows);
        self.model.device.alloc("features", Purpose::Features, features)?;
        // Parameters, and the copy of them in the queue.
        let launches = |params: u64| 2 * params;
        // Tokens, and the number of a further page.
        let inputs = |prompt: usize| {
            let per_layer = prompt * text.per_layer_width() * size_of::<f32>();
            TextRows { prompt, ..rows }.step_bytes(text, plan.context)
                + ((prompt + 1) * size_of::<u32>() + per_layer) as u64
        };
        // Each chunk of the prompt is awaited. After that, logits are read or an answer begins, which needs its head, its table and its kept
        // values. A page is copied before that.
        let page = State::copy_bytes(text, plan.kv);
        let idle = plan.idle_conversations as u64 * State::idle_bytes(text);
        let chunk = page + launches(params.chunk) + inputs(rows.prompt);
        let read = (rows.head * text.vocab_size * size_of::<f32>()) as u64 + launches(params.head);
        let step = params.steps.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        let begun = inputs(1) + step + params.draw + 8 * text.vocab_size as u64 + launches(params.head);
        // In the worst case the draws of several conversations are prepared at once.
        let stepped = inputs(1) + step + together * params.draw;
        let staging = chunk.max(read).max(begun).max(stepped) + self.readback_bytes(plan);
        Ok(PhaseBytes::new(
            Phase::Text,
            [self.model.text_bytes, resident, state + twice + idle, work + together * draws + kept, features, staging],
        ))
    }

    /// Bytes of the buffers and parameters of a draw.
    fn draw_bytes(&mut self, kv: KvPrecision) -> Result<u64> {
        let device = DryDevice::new(u64::MAX, MAX_BINDINGS);
        let _drawn =
            Sampling::new(&device, self.config.text().vocab_size, &demanding(), Past::default())?.masked(&device)?;
        let drawn = device.bytes(Purpose::Activations);
        Ok(drawn + allocated(self.text_params(kv)?.draw))
    }

    /// Bytes of the readback of a step of several conversations.
    fn readback_bytes(&self, plan: &Plan) -> u64 {
        let text = self.config.text();
        let together = max_batch(text, plan.rows.text.step);
        if together > 1 { (together * words_apart(text, plan.context) * size_of::<u32>()) as u64 } else { 0 }
    }

    /// Parameters of a chunk, a head, steps and a draw, with a state of this precision.
    fn text_params(&mut self, kv: KvPrecision) -> Result<TextParams> {
        if let Some(known) = self.text_params.get(&kv) {
            return Ok(*known);
        }
        let (text, model, most) = (self.config.text(), &self.model, DRAFT_ROWS[DRAFT_ROWS.len() - 1]);
        // After the first page, several workgroups share the attention of a step, which takes one more launch.
        let (device, entries) = (DryDevice::new(u64::MAX, MAX_BINDINGS), 2 * PAGE);
        let work = &Workspace::new(&device, text, TextRows { prompt: most, head: most, step: most }, entries)?;
        let state = &State::with_room(&device, text, kv, (entries, most))?;
        let mut steps = [(1, 0); 1 + DRAFT_ROWS.len()];
        for (step, rows) in steps.iter_mut().zip(std::iter::once(1).chain(DRAFT_ROWS)) {
            *step = (rows, model.step(work, state, PAGE, rows)?.params_bytes());
        }
        let params = TextParams {
            chunk: model.chunk((work, state), (0, most), 0..text.own_layers())?.params_bytes(),
            head: model.head((work, state), most)?.params_bytes(),
            steps,
            // The first row of logits, and another one.
            draw: 2 * model.draw(work, &demanding())?.params_bytes(),
        };
        self.text_params.insert(kv, params);
        Ok(params)
    }

    /// Memory for a picture that arrives when the cache is as full as the context allows, or keeps empty pages: in its first stage, its layers,
    /// and its last stage.
    fn picture(&mut self, pictures: &dyn Pictures, plan: &Plan, shape: PictureShape) -> Result<Vec<PhaseBytes>> {
        let pixels = Pixels::blank(shape.grid, pictures.cell());
        // Other answers wait meanwhile.
        let others = max_batch(self.config.text(), plan.rows.text.step) as u64 - 1;
        let (draws, readback) = (others * self.draw_bytes(plan.kv)?, self.readback_bytes(plan));
        let Some(tower) = &mut self.model.tower else { return Ok(Vec::new()) };
        let device = &self.model.device;
        let before = device.bytes(Purpose::Activations);
        tower.begin(device, &pixels, plan.tower_memory())?;
        let (begun, written) = (device.bytes(Purpose::Activations) - before, device.bytes(Purpose::Staging));
        tower.end_first_stage();
        let work = device.bytes(Purpose::Activations) - before;
        tower.end();
        device.wait_idle();
        let params = stage_params(self.stage_params, tower.rows(&pixels).div_ceil(plan.rows.vision) as u64)
            .map(|bytes| tower.views(&pixels) as u64 * bytes);
        let beside = if plan.keeps_pages { 0 } else { shape.tokens };
        // Without memory for empty pages, there are no idle conversations while a picture is encoded.
        let idle = if plan.keeps_pages { plan.idle_conversations as u64 } else { 0 };
        let state = self.state_bytes(plan, plan.context.saturating_sub(beside))?;
        let state = state + idle * State::idle_bytes(self.config.text());
        let copied = State::copy_bytes(self.config.text(), plan.kv);
        let features = feature_bytes(self.config.text(), plan.feature_rows.max(pictures.feature_rows(shape.grid)));
        let (whole, streamed) = (self.model.stage_bytes.iter().sum::<u64>(), plan.vision == Residency::Streamed);
        let phase = |held: u64, work: u64, staging: u64| {
            let held = if streamed { held } else { whole };
            PhaseBytes::new(
                Phase::Picture,
                [self.model.text_bytes, held, state, work + draws, features, staging + WAIT + copied + readback],
            )
        };
        let sent = |bytes: u64| if streamed { bytes } else { 0 };
        let [first_params, layer_params, last_params] = params.map(|params| 2 * params);
        let dropped = if plan.vision == Residency::Dropped { self.shard.min(whole) } else { 0 };
        let layers = if streamed { layer_params } else { VISION_GROUP as u64 * layer_params };
        let (first, last) =
            (self.model.stage_bytes.first().copied().unwrap_or(0), self.model.stage_bytes.last().copied().unwrap_or(0));
        let (together, coming) = self.layers_at_once(plan.vision_slots);
        Ok(vec![
            phase(first, begun, written + first_params + dropped.max(sent(first))),
            phase(together, work, sent(coming) + layers),
            phase(last, work, sent(last) + last_params),
        ])
    }

    /// Bytes of the largest group of tower layers that is on the GPU at once, and of one layer in transit.
    fn layers_at_once(&self, slots: usize) -> (u64, u64) {
        let layers = self.model.stage_bytes.get(1..self.model.stage_bytes.len().saturating_sub(1)).unwrap_or_default();
        let together = layers.windows(slots.clamp(1, layers.len().max(1))).map(|window| window.iter().sum()).max();
        (together.unwrap_or(0), layers.iter().copied().max().unwrap_or(0))
    }
}

/// Parameters of the first stage, the largest layer and the last stage of a picture in `chunks` chunks of rows, extrapolated from those of one,
/// two and three chunks: each further chunk adds the same.
fn stage_params([one, two, three]: [[u64; 3]; 3], chunks: u64) -> [u64; 3] {
    let further = |index: usize| {
        let more = two[index] + (chunks - 2) * (three[index] - two[index]);
        more.max(chunks * one[index])
    };
    if chunks < 2 { one } else { [0, 1, 2].map(further) }
}

/// Parameters of the first stage, the largest layer and the last stage of the smallest picture computed in `chunks` chunks.
fn params_of_stages(model: &mut DryModel, pictures: &dyn Pictures, chunks: usize) -> Result<[u64; 3]> {
    let Some(alignment) = model.tower.as_ref().map(|tower| tower.row_alignment()) else { return Ok([0; 3]) };
    let picture = |cells: usize| Pixels::blank(ImageGrid::new(1, cells), pictures.cell());
    let rows = |cells: usize| model.tower.as_ref().map_or(0, |tower| tower.rows(&picture(cells)));
    let is_split = model.tower.as_ref().is_some_and(|tower| tower.views(&picture(2)) > 1);
    let (picture, rows) = match is_split {
        // A view has its rows whatever the picture.
        true => (picture(1), rows(1).div_ceil(chunks).next_multiple_of(alignment)),
        false => (picture(chunks * alignment), rows(alignment)),
    };
    let stages = model.picture(&picture, rows)?;
    let bytes: Vec<u64> = stages.iter().map(|stage| stage.params_bytes()).collect();
    Ok(match &bytes[..] {
        [first, layers @ .., last] => [*first, layers.iter().copied().max().unwrap_or(0), *last],
        _ => [0; 3],
    })
}

/// The sampling options that take the most memory and launches: penalties, filters and a mask.
fn demanding() -> SamplingOptions {
    SamplingOptions { frequency_penalty: 1.0, top_p: 0.5, ..SamplingOptions::default() }
}
