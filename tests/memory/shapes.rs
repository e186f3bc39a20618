//! Plans for models of full size, on paper: a manifest needs no bytes behind it.

use ocelli::config::{KvPrecision, ModelConfig};
use ocelli::engine::{Plan, Residency, Wishes, plan};
use ocelli::gpu::Purpose;
use ocelli::model::forward::is_text;
use ocelli::weights::layout::Layout;
use ocelli::weights::manifest::{ChatSettings, FileEntry, Manifest, PlaneEntry, TensorEntry};
use ocelli::weights::tensors::model_tensors;
use ocelli::{Error, Result};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn ministral_3b() -> ModelConfig {
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

/// A package of this model whose matrices have one layout in the decoder and one in the tower, in shards of 32 MiB.
fn manifest(config: ModelConfig, text: Layout, vision: Layout) -> Manifest {
    let mut offset = 0;
    let mut tensors = Vec::new();
    for spec in model_tensors(&config) {
        let layout = if is_text(&spec.name) { text } else { vision };
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
        name: "on paper".into(),
        license: None,
        source: None,
        quantization: text,
        config,
        chat: ChatSettings {
            template: "mistral-v13".into(),
            default_system_prompt: None,
            bos_token_id: 1,
            eos_token_ids: vec![2],
            pad_token_id: None,
        },
        tokenizer: file(1),
        tensors,
        shards,
    }
}

fn planned(layout: Layout, max_binding: u64, wishes: Wishes) -> Result<Plan> {
    plan(&manifest(ministral_3b(), layout, layout), max_binding, wishes)
}

#[test]
fn with_memory_to_spare_nothing_gives_way() {
    let plan = planned(Layout::Q4_0, 2 * GIB, Wishes::default()).expect("a plan");
    assert_eq!((plan.context, plan.kv, plan.vision), (4096, KvPrecision::F16, Residency::Resident));
    assert_eq!((plan.longest_edge, plan.rows.text.prompt, plan.rows.vision), (1540, 256, 1024));
    let text = plan.phases.iter().flat_map(|phase| &phase.purposes).find(|row| row.purpose == Purpose::TextWeights);
    // 4.5 bits for each of the 3,428,843,520 weights of matrices, and the norms: the arithmetic of the model's card.
    assert_eq!(text.expect("text").bytes, 1_928_724_480 + (26 * 2 + 1) * 3072 * 4);
}

/// At 4.5 bits a weight two thousand tokens fit, four thousand do not.
#[test]
fn two_gibibytes_hold_a_short_context_at_four_and_a_half_bits() {
    let budget = Some(2 * GIB);
    let plan = planned(Layout::Q4_0, 2 * GIB, Wishes { budget, ..Wishes::default() }).expect("a plan");
    assert!(plan.peak <= 2 * GIB, "{}", plan.peak);
    assert_eq!((plan.kv, plan.vision), (KvPrecision::Int8, Residency::Streamed));
    assert!(plan.context < 4096 && plan.context >= 2048, "{}", plan.context);
    let asked = Wishes { budget, context: Some(8192), ..Wishes::default() };
    match planned(Layout::Q4_0, 2 * GIB, asked).expect_err("too much") {
        Error::BudgetTooSmall { budget, needed, parts, .. } => {
            assert!(budget == 2 * GIB && needed > budget, "{needed}");
            assert!(parts.iter().any(|(purpose, _)| purpose == "kv_cache"), "{parts:?}");
        }
        error => panic!("{error}"),
    }
}

/// At 4.25 bits four thousand do, with a picture that comes last, whatever the tower is stored in.
#[test]
fn two_gibibytes_hold_a_picture_and_a_long_context_at_four_and_a_quarter_bits() {
    for (tower, edge) in [(Layout::Q4_64, 1540), (Layout::Q8_0, 1540), (Layout::F16, 1036)] {
        let wishes = Wishes { budget: Some(2 * GIB), context: Some(4096), ..Wishes::default() };
        let plan = plan(&manifest(ministral_3b(), Layout::Q4_64, tower), 2 * GIB, wishes).expect("a plan");
        println!("{tower}: {} bytes, {:?}, pictures up to {}", plan.peak, plan.rows, plan.longest_edge);
        for phase in &plan.phases {
            println!(
                "  {:?} {} {:?}",
                phase.phase,
                phase.total,
                phase.purposes.iter().map(|row| row.bytes).collect::<Vec<_>>()
            );
        }
        assert!(plan.peak <= 2 * GIB && plan.context == 4096, "{plan:?}");
        assert_eq!((plan.kv, plan.vision), (KvPrecision::Int8, Residency::Streamed), "{tower}");
        assert_eq!(plan.longest_edge, edge, "{tower}");
    }
}

#[test]
fn a_device_of_small_bindings_runs_every_layout_but_no_endless_context() {
    for layout in Layout::ALL {
        let plan = planned(layout, 128 * MIB, Wishes::default()).expect("a plan");
        assert_eq!((plan.context, plan.vision), (4096, Residency::Resident), "{layout}");
    }
    let endless = Wishes { context: Some(262_144), ..Wishes::default() };
    match planned(Layout::Q4_0, 128 * MIB, endless).expect_err("keys of 512 MiB") {
        Error::LimitsTooSmall { needed, available, .. } => {
            // Integers, the least that the cache can be held in.
            assert_eq!((needed, available), (262_144 * 1024, 128 * MIB));
        }
        error => panic!("{error}"),
    }
    let plan = planned(Layout::Q4_0, 4 * GIB, endless).expect("a larger device");
    assert_eq!(plan.context, 262_144);
}

/// More memory never makes for a worse plan.
#[test]
fn what_gives_way_gives_way_in_order() {
    let mut earlier: Option<Plan> = None;
    for mebibytes in (1900..4000).step_by(50) {
        let wishes = Wishes { budget: Some(mebibytes * MIB), ..Wishes::default() };
        let Ok(plan) = planned(Layout::Q4_0, 2 * GIB, wishes) else {
            assert!(earlier.is_none(), "{mebibytes} MiB are refused, less were not");
            continue;
        };
        if let Some(less) = &earlier {
            let order =
                |plan: &Plan| (plan.context, plan.longest_edge, plan.rows.text.prompt, std::cmp::Reverse(plan.kv));
            assert!(order(&plan) >= order(less), "{mebibytes} MiB: {plan:?} after {less:?}");
        }
        earlier = Some(plan);
    }
    let richest = earlier.expect("a plan");
    assert_eq!((richest.vision, richest.kv), (Residency::Resident, KvPrecision::F16));
}
