//! The figures of a run, as data and as Markdown.

use std::fmt;

use super::measures::{Measure, What};
use super::peaks::Peaks;
use super::shares::WorkShares;
use crate::config::KvPrecision;
use crate::engine::Engine;
use crate::families::Role;
use crate::gpu::DeviceReport;
use crate::package::selection::tensors_with_specs;

/// Figures of a model on a device.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchReport {
    /// Version of this crate.
    pub version: &'static str,
    /// Name of the model.
    pub model: String,
    /// Quantisation of the weights.
    pub quantization: String,
    /// Precision of the KV cache.
    pub kv: KvPrecision,
    /// The device.
    pub device: DeviceReport,
    /// Milliseconds of the kernels' self-test.
    pub self_test_ms: f64,
    /// Bytes of weights read for one token.
    pub weight_bytes: u64,
    /// Whole requests and their parts.
    pub measures: Vec<Measure>,
    /// Peak rates of the device.
    pub peaks: Option<Peaks>,
    /// Kernels, one by one.
    pub works: Vec<WorkShares>,
}

impl BenchReport {
    /// A report without measurements.
    pub(super) fn of(engine: &Engine) -> Self {
        let manifest = engine.manifest();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            model: manifest.name.clone(),
            quantization: manifest.quantization.to_string(),
            kv: engine.plan().kv,
            device: engine.gpu().report().clone(),
            self_test_ms: engine.self_test().ms,
            weight_bytes: weight_bytes(engine),
            measures: Vec::new(),
            peaks: None,
            works: Vec::new(),
        }
    }

    fn rate(&self, measure: &Measure) -> String {
        let seconds = measure.ms_a_step() / 1e3;
        match measure.what {
            What::Prompt => format!("{:.1} tokens/s", 1.0 / seconds),
            What::Decode => {
                let gigabytes = self.weight_bytes as f64 / 1e9 / seconds;
                format!("{:.2} tokens/s, {gigabytes:.2} GB/s of weights", 1.0 / seconds)
            }
            What::DraftsOf3 | What::DraftsOf7 | What::Together => format!("{:.2} tokens/s", 1.0 / seconds),
            What::FirstToken | What::Picture | What::PictureToFirstToken => String::new(),
        }
    }
}

/// All weights of the decoder, except an embedding that is not the head: only one row of it is read, which is negligible.
fn weight_bytes(engine: &Engine) -> u64 {
    let tied = engine.config().text().tie_word_embeddings;
    let read = |role: Role| role.is_text() && role != Role::Rows && (role != Role::Embedding || tied);
    let tensors = tensors_with_specs(engine.manifest()).filter(|(spec, _)| read(spec.role));
    tensors.flat_map(|(_, entry)| &entry.planes).map(|plane| plane.bytes).sum()
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceReport { name, backend, driver, .. } = &self.device;
        writeln!(
            f,
            "{} ({}, cache {}) on {name} ({backend}, {driver}), Ocelli {}",
            self.model, self.quantization, self.kv, self.version
        )?;
        writeln!(f, "\n| what | size | ms | rate | range of ms |\n|---|---|---|---|---|")?;
        for measure in &self.measures {
            let Measure { what, size, times, .. } = measure;
            let (least, most) = times.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &t| (a.min(t), b.max(t)));
            let (ms, rate) = (measure.shown_ms(), self.rate(measure));
            writeln!(f, "| {what} | {size} | {ms:.1} | {rate} | {least:.1} to {most:.1} |")?;
        }
        let Some(peaks) = &self.peaks else { return Ok(()) };
        writeln!(f, "\nThe device at best: {peaks}.")?;
        for shares in &self.works {
            writeln!(
                f,
                "\n{shares}\n\n| kernel | launches | ms | GB/s | GFLOP/s | of its bound |\n|---|---|---|---|---|---|"
            )?;
            for share in &shares.kernels {
                let rate = |amount: u64| amount as f64 / share.ms / 1e6;
                writeln!(
                    f,
                    "| {} | {} | {:.3} | {:.2} | {:.2} | {:.0} % |",
                    share.kernel,
                    share.launches,
                    share.ms,
                    rate(share.bytes),
                    rate(share.flops),
                    100.0 * share.bound_ms / share.ms
                )?;
            }
        }
        Ok(())
    }
}
