//! The self-test at start: a device with correct kernels passes, and wrong results are detected before the model answers. Faults are made
//! by changing the shader before compilation.

mod load;

use crate::device;
use crate::manifests;
use crate::packages;
use std::time::Instant;

use crate::injection::Injection;
use ocelli::config::KvPrecision;
use ocelli::engine::LoadOptions;
use ocelli::families::ModelConfig;
use ocelli::gpu::{DeviceClass, Features, Gpu, Kernel, KernelConfig};
use ocelli::kernels::cases::Outcome;
use ocelli::kernels::self_test::{Proof, SelfTestReport, check, evaluate, self_test};
use ocelli::kernels::subgroup_probe::THREADS;
use ocelli::kernels::{TuningGroup, gemv, matmul, sample_filter};
use ocelli::layout::Layout;
use ocelli::model::DryModel;
use ocelli::{Error, Result};

/// Dry models whose kernels are tested: one for each layout and precision of the state.
struct Models {
    layouts: Vec<Layout>,
    head_dim: usize,
    caches: Vec<KvPrecision>,
    pictures: bool,
}

impl Models {
    fn kernels(&self, gpu: &Gpu, kernel_config: KernelConfig) -> Result<Vec<Kernel>> {
        let mut all = Vec::new();
        for &layout in &self.layouts {
            let manifest = manifests::manifest(small(self.head_dim, self.pictures), layout, layout);
            let mut dry = DryModel::new(&manifest, gpu.dry_device(), kernel_config)?;
            for &kv in &self.caches {
                all.extend(dry.kernels(kernel_config, [kv, kv.min(KvPrecision::F16)])?);
            }
        }
        Ok(all)
    }
}

/// A model of two layers with heads of this width, with or without vision.
fn small(head_dim: usize, pictures: bool) -> ModelConfig {
    let mut config = serde_json::to_value(manifests::ministral_3b()).expect("JSON");
    let text = serde_json::json!({
        "vocab_size": 512, "hidden_size": 256, "intermediate_size": 512, "layers": ["full_attention", "full_attention"],
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": head_dim,
    });
    let vision = serde_json::json!({
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1, "num_attention_heads": 4,
        "rope_pairs": "interleaved",
    });
    for (half, sizes) in [("text", text), ("vision", vision)] {
        config[half].as_object_mut().expect("sizes").extend(sizes.as_object().expect("sizes").clone());
    }
    if !pictures {
        config.as_object_mut().expect("fields").remove("vision");
    }
    serde_json::from_value(config).expect("a configuration")
}

/// Models with all variants.
fn all() -> Models {
    Models { layouts: Layout::ALL.to_vec(), head_dim: 128, caches: KvPrecision::ALL.to_vec(), pictures: true }
}

fn milliseconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

/// Tests the kernels of the models with the device's configuration.
async fn test(gpu: &Gpu, models: &Models, on_compiled: &mut dyn FnMut(usize, usize)) -> Result<SelfTestReport> {
    self_test(gpu, |config| models.kernels(gpu, config), milliseconds, Proof::default(), on_compiled).await
}

async fn device(order: impl Fn(&Injection)) -> Gpu {
    let injection = Injection::default();
    order(&injection);
    injection.open().await.expect("a device")
}

#[test]
fn every_kernel_in_every_layout_passes() {
    pollster::block_on(async {
        // Its own device: other tests change the memory of the shared one meanwhile.
        let gpu = &device(|_| ()).await;
        let before = gpu.ledger().total().0;
        let mut compiled = Vec::new();
        let mut on_compiled = |done, total| compiled.push((done, total));
        let report = test(gpu, &all(), &mut on_compiled).await.expect("right kernels");
        let (_, total) = *compiled.first().expect("kernels compiled");
        assert_eq!(compiled, (1..=total).map(|done| (done, total)).collect::<Vec<_>>(), "one by one");
        assert!(total > 20, "{total} kernels");
        println!("{} kernels right in {:.0} ms, compiled for the first time", report.passed, report.ms);
        let again = test(gpu, &all(), &mut |_, _| ()).await.expect("right kernels");
        println!("{} kernels right in {:.0} ms, compiled before", again.passed, again.ms);
        assert!(report.failed.is_empty() && report.passed >= 2 * Layout::ALL.len() + 11, "{report:?}");
        assert_eq!(gpu.ledger().total().0, before, "nothing of it stays");
    });
}

