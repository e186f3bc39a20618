//! Classes of devices by their names and sizes, and the memory of a processor.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use ocelli::engine::{Engine, LoadOptions, ShardFuture, ShardSource};
use ocelli::error::{Error, Result};
use ocelli::gpu::host::{Fault, Job, Span};
use ocelli::gpu::{DeviceChoice, DeviceClass, Gpu, GpuOptions, Host, HostReport};

#[test]
fn small_subgroups_tell_which_gpus_have_few_registers() {
    // Iris Xe, Mali; then Apple, NVIDIA, AMD, Adreno, and browsers that hide the sizes.
    let few = |sizes| DeviceClass::Hardware.has_few_registers("", sizes);
    assert_eq!([[8, 32], [16, 16]].map(few), [true; 2]);
    assert_eq!([[4, 64], [32, 32], [32, 64], [64, 128], [4, 128], [0, 0]].map(few), [false; 6]);
    assert!(!DeviceClass::SlowCompiler.has_few_registers("", [8, 8]));
}

#[test]
fn where_browsers_hide_the_sizes_of_subgroups_names_tell_which_gpus_have_few_registers() {
    let few = |name: &&str| DeviceClass::Hardware.has_few_registers(name, [0, 0]);
    let are_few = [
        "intel gen-12lp",
        "Intel(R) HD Graphics, or similar",
        "arm valhall",
        "ANGLE (ARM, Mali-G78, OpenGL ES 3.2)",
        "PowerVR Rogue GE8320",
        "broadcom v3d VideoCore VI",
    ];
    let are_many = ["apple metal-3", "nvidia lovelace", "amd rdna-2", "qualcomm adreno-7xx", "Charm 5", ""];
    assert_eq!(are_few.iter().map(few).collect::<Vec<_>>(), [true; 6]);
    assert_eq!(are_many.iter().map(few).collect::<Vec<_>>(), [false; 6]);
    assert!(!DeviceClass::Software.has_few_registers("intel", [0, 0]));
}

/// Bytes that [`Small`] has for all buffers.
const MAX_MEMORY: u64 = 1 << 20;

/// A processor that is never used.
#[derive(Debug)]
struct Small;

impl Host for Small {
    fn report(&self) -> HostReport {
        HostReport {
            name: "small".into(),
            instructions: "none".into(),
            threads: 1,
            max_buffer: 1 << 32,
            max_memory: Some(MAX_MEMORY),
        }
    }

    fn alloc(&self, _: u64) -> Option<u64> {
        None
    }

    fn free(&self, _: u64) {}

    fn write(&self, _: u64, _: &[u8]) -> std::result::Result<(), Fault> {
        Err(Fault::OutOfBounds)
    }

    fn read(&self, _: Span) -> std::result::Result<Vec<u8>, Fault> {
        Err(Fault::OutOfBounds)
    }

    fn run(&self, _: &Job, _: &mut Option<u64>) -> std::result::Result<(), Fault> {
        Err(Fault::Malformed)
    }

    fn give_way(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async {})
    }
}

/// Shards that cannot be read.
#[derive(Debug)]
struct Unread;

impl ShardSource for Unread {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        Box::pin(async move { Err(Error::Internal { detail: format!("shard {index} was read") }) })
    }
}

/// Regression: a page's processor took a model that is larger than the memory of its module, and failed after the download.
#[test]
fn a_model_larger_than_the_memory_of_the_processor_is_refused_before_a_shard_is_read() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/demo");
    let [manifest, tokenizer] =
        ["model.json", "tokenizer.json"].map(|file| std::fs::read(demo.join(file)).expect("a file"));
    let open = |_| -> Result<Arc<dyn Host>> { Ok(Arc::new(Small)) };
    let options = GpuOptions { device: DeviceChoice::Cpu, host: Some(open), ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open_with(options)).expect("a device");
    let options = LoadOptions::new(|| 0.0);
    let mut ignore = |_| ();
    let loaded = Engine::load(&gpu, &manifest, &tokenizer, Box::new(Unread), options, &mut ignore);
    let error = pollster::block_on(loaded).map(drop).expect_err("a refusal");
    assert!(
        matches!(error, Error::BudgetTooSmall { budget: MAX_MEMORY, needed, .. } if needed > MAX_MEMORY),
        "{error}"
    );
}
