//! Recordings carried out by a processor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use ocelli_cpu::{Fault, Job, Span};

use super::Host;
use crate::error::{Error, Result};
use crate::gpu::buffer::{Owned, Slice};
use crate::gpu::device::Gpu;
use crate::gpu::lock;
use crate::gpu::recording::{Command, Recording};

/// A recording with addresses for a host. Its buffers may be freed: running it is an error then.
#[derive(Debug)]
pub(in crate::gpu) struct HostJob {
    job: Job,
    dispatches: u64,
    /// All buffers of the spans, each once.
    buffers: Vec<Weak<Owned>>,
    /// See [`Host::run`].
    checked: Mutex<Option<u64>>,
}

/// The failure of a job, which only a wrong recording or kernel causes.
fn faulty(label: &str, fault: Fault) -> Error {
    Error::Gpu { stage: label.into(), detail: format!("the processor refused a launch: {fault:?}") }
}

impl Slice {
    fn span(&self) -> Result<Span> {
        Ok(Span { at: self.buffer.host_memory()?.at + self.offset, bytes: self.bytes })
    }
}

impl HostJob {
    pub(in crate::gpu) fn of(recording: &Recording) -> Result<Self> {
        let (mut job, mut buffers) = (Job::default(), HashMap::new());
        let mut keep = |slice: &Slice| {
            buffers.entry(Arc::as_ptr(&slice.buffer.0)).or_insert_with(|| Arc::downgrade(&slice.buffer.0));
        };
        for command in recording.commands() {
            match command {
                Command::Copy(from, to) => {
                    job.copy(from.span()?, to.span()?);
                    [from, to].into_iter().for_each(&mut keep);
                }
                Command::Dispatch(dispatch, _) => {
                    let missing =
                        || Error::Internal { detail: format!("no processor runs {}", dispatch.kernel.name()) };
                    let op = dispatch.kernel.op().ok_or_else(missing)?;
                    let params: Vec<u32> = bytemuck::pod_collect_to_vec(&dispatch.params);
                    let spans = dispatch.buffers.iter().map(Slice::span).collect::<Result<Vec<_>>>()?;
                    job.launch(op, &params, dispatch.grid, spans.into_iter());
                    dispatch.buffers.iter().for_each(&mut keep);
                }
            }
        }
        let dispatches = recording.dispatches().count() as u64;
        Ok(Self { job, dispatches, buffers: buffers.into_values().collect(), checked: Mutex::default() })
    }

    fn run(&self, host: &dyn Host, label: &str) -> Result<()> {
        // Buffers that are freed while the job runs stay allocated until it ends.
        let alive: Option<Vec<_>> = self.buffers.iter().map(Weak::upgrade).collect();
        if alive.is_none() {
            return Err(Error::Internal { detail: format!("{label}: a buffer is freed") });
        }
        host.run(&self.job, &mut lock(&self.checked)).map_err(|fault| faulty(label, fault))
    }
}

impl Gpu {
    /// Runs labelled jobs in one submission. A lost device runs nothing; [`Gpu::check`] reports the loss.
    pub(in crate::gpu) fn run_jobs(&self, host: &dyn Host, jobs: &[(&str, &HostJob)]) -> Result<()> {
        self.begin_submission();
        if self.0.errors.lost().is_some() {
            return Ok(());
        }
        jobs.iter().try_for_each(|(label, job)| {
            self.count(|counters| counters.dispatches += job.dispatches);
            job.run(host, label)
        })?;
        drop(self.0.ledger.settling());
        Ok(())
    }

    /// Reads a slice, or `bytes` zeros without one.
    pub(in crate::gpu) fn read_from_host(&self, host: &dyn Host, slice: Option<&Slice>, bytes: u64) -> Result<Vec<u8>> {
        let Some(slice) = slice else { return Ok(vec![0; bytes as usize]) };
        host.read(Span { bytes, ..slice.span()? }).map_err(|fault| faulty("reading results back", fault))
    }

    /// Copies bytes into a buffer of the host.
    pub(in crate::gpu) fn write_to_host(&self, host: &dyn Host, slice: &Slice, bytes: &[u8]) -> Result<()> {
        self.begin_write();
        if self.0.errors.lost().is_some() {
            return Ok(());
        }
        let (at, padding) = (slice.span()?.at, bytes.len().next_multiple_of(4) - bytes.len());
        let padded = || host.write(at + bytes.len() as u64, &[0; 3][..padding]);
        host.write(at, bytes).and_then(|()| padded()).map_err(|fault| faulty("writing a buffer", fault))
    }
}
