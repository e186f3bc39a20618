//! `model.json`, and the data derived from it before any weight is loaded.

use ocelli::Result;
use ocelli::families::{ModelConfig, definition};
use ocelli::layers::rope::{inverse_frequencies, query_scales, text_angles};
use ocelli::layers::vision::{Frequencies, PatchRope};
use ocelli::memory::{MemoryOptions, plan};
use ocelli::package::manifest::Manifest;

/// A manifest, and everything that a loader derives from it.
///
/// # Errors
/// Errors of [`Manifest::parse`].
pub fn manifest(bytes: &[u8]) -> Result<()> {
    let manifest = Manifest::parse(bytes)?;
    let again = Manifest::parse(&manifest.to_json()?)?;
    assert!(again.tensors == manifest.tensors && again.shards == manifest.shards, "written and read again");
    derive(&manifest.config);
    let memory_options = MemoryOptions { budget: Some(2 << 30), ..MemoryOptions::default() };
    match plan(&manifest, 128 << 20, memory_options) {
        Ok(plan) => assert!(plan.peak <= 2 << 30, "a plan beyond its budget"),
        Err(error) => assert!(["budget-too-small", "limits-too-small"].contains(&error.code()), "{error}"),
    }

    // Every byte of every plane has exactly one source.
    let mut filled: Vec<Vec<u64>> = manifest.tensors.iter().map(|tensor| vec![0; tensor.planes.len()]).collect();
    let map = manifest.shard_map();
    for index in 0..manifest.shards.len() {
        for write in map.writes(index) {
            let bytes = &mut filled[write.tensor][write.plane];
            assert_eq!(*bytes, write.offset_in_plane, "planes are filled front to back");
            *bytes += write.range_in_shard.len() as u64;
            assert!(write.range_in_shard.end as u64 <= manifest.shards[index].bytes, "a write ends past its shard");
        }
    }
    for (tensor, filled) in manifest.tensors.iter().zip(&filled) {
        let whole = tensor.planes.iter().zip(filled).all(|(plane, &filled)| plane.bytes == filled);
        assert!(whole, "{} is not filled", tensor.name);
    }
    assert_eq!(manifest.total_bytes(), map.range(manifest.shards.len()).start);
    Ok(())
}

/// Names of the tensors, fused matrices, and tables of angles.
pub(super) fn derive(config: &ModelConfig) {
    let mut before = None;
    for spec in definition(config).tensors().filter(|spec| spec.fuse.is_some()) {
        let inputs = (spec.fuse.clone(), spec.shape[1]);
        let other = before.replace(inputs.clone()).filter(|(fused, _)| *fused == inputs.0);
        assert!(other.is_none_or(|other| other == inputs), "fused matrices have the same inputs");
    }
    let text = config.text();
    let frequencies = inverse_frequencies(&text.rope, text.head_dim);
    let last = [[text.max_position_embeddings - 1; 3]];
    assert_eq!(text_angles(&text.rope, &frequencies, &last).len(), text.head_dim / 2);
    assert_eq!(query_scales(text.query_scaling.as_ref(), &last).len(), 1);
    if let Some(vision) = config.vision() {
        let frequencies = Frequencies::Alternating;
        let rope = PatchRope { theta: vision.rope_theta, pairs: vision.rope_pairs, frequencies };
        let places = (0..6).map(|patch| (patch / 3, patch % 3));
        assert_eq!(rope.angles(vision.head_dim, places).len(), 6 * (vision.head_dim / 2));
    }
}
