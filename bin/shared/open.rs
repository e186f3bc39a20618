//! Loading a package.

use std::path::Path;
use std::time::Instant;

use ocelli::Result;
use ocelli::engine::{Engine, LoadEvent, LoadOptions, PictureLimits, tuning_key};
use ocelli::gpu::{Gpu, GpuOptions};
use ocelli::package::Package;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};
use ocelli::package::source::Directory;

use super::args::MemoryArgs;
use super::io::{inform, read, warn};
use super::progress::bar;
use super::report::{LoadReport, plan_text, resident_peak};
use super::tuning;
use super::units::{milliseconds, today};

/// Longest context in tokens that is chosen by default.
const LONGEST_CONTEXT: usize = 32_768;

/// Checks that there is a package in a directory.
///
/// # Errors
/// `io`, or that of a malformed manifest.
pub(crate) fn check(package: &Path) -> Result<()> {
    Manifest::parse(&read(&package.join(MANIFEST_FILE))?).map(drop)
}

/// Loads a package from a directory, with progress and a report on standard error.
pub(crate) async fn engine(package: &Path, context: Option<usize>, memory: &MemoryArgs) -> Result<Engine> {
    watched(package, context, memory, &|| {}).await
}

/// The same; calls `alive` at each sign of progress.
pub(crate) async fn watched(
    package: &Path,
    context: Option<usize>,
    memory: &MemoryArgs,
    alive: &dyn Fn(),
) -> Result<Engine> {
    let (engine, report) = load_watched(package, context, memory, alive).await?;
    if memory.verbose || memory.show_memory {
        inform(&report.to_string());
    }
    Ok(engine)
}

/// Loads a package from a directory, with progress on standard error.
pub(crate) async fn load(package: &Path, context: Option<usize>, memory: &MemoryArgs) -> Result<(Engine, LoadReport)> {
    load_watched(package, context, memory, &|| {}).await
}

async fn load_watched(
    package: &Path,
    context: Option<usize>,
    memory: &MemoryArgs,
    alive: &dyn Fn(),
) -> Result<(Engine, LoadReport)> {
    let gpu = Gpu::open_with(GpuOptions { max_binding: memory.max_binding, ..memory.device.options() }).await?;
    if let Some(threads) = gpu.report().threads {
        inform(&format!("computing on the processor ({}, {threads} threads)", gpu.report().driver));
    }
    let opened = Package::open(Directory(package.to_path_buf())).await?;
    let manifest = read(&package.join(MANIFEST_FILE))?;
    let key = tuning_key(&gpu, &manifest, memory.arithmetic);
    let options = LoadOptions {
        context,
        longest_context: Some(LONGEST_CONTEXT),
        kv_precision: memory.kv,
        vision: memory.vision,
        gpu_memory_budget: memory.gpu_memory_budget,
        tune: memory.tune,
        arithmetic: memory.arithmetic,
        tuned: tuning::recall(&key),
        speculation: memory.speculation,
        pictures: PictureLimits { max_pixels: memory.max_pixels, max_seconds: memory.max_picture_seconds },
        today,
        ..LoadOptions::new(milliseconds)
    };
    let tokenizer = opened.read_tokenizer().await?;
    let bar = bar("loading {bar:40} {bytes} of {total_bytes}");
    bar.set_length(opened.manifest.total_bytes());
    let start = Instant::now();
    let mut on_event = |event| {
        alive();
        match event {
            LoadEvent::Bytes(bytes) => bar.inc(bytes),
            LoadEvent::Trial(tuned) => tuning::remember(&key, tuned),
            LoadEvent::Kernels { .. } => {}
            LoadEvent::Processor { reason, .. } => {
                warn(&format!("warning: computing on the processor, because {reason}"));
            }
        }
    };
    let engine = Engine::load(&gpu, &manifest, &tokenizer, Box::new(opened), options, &mut on_event).await;
    bar.finish_and_clear();
    let engine = engine?;
    // The processor may have replaced the GPU.
    tuning::remember(&tuning_key(engine.gpu(), &manifest, memory.arithmetic), engine.tuned());
    if memory.show_memory {
        inform(&plan_text(engine.plan()));
    }
    let report = LoadReport {
        bytes: engine.manifest().total_bytes(),
        seconds: start.elapsed().as_secs_f64(),
        gpu: engine.memory(),
        gpu_peak_bytes: engine.gpu().ledger().total().1,
        resident_peak_bytes: resident_peak(),
    };
    Ok((engine, report))
}
