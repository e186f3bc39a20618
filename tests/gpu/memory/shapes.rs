//! Dry plans for models of full size: a manifest needs no shards.

use ocelli::config::KvPrecision;
use ocelli::families::{Role, TensorSpec, definition};
use ocelli::gpu::Purpose;
use ocelli::import::tensors::ElementType;
use ocelli::layout::Layout;
use ocelli::memory::{MemoryOptions, Plan, Residency, plan};
use ocelli::package::manifest::Manifest;
use ocelli::{Error, Result};
use ocelli_synth::FileType;
use ocelli_synth::{published, published_names};
use serde_json::{Value, json};

use crate::manifests::{manifest, manifest_of, ministral_3b};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn planned(layout: Layout, max_binding: u64, memory_options: MemoryOptions) -> Result<Plan> {
    plan(&manifest(ministral_3b(), layout, layout), max_binding, memory_options)
}

#[test]
fn with_memory_to_spare_nothing_gives_way() {
    let plan = planned(Layout::Q4_0, 2 * GIB, MemoryOptions::default()).expect("a plan");
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
    let plan = planned(Layout::Q4_0, 2 * GIB, MemoryOptions { budget, ..MemoryOptions::default() }).expect("a plan");
    assert!(plan.peak <= 2 * GIB, "{}", plan.peak);
    assert_eq!((plan.kv, plan.vision), (KvPrecision::Int8, Residency::Streamed));
    assert!(plan.context < 4096 && plan.context >= 2048, "{}", plan.context);
    let asked = MemoryOptions { budget, context: Some(8192), ..MemoryOptions::default() };
    match planned(Layout::Q4_0, 2 * GIB, asked).expect_err("too much") {
        Error::BudgetTooSmall { budget, needed, parts, .. } => {
            assert!(budget == 2 * GIB && needed > budget, "{needed}");
            assert!(parts.iter().any(|(purpose, _)| purpose == "kv_cache"), "{parts:?}");
        }
        error => panic!("{error}"),
    }
}

/// At 4.25 bits four thousand do, with a picture at the end, in every layout of the tower.
#[test]
fn two_gibibytes_hold_a_picture_and_a_long_context_at_four_and_a_quarter_bits() {
    for (tower, edge) in [(Layout::Q4_64, 1540), (Layout::Q8_0, 1540), (Layout::F16, 1036)] {
        let memory_options = MemoryOptions { budget: Some(2 * GIB), context: Some(4096), ..MemoryOptions::default() };
        let plan = plan(&manifest(ministral_3b(), Layout::Q4_64, tower), 2 * GIB, memory_options).expect("a plan");
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
        let plan = planned(layout, 128 * MIB, MemoryOptions::default()).expect("a plan");
        assert_eq!((plan.context, plan.vision), (4096, Residency::Resident), "{layout}");
    }
    let endless = MemoryOptions { context: Some(262_144), ..MemoryOptions::default() };
    match planned(Layout::Q4_0, 128 * MIB, endless).expect_err("keys of 512 MiB") {
        Error::LimitsTooSmall { needed, available, .. } => {
            // 8-bit integers are the smallest format of the cache.
            assert_eq!((needed, available), (262_144 * 1024, 128 * MIB));
        }
        error => panic!("{error}"),
    }
    let plan = planned(Layout::Q4_0, 4 * GIB, endless).expect("a larger device");
    assert_eq!(plan.context, 262_144);
}

