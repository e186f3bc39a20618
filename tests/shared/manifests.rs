//! Manifests of full size without shards.

use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::layout::Layout;
use ocelli::package::manifest::{ChatSettings, FileEntry, Manifest, PlaneEntry, TensorEntry};

const MIB: u64 = 1 << 20;

/// The shape of Ministral 3 3B.
pub(crate) fn ministral_3b() -> ModelConfig {
    let layers = vec!["full_attention"; 26];
    serde_json::from_value(serde_json::json!({
        "text": {
            "vocab_size": 131_072, "hidden_size": 3072, "intermediate_size": 9216, "layers": layers,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": true, "max_position_embeddings": 262_144,
            "rope": { "theta": 1e6, "pairs": "half" },
        },
        "vision": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "head_dim": 64, "hidden_act": "silu", "num_channels": 3, "patch_size": 14, "image_size": 1540,
            "rope_theta": 10000.0, "rope_pairs": "half", "rms_norm_eps": 1e-5, "spatial_merge_size": 2,
            "projector_act": "gelu", "image_mean": [0.5, 0.5, 0.5], "image_std": [0.3, 0.3, 0.3],
            "image_token_id": 10, "image_break_token_id": 12, "image_end_token_id": 13,
        },
    }))
    .expect("a configuration")
}

/// A package of this model whose matrices have one layout in the decoder and one in the tower.
pub(crate) fn manifest(config: ModelConfig, text: Layout, vision: Layout) -> Manifest {
    manifest_of(config, text, |spec| if spec.role.is_text() { text } else { vision })
}

/// A package of this model whose matrices have the layouts that are told, in shards of 32 MiB.
pub(crate) fn manifest_of(
    config: ModelConfig,
    quantization: Layout,
    layout_of: impl Fn(&TensorSpec) -> Layout,
) -> Manifest {
    let mut offset = 0;
    let mut tensors = Vec::new();
    for spec in definition(&config).tensors() {
        let layout = layout_of(&spec);
        let fits = layout.planes(&spec.shape).is_some();
        let layout = if spec.shape.len() == 1 || !fits { Layout::F32 } else { layout };
        let mut planes = Vec::new();
        for plane in layout.planes(&spec.shape).expect("planes") {
            planes.push(PlaneEntry { offset, bytes: plane.bytes });
            offset = (offset + plane.bytes).next_multiple_of(256);
        }
        let entry = serde_json::json!({ "name": spec.name, "shape": spec.shape, "layout": layout, "planes": planes });
        tensors.push(serde_json::from_value::<TensorEntry>(entry).expect("an entry"));
    }
    let file = |bytes: u64| FileEntry { file: "shard".into(), bytes, sha256: "0".repeat(64) };
    let shards = (0..offset.div_ceil(32 * MIB)).map(|index| file((offset - index * 32 * MIB).min(32 * MIB))).collect();
    Manifest {
        format: "ocelli".into(),
        version: 1,
        name: "dry".into(),
        license: None,
        source: None,
        quantization,
        config,
        chat: ChatSettings {
            template: "mistral-v13".into(),
            template_is_assumed: false,
            default_system_prompt: None,
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            pad_token_id: None,
            sampling: Default::default(),
            embedding: None,
        },
        tokenizer: file(1),
        tensors,
        shards,
    }
}
