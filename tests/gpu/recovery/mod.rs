//! Recovery of an engine: a device lost at any step of a request or of loading, memory that runs out, repeated losses. The answer is the
//! same to the last token, and no event is sent twice.
//!
//! `OCELLI_LOSSES=all` loses the device at every single step; otherwise at a part of them.

mod bench;

mod memory;

use bench::{Bench, GFLOPS, Heard, about, follow_up, words};
use ocelli::Error;
use ocelli::config::KvPrecision;
use ocelli::engine::{Event, RequestControl, Stage};
use ocelli::gpu::DeviceClass;
use ocelli::sampling::SamplingOptions;

use crate::injection::Injection;

/// About `wanted` of `count` steps, including the first and the last.
fn tried(count: u64, wanted: u64) -> impl Iterator<Item = u64> {
    let all = std::env::var("OCELLI_LOSSES").is_ok_and(|value| value == "all");
    let stride = if all { 1 } else { (count / wanted).max(1) };
    (0..count).filter(move |step| step % stride == 0 || step + 1 == count)
}

#[test]
fn a_device_lost_at_any_submission_of_a_follow_up_changes_no_token() {
    // Integers hide small differences between numbers.
    Bench::with_cache(KvPrecision::Int8, async |bench| {
        let first = about(10, "What is this?", 5);
        let said = bench.hear(&first).await;
        let second = follow_up(&first, &said, 200, "And this?", 5);
        let before = bench.injection.submissions();
        let whole = bench.hear(&second).await;
        let submissions = bench.injection.submissions() - before;
        let held = bench.engine.memory();
        assert!(submissions > 10, "{submissions} submissions");
        let mut lost = 0;
        for step in tried(submissions, 12) {
            bench.engine.reset();
            assert_eq!(bench.hear(&first).await, said);
            bench.injection.lose_at_submission(bench.injection.submissions() + step);
            let heard = bench.hear(&second).await;
            assert_eq!(heard.recoveries, 1, "at {step}");
            assert_eq!(heard.said(), whole.said(), "at {step}");
            lost += 1;
            for (before, after) in held.iter().zip(bench.engine.memory()) {
                assert_eq!(before.current, after.current, "{:?} after a loss at {step}", before.purpose);
            }
        }
        println!("{lost} of {submissions} submissions tried");
    });
}

#[test]
fn pictures_are_not_forgotten_where_a_request_loses_its_device_twice() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 5);
        let before = bench.injection.submissions();
        let whole = bench.hear(&request).await;
        let submissions = bench.injection.submissions() - before;
        let mut twice = 0;
        for step in tried(submissions, 12) {
            bench.engine.reset();
            let now = bench.injection.submissions();
            bench.injection.lose_at_submission(now + step);
            bench.injection.lose_at_submission(now + submissions);
            let heard = bench.hear(&request).await;
            assert_eq!(heard.said(), whole.said(), "at {step}");
            twice += u32::from(heard.recoveries == 2);
        }
        assert!(twice > 3, "{twice} of the answers lost it twice");
    });
}

#[test]
fn a_device_lost_while_weights_are_sent_or_kernels_tested_is_opened_again() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 3);
        let whole = bench.hear(&request).await;
        let (submissions, writes) = (bench.loading.submissions, bench.loading.writes);
        assert!(submissions >= 2 && writes > 50, "{submissions} submissions, {writes} writes");
        for step in 0..submissions {
            let (mut other, sent) =
                bench.load_again(|injection| injection.lose_at_submission(step)).await.expect("load");
            assert_eq!(sent, bench.loading.sent, "every byte is told of once");
            assert_eq!(other.hear(&request).await, whole, "lost at submission {step} of loading");
        }
        for step in tried(writes, 6) {
            let (mut other, sent) = bench.load_again(|injection| injection.lose_at_write(step)).await.expect("load");
            assert_eq!(sent, bench.loading.sent);
            assert_eq!(other.hear(&request).await, whole, "lost at write {step} of loading");
        }
    });
}