/// More memory never leads to a worse plan.
#[test]
fn plans_shrink_in_a_fixed_order() {
    let mut earlier: Option<Plan> = None;
    for mebibytes in (1900..4000).step_by(50) {
        let memory_options = MemoryOptions { budget: Some(mebibytes * MIB), ..MemoryOptions::default() };
        let Ok(plan) = planned(Layout::Q4_0, 2 * GIB, memory_options) else {
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

/// Bytes of a number in the checkpoints of publishers.
const BF16: u64 = 2;

/// The package of a known model: files keep their types, safetensors are quantised to 4 bits.
fn registered(model: &Value) -> Manifest {
    let id = model["id"].as_str().expect("an id");
    let name = published_names().find(|name| id.starts_with(name)).expect("a published model");
    let config = published(name).expect("a shape");
    let text = config.text().clone();
    let (gguf, mmproj) = (model["source"]["gguf"].as_str(), model["source"]["mmproj"].as_str().unwrap_or_default());
    let kind = match gguf {
        Some(file) if file.ends_with("Q8_0.gguf") => FileType::Q8_0,
        Some(file) if file.contains("q4_0") => FileType::Q4_0,
        _ => FileType::Q4KM,
    };
    // llama.cpp keeps 16-bit floats where a row is not made of whole blocks.
    let has_blocks = |spec: &TensorSpec| spec.shape.last().is_some_and(|cols| cols.is_multiple_of(32));
    let tower = |spec: &TensorSpec| {
        if mmproj.contains("Q8_0") && has_blocks(spec) { Layout::Q8_0 } else { Layout::F16 }
    };
    manifest_of(config, Layout::Q4_0, |spec| match kind.of(spec, &text) {
        _ if gguf.is_none() => spec.floor.unwrap_or(Layout::Q4_0),
        // Published files of Q4_0 hold what is looked up in a finer type.
        _ if kind == FileType::Q4_0 && matches!(spec.role, Role::Embedding | Role::Rows) => Layout::Q6K,
        _ if kind == FileType::Q4_0 && spec.floor.is_some() && spec.role.is_text() => Layout::F16,
        _ if !spec.role.is_text() => spec.floor.map_or_else(|| tower(spec), |_| Layout::F32),
        ElementType::Blocks(layout) => layout,
        ElementType::Plain(_) => Layout::F32,
    })
}

/// Bytes of the pinned files for each of the package: published files have a tokenizer, and some a few finer types than llama.cpp's rule gives.
/// Vision halves of Gemma's files also have an ear, which is not imported, so only their text halves are compared.
fn file_ratio(model: &Value, package: &Manifest) -> f64 {
    let has_ear = model["id"].as_str().is_some_and(|id| id.starts_with("gemma"));
    let specs = definition(&package.config).tensors().filter(|spec| !has_ear || spec.role.is_text());
    let bytes = |spec: TensorSpec| -> u64 {
        package.tensor(&spec.name).expect("a tensor").planes.iter().map(|plane| plane.bytes).sum()
    };
    let kept: u64 = specs.map(bytes).sum();
    let text = model["source"]["gguf"].as_str().and_then(|url| url.rsplit('/').next()).expect("a file");
    let read = if has_ear { &model["files"][text]["bytes"] } else { &model["downloadBytes"] };
    read.as_f64().expect("bytes") / kept as f64
}

/// The sizes of known models in the npm package equal those of their packages and plans, and those of downloads that nobody could read
/// those of their shapes.
#[test]
fn the_registry_lists_the_sizes_of_plans() {
    let models: Value = serde_json::from_str(include_str!("../../../www/src/api/models.json")).expect("JSON");
    let mut wrong = Vec::new();
    for model in models.as_array().expect("models") {
        let id = model["id"].as_str().expect("an id");
        let package = registered(model);
        let all = plan(&package, 2 * GIB, MemoryOptions::default()).expect("a plan").peak;
        let least = MemoryOptions { budget: Some(1), ..MemoryOptions::default() };
        let Err(Error::BudgetTooSmall { needed, .. }) = plan(&package, 2 * GIB, least) else {
            panic!("{id} in a byte")
        };
        let bytes: u64 = package.shards.iter().map(|shard| shard.bytes).sum();
        let (told, planned) = (&model["gpuMemory"], json!({ "all": all, "least": needed }));
        let numbers: u64 =
            package.tensors.iter().map(|tensor| tensor.shape.iter().map(|&size| size as u64).product::<u64>()).sum();
        let guessed = model["estimates"].as_array().is_some_and(|names| names.contains(&"downloadBytes".into()));
        let download = if guessed { (BF16 * numbers).into() } else { model["downloadBytes"].clone() };
        if (&model["packageBytes"], told, &model["downloadBytes"]) != (&bytes.into(), &planned, &download) {
            wrong.push(format!("{id}: {bytes} {planned} {download}"));
        }
        if model["files"].is_object() {
            let ratio = file_ratio(model, &package);
            if !(0.97..1.06).contains(&ratio) {
                wrong.push(format!("{id}: {ratio} bytes of the files for each of the package"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Pictures of Llama 3.2 Vision have their own keys and values: 32 KiB a row in 16-bit floats, for any context.
#[test]
fn a_plan_of_the_11b_counts_keys_of_pictures() {
    let config = published("llama-3.2-11b-vision").expect("a shape");
    let manifest = manifest(config, Layout::Q4_0, Layout::Q4_0);
    let with = |memory_options| plan(&manifest, 2 * GIB, memory_options).expect("a plan");
    let least = with(MemoryOptions { budget: Some(10 * GIB), context: Some(4096), ..MemoryOptions::default() });
    let short = with(MemoryOptions { context: Some(256), ..MemoryOptions::default() });
    let bytes = |plan: &Plan, wanted: Purpose| {
        let rows = plan.phases.iter().flat_map(|phase| &phase.purposes).filter(|row| row.purpose == wanted);
        rows.map(|row| row.bytes).max().expect("a purpose")
    };
    for plan in [&least, &short] {
        println!(
            "context {}: {} bytes, {:?}, {} rows of features",
            plan.context, plan.peak, plan.rows, plan.feature_rows
        );
        for phase in &plan.phases {
            println!("  {:?} {} {:?}", phase.phase, phase.total, phase.purposes);
        }
        assert!(plan.feature_rows >= 4 * 1601 && plan.longest_edge == 2240, "four tiles: {plan:?}");
        let row = if plan.kv == KvPrecision::F16 { 32_768 } else { 65_536 };
        assert!(bytes(plan, Purpose::KvCache) >= plan.feature_rows as u64 * row, "{plan:?}");
    }
    assert!(bytes(&short, Purpose::KvCache) < 3 * GIB, "{short:?}");
}
