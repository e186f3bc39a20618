//! The processor with 1, 2 and 3 threads: every logit of prompts and steps is the same to the last bit.

use super::golden::cases;
use super::{greedy, logits};
use crate::packages::{load_on, pack};
use ocelli::gpu::{DeviceChoice, Gpu, GpuOptions};
use ocelli::layout::Layout;

/// Logits of all cases by prompts of one pass and then token by token, and the greedy answers.
async fn results(checkpoint: &str, layout: Layout, threads: usize) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    // These override OCELLI_DEVICE and OCELLI_THREADS.
    let options = GpuOptions { device: DeviceChoice::Cpu, threads: Some(threads), ..GpuOptions::default() };
    let gpu = Gpu::open_with(options).await.expect("the processor");
    assert_eq!(gpu.report().threads, Some(threads));
    let mut engine = load_on(&gpu, &pack(checkpoint, layout).await, 512, None).await;
    let (mut bits, mut answers) = (Vec::new(), Vec::new());
    for case in cases(checkpoint, "") {
        for chunk in [usize::MAX, 1] {
            bits.push(logits(&mut engine, &case, chunk).await.into_iter().map(f32::to_bits).collect());
        }
        answers.push(greedy(&mut engine, &case).await);
    }
    (bits, answers)
}

fn are_alike(checkpoint: &str, layout: Layout) {
    pollster::block_on(async {
        let (bits, answers) = results(checkpoint, layout, 1).await;
        assert!(!bits.is_empty());
        for threads in [2, 3] {
            let (found, said) = results(checkpoint, layout, threads).await;
            assert!(found == bits, "{checkpoint} {layout}: {threads} threads give other bits than one");
            assert_eq!(said, answers, "{checkpoint} {layout}: {threads} threads");
        }
    });
}

/// With pictures, and full attention.
#[test]
fn a_ministral_has_equal_bits_with_1_2_and_3_threads() {
    are_alike("tied_two_images", Layout::Q4_0);
}

/// With pictures, and recurrent layers.
#[test]
fn a_qwen3_5_has_equal_bits_with_1_2_and_3_threads() {
    are_alike("qwen3_5", Layout::Q8_0);
}
