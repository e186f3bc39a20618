//! Benchmarks time the same work as requests, and leave the engine unchanged.

use ocelli::bench::{BenchOptions, Sides, What, Work, bench};
use ocelli::engine::{Engine, LoadOptions, RequestControl};
use ocelli::gpu::Gpu;
use ocelli::layout::Layout;
use ocelli::{Error, Result};

use super::tuning::milliseconds;
use super::{CHECKPOINT, about_a_picture, answer};
use crate::packages;

const CONTEXT: usize = 160;

fn options() -> BenchOptions {
    let (decode, prefill, pictures) = (vec![16, 64, 4096], vec![40], vec![56, 2048]);
    let together = vec![1, 3];
    BenchOptions { decode, prefill, pictures, together, tokens: 4, rounds: 1, patience_ms: 500.0, kernels: true }
}

/// Runs `test` with a clock that advances, which determines the number of runs, on a device whose counters no other test changes.
fn with_timed_engine(test: impl AsyncFnOnce(&mut Engine)) {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let options = LoadOptions { context: Some(CONTEXT), ..LoadOptions::new(milliseconds) };
        let gpu = Gpu::open().await.expect("a device");
        test(&mut packages::try_load(&gpu, &files, options).await.expect("load")).await;
    });
}

#[test]
fn benchmarks_time_the_work_of_requests() {
    with_timed_engine(async |engine| {
        let before = answer(engine, &about_a_picture(9, "What?")).await;
        let mut lines = Vec::new();
        let report = bench(engine, &options(), &RequestControl::new(), &mut |line| lines.push(line.to_owned())).await;
        let report = report.expect("a report");
        assert!(lines.iter().any(|line| line.starts_with("decode 4096: no room")), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("picture 2048: no room")), "{lines:?}");
        let sizes = |what| report.measures.iter().filter(move |m| m.what == what).map(|m| m.size).collect::<Vec<_>>();
        assert_eq!((sizes(What::Decode), sizes(What::Picture)), (vec![16, 64], vec![56]));
        assert_eq!(sizes(What::Together), [1, 3]);
        let peaks = report.peaks.as_ref().expect("peaks");
        assert!(peaks.copy_gb_s > 0.0 && peaks.arithmetic.iter().all(|peak| peak.gops > 0.0));
        let is_gpu = !engine.gpu().runs_at_once();
        let costs = |sides: Sides| sides.submit_ms > 0.0 && sides.device_ms > 0.0;
        assert_eq!(peaks.launch.is_some_and(costs), is_gpu, "{peaks:?}");
        assert_eq!(report.works[0].sides.is_some_and(costs), is_gpu, "{:?}", report.works[0]);
        let works: Vec<_> = report.works.iter().map(|shares| shares.work).collect();
        let decode = [16, 64].map(|tokens| Work::Decode { tokens });
        assert_eq!(works, [decode[0], decode[1], Work::Prompt { tokens: 40 }, Work::Picture { side: 56 }]);
        for shares in &report.works {
            assert!(shares.measured_ms.is_some_and(|ms| ms > 0.0), "{shares}");
            assert!(shares.kernels.iter().all(|share| share.ms > 0.0 && share.bound_ms > 0.0), "{shares:?}");
        }
        let gpu = engine.gpu().clone();
        let counted = gpu.counters();
        let step = engine.record_step(16).await.expect("a step");
        gpu.run("step", &step).expect("a run");
        let launches: usize = report.works[0].kernels.iter().map(|share| share.launches).sum();
        assert_eq!((gpu.counters() - counted).dispatches, launches as u64, "every kernel of a step is timed");
        assert_eq!(report.to_string().matches("| kernel |").count(), 4);
        assert_eq!(answer(engine, &about_a_picture(9, "What?")).await.tokens, before.tokens);
    });
}

#[test]
fn a_benchmark_can_be_cancelled_anywhere() {
    with_timed_engine(async |engine| {
        let mut ended = Vec::new();
        for after in [0, 3, 7, 11] {
            let (cancel, mut heard) = (RequestControl::new(), 0);
            let outcome: Result<_> = bench(engine, &options(), &cancel, &mut |_| {
                heard += 1;
                if heard > after {
                    cancel.cancel();
                }
            })
            .await;
            ended.push(matches!(outcome, Err(Error::Aborted)));
        }
        assert_eq!(ended, [true; 4]);
        answer(engine, &about_a_picture(9, "What?")).await;
    });
}
