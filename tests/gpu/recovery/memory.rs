//! Memory shortage, caused by a limit of the ledger.

use super::bench::{Bench, about};
use ocelli::Error;
use ocelli::gpu::{Gpu, GpuOptions};
use ocelli::layout::Layout;

fn in_use(bench: &Bench) -> u64 {
    bench.engine.gpu().ledger().total().0
}

#[test]
fn caches_are_dropped_when_memory_runs_out() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 5);
        // A later question with the same first words.
        bench.hear(&about(50, "What is this?", 2)).await;
        bench.engine.gpu().ledger().restart_peaks();
        let whole = bench.hear(&request).await;
        let features: Vec<_> = bench.engine.memory();
        // Room for one picture: the memory of earlier ones must be released.
        bench.engine.reset();
        let ledger = bench.engine.gpu().ledger().clone();
        let bare = in_use(bench);
        let needed = ledger.total().1 - bare;
        for level in [20, 30, 40] {
            bench.hear(&about(level, "What is this?", 2)).await;
        }
        let crowded = in_use(bench);
        assert!(crowded > bare, "nothing was kept: {features:?}");
        ledger.set_limit(Some(bare + needed));
        let heard = bench.hear(&request).await;
        ledger.set_limit(None);
        assert_eq!((heard.recoveries, heard.said()), (0, whole.said()));
        assert!(in_use(bench) <= bare + needed);
    });
}

#[test]
fn too_little_is_refused_with_numbers_and_costs_nothing() {
    Bench::with(async |bench| {
        let pictured = about(10, "What is this?", 4);
        let ledger = bench.engine.gpu().ledger().clone();
        // No request has run yet: little more than the weights is in use.
        let limit = in_use(bench) + 20_000;
        ledger.set_limit(Some(limit));
        let failed = bench.fail(&pictured).await;
        let Error::OutOfMemory { what, purpose, bytes, in_use, .. } = &failed else { panic!("{failed}") };
        assert!(in_use + bytes > limit && *in_use <= limit, "{failed}");
        assert!(!what.is_empty() && ["activations", "features"].contains(&purpose.as_str()), "{failed}");
        assert!(failed.to_string().contains(&format!("{what} needs {bytes} bytes")), "{failed}");
        ledger.set_limit(None);
        let said = bench.hear(&pictured).await;
        bench.engine.reset();
        assert_eq!(bench.hear(&pictured).await.said(), said.said());
    });
}

#[test]
fn at_any_allocation_of_a_request_there_is_an_answer_or_an_error_and_never_anything_else() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 3);
        let whole = bench.hear(&request).await;
        let ledger = bench.engine.gpu().ledger().clone();
        bench.engine.reset();
        let (bare, peak) = (in_use(bench), ledger.total().1);
        let (mut answered, mut refused) = (0, 0);
        for step in 0..=8 {
            bench.engine.reset();
            ledger.set_limit(Some(bare + (peak - bare) * step / 8));
            match bench.engine.generate(&request, &ocelli::engine::RequestControl::new(), &mut |_| ()).await {
                Ok(completion) => {
                    answered += 1;
                    assert_eq!(completion.tokens, whole.tokens, "at {step}");
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.code(), "out-of-memory", "at {step}");
                }
            }
            ledger.set_limit(None);
        }
        assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
        assert_eq!(bench.hear(&request).await.said(), whole.said());
    });
}

#[test]
fn loading_says_which_tensor_there_was_no_room_for() {
    Bench::with(async |bench| {
        let files = crate::packages::pack("tied_two_images", Layout::F32).await;
        let tensors = &bench.engine.manifest().tensors;
        let text = tensors.iter().filter(|tensor| !tensor.name.starts_with("vision.")).map(|tensor| &tensor.shape);
        let weights: u64 = 4 * text.map(|shape| shape.iter().product::<usize>() as u64).sum::<u64>();
        let gpu = Gpu::open_with(GpuOptions::default()).await.expect("a device");
        gpu.ledger().set_limit(Some(weights * 3 / 4));
        let options = ocelli::engine::LoadOptions { context: Some(512), ..ocelli::engine::LoadOptions::new(|| 0.0) };
        let Err(failed) = crate::packages::try_load(&gpu, &files, options).await else { panic!("there is no room") };
        let Error::OutOfMemory { what, purpose, bytes, in_use, .. } = &failed else { panic!("{failed}") };
        assert!(bench.engine.manifest().tensors.iter().any(|tensor| what.contains(&tensor.name)), "{failed}");
        assert!(purpose.ends_with("_weights") && in_use + bytes > weights * 3 / 4, "{failed}");
        assert_eq!(gpu.ledger().total().0, 0);
        gpu.ledger().set_limit(None);
        crate::packages::try_load(&gpu, &files, options).await.expect("there is room now");
    });
}