#[test]
fn dice_fall_on_as_if_nothing_had_happened() {
    Bench::with(async |bench| {
        let mut request = words("Dream.", 8);
        request.sampling = SamplingOptions { seed: 7, ..SamplingOptions::default() };
        let before = bench.injection.submissions();
        let whole = bench.hear(&request).await;
        let submissions = bench.injection.submissions() - before;
        for step in tried(submissions, 4) {
            bench.engine.reset();
            bench.injection.lose_at_submission(bench.injection.submissions() + step);
            assert_eq!(bench.hear(&request).await.said(), whole.said(), "at {step}");
        }
    });
}

#[test]
fn a_conversation_cut_within_a_pass_is_replayed_exactly() {
    Bench::with(async |bench| {
        // The second question shares only the first words of the first, which were one pass.
        let first = words("one two three four five six seven", 2);
        let second = words("one two three four FIVE", 6);
        bench.hear(&first).await;
        let whole = bench.hear(&second).await;
        bench.engine.reset();
        bench.hear(&first).await;
        bench.injection.lose_at_submission(bench.injection.submissions() + 5);
        let heard = bench.hear(&second).await;
        assert_eq!((heard.recoveries, heard.said()), (1, whole.said()));
        assert!(whole.cached > 1, "nothing was cut");
    });
}

#[test]
fn scores_survive_as_well() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 1);
        let whole = bench.score(&request).await.expect("score");
        let before = bench.injection.submissions();
        assert_eq!(bench.score(&request).await.expect("score"), whole);
        let submissions = bench.injection.submissions() - before;
        for step in tried(submissions, 3) {
            bench.injection.lose_at_submission(bench.injection.submissions() + step);
            assert!(bench.score(&request).await.expect("score") == whole, "at {step}");
        }
    });
}

#[test]
fn the_third_loss_of_a_request_is_an_error_and_the_next_request_starts_anew() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 4);
        let whole = bench.hear(&request).await;
        bench.injection.lose_thrice();
        bench.engine.reset();
        let mut recoveries = Vec::new();
        let mut listen = |event: Event| {
            if let Event::Recovering { attempt, reason } = event {
                recoveries.push((attempt, reason));
            }
        };
        let failed =
            bench.engine.generate(&request, &RequestControl::new(), &mut listen).await.expect_err("lost thrice");
        assert_eq!(failed.code(), "device-lost");
        assert_eq!(recoveries.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2]);
        assert!(recoveries.iter().all(|(_, reason)| reason.contains("destroyed")), "{recoveries:?}");
        assert!(bench.engine.memory().iter().all(|row| row.current == 0), "{:?}", bench.engine.memory());
        assert_eq!(bench.hear(&request).await.said(), whole.said());
    });
}

#[test]
fn a_device_that_cannot_be_opened_is_tried_again_and_at_last_given_up() {
    Bench::with(async |bench| {
        let request = words("Hello.", 4);
        let whole = bench.hear(&request).await;
        bench.injection.refuse_to_open(1);
        bench.injection.lose_at_submission(bench.injection.submissions());
        bench.engine.reset();
        let heard = bench.hear(&request).await;
        assert_eq!((heard.recoveries, heard.said()), (2, whole.said()));

        bench.injection.refuse_to_open(9);
        bench.injection.lose_at_submission(bench.injection.submissions());
        bench.engine.reset();
        let failed = bench.fail(&request).await;
        assert!(matches!(&failed, Error::DeviceLost { reason } if reason.contains("refused")), "{failed}");
        assert_eq!(bench.fail(&request).await.code(), "device-lost");
        bench.injection.refuse_to_open(0);
        assert_eq!(bench.hear(&request).await.said(), whole.said());
    });
}

#[test]
fn the_third_loss_of_a_request_moves_it_to_the_processor() {
    Bench::with_fallback(async |bench| {
        let request = about(10, "What is this?", 4);
        let whole = bench.hear(&request).await;
        assert_eq!(bench.engine.gpu().gflops(), GFLOPS);
        bench.injection.lose_thrice();
        bench.engine.reset();
        let heard = bench.hear(&request).await;
        assert_eq!((heard.recoveries, heard.said()), (2, whole.said()));
        assert!(heard.processor.as_deref().is_some_and(|reason| reason.contains("lost repeatedly")), "{heard:?}");
        assert_eq!(bench.engine.gpu().gflops(), 0);
        let report = bench.engine.gpu().report().clone();
        assert_eq!((report.class, &report.reason), (DeviceClass::Processor, &heard.processor));
        // The processor is used from now on, also after losses of its own, of which the third is an error.
        bench.engine.reset();
        assert_eq!(bench.hear(&request).await, whole);
        let now = bench.injection.submissions();
        bench.injection.lose_at_submission(now + 1);
        bench.engine.reset();
        assert_eq!(bench.hear(&request).await.recoveries, 1);
        assert_eq!(bench.engine.gpu().report(), &report);
        let now = bench.injection.submissions();
        (0..200).for_each(|step| bench.injection.lose_at_submission(now + step));
        bench.engine.reset();
        assert_eq!(bench.fail(&request).await.code(), "device-lost");
    });
}

