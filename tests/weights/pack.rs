//! Whole checkpoints, packed and read back.

use half::f16;
use ocelli::layout::Layout;
use ocelli::layout::quant::{decode, encode_rows};
use ocelli::package::Package;
use ocelli::package::manifest::{Manifest, ShardWrite};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;

use super::common::{CHECKPOINTS, checkpoint, pack, pack_sharded, read_planes, read_values};
use crate::common::MemoryFiles;

/// A checkpoint's tensors under our names, read by the `safetensors` crate.
fn source_tensors(files: &MemoryFiles) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut tensors = BTreeMap::new();
    let weights = |name: &&String| name.starts_with("model") && name.ends_with(".safetensors");
    for name in files.0.keys().filter(weights) {
        let file = SafeTensors::deserialize(&files.0[name]).expect("safetensors");
        for (name, view) in file.iter() {
            if name.ends_with("scale_inv") || name.ends_with("activation_scale") {
                continue;
            }
            let pairs = view.data().as_chunks::<2>().0;
            let values: Vec<f32> = match view.dtype() {
                Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
                Dtype::F16 => pairs.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect(),
                Dtype::BF16 => pairs.iter().map(|&[low, high]| f32::from_le_bytes([0, 0, low, high])).collect(),
                Dtype::F8_E4M3 => {
                    let scale = file.tensor(&format!("{name}_scale_inv")).expect("a scale");
                    let scale = half::bf16::from_le_bytes(scale.data().try_into().expect("one number")).to_f32();
                    view.data().iter().map(|&byte| e4m3(byte) * scale).collect()
                }
                other => panic!("{name} is {other}"),
            };
            let shape = match view.shape() {
                &[out, c, h, w] => vec![out, c * h * w],
                shape => shape.to_vec(),
            };
            assert!(tensors.insert(our_name(name), (shape, values)).is_none(), "{name}");
        }
    }
    tensors
}

/// By way of f16, whose exponent is one bit longer.
fn e4m3(byte: u8) -> f32 {
    let bits = u16::from(byte & 0x80) << 8 | u16::from(byte & 0x7f) << 7;
    f16::from_bits(bits).to_f32() * 256.0
}

fn our_name(name: &str) -> String {
    let mut name = name;
    for prefix in ["model.language_model.", "language_model.model.", "language_model.", "model."] {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    let name = name.strip_suffix(".weight").unwrap_or(name);
    let name = name.replace("vision_tower.transformer.", "vision.").replace("vision_tower.", "vision.");
    name.replace("multi_modal_projector.", "projector.").replace("patch_merger.", "")
}

/// A row after storage, by the definitions of the formats, block by block.
fn stored_row(layout: Layout, row: &[f32]) -> Vec<f32> {
    let encoded = |block: &[f32]| {
        let mut planes = vec![Vec::new(); 2];
        encode_rows(layout, block.len(), block, &mut planes).expect("numbers");
        planes
    };
    let blocks = row.chunks(if layout == Layout::Q4_64 { 64 } else { 32 }).flat_map(|block| {
        let half = |x: f32| f16::from_f32(x).to_f32();
        let max = block.iter().copied().fold(0.0f32, |max, x| if x.abs() > max.abs() { x } else { max });
        let inverse = |d: f32| if d == 0.0 { 0.0 } else { 1.0 / d };
        match layout {
            Layout::F32 => block.to_vec(),
            Layout::F16 => block.iter().map(|&x| half(x)).collect(),
            Layout::Q8_0 => {
                let d = max.abs() / 127.0;
                block.iter().map(|x| half(d) * (x * inverse(d)).round()).collect()
            }
            Layout::Q4_0 => {
                let d = max / -8.0;
                block.iter().map(|x| half(d) * ((x * inverse(d) + 8.5).floor().min(15.0) - 8.0)).collect::<Vec<_>>()
            }
            // The rules of this layout have their own golden values; here only the block of a number matters.
            Layout::Q4_64 => decode(layout, &[1, block.len()], &encoded(block)).expect("planes"),
            other => panic!("{other} is not made from numbers"),
        }
    });
    blocks.collect()
}

#[test]
fn every_checkpoint_in_every_layout_reads_back() {
    for name in CHECKPOINTS {
        let files = checkpoint(name);
        let sources = source_tensors(&files);
        for layout in Layout::from_numbers() {
            let (manifest, packed) = pack(&files, layout).expect(name);
            let package = pollster::block_on(Package::open(packed)).expect("a package");
            assert_eq!(package.manifest, manifest);
            let names: Vec<_> = manifest.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, sources.keys().map(String::as_str).collect::<Vec<_>>(), "{name}: nothing lost or added");
            for tensor in &manifest.tensors {
                let (shape, values) = &sources[&tensor.name];
                assert_eq!(&tensor.shape, shape, "{name} {}", tensor.name);
                let expected_layout = match (shape.len(), tensor.name.as_str()) {
                    (1, _) => Layout::F32,
                    (_, "vision.patch_conv") if layout != Layout::F32 => Layout::F16,
                    _ => layout,
                };
                assert_eq!(tensor.layout, expected_layout, "{name} {}", tensor.name);
                let rows = values.chunks(*shape.last().expect("a shape"));
                let expected: Vec<f32> = rows.flat_map(|row| stored_row(tensor.layout, row)).collect();
                let stored = read_values(&package, &tensor.name);
                assert_eq!(stored, expected, "{name} {} as {layout}", tensor.name);
            }
            assert_eq!(pollster::block_on(package.read_tokenizer()).expect("a tokenizer"), *files.0["tokenizer.json"]);
        }
    }
}

