//! Time of each kernel of a step, a prompt or a picture, relative to its bound.

use std::fmt;

use super::measures::Measure;
use super::peaks::Peaks;
use super::timer::{Sides, Timer};
use super::work::Work;
use crate::engine::{Engine, RequestControl};
use crate::error::{Error, Result};
use crate::gpu::Recording;
use crate::kernels::moved_bytes;

/// All launches of one kernel.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelShare {
    /// Its name.
    pub kernel: String,
    /// Number of launches.
    pub launches: usize,
    /// Bytes moved by the launches: all bound buffers, but only the used rows of an embedding.
    pub bytes: u64,
    /// FLOP, of products and attention of many rows.
    pub flops: u64,
    /// Milliseconds measured, one kernel at a time.
    pub ms: f64,
    /// Larger of the time for the bytes at the rate of a copy and for the FLOP at the peak, in milliseconds.
    pub bound_ms: f64,
}

/// Kernels of some work.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkShares {
    /// Kind of work.
    pub work: Work,
    /// Milliseconds of the whole work according to its [`Measure`]; `None` if not measured.
    pub measured_ms: Option<f64>,
    /// The whole work in one submission; `None` for work of several submissions, and where [`Peaks::launch`] is.
    pub sides: Option<Sides>,
    /// Sum of the kernels' bounds.
    pub bound_ms: f64,
    /// The kernels, in the order of their first launch.
    pub kernels: Vec<KernelShare>,
}

impl fmt::Display for WorkShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: f64 = self.kernels.iter().map(|share| share.ms).sum();
        write!(f, "{}: kernels {sum:.2} ms one by one, {:.2} ms by the device's peaks", self.work, self.bound_ms)?;
        if let Some(Sides { submit_ms, device_ms }) = self.sides {
            write!(f, ", submitted in {submit_ms:.3} ms and run in {device_ms:.3} ms")?;
        }
        self.measured_ms.map_or(Ok(()), |ms| write!(f, ", {ms:.2} ms measured"))
    }
}

/// Times the kernels of `work`; `None` if it cannot be recorded or does not fit.
pub(super) async fn measure(
    engine: &mut Engine,
    timer: &Timer,
    peaks: &Peaks,
    work: Work,
    (measures, control): (&[Measure], &RequestControl),
) -> Result<Option<WorkShares>> {
    let recordings = match record(engine, work).await {
        Err(Error::OutOfMemory { .. } | Error::BudgetTooSmall { .. } | Error::ContextOverflow { .. }) => Vec::new(),
        recordings => recordings?,
    };
    let sides = match &recordings[..] {
        [recording] if recording.flops() <= timer.gpu.most_flops() => timer.sides(recording).await?,
        _ => None,
    };
    let mut kernels: Vec<KernelShare> = Vec::new();
    for recording in recordings {
        for (kernel, launches) in recording.by_kernel() {
            control.check()?;
            let uses = kernel.needs();
            let bytes = launches.dispatches().map(moved_bytes).sum();
            let (count, flops, ms) = (launches.dispatches().count(), launches.flops(), timer.time(&launches).await?);
            let bound_ms = f64::max(bytes as f64 / peaks.copy_gb_s, flops as f64 / peaks.gops(uses)) / 1e6;
            let share = KernelShare { kernel: kernel.name().to_owned(), launches: count, bytes, flops, ms, bound_ms };
            match kernels.iter_mut().find(|known| known.kernel == share.kernel) {
                Some(known) => known.add(&share),
                None => kernels.push(share),
            }
        }
    }
    let bound_ms = kernels.iter().map(|share| share.bound_ms).sum();
    let measured = measures.iter().find(|measure| measure.is_of(work)).map(Measure::shown_ms);
    let shares = WorkShares { work, measured_ms: measured, sides, bound_ms, kernels };
    Ok(Some(shares).filter(|shares| !shares.kernels.is_empty()))
}

impl KernelShare {
    fn add(&mut self, other: &Self) {
        self.launches += other.launches;
        self.bytes += other.bytes;
        self.flops += other.flops;
        self.ms += other.ms;
        self.bound_ms += other.bound_ms;
    }
}

async fn record(engine: &mut Engine, work: Work) -> Result<Vec<Recording>> {
    match work {
        Work::Decode { tokens } => Ok(vec![engine.record_step(tokens).await?]),
        Work::Prompt { tokens } => engine.record_prompt(tokens).await,
        Work::Picture { side } => engine.record_picture(side).await,
    }
}
