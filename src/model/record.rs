//! Recordings that a model and its dry twin share.

use crate::error::Result;
use crate::gpu::Recording;
use crate::kernels::sample::Sampling;
use crate::kernels::{accept, sample_scan};
use crate::layers::step::StepShape;
use crate::layers::{Decoder, Form, Pass, Workspace};
use crate::state::State;

/// Records a step from its inputs to its logits.
pub(super) fn record_step(
    decoder: &Decoder,
    work: &Workspace,
    state: &State,
    (shape, max_bindings): (StepShape, usize),
    recording: &mut Recording,
) -> Result<()> {
    let (rows, form) = (shape.rows, Form::Step { splits: shape.splits });
    let mut pass = Pass { recording, work, rows, form, max_bindings };
    let sources = if rows == 1 { work.step.slice(0..4) } else { work.sources.all() };
    // The kernel binds some features even where no source names one.
    decoder.record_inputs(&mut pass, &sources, &work.gathered.all())?;
    decoder.record_layers(&mut pass, state, 0..decoder.config().layers.len())?;
    let x = pass.x(); // [rows, hidden]
    decoder.record_head(&mut pass, (&x, rows))
}

/// Records the choice among the logits of `rows` rows, and its comparison with the drafts that they began with.
pub(super) fn record_drafts(work: &Workspace, vocab: usize, rows: usize, recording: &mut Recording) -> Result<()> {
    let (inputs, step) = (work.sources.all(), work.step.all());
    let sampling = Sampling::greedy(vocab, rows, &work.likeliest, &inputs)?;
    sample_scan::record_rows(recording, &sampling, rows, &work.logits.all(), &step)?; // [rows, vocab]
    accept::record(recording, &sampling, rows, &inputs, &step)
}