/// One plausible driver fault for each kernel.
const SPOILED: [(&str, &str, &str); 21] = [
    ("matmul<q4_0>", "* p.blocks", "* (p.blocks - 1u)"),
    ("matmul<q8_0>", "y[at] = value;", "y[at] = unpack2x16float(pack2x16float(vec2f(value, 0.0))).x;"),
    ("matvec<q8_0", "y[at] = value;", "y[at] = 1.01 * value;"),
    ("matvec<q4_0", "value += bias[p.first_row + col];", "value += bias[i];"),
    ("embed_rows<q8_0>", "(source & ~FEATURE)", "0u"),
    ("rms_norm", "+ p.eps", "+ 0.001"),
    ("rope", "- b * angle.y", "+ b * angle.y"),
    ("attention<32,f16>", "+ p.past + 1u", "+ p.past"),
    ("glu", "* gate_up[at + p.width]", "* gate_up[at]"),
    ("activation", "0.70710678", "0.7"),
    ("patchify", "255u;", "127u;"),
    ("patch_merge", "i % p.merge;", "0u;"),
    ("gated_matvec<q4_0", "tile + output * p.tiles", "tile"),
    ("qkv_matvec<q8_0", "b * cos + a * sin", "b * cos - a * sin"),
    ("rope_append<32,int8>", "row = kv_row_of(words, position);", "row = kv_row_of(words, 0u);"),
    ("attention_step<32,f16", "position + offset0 + 1u", "position + offset0"),
    ("attention_join<32>", "weight0 * share0.y", "share0.y"),
    ("sample_scan", "1013904223u", "1013904222u"),
    ("sample_scan", "x > best.logit", "x < best.logit"),
    ("sample_filter", "key > threshold.x", "key > 0u"),
    ("sample", "state[2] += 1u;", ""),
];

#[test]
fn a_wrong_kernel_of_any_family_is_found_and_named() {
    pollster::block_on(async {
        let few = Models { layouts: vec![Layout::Q4_0, Layout::Q8_0], head_dim: 32, ..all() };
        for (kernel, from, to) in SPOILED {
            let gpu = device(|injection| injection.corrupt(kernel, from, to)).await;
            let failed = match test(&gpu, &few, &mut |_, _| ()).await {
                Ok(_) => check(&gpu, &[sample_filter::kernel()]).await,
                Err(failed) => Err(failed),
            };
            let Err(Error::SelfTestFailed { kernel: found, tier, detail }) = failed else {
                panic!("{kernel} with {to:?} for {from:?}: {failed:?}")
            };
            assert!(found.starts_with(kernel), "{found} was blamed for {kernel}");
            assert_eq!(tier, "baseline");
            assert!(detail.contains(" is right, off by "), "{detail}");
        }
    });
}

/// WGSL allows a driver to take subnormal 16-bit floats for zero, which most scales of super-blocks are in files.
#[test]
fn a_driver_that_flushes_subnormals_computes_k_quants_correctly() {
    pollster::block_on(async {
        let gpu = device(|injection| injection.flush_halves("", "0x1p-14")).await;
        let report = test(&gpu, &all(), &mut |_, _| ()).await.expect("right kernels");
        assert!(report.failed.is_empty(), "{report:?}");
        // The scales as they are in files.
        for layout in [Layout::Q6K, Layout::Q5K, Layout::Q4K] {
            let gpu = device(|injection| injection.flush_halves("super_scales.", "0x1p-4")).await;
            let of_layout = Models { layouts: vec![layout], pictures: false, ..all() };
            let Err(Error::SelfTestFailed { kernel, .. }) = test(&gpu, &of_layout, &mut |_, _| ()).await else {
                panic!("{layout} passed")
            };
            assert!(kernel.contains(&format!("<{layout}")), "{kernel} was blamed for {layout}");
        }
    });
}

/// Native devices do not clear workgroup memory: it holds what an earlier workgroup left there.
#[test]
fn kernels_clear_the_workgroup_memory_that_must_be_zero() {
    pollster::block_on(async {
        let after_leftovers = |variables: &[&str], line: &str| {
            let leftovers: String =
                variables.iter().map(|name| format!("  atomicStore(&{name}, 0x7e800000u);\n")).collect();
            format!("{leftovers}  workgroupBarrier();\n{line}")
        };
        let item = "  let item = wg.y";
        let unusable = "  if lane == 0u {\n    atomicStore(&unusable";
        let gpu = device(|injection| {
            injection.corrupt("rope_append<32,int8>", item, &after_leftovers(&["k_peak", "v_peak"], item));
            injection.corrupt("sample_filter", unusable, &after_leftovers(&["top"], unusable));
        })
        .await;
        let in_int8 = Models { caches: vec![KvPrecision::Int8], ..few() };
        test(&gpu, &in_int8, &mut |_, _| ()).await.expect("right kernels");
        check(&gpu, &[sample_filter::kernel()]).await.expect("a right kernel");
        let clear = "  clear_peaks(thread);";
        let leftovers = after_leftovers(&["peaks[0][thread % TILE_ROWS]"], clear);
        let gpu = with_rounding(Features::F16, |injection| injection.corrupt("matmul<q4_0>", clear, &leftovers)).await;
        let report = test(&gpu, &few(), &mut |_, _| ()).await.expect("right kernels");
        assert_eq!((report.failed.len(), gpu.kernel_config().features), (0, Features::F16), "{report:?}");
    });
}

