//! Cost of a token besides arithmetic: launches, submissions, writes, objects created, bytes bound and bytes read back. The listings are
//! golden, so that no increase goes unnoticed.

mod flops;
mod idefics3;
mod kernels;
mod lines;
mod lines_of_rows;
mod minicpmv4_6;
mod mllama;
mod pieces;
mod qwen;
mod session;
mod together;

use crate::manifests;
use std::collections::BTreeMap;

use ocelli::config::KvPrecision;
use ocelli::families::ModelConfig;
use ocelli::gpu::{Allocator, DeviceClass, DryDevice, KernelConfig, Recording};
use ocelli::layers::{TextRows, Workspace};
use ocelli::layout::Layout;
use ocelli::model::DryModel;
use ocelli::state::State;

/// Hardware without optional features.
const HARDWARE: KernelConfig = KernelConfig::of(DeviceClass::Hardware);

/// A dry model of this shape. With the smallest binding limit of any device, embedding and head have two parts each.
fn dry_model(config: &ModelConfig, layout: Layout, vision: Layout) -> DryModel {
    let mut manifest = manifests::manifest(config.clone(), layout, vision);
    manifest.shards.clear();
    DryModel::new(&manifest, DryDevice::new(128 << 20, 10), HARDWARE).expect("a model")
}

/// Its buffers for prompts in chunks of `prompt`, and a state with room for `entries`.
fn buffers(model: &DryModel, prompt: usize, entries: usize) -> (Workspace, State) {
    let (device, text) = (DryDevice::new(u64::MAX, model.device.max_bindings()), &model.decoder.config);
    let rows = TextRows { prompt, head: 1, step: 1 };
    let work = Workspace::new(&device, text, rows, 8192).expect("a workspace");
    let room = entries.next_multiple_of(256);
    (work, State::with_room(&device, text, KvPrecision::F16, (room, 1)).expect("a state"))
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
    let config = manifests::ministral_3b();
    for layout in [Layout::Q4_0, Layout::Q4_64] {
        let model = dry_model(&config, layout, layout);
        for (position, most) in [(0, 135), (255, 135), (256, 161), (4095, 161), (8191, 161)] {
            let (work, state) = buffers(&model, 16, position + 1);
            let step = model.step(&work, &state, position, 1).expect("a step");
            // The draw takes two more.
            let count = step.dispatches().count() + 2;
            println!("{layout}, position {position}: {count} launches {:?}", launches(&step));
            assert!(count <= most, "{count} launches at {position}:\n{step}");
            let tokens = (position + 1).next_multiple_of(256) as u64;
            let least = model.text_bytes + tokens * State::entry_bytes(config.text(), KvPrecision::F16);
            let bound = bound_bytes(&step);
            assert!(bound * 100 <= least * 103, "{bound} bytes are bound, weights and cache are {least}");
            if layout == Layout::Q4_0 {
                insta::assert_snapshot!(format!("step_3b_at_{position}"), listing(&step));
            }
        }
    }
}

/// The launches before, in and after the first layer, which represents all layers; without grids, which depend on the device.
fn listing(step: &Recording) -> String {
    let without_grid = |line: &str| line.split(" grid=").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = step.to_string().lines().map(without_grid).collect();
    let layer = (lines.len() - 3) / 26;
    let shown = lines.iter().take(1 + layer).chain(lines.iter().skip(1 + 26 * layer));
    format!("{}\n{} launches", shown.cloned().collect::<Vec<_>>().join("\n"), lines.len())
}
