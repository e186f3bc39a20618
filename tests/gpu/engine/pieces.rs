//! Work in pieces: numbers and answers do not depend on the size of submissions.

use ocelli::engine::{Engine, RequestControl, ScoredRows};
use ocelli::gpu::{Gpu, GpuOptions};
use ocelli::layout::Layout;

use super::{CHECKPOINT, about_a_picture, fresh_answer};
use crate::packages;

/// A limit so small that kernels are divided as far as possible.
const FEW: u64 = 1 << 14;

/// Logits of every position of a question about a picture, and the number of submissions.
async fn scores(engine: &mut Engine) -> (Vec<f32>, u64) {
    let question = about_a_picture(10, "What is this?");
    let mut logits = Vec::new();
    let mut keep = |rows: ScoredRows<'_>| {
        logits.extend_from_slice(rows.logits);
        Ok(())
    };
    engine.reset();
    let before = engine.gpu().counters().submits;
    let scored = engine.score(&question.prompt, &question.pictures, 64, &RequestControl::new(), &mut keep).await;
    scored.expect("scores");
    (logits, engine.gpu().counters().submits - before)
}

#[test]
fn small_pieces_give_the_same_bits_and_stay_within_the_plan() {
    pollster::block_on(async {
        for layout in [Layout::Q8_0, Layout::Q4_0, Layout::F32] {
            let files = packages::pack(CHECKPOINT, layout).await;
            let question = about_a_picture(10, "What is this?");
            let mut runs = Vec::new();
            for max_flops in [None, Some(FEW)] {
                let options = GpuOptions { max_flops, ..GpuOptions::default() };
                let gpu = Gpu::open_with(options).await.expect("a device");
                let mut engine = packages::load_on(&gpu, &files, 512, None).await;
                let (logits, submissions) = scores(&mut engine).await;
                let tokens = fresh_answer(&mut engine, &question).await.tokens;
                let (peak, planned) = (gpu.ledger().total().1, engine.plan().peak);
                assert!(peak <= planned, "{peak} of {planned} bytes with {max_flops:?}");
                runs.push((logits, tokens, engine.plan().clone(), submissions));
            }
            let [(logits, tokens, plan, few), (in_pieces, same_tokens, same_plan, many)] = &runs[..] else {
                unreachable!()
            };
            println!("{layout}: {few} submissions, {many} in pieces");
            assert!(*many > 3 * few, "{many} submissions for {few}");
            assert_eq!((tokens, plan), (same_tokens, same_plan));
            assert!(logits.len() == in_pieces.len() && !logits.is_empty());
            let apart = logits.iter().zip(in_pieces).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            assert_eq!(apart, 0, "of {} numbers", logits.len());
        }
    });
}