#[test]
fn tensors_lie_in_the_order_of_the_file() {
    let files = checkpoint("untied");
    let (manifest, _) = pack(&files, Layout::Q4_0).expect("a package");
    let file = SafeTensors::deserialize(&files.0["model.safetensors"]).expect("safetensors");
    let mut in_file: Vec<_> = file.iter().map(|(name, view)| (view.data().as_ptr(), our_name(name))).collect();
    in_file.sort();
    let names: Vec<_> = manifest.tensors.iter().map(|tensor| &tensor.name).collect();
    assert_eq!(names, in_file.iter().map(|(_, name)| name).collect::<Vec<_>>());
    let offsets: Vec<_> = manifest.tensors.iter().flat_map(|t| t.planes.iter().map(|p| p.offset)).collect();
    assert!(offsets.is_sorted() && offsets.iter().all(|offset| offset % 256 == 0));
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    for layout in Layout::from_numbers() {
        let first = pack(&checkpoint("wide_heads"), layout).expect("a package").1;
        let second = pack(&checkpoint("wide_heads"), layout).expect("a package").1;
        assert_eq!(first.0, second.0);
    }
}

fn stream(manifest: &Manifest, files: &MemoryFiles) -> Vec<u8> {
    manifest.shards.iter().flat_map(|shard| files.0[&shard.file].iter().copied()).collect()
}

#[test]
fn planes_may_cross_shards() {
    let files = checkpoint("untied");
    for layout in Layout::from_numbers() {
        let (whole, whole_files) = pack(&files, layout).expect("a package");
        assert_eq!(whole.shards.len(), 1);
        for shard_bytes in [256, 4096, 100_000] {
            let (cut, cut_files) = pack_sharded(&files, layout, shard_bytes).expect("a package");
            assert!(cut.shards.len() > 1 && cut.tensors == whole.tensors);
            assert!(cut.shards.iter().all(|shard| shard.bytes <= shard_bytes as u64));
            assert_eq!(stream(&cut, &cut_files), stream(&whole, &whole_files));
            assert_writes_cover(&cut);
            let (whole, cut) = (open(whole_files.clone()), open(cut_files));
            for name in ["embed_tokens", "layers.2.mlp.down_proj", "vision.patch_conv", "norm"] {
                let planes = |package: &Package<_>| read_planes(package, name);
                assert_eq!(planes(&whole), planes(&cut), "{name}");
            }
        }
    }
}

fn open(files: MemoryFiles) -> Package<MemoryFiles> {
    pollster::block_on(Package::open(files)).expect("a package")
}

/// The writes of all shards fill every plane once, in order.
fn assert_writes_cover(manifest: &Manifest) {
    let mut filled: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    let map = manifest.shard_map();
    for (index, shard) in manifest.shards.iter().enumerate() {
        let range = map.range(index);
        assert_eq!(range.end - range.start, shard.bytes);
        for ShardWrite { tensor, plane, offset_in_plane, range_in_shard } in map.writes(index) {
            assert!(range_in_shard.end as u64 <= shard.bytes && !range_in_shard.is_empty());
            assert!(range_in_shard.start % 4 == 0 && range_in_shard.end % 4 == 0 && offset_in_plane % 4 == 0);
            let place = manifest.tensors[tensor].planes[plane];
            assert_eq!(place.offset + offset_in_plane, range.start + range_in_shard.start as u64);
            let so_far = filled.entry((tensor, plane)).or_default();
            assert_eq!(*so_far, offset_in_plane);
            *so_far += range_in_shard.len() as u64;
        }
    }
    for (tensor, entry) in manifest.tensors.iter().enumerate() {
        for (plane, place) in entry.planes.iter().enumerate() {
            assert_eq!(filled.get(&(tensor, plane)), Some(&place.bytes), "{} plane {plane}", entry.name);
        }
    }
    assert_eq!(map.writes(manifest.shards.len()).count(), 0);
}

#[test]
fn a_damaged_shard_is_refused() {
    let (manifest, files) = pack_sharded(&checkpoint("merge1"), Layout::Q4_0, 10_000).expect("a package");
    let name = &manifest.shards[2].file;
    let mut flipped = files.clone();
    let mut bytes = flipped.0[name].to_vec();
    bytes[77] ^= 1;
    flipped.0.insert(name.clone(), bytes.into());
    let error = pollster::block_on(open(flipped).read_shard(2)).expect_err("a wrong hash");
    assert_eq!(error.code(), "integrity");
    assert!(error.to_string().contains(name), "{error}");

    let mut short = files.clone();
    short.0.insert(name.clone(), files.0[name][1..].into());
    assert_eq!(pollster::block_on(open(short).read_shard(2)).expect_err("a short file").code(), "invalid-package");

    let mut missing = files.clone();
    missing.0.remove(name);
    let error = pollster::block_on(open(missing).read_shard(2)).expect_err("a missing file");
    assert!(error.code() == "invalid-package" && error.to_string().contains(name), "{error}");
    assert_eq!(
        pollster::block_on(Package::open(MemoryFiles::default())).expect_err("nothing").code(),
        "invalid-package"
    );
}