#[test]
fn a_shader_the_driver_refuses_is_told_by_name() {
    pollster::block_on(async {
        for (from, to) in [("fn main", "fn other"), ("angle.x", "angle.colour")] {
            let gpu = device(|injection| injection.corrupt("rope", from, to)).await;
            let failed = test(&gpu, &all(), &mut |_, _| ()).await.expect_err("refused");
            let Error::Gpu { stage, .. } = &failed else { panic!("{failed}") };
            assert!(stage.starts_with("compiling rope"), "{stage}");
        }
    });
}

#[test]
fn a_model_is_not_loaded_on_a_device_that_computes_wrongly() {
    pollster::block_on(async {
        let files = packages::pack("tied_two_images", Layout::Q8_0).await;
        let options = LoadOptions { context: Some(64), ..LoadOptions::new(milliseconds) };
        let right = packages::try_load(device::gpu(), &files, options).await.expect("load");
        assert!(right.self_test().passed > 10 && right.self_test().failed.is_empty(), "{:?}", right.self_test());
        assert!(right.self_test().ms > 0.0);
        for (kernel, from, to) in [("matmul<q8_0>", "= products[i];", "= 1.01 * products[i];"), SPOILED[11]] {
            let gpu = device(|injection| injection.corrupt(kernel, from, to)).await;
            let Err(failed) = packages::try_load(&gpu, &files, options).await else {
                panic!("{kernel} was not noticed")
            };
            assert_eq!(failed.code(), "self-test-failed", "{kernel}: {failed}");
            assert_eq!(gpu.ledger().total().0, 0);
        }
    });
}

/// Faults of subgroup operations, which kernels without subgroups do not use.
const SPOILED_SUBGROUPS: [(&str, &str, &str); 6] = [
    ("matvec<q4_0", "return subgroupAdd(x);", "return x;"),
    ("gated_matvec<q4_0", "subgroupExclusiveAdd(1u)", "0u"),
    ("qkv_matvec<q4_0", "subgroupAdd(1u), subgroup,", "subgroupAdd(1u), 0u,"),
    ("attention_step<32,f16", "return subgroupAdd(x);", "return x;"),
    ("rms_norm", "return subgroupAdd(x);", "return x;"),
    // A driver that emulates the numbers of subgroups, and gives two the same.
    ("subgroup_probe", "subgroupAdd(1u), subgroup,", "subgroupAdd(1u), subgroup / 2u,"),
];

/// Faults of rounding kernels: scales and sums of other blocks and rows, and skipped inputs.
const SPOILED_ROUNDING: [(Features, &str, &str, &str); 6] = [
    (Features::DOT, "matvec<q4_0", "round(x[3] * inverse)", "round(x[2] * inverse)"),
    (Features::DOT, "gated_matvec<q4_0", "kept * f32(dots(high, ones))", "kept * f32(dots(low, ones))"),
    (Features::DOT, "qkv_matvec<q4_0", "square += dot(x3, x3);", ""),
    (Features::DOT, "matmul<q4_0", "acc3_0 += info3.x", "acc3_0 += info2.x"),
    (Features::F16, "matmul<q4_0", "acc0_3_0 += unit0[3]", "acc0_3_0 += unit0[2]"),
    (Features::F16, "matmul<q4_0", "sum0_0_0_0 += x0_1_2_0[0]", "sum0_0_0_0 += x0_1_1_0[0]"),
];

/// Only a text decoder.
fn few() -> Models {
    Models { layouts: vec![Layout::Q4_0], head_dim: 32, caches: vec![KvPrecision::F16], pictures: false }
}

/// A device with the tunings for hardware with subgroups.
async fn with_subgroups(order: impl Fn(&Injection)) -> Gpu {
    let gpu = device(order).await;
    assert!(gpu.features().contains(Features::SUBGROUPS), "{} has no subgroups", gpu.report().name);
    gpu.set_kernel_config(KernelConfig { features: Features::SUBGROUPS, ..KernelConfig::of(DeviceClass::Hardware) });
    gpu
}

