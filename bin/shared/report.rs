//! Reports of memory and of loading.

use std::fmt;

use ocelli::engine::{Engine, Plan};
use ocelli::gpu::ledger::LedgerRow;
use serde::Serialize;

use super::args::MemoryArgs;
use super::io::inform;

/// Time, GPU memory and process memory of loading a package.
#[derive(Debug, Serialize)]
pub(crate) struct LoadReport {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) gpu: Vec<LedgerRow>,
    /// Peak of all purposes together.
    pub(crate) gpu_peak_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_peak_bytes: Option<u64>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let speed = self.bytes as f64 / 1e9 / self.seconds.max(1e-9);
        write!(f, "loaded {:.1} MB in {:.2} s, {speed:.2} GB/s; ", megabytes(self.bytes), self.seconds)?;
        write!(f, "GPU memory at most {:.1} MB", megabytes(self.gpu_peak_bytes))?;
        for (index, row) in self.gpu.iter().filter(|row| row.peak > 0).enumerate() {
            write!(f, "{} {:?} {:.1}", if index == 0 { ":" } else { "," }, row.purpose, megabytes(row.peak))?;
        }
        match self.resident_peak_bytes {
            Some(bytes) => write!(f, "; this process at most {:.1} MB", megabytes(bytes)),
            None => Ok(()),
        }
    }
}

/// Peak memory of this process, where the system reports it as Linux does.
pub(crate) fn resident_peak() -> Option<u64> {
    status("VmHWM:")
}

/// Memory of this process, where the system reports it as Linux does.
pub(crate) fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Writes the used GPU memory to standard error.
pub(crate) fn show_memory(engine: &Engine, memory: &MemoryArgs) {
    if !memory.show_memory {
        return;
    }
    let (_, peak) = engine.gpu().ledger().total();
    let mut text = format!("GPU memory: {} at most\n", mebibytes(peak));
    for row in engine.memory() {
        text +=
            &format!("  {:<15} {} now, {} at most\n", row.purpose.name(), mebibytes(row.current), mebibytes(row.peak));
    }
    inform(text.trim_end());
}

pub(crate) fn plan_text(plan: &Plan) -> String {
    let budget = plan.budget.map_or(String::new(), |budget| format!(" of {}", mebibytes(budget)));
    let mut text = format!(
        "plan: {} at most{budget}; context {}, cache {}, tower {}, pictures up to {} pixels, {}/{}/{} rows at a time",
        mebibytes(plan.peak),
        plan.context,
        plan.kv,
        plan.vision,
        plan.longest_edge,
        plan.rows.text.prompt,
        plan.rows.text.head,
        plan.rows.vision,
    );
    for phase in &plan.phases {
        let purposes = phase.purposes.iter().filter(|row| row.bytes > 0);
        let parts: Vec<String> =
            purposes.map(|row| format!("{} {}", row.purpose.name(), mebibytes(row.bytes))).collect();
        text += &format!("\n  {:<8} {}: {}", format!("{:?}", phase.phase), mebibytes(phase.total), parts.join(", "));
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
