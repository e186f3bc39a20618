//! Faults that show under load and in repetitions, and the cost of finding them.

use std::collections::HashSet;

use ocelli::Error;
use ocelli::config::KvPrecision;
use ocelli::gpu::{DeviceClass, Features, KernelConfig};
use ocelli::kernels::cases::{Harness, large};
use ocelli::kernels::self_test::self_test;
use ocelli::layout::Layout;
use ocelli::model::DryModel;

use super::{Models, device, few, milliseconds, test, with_subgroups};
use crate::device::gpu;
use crate::manifests;

/// A driver that replays recorded work wrongly, as <https://github.com/google-ai-edge/LiteRT/issues/8065> reports of Adreno.
#[test]
fn work_that_is_right_only_the_first_time_is_found() {
    pollster::block_on(async {
        // The submissions of the first batch: what outputs held is saved, the kernels run, it is restored, the kernels run again.
        for (run, fault) in [(1, " is right, off by "), (3, "when it was repeated")] {
            let gpu = device(|injection| injection.leave_out_at_submission(run)).await;
            let failed = test(&gpu, &few(), &mut |_, _| ()).await.expect_err("a wrong device");
            let Error::SelfTestFailed { detail, .. } = &failed else { panic!("{failed}") };
            assert!(detail.contains(fault), "run {run}: {detail}");
        }
    });
}

/// A fault of the usual tile in long loops, which small cases do not have. Its twin has smaller tiles.
#[test]
fn a_fault_that_only_large_work_shows_is_found() {
    pollster::block_on(async {
        let (from, fault) = ("phase < 2u * p.blocks;", "p.blocks > 20u && GROUPS == 2u");
        let to = format!("phase < 2u * p.blocks - select(0u, 2u, {fault});");
        let gpu = with_subgroups(|injection| injection.corrupt("matmul<q4_0>", from, &to)).await;
        let failed = test(&gpu, &few(), &mut |_, _| ()).await.expect_err("a wrong device");
        let Error::SelfTestFailed { kernel, detail, .. } = &failed else { panic!("{failed}") };
        assert_eq!(kernel, "matmul<q4_0>");
        assert!(detail.contains(" is right, off by "), "{detail}");
    });
}

/// 1.5 seconds of a GPU with 2 TFLOP/s, with the repetition of a layer after the load.
#[test]
fn tests_of_a_model_of_full_size_compute_little() {
    let gpu = gpu();
    let (config, mut flops) = (KernelConfig::of(DeviceClass::Hardware), 0);
    for (text, vision) in [(Layout::Q4_0, Layout::F16), (Layout::Q4K, Layout::Q8_0)] {
        let manifest = manifests::manifest(manifests::ministral_3b(), text, vision);
        let mut dry = DryModel::new(&manifest, gpu.dry_device(), config).expect("a model");
        let kernels = dry.kernels(config, [KvPrecision::F16; 2]).expect("kernels");
        let mut known = HashSet::new();
        for case in kernels.iter().filter(|kernel| known.insert((*kernel).clone())).filter_map(large) {
            let mut harness = Harness::lean(gpu);
            case.record(&mut harness).expect("a case");
            flops += 2 * harness.recording.flops();
        }
        // A layer of 128 rows.
        let text = manifest.config.text();
        let widths =
            (text.num_attention_heads + 2 * text.num_key_value_heads + text.num_attention_heads) * text.head_dim;
        let weights = text.hidden_size * (widths + 3 * text.intermediate_size);
        flops += 2 * 128 * 2 * weights as u64;
        assert!(flops > 4_000_000_000, "{flops} FLOP");
        assert!(flops < 3_000_000_000_000, "{flops} FLOP");
        println!("{:.1} GFLOP", flops as f64 / 1e9);
    }
}

#[test]
fn what_passed_on_a_device_is_not_tested_again() {
    pollster::block_on(async {
        let first = test(&device(|_| ()).await, &few(), &mut |_, _| ()).await.expect("right kernels");
        assert!(!first.earlier);
        let gpu = device(|_| ()).await;
        let again = async |models: &Models| {
            self_test(&gpu, |config| models.kernels(&gpu, config), milliseconds, first.proof, &mut |_, _| ()).await
        };
        let report = again(&few()).await.expect("right kernels");
        assert!(report.earlier && report.passed > 10 && report.failed.is_empty(), "{report:?}");
        assert_eq!((report.proof, gpu.counters().dispatches), (first.proof, 0));
        // Other kernels, and other configurations, are tested.
        let others = Models { layouts: vec![Layout::Q8_0], ..few() };
        let report = again(&others).await.expect("right kernels");
        assert!(!report.earlier && report.proof != first.proof, "{report:?}");
        gpu.set_kernel_config(KernelConfig { features: Features::NONE, ..gpu.kernel_config() });
        assert!(!again(&few()).await.expect("right kernels").earlier);
    });
}