#[test]
fn a_gpu_that_cannot_be_used_is_replaced_by_the_processor_while_loading() {
    Bench::with_fallback(async |bench| {
        let request = about(10, "What is this?", 4);
        let whole = bench.hear(&request).await;
        let wrong = |injection: &Injection| injection.corrupt("rms_norm", "sqrt(", "1.5 * sqrt(");
        for order in [&wrong as &dyn Fn(&Injection), &Injection::lose_thrice] {
            let (mut other, sent) = bench.load_again(order).await.expect("load");
            assert_eq!(other.engine.tuned().gflops, 0, "that of the GPU");
            let report = other.engine.gpu().report();
            assert!(report.class == DeviceClass::Processor && report.reason.is_some(), "{report:?}");
            assert_eq!(sent, bench.loading.sent, "every byte is told of once");
            assert_eq!(other.hear(&request).await.said(), whole.said());
        }
    });
}

#[test]
fn a_device_that_was_lost_gets_less_work_at_once() {
    Bench::with(async |bench| {
        let request = words("Hello.", 4);
        let whole = bench.hear(&request).await;
        let before = bench.engine.gpu().most_flops();
        bench.injection.lose_at_submission(bench.injection.submissions());
        bench.engine.reset();
        let heard = bench.hear(&request).await;
        assert_eq!((heard.recoveries, heard.said()), (1, whole.said()));
        assert_eq!(bench.engine.gpu().most_flops(), before / 2);
    });
}

#[test]
fn a_device_lost_between_requests_is_noticed_by_the_next() {
    Bench::with(async |bench| {
        let first = about(10, "What is this?", 3);
        let said = bench.hear(&first).await;
        let second = follow_up(&first, &said, 200, "And this?", 3);
        let whole = bench.hear(&second).await;
        bench.engine.reset();
        bench.hear(&first).await;
        bench.engine.gpu().lose();
        let heard = bench.hear(&second).await;
        assert_eq!((heard.recoveries, heard.cached, heard.said()), (1, whole.cached, whole.said()));
    });
}

#[test]
fn cancelling_stops_a_recovery_too() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 6);
        let whole = bench.hear(&request).await;
        bench.engine.reset();
        bench.injection.lose_at_submission(bench.injection.submissions() + 8);
        let cancel = RequestControl::new();
        let mut stop = |event: Event| {
            if matches!(event, Event::Recovering { .. }) {
                cancel.cancel();
            }
        };
        let stopped = bench.engine.generate(&request, &cancel, &mut stop).await;
        assert_eq!(stopped, Err(Error::Aborted));
        assert_eq!(bench.hear(&request).await.said(), whole.said());
    });
}

#[test]
fn losses_in_every_stage_are_among_those_tried() {
    Bench::with(async |bench| {
        let request = about(10, "What is this?", 3);
        for stage in [Some(Stage::Vision), Some(Stage::Prefill), None] {
            bench.engine.reset();
            let (injection, mut heard) = (bench.injection.clone(), Heard::default());
            let mut lose = |event: Event| {
                let reached = match (&event, stage) {
                    (Event::Progress { stage: at, .. }, Some(stage)) => *at == stage,
                    (Event::Text(_), None) => true,
                    _ => false,
                };
                if reached && heard.recoveries == 0 {
                    injection.lose_at_submission(injection.submissions());
                }
                heard.listen(event);
            };
            bench.engine.generate(&request, &RequestControl::new(), &mut lose).await.expect("generate");
            assert_eq!(heard.recoveries, 1, "{stage:?}");
        }
    });
}
