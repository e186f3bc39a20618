//! The figures of `ocelli bench`, as a table and as JSON.

use std::fmt;

use ocelli::config::KvPrecision;
use ocelli::engine::Engine;
use ocelli::families::Role;
use ocelli::gpu::DeviceReport;
use ocelli::weights::selection::tensors_with_specs;
use serde::Serialize;

use crate::report::LoadReport;

/// What was measured, of which model, on which device.
#[derive(Debug, Serialize)]
pub(crate) struct BenchReport {
    model: String,
    quantization: String,
    kv: KvPrecision,
    device: DeviceReport,
    self_test_ms: f64,
    /// Bytes of weights that a token of the answer reads.
    weight_bytes: u64,
    load: LoadReport,
    measures: Vec<Measure>,
}

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct Measure {
    what: &'static str,
    /// Tokens of the prompt or of the context, or pixels of a picture's side.
    size: usize,
    /// Steps that each time is of: tokens, or 1.
    steps: usize,
    /// Milliseconds, in the order measured.
    times: Vec<f64>,
    median_ms: f64,
}

impl Measure {
    pub(crate) fn new(what: &'static str, size: usize, steps: usize, times: Vec<f64>) -> Self {
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        let median_ms = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        Self { what, size, steps, times, median_ms }
    }

    pub(crate) fn once(what: &'static str, size: usize, steps: usize, time: f64) -> Self {
        Self::new(what, size, steps, vec![time])
    }

    fn ms_a_step(&self) -> f64 {
        self.median_ms / self.steps as f64
    }
}

impl BenchReport {
    pub(crate) fn new(engine: &Engine, load: LoadReport) -> Self {
        let manifest = engine.manifest();
        Self {
            model: manifest.name.clone(),
            quantization: manifest.quantization.to_string(),
            kv: engine.plan().kv,
            device: engine.gpu().report().clone(),
            self_test_ms: engine.self_test().ms,
            weight_bytes: weight_bytes(engine),
            load,
            measures: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, measure: Measure) {
        crate::open::inform(&format!("{} {}: {:.1} ms", measure.what, measure.size, measure.median_ms));
        self.measures.push(measure);
    }
}

/// All of the decoder, but of an embedding that is not the head as well one row only, which does not count.
fn weight_bytes(engine: &Engine) -> u64 {
    let tied = engine.config().text().tie_word_embeddings;
    let read = |role: Role| role.is_text() && (role != Role::Embedding || tied);
    let tensors = tensors_with_specs(engine.manifest()).filter(|(spec, _)| read(spec.role));
    tensors.flat_map(|(_, entry)| &entry.planes).map(|plane| plane.bytes).sum()
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceReport { name, backend, driver, .. } = &self.device;
        writeln!(
            f,
            "{} ({}, cache {}) on {name} ({backend}, {driver}); {}",
            self.model, self.quantization, self.kv, self.load
        )?;
        writeln!(f, "\n| what | size | ms | rate | range of ms |\n|---|---|---|---|---|")?;
        for measure in &self.measures {
            let Measure { what, size, median_ms, times, .. } = measure;
            let seconds = measure.ms_a_step() / 1e3;
            let rate = match *what {
                "prompt" => format!("{:.1} tokens/s", 1.0 / seconds),
                "decode" => {
                    let gigabytes = self.weight_bytes as f64 / 1e9 / seconds;
                    format!("{:.2} tokens/s, {gigabytes:.2} GB/s of weights", 1.0 / seconds)
                }
                _ if what.starts_with("decode") => format!("{:.2} tokens/s", 1.0 / seconds),
                _ => String::new(),
            };
            let shown = if *what == "decode" { measure.ms_a_step() } else { *median_ms };
            let (least, most) = times.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &t| (a.min(t), b.max(t)));
            writeln!(f, "| {what} | {size} | {shown:.1} | {rate} | {least:.1} to {most:.1} |")?;
        }
        Ok(())
    }
}