#[test]
fn a_wrong_kernel_with_subgroups_is_given_up_by_name() {
    pollster::block_on(async {
        let right = test(&with_subgroups(|_| ()).await, &few(), &mut |_, _| ()).await.expect("right kernels");
        assert_eq!((right.failed.len(), right.kernel_config.features), (0, Features::SUBGROUPS));
        for (kernel, from, to) in SPOILED_SUBGROUPS {
            let gpu = with_subgroups(|injection| injection.corrupt(kernel, from, to)).await;
            let report = test(&gpu, &few(), &mut |_, _| ()).await.expect("the baseline is right");
            assert!(!report.failed.is_empty(), "{kernel} with {to:?} for {from:?} was not noticed");
            for failure in &report.failed {
                assert!(failure.kernel.starts_with(kernel), "{} was blamed for {kernel}", failure.kernel);
                assert_eq!(failure.tier, "subgroups");
                assert!(failure.detail.contains(" is right, off by "), "{}", failure.detail);
            }
            assert_eq!((report.kernel_config.features, gpu.kernel_config().features), (Features::NONE, Features::NONE));
            assert_eq!(
                report.passed,
                right.passed - THREADS.len(),
                "all are tested again but the subgroups themselves"
            );
        }
    });
}

/// A device with only these features.
async fn with_rounding(features: Features, order: impl Fn(&Injection)) -> Gpu {
    let gpu = device(order).await;
    assert!(gpu.features().contains(features), "{} has no {}", gpu.report().name, features.name());
    let mut kernel_config = KernelConfig { features, ..KernelConfig::of(DeviceClass::Hardware) };
    let gemv = gemv::Tuning::ALL.iter().position(|tuning| tuning.uses == features);
    let matmul = matmul::Tuning::ALL.iter().position(|tuning| tuning.uses == features);
    kernel_config.variants[TuningGroup::Gemv as usize] = gemv.map_or(0, |place| place as u8 + 1);
    kernel_config.variants[TuningGroup::Matmul as usize] = matmul.map_or(0, |place| place as u8 + 1);
    gpu.set_kernel_config(kernel_config);
    gpu
}

#[test]
fn a_wrong_kernel_that_rounds_is_given_up_by_name() {
    pollster::block_on(async {
        for features in [Features::DOT, Features::F16] {
            let right = test(&with_rounding(features, |_| ()).await, &few(), &mut |_, _| ()).await;
            assert_eq!(right.expect("right kernels").failed, []);
        }
        for (features, kernel, from, to) in SPOILED_ROUNDING {
            let gpu = with_rounding(features, |injection| injection.corrupt(kernel, from, to)).await;
            let report = test(&gpu, &few(), &mut |_, _| ()).await.expect("the baseline is right");
            assert!(!report.failed.is_empty(), "{kernel} with {to:?} for {from:?} was not noticed");
            for failure in &report.failed {
                assert!(failure.kernel.starts_with(kernel), "{} was blamed for {kernel}", failure.kernel);
                assert_eq!(failure.tier, features.name());
            }
            assert_eq!(gpu.kernel_config().features, Features::NONE);
        }
    });
}

#[test]
fn a_refused_kernel_with_subgroups_is_given_up_by_name() {
    pollster::block_on(async {
        let gpu =
            with_subgroups(|injection| injection.corrupt("attention_step", "subgroupMax(x)", "subgroupMost(x)")).await;
        let report = test(&gpu, &few(), &mut |_, _| ()).await.expect("the baseline is right");
        let [failure] = &report.failed[..] else { panic!("{report:?}") };
        assert!(failure.kernel.starts_with("attention_step<32,f16"), "{}", failure.kernel);
        assert_eq!((failure.tier.as_str(), gpu.kernel_config().features), ("subgroups", Features::NONE));
        assert!(failure.detail.contains("subgroupMost"), "{}", failure.detail);
    });
}

fn outcome(kernel: &str, uses: Features, worst: f64) -> Outcome {
    let detail = "2 at 3 where 1 is right".into();
    Outcome { kernel: kernel.into(), uses, tolerance: 1e-4, worst, checked: 4, detail }
}

#[test]
fn a_higher_tier_that_is_wrong_is_given_up_and_the_baseline_must_be_right() {
    let right = |kernel| outcome(kernel, Features::NONE, 1e-7);
    let kernel_config =
        KernelConfig { features: Features::F16 | Features::SUBGROUPS, ..KernelConfig::of(DeviceClass::Hardware) };
    let report: Result<_> = evaluate(
        vec![
            right("matmul<q4_0>"),
            outcome("matmul<q4_0>", Features::F16, 0.3),
            outcome("rope", Features::SUBGROUPS, 0.0),
        ],
        kernel_config,
    );
    let report = report.expect("the baseline is right");
    assert_eq!((report.passed, report.failed.len()), (2, 1));
    assert_eq!((report.failed[0].kernel.as_str(), report.failed[0].tier.as_str()), ("matmul<q4_0>", "f16"));
    assert_eq!(report.kernel_config.features, Features::SUBGROUPS);
    for worst in [1e-3, f64::NAN, f64::INFINITY] {
        let failed =
            evaluate(vec![right("rope"), outcome("glu", Features::NONE, worst)], kernel_config).expect_err("wrong");
        assert_eq!(failed.code(), "self-test-failed");
        assert!(failed.to_string().contains("glu failed its self-test"), "{failed}");
    }
}
