//! What a token costs besides arithmetic: launches, submissions, writes, objects made, bytes bound and bytes that come back.
//! None of it may grow unnoticed: the listings here are golden.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod flops;
mod kernels;
#[path = "../memory/on_paper.rs"]
mod on_paper;
#[path = "../model/packages.rs"]
mod packages;
mod session;

use std::collections::BTreeMap;

use ocelli::config::KvPrecision;
use ocelli::families::ModelConfig;
use ocelli::gpu::{Gpu, GpuOptions, Purpose, Recording};
use ocelli::model::{KvCache, Model, decoder, forward};
use ocelli::weights::layout::Layout;
use ocelli::weights::upload::{Selection, Uploader};

/// A model of this shape whose weights are allocated, not filled: enough to record what it launches, for prompts in
/// chunks of `prompt`.
fn empty_model(gpu: &Gpu, config: &ModelConfig, layout: Layout, prompt: usize) -> Model {
    let mut manifest = on_paper::manifest(config.clone(), layout, layout);
    manifest.shards.clear();
    let mut uploader = Uploader::new(gpu, &manifest);
    let joins = decoder::joins(config.text());
    let text = Selection { joins: &joins, wanted: &forward::is_text, purpose: Purpose::TextWeights };
    uploader.want(&manifest, &text).expect("room for the weights");
    let rows = forward::Rows { text: decoder::TextRows { prompt, head: 1, step: 1 }, vision: 1024 };
    Model::new(gpu, config, rows, uploader.finish(&manifest).expect("weights")).expect("a model")
}

/// Bytes that a recording binds, each buffer once.
fn bound_bytes(recording: &Recording) -> u64 {
    let mut bound: Vec<_> = recording.dispatches().flat_map(|dispatch| &dispatch.buffers).collect();
    let mut distinct = 0;
    while let Some(slice) = bound.pop() {
        distinct += slice.bytes;
        bound.retain(|other| !(other.buffer.is(&slice.buffer) && other.offset == slice.offset));
    }
    distinct
}

/// Launches by kernel.
fn launches(recording: &Recording) -> BTreeMap<String, usize> {
    let mut launches = BTreeMap::new();
    for dispatch in recording.dispatches() {
        *launches.entry(dispatch.kernel.name().to_string()).or_default() += 1;
    }
    launches
}

/// The forward pass of a token at the shape of Ministral 3 3B.
#[test]
fn a_token_of_the_3b_shape_launches_five_kernels_a_layer_and_binds_little_but_weights() {
    // As small a binding as any device has: embedding and head come in two parts.
    let options = GpuOptions { max_binding: Some(128 << 20), ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open_with(options)).expect("a device");
    let config = on_paper::ministral_3b();
    for layout in [Layout::Q4_0, Layout::Q4_64] {
        let mut model = empty_model(&gpu, &config, layout, 16);
        let weights = gpu.ledger().rows()[Purpose::TextWeights as usize].current;
        for (position, most) in [(0, 135), (255, 135), (256, 162), (4095, 162)] {
            let mut cache = KvCache::new(&gpu, config.text(), 4096, KvPrecision::F16).expect("a cache");
            pollster::block_on(cache.reserve(position + 1)).expect("room in the cache");
            let step = model.list_step(&cache, position, gpu.kernel_config()).expect("a step");
            // The draw takes two more.
            let count = step.dispatches().count() + 2;
            println!("{layout}, position {position}: {count} launches {:?}", launches(&step));
            assert!(count <= most, "{count} launches at {position}:\n{step}");
            let tokens = (position + 1).next_multiple_of(256) as u64;
            let least = weights + tokens * KvCache::bytes_per_token(config.text(), KvPrecision::F16);
            let bound = bound_bytes(&step);
            assert!(bound * 100 <= least * 103, "{bound} bytes are bound, weights and cache are {least}");
            if layout == Layout::Q4_0 {
                insta::assert_snapshot!(format!("step_3b_at_{position}"), listing(&step));
            }
        }
    }
}

/// The launches before, in and after the first layer, which stands for all. Without their grids, which suit the device.
fn listing(step: &Recording) -> String {
    let without_grid = |line: &str| line.split(" grid=").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = step.to_string().lines().map(without_grid).collect();
    let layer = (lines.len() - 3) / 26;
    let shown = lines.iter().take(1 + layer).chain(lines.iter().skip(1 + 26 * layer));
    format!("{}\n{} launches", shown.cloned().collect::<Vec<_>>().join("\n"), lines.len())
}
