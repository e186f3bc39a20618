//! A processor as a device: it carries the launches of a recording out itself, in order, before a submission returns.

pub(in crate::gpu) mod job;
#[cfg(not(target_arch = "wasm32"))]
mod native;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

pub use ocelli_cpu::{Fault, Job, Span};

use crate::error::Result;

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
    /// Most bytes of all buffers together, if the platform limits them.
    pub max_memory: Option<u64>,
}

/// Opens a processor of so many threads, or of as many as it has.
pub type OpenHost = fn(Option<usize>) -> Result<Arc<dyn Host>>;

/// Makes [`OpenHost`] possible.
pub type PrepareHost = fn() -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// Memory of a host's buffer.
#[derive(Debug)]
pub(in crate::gpu) struct HostMemory {
    host: Arc<dyn Host>,
    /// Address of the first byte.
    pub(in crate::gpu) at: u64,
}

impl HostMemory {
    pub(in crate::gpu) fn new(host: &Arc<dyn Host>, bytes: u64) -> Option<Self> {
        host.alloc(bytes).map(|at| Self { host: host.clone(), at })
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        self.host.free(self.at);
    }
}
