//! The vision stack without a family: a SigLIP tower agrees with `transformers` in its hidden states.

mod siglip;

use half::f16;
use ocelli::config::{ImageGrid, KvPrecision};
use ocelli::families::{Role, TensorSpec};
use ocelli::gpu::{Allocator, Gpu, Purpose};
use ocelli::layers::vision::{FeatureRows, Pixels, TowerMemory};
use ocelli::layout::Layout;
use ocelli::layout::quant::encode_rows;
use ocelli::package::manifest::{FileEntry, Manifest, TensorEntry};
use ocelli::package::upload::{Selection, Uploader};
use ocelli::weights::WeightStore;
use safetensors::SafeTensors;

use crate::device::gpu;
use crate::manifests::{manifest, ministral_3b};
use crate::model::golden::largest_difference;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/siglip.safetensors");

/// The tensors of a tower on the device: matrices in 16 bits, vectors in 32.
fn upload(gpu: &Gpu, file: &SafeTensors<'_>) -> WeightStore {
    let (mut stream, mut tensors, mut specs) = (Vec::new(), Vec::new(), Vec::new());
    for (name, view) in file.tensors().into_iter().filter(|(name, _)| name.starts_with("vision.")) {
        let shape = view.shape();
        let numbers: Vec<f32> =
            view.data().as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).into()).collect();
        let layout = if shape.len() == 1 { Layout::F32 } else { Layout::F16 };
        let mut planes = [Vec::new()];
        match shape {
            [_, cols] => encode_rows(layout, *cols, &numbers, &mut planes).expect("numbers of 16 bits"),
            _ => planes[0].extend(bytemuck::cast_slice(&numbers)),
        }
        let place = serde_json::json!({ "offset": stream.len(), "bytes": planes[0].len() });
        let entry = serde_json::json!({ "name": name, "shape": shape, "layout": layout, "planes": [place] });
        tensors.push(serde_json::from_value::<TensorEntry>(entry).expect("an entry"));
        specs.push(TensorSpec::new(name, shape, Role::Vision(0)));
        stream.append(&mut planes[0]);
        stream.resize(stream.len().next_multiple_of(256), 0);
    }
    // The rest of the manifest is not read.
    let shards = vec![FileEntry { file: "shard".into(), bytes: stream.len() as u64, sha256: String::new() }];
    let manifest = Manifest { tensors, shards, ..manifest(ministral_3b(), Layout::F16, Layout::F16) };
    let mut uploader = Uploader::new(gpu, &manifest);
    let selection = Selection { tensors: specs, purpose: Purpose::VisionWeights };
    uploader.select(&manifest, &selection).expect("room for the weights");
    uploader.push_shard(&manifest, 0, &stream).expect("a shard");
    uploader.finish(&manifest).expect("weights")
}

/// The hidden states after the last norm, computed as `memory` says.
fn states(file: &SafeTensors<'_>, memory: TowerMemory) -> Vec<f32> {
    let (gpu, mut weights) = (gpu(), upload(gpu(), file));
    let rgb = file.tensor("pixels").expect("a picture");
    let grid = ImageGrid::new(1, 1);
    let pixels = Pixels { width: rgb.shape()[1], height: rgb.shape()[0], grid, rgb: rgb.data() };
    let mut tower = siglip::tower();
    assert_eq!(memory.rows % tower.row_alignment(), 0, "whole squares, at offsets that can be bound");
    tower.begin(gpu, &pixels, memory).expect("work memory");
    let bytes = tower.rows(&pixels) * siglip::HIDDEN * size_of::<f32>();
    let features = gpu.alloc("features", Purpose::Features, bytes as u64).expect("memory");
    for stage in 0..tower.stages() {
        tower.load(stage, &mut weights).expect("weights");
        let mut recording = gpu.recording();
        tower.record(stage, &mut recording, FeatureRows { buffer: &features, first: 0 }).expect("a stage");
        gpu.run("vision", &recording).expect("a run");
    }
    pollster::block_on(gpu.read_as(&features.slice(0..bytes as u64))).expect("states")
}

#[test]
fn a_siglip_tower_is_a_configuration_of_the_vision_stack() {
    let bytes = std::fs::read(FILE).expect("a fixture");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let expected = file.tensor("states").expect("states");
    let expected: Vec<f32> = expected.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    // In one chunk of rows and in two.
    for (rows, precision) in [(144, KvPrecision::F32), (72, KvPrecision::F32), (72, KvPrecision::F16)] {
        let difference = largest_difference(&states(&file, TowerMemory { rows, precision }), &expected);
        println!("{rows} rows at a time, {precision:?}: {difference:.1e} from transformers");
        assert!(difference < 2e-3, "{rows} rows at a time, {precision:?}: {difference} from transformers");
    }
}
