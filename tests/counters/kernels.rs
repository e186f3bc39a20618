//! What each kernel of a step asks of hardware, and what a step can take at best on devices whose bandwidth is known.

use std::fmt::Write;

use naga::AddressSpace;
use ocelli::config::KvPrecision;
use ocelli::gpu::{DeviceClass, Dispatch, Gpu, GpuOptions, Recording, Ways};
use ocelli::model::KvCache;
use ocelli::weights::layout::Layout;

use crate::{bound_bytes, empty_model, on_paper};

/// Bandwidth in GB/s of devices that people have, and what the best kernels reach of it.
const DEVICES: [(&str, f64, f64); 8] = [
    ("M1", 68.0, 0.75),
    ("M4", 120.0, 0.75),
    ("M4 Pro", 273.0, 0.75),
    ("Iris Xe", 77.0, 0.65),
    ("Radeon 780M", 90.0, 0.65),
    ("RTX 3060", 360.0, 0.75),
    ("RTX 4090", 1008.0, 0.75),
    ("Adreno 750", 77.0, 0.55),
];
/// Seconds between two launches that wait for each other.
const GAP: f64 = 5e-6;

/// Threads of a workgroup, bytes of workgroup memory, barriers in the text.
fn shape(dispatch: &Dispatch) -> (u32, u32, usize) {
    let source = dispatch.kernel.source();
    let module = naga::front::wgsl::parse_str(&source).expect("valid WGSL");
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    let bytes = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
    let [x, y, z] = module.entry_points[0].workgroup_size;
    (x * y * z, bytes, source.matches("workgroupBarrier()").count())
}

/// A line for each kernel: how often, workgroups, threads, workgroup memory, barriers, bytes bound.
fn table(step: &Recording) -> String {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for dispatch in step.dispatches() {
        let [x, y, z] = dispatch.grid;
        let (threads, shared, barriers) = shape(dispatch);
        let bound: u64 = dispatch.buffers.iter().map(|slice| slice.bytes).sum();
        let line = format!(
            "{:<34} {:>5} workgroups of {threads:>3}, {shared:>5} bytes shared, {barriers} barriers, {bound:>9} bytes bound",
            dispatch.kernel.name,
            x * y * z
        );
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => lines.push((line, 1)),
        }
    }
    lines.into_iter().map(|(line, count)| format!("{count:>3} x {line}\n")).collect()
}

/// Tokens a second by bandwidth and launches alone.
fn roofline(bytes: u64, launches: usize) -> String {
    let mut text = String::new();
    for (name, bandwidth, share) in DEVICES {
        let limit = bandwidth * 1e9 / bytes as f64;
        let seconds = bytes as f64 / (bandwidth * 1e9 * share) + launches as f64 * GAP;
        writeln!(
            text,
            "{name:<12} {bandwidth:>5} GB/s: at most {limit:>4.0} tokens/s, {:>4.0} to be had",
            seconds.recip()
        )
        .expect("a line");
    }
    text
}

#[test]
fn what_each_kernel_of_a_step_asks_of_hardware_is_known() {
    let options = GpuOptions { max_binding: Some(128 << 20), ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open_with(options)).expect("a device");
    let config = on_paper::ministral_3b();
    let mut model = empty_model(&gpu, &config, Layout::Q4_0);
    for tokens in [256, 1024] {
        let mut cache = KvCache::new(&gpu, &config.text, 4096, KvPrecision::F16).expect("a cache");
        pollster::block_on(cache.reserve(tokens)).expect("room in the cache");
        let step = model.list_step(&cache, tokens - 1, Ways::of(DeviceClass::Hardware)).expect("a step");
        let (bytes, launches) = (bound_bytes(&step), step.dispatches().count() + 2);
        let text = format!("{}\n{bytes} bytes, {launches} launches\n\n{}", table(&step), roofline(bytes, launches));
        insta::assert_snapshot!(format!("kernels_3b_behind_{tokens}"), text);
    }
}
