//! The processor of a native process.

use std::future::ready;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::available_parallelism;

use ocelli_cpu::InstructionSet;
use ocelli_cpu::native::Machine;

use super::{Fault, Host, HostReport, Job, Span};
use crate::error::{Error, Result};
use crate::gpu::options::{BrowserCaps, GpuOptions};

/// The kind of device of those options that name none, for tests and containers: `auto`, `gpu` or `cpu`.
const DEVICE_VARIABLE: &str = "OCELLI_DEVICE";
/// Threads of the processor.
const THREADS_VARIABLE: &str = "OCELLI_THREADS";
/// Instruction set of the processor, if not the fastest.
const ISA_VARIABLE: &str = "OCELLI_ISA";

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            device: read(DEVICE_VARIABLE).unwrap_or_default(),
            falls_back: false,
            host: Some(open),
            prepare_host: None,
            threads: read(THREADS_VARIABLE),
            max_binding: None,
            max_flops: None,
            browser_caps: BrowserCaps::default(),
            compile_ahead: None,
            command_lists: None,
            faults: None,
        }
    }
}

fn read<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Opens the processor of this machine, with its fastest instruction set.
///
/// # Errors
/// [`Error::WebgpuUnavailable`] if no thread can be started.
fn open(threads: Option<usize>) -> Result<Arc<dyn Host>> {
    let threads = threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let wanted = std::env::var(ISA_VARIABLE).ok();
    let sets = InstructionSet::detected();
    let is_wanted = |set: &&InstructionSet| wanted.as_ref().is_none_or(|name| set.name().eq_ignore_ascii_case(name));
    let unavailable = |reason: String| Error::WebgpuUnavailable { reason };
    let set = sets.iter().find(is_wanted).ok_or_else(|| {
        let names: Vec<_> = sets.iter().map(|set| set.name()).collect();
        let wanted = wanted.clone().unwrap_or_default();
        unavailable(format!("this processor has no instruction set {wanted}, only {}", names.join(", ")))
    })?;
    let machine = Machine::new(*set, threads).map_err(|error| unavailable(error.to_string()))?;
    Ok(Arc::new(NativeHost(machine)))
}

#[derive(Debug)]
struct NativeHost(Machine);

impl Host for NativeHost {
    fn report(&self) -> HostReport {
        let (name, threads) = (std::env::consts::ARCH.into(), self.0.threads());
        HostReport {
            name,
            instructions: self.0.set().name().into(),
            threads,
            max_buffer: isize::MAX as u64,
            max_memory: None,
        }
    }

    fn alloc(&self, bytes: u64) -> Option<u64> {
        self.0.alloc(bytes)
    }

    fn free(&self, at: u64) {
        self.0.free(at);
    }

    fn write(&self, at: u64, bytes: &[u8]) -> std::result::Result<(), Fault> {
        self.0.write(at, bytes)
    }

    fn read(&self, span: Span) -> std::result::Result<Vec<u8>, Fault> {
        self.0.read(span)
    }

    fn run(&self, job: &Job, checked: &mut Option<u64>) -> std::result::Result<(), Fault> {
        self.0.run(job, checked)
    }

    fn give_way(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(ready(()))
    }
}
