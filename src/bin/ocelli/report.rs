//! What loading a package took: time, GPU memory, this process's own.

use std::fmt;

use ocelli::engine::Engine;
use ocelli::gpu::ledger::LedgerRow;
use serde::Serialize;

/// The figures of one load.
#[derive(Debug, Serialize)]
pub(crate) struct LoadReport {
    bytes: u64,
    seconds: f64,
    gpu: Vec<LedgerRow>,
    /// The most there was at a time, all purposes together.
    gpu_peak_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_peak_bytes: Option<u64>,
}

impl LoadReport {
    /// The figures of an engine that took so long to load.
    pub(crate) fn new(engine: &Engine, seconds: f64) -> Self {
        Self {
            bytes: engine.manifest().total_bytes(),
            seconds,
            gpu: engine.memory(),
            gpu_peak_bytes: engine.gpu().ledger().total().1,
            resident_peak_bytes: resident_peak(),
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let speed = self.bytes as f64 / 1e9 / self.seconds.max(1e-9);
        write!(f, "loaded {:.1} MB in {:.2} s, {speed:.2} GB/s; ", megabytes(self.bytes), self.seconds)?;
        write!(f, "GPU memory at most {:.1} MB", megabytes(self.gpu_peak_bytes))?;
        for (index, row) in self.gpu.iter().filter(|row| row.peak > 0).enumerate() {
            let name = format!("{:?}", row.purpose);
            write!(f, "{} {name} {:.1}", if index == 0 { ":" } else { "," }, megabytes(row.peak))?;
        }
        match self.resident_peak_bytes {
            Some(bytes) => write!(f, "; this process at most {:.1} MB", megabytes(bytes)),
            None => Ok(()),
        }
    }
}

/// The most memory that this process has had, where the system says it as Linux does.
fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
