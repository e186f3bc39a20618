//! A processor as a device: it carries the launches of a recording out itself, in order, before a submission returns.

#[cfg(not(target_arch = "wasm32"))]
mod native;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};

pub use ocelli_cpu::{Fault, Job, Span};

use crate::error::{Error, Result};
use crate::gpu::buffer::{Owned, Slice};
use crate::gpu::device::{DeviceReport, Gpu};
use crate::gpu::features::Features;
use crate::gpu::kernel_config::DeviceClass;
use crate::gpu::lock;
use crate::gpu::recording::{Command, Recording};

/// A processor with memory of its own.
pub trait Host: fmt::Debug + wgpu::WasmNotSendSync {
    /// Its description.
    fn report(&self) -> HostReport;

    /// The address of a new buffer of zeros; `None` if there is no memory for it.
    fn alloc(&self, bytes: u64) -> Option<u64>;

    /// Frees the buffer at an address.
    fn free(&self, at: u64);

    /// Copies bytes into a buffer.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`].
    fn write(&self, at: u64, bytes: &[u8]) -> std::result::Result<(), Fault>;

    /// The bytes of a span.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`].
    fn read(&self, span: Span) -> std::result::Result<Vec<u8>, Fault>;

    /// Carries out a job. `checked` is kept with the job between runs.
    ///
    /// # Errors
    /// A [`Fault`].
    fn run(&self, job: &Job, checked: &mut Option<u64>) -> std::result::Result<(), Fault>;

    /// Completes after other tasks of the thread had a turn.
    fn give_way(&self) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// Description of a processor.
#[derive(Debug, Clone)]
pub struct HostReport {
    /// Its name, if known.
    pub name: String,
    /// Its instruction set.
    pub instructions: String,
    /// Number of threads.
    pub threads: usize,
    /// Most bytes of a buffer.
    pub max_buffer: u64,
}

/// Opens a processor of so many threads, or of as many as it has.
pub type OpenHost = fn(Option<usize>) -> Result<Arc<dyn Host>>;

/// Memory of a host's buffer.
#[derive(Debug)]
pub(super) struct HostMemory {
    host: Arc<dyn Host>,
    at: u64,
}

impl HostMemory {
    pub(super) fn new(host: &Arc<dyn Host>, bytes: u64) -> Option<Self> {
        host.alloc(bytes).map(|at| Self { host: host.clone(), at })
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        self.host.free(self.at);
    }
}

/// A recording with addresses for a host. Its buffers may be freed: running it is an error then.
#[derive(Debug)]
pub(super) struct HostJob {
    job: Job,
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
    pub(super) fn of(recording: &Recording) -> Result<Self> {
        let (mut job, mut buffers) = (Job::default(), Vec::new());
        for command in recording.commands() {
            match command {
                Command::Copy(from, to) => {
                    job.copy(from.span()?, to.span()?);
                    buffers.extend([from, to].map(|slice| Arc::downgrade(&slice.buffer.0)));
                }
                Command::Dispatch(dispatch, _) => {
                    let missing =
                        || Error::Internal { detail: format!("no processor runs {}", dispatch.kernel.name()) };
                    let op = dispatch.kernel.op().ok_or_else(missing)?;
                    let params: Vec<u32> = bytemuck::pod_collect_to_vec(&dispatch.params);
                    let spans = dispatch.buffers.iter().map(Slice::span).collect::<Result<Vec<_>>>()?;
                    job.launch(op, &params, dispatch.grid, spans.into_iter());
                    buffers.extend(dispatch.buffers.iter().map(|slice| Arc::downgrade(&slice.buffer.0)));
                }
            }
        }
        Ok(Self { job, buffers, checked: Mutex::default() })
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
    pub(super) fn run_jobs(&self, host: &dyn Host, jobs: &[(&str, &HostJob)]) -> Result<()> {
        self.begin_submission();
        if self.0.errors.lost().is_some() {
            return Ok(());
        }
        jobs.iter().try_for_each(|(label, job)| {
            self.count(|counters| counters.dispatches += job.dispatches());
            job.run(host, label)
        })?;
        drop(self.0.ledger.settling());
        Ok(())
    }

    /// Reads a slice, or `bytes` zeros without one.
    pub(super) fn read_from_host(&self, host: &dyn Host, slice: Option<&Slice>, bytes: u64) -> Result<Vec<u8>> {
        let Some(slice) = slice else { return Ok(vec![0; bytes as usize]) };
        host.read(Span { bytes, ..slice.span()? }).map_err(|fault| faulty("reading results back", fault))
    }

    /// Copies bytes into a buffer of the host.
    pub(super) fn write_to_host(&self, host: &dyn Host, slice: &Slice, bytes: &[u8]) -> Result<()> {
        self.begin_write();
        if self.0.errors.lost().is_some() {
            return Ok(());
        }
        let (at, padding) = (slice.span()?.at, bytes.len().next_multiple_of(4) - bytes.len());
        let padded = || host.write(at + bytes.len() as u64, &[0; 3][..padding]);
        host.write(at, bytes).and_then(|()| padded()).map_err(|fault| faulty("writing a buffer", fault))
    }
}

impl HostJob {
    fn dispatches(&self) -> u64 {
        ocelli_cpu::Commands::of(self.job.words())
            .filter(|command| matches!(command, Ok(ocelli_cpu::Command::Launch(_))))
            .count() as u64
    }
}

impl HostReport {
    pub(super) fn device(&self) -> DeviceReport {
        DeviceReport {
            name: self.name.clone(),
            backend: "Cpu".into(),
            driver: self.instructions.clone(),
            max_storage_buffer_binding_size: self.max_buffer,
            max_buffer_size: self.max_buffer,
            class: DeviceClass::Processor,
            features: Features::NONE,
            subgroup_sizes: [0, 0],
            threads: Some(self.threads),
        }
    }
}
