//! Models whose matrices exceed a binding, on a device with a very small binding limit.

use ocelli::Error;
use ocelli::config::KvPrecision;
use ocelli::families::definition;
use ocelli::gpu::{Gpu, GpuOptions};
use ocelli::layout::Layout;
use ocelli::memory::{MemoryOptions, plan};
use ocelli::package::manifest::{MANIFEST_FILE, Manifest};

use super::engine_agrees;
use super::golden::cases;
use crate::packages::{load_on, pack};

/// The smallest device, in powers of two, that runs the model like a large one: with a cache of 32-bit floats and pictures of their full
/// size.
fn smallest_binding(manifest: &Manifest, context: usize) -> u64 {
    let memory_options =
        MemoryOptions { context: Some(context), kv: Some(KvPrecision::F32), ..MemoryOptions::default() };
    // No larger picture is used here.
    let edge = definition(&manifest.config).pictures().map_or(0, |pictures| pictures.largest_edge().min(280));
    let runs = |max_binding: &u64| match plan(manifest, *max_binding, memory_options) {
        Ok(plan) => plan.longest_edge >= edge,
        Err(Error::LimitsTooSmall { needed, available, .. }) => {
            assert!(needed > available && available == *max_binding, "{needed} of {available}");
            false
        }
        Err(error) => panic!("{error}"),
    };
    (10..32).map(|power| 1 << power).find(runs).expect("some device runs it")
}

pub(crate) fn agrees(checkpoint: &str, layout: Layout, quant: &str) {
    pollster::block_on(async {
        let (files, cases) = (pack(checkpoint, layout).await, cases(checkpoint, quant));
        let manifest = Manifest::parse(&files[MANIFEST_FILE]).expect("a manifest");
        let context = cases.iter().map(|case| case.input_ids.len() + case.greedy.len()).max().expect("a case");
        let max_binding = smallest_binding(&manifest, context);
        let largest = manifest.tensors.iter().flat_map(|tensor| &tensor.planes).map(|plane| plane.bytes).max();
        let is_cut = largest.expect("planes") > max_binding;
        // The cache of a long text needs a larger binding than the matrices.
        let must_be = layout == Layout::F32 && manifest.config.vision().is_some();
        assert!(is_cut || !must_be, "some matrix is cut: {largest:?} of {max_binding}");
        let gpu = Gpu::open_with(GpuOptions { max_binding: Some(max_binding), ..GpuOptions::default() })
            .await
            .expect("a device");
        let mut engine = load_on(&gpu, &files, context, Some(KvPrecision::F32)).await;
        println!("{checkpoint} {layout}: {max_binding} bytes a binding, {:?}", engine.plan().rows);
        engine_agrees(&mut engine, &format!("{checkpoint} {layout} in parts"), cases).await;
    });
}
