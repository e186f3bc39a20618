//! Jobs carried out by several threads.

use super::Machine;
use crate::{Fault, Held, InstructionSet, Job, Norms, Op, Plain, Results, Scores, Source, Span};

fn buffer(machine: &Machine, numbers: &[f32]) -> Span {
    let bytes = size_of_val(numbers) as u64;
    let at = machine.alloc(bytes).expect("memory");
    machine.write(at, bytemuck::cast_slice(numbers)).expect("room");
    Span { at, bytes }
}

fn numbers(machine: &Machine, span: Span) -> Vec<f32> {
    let bytes = machine.read(span).expect("a buffer");
    bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
}

fn norm(spans: [Span; 3], rows: u32, width: u32) -> Job {
    let mut job = Job::default();
    job.launch(
        Op::RmsNorm { adds: false, scales: false },
        &[width / 4, 1e-5_f32.to_bits(), 0],
        [rows, 1, 1],
        spans.into_iter(),
    );
    job
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let given: Vec<f32> = (0..64 * 260).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
    for set in InstructionSet::detected() {
        let results = [1, 2, 3].map(|threads| {
            let machine = Machine::new(set, threads).expect("threads");
            let [x, y, weight] = [&given[..], &vec![0.0; given.len()], &[1.5; 260]].map(|it| buffer(&machine, it));
            let mut job = norm([x, y, weight], 64, 260);
            job.copy(y, x);
            job.launch(Op::Plain(Plain::SoftCap), &[64 * 260, 0.5_f32.to_bits()], [1, 1, 1], [x].into_iter());
            for _ in 0..100 {
                machine.run(&job, &mut None).expect("a job");
            }
            [y, x].map(|span| numbers(&machine, span))
        });
        assert!(results.iter().all(|result| *result == results[0]), "{set:?}");
        let [y, x] = &results[0];
        assert!(x.iter().zip(y).all(|(x, y)| (x - 0.5 * (y / 0.5).tanh()).abs() < 1e-6), "{set:?}");
    }
}

#[test]
fn launches_beyond_their_spans_are_faults() {
    for set in InstructionSet::detected() {
        let machine = Machine::new(set, 2).expect("threads");
        let spans = [&[1.0; 8][..], &[0.0; 8], &[1.0; 4]].map(|it| buffer(&machine, it));
        for (rows, width) in [(3, 4), (1, 8), (u32::MAX, 4), (u32::MAX, u32::MAX)] {
            let result = machine.run(&norm(spans, rows, width), &mut None);
            assert_eq!(result, Err(Fault::OutOfBounds), "{rows} {width}");
        }
        assert_eq!(machine.run(&norm(spans, 2, 4), &mut None), Ok(()), "faults leave the threads usable");
        assert!(numbers(&machine, spans[1]).iter().all(|y| (y - 1.0).abs() < 1e-4));
    }
}

#[test]
fn launches_with_more_work_than_memory_are_faults() {
    for set in InstructionSet::detected() {
        let machine = Machine::new(set, 1).expect("a thread");
        let buffers = [(); 5].map(|()| buffer(&machine, &[0.0; 512]));
        let run = |op: Op, params: &[u32], grid: [u32; 3]| {
            let mut job = Job::default();
            job.launch(op, params, grid, buffers.into_iter());
            machine.run(&job, &mut None)
        };
        let scores = Scores { is_windowed: false, is_capped: false };
        // All keys are the same: a stride of 0.
        let of_rows = Op::Attention { head_dim: 4, source: Source::Rows, held: Held::F32, is_gated: false, scores };
        let attention = |keys: u32, stride4: u32| [1, keys, 1, 0, 0, 0, 1, 0, stride4, 0, stride4, 0, 1, 0];
        assert_eq!(run(of_rows, &attention(128, 1), [1, 1, 1]), Ok(()));
        assert_eq!(run(of_rows, &attention(u32::MAX, 0), [1, 1, 1]), Err(Fault::OutOfBounds));
        // Splits that all write the same result.
        let of_step = Op::AttentionStep { head_dim: 4, held: Held::F32, results: Results::Plain, scores, tile: 64 };
        let step = |splits: u32| [1, 1, 1, splits, 0, 1, 0, 0, 0];
        assert_eq!(run(of_step, &step(1), [1, 1, 1]), Ok(()));
        assert_eq!(run(of_step, &step(1 << 24), [1, 1, 1]), Err(Fault::OutOfBounds));
        // Heads of no numbers.
        let of_heads = Op::Rope { is_rotated: false, has_norms: false, held: Held::F32 };
        let heads = |heads: u32, half_dim4: u32| [8, heads, 1, 1, half_dim4, 6, 0];
        assert_eq!(run(of_heads, &heads(3, 1), [1, 1, 1]), Ok(()));
        assert_eq!(run(of_heads, &heads(u32::MAX, 0), [1, 1, 1]), Err(Fault::OutOfBounds));
        let of_cache = Op::RopeAppend { head_dim: 0, norms: Norms::None, ropes: 1, held: Held::F32 };
        assert_eq!(run(of_cache, &[1, u32::MAX, 0, 0, 0, 0, 0], [1, 1, 1]), Err(Fault::OutOfBounds));
        let of_splits = |head_dim: u16| Op::AttentionJoin { head_dim, is_gated: false };
        assert_eq!(run(of_splits(4), &[1, 1, 1, 0, 0, 0], [1, 1, 1]), Ok(()));
        assert_eq!(run(of_splits(0), &[u32::MAX, 0, 1, 0, 0, 0], [1, 1, 1]), Err(Fault::OutOfBounds));
        // Patches of no channels.
        let merge = |merge: u32, channels: u32| [1, 1, merge, channels, 0];
        assert_eq!(run(Op::Plain(Plain::PatchMerge), &merge(2, 4), [1, 1, 1]), Ok(()));
        assert_eq!(run(Op::Plain(Plain::PatchMerge), &merge(u32::MAX, 0), [1, 1, 1]), Err(Fault::OutOfBounds));
    }
}

#[test]
fn a_panic_of_a_kernel_ends_the_job_and_leaves_the_threads_usable() {
    let width = 100_u32;
    let sets = InstructionSet::detected();
    for (set, threads) in sets.into_iter().flat_map(|set| [1, 2, 3].map(|threads| (set, threads))) {
        let machine = Machine::new(set, threads).expect("threads");
        let spans = [8 * width, 8 * width, width].map(|len| buffer(&machine, &vec![1.0; len as usize]));
        // A lane layout whose groups do not divide a row.
        let mut job = Job::default();
        job.launch(Op::RmsNorm { adds: false, scales: false }, &[width / 4, 0, 1], [8, 1, 1], spans.into_iter());
        for _ in 0..3 {
            assert_eq!(machine.run(&job, &mut None), Err(Fault::Panicked), "{set:?} {threads}");
            assert_eq!(machine.run(&norm(spans, 8, width), &mut None), Ok(()), "{set:?} {threads}");
        }
    }
}

#[test]
fn spans_outside_of_buffers_are_faults() {
    let machine = Machine::new(InstructionSet::SCALAR, 1).expect("threads");
    let spans = [&[1.0; 8][..], &[0.0; 8], &[1.0; 4]].map(|it| buffer(&machine, it));
    let (job, mut checked) = (norm(spans, 2, 4), None);
    assert_eq!(machine.run(&job, &mut checked), Ok(()));
    machine.free(spans[1].at);
    assert_eq!(machine.run(&job, &mut checked), Err(Fault::OutOfBounds), "a freed buffer");
    let beyond = Span { bytes: spans[0].bytes + 1, ..spans[0] };
    assert_eq!(machine.read(beyond), Err(Fault::OutOfBounds));
    assert_eq!(machine.write(spans[0].at + 4, &[0; 32]), Err(Fault::OutOfBounds));
    assert_eq!(machine.read(Span { at: 8, bytes: 4 }), Err(Fault::OutOfBounds));
}

#[cfg(target_os = "linux")]
#[test]
fn buffers_take_memory_as_they_are_written() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("a file of Linux");
        pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
    };
    let machine = Machine::new(InstructionSet::SCALAR, 1).expect("a thread");
    let (before, bytes) = (resident(), 256 << 20);
    let at = machine.alloc(bytes).expect("memory");
    assert_eq!(at % 64, 0);
    machine.write(at + bytes - 4, &[1; 4]).expect("room");
    assert_eq!(machine.read(Span { at: at + bytes - 8, bytes: 8 }), Ok(vec![0, 0, 0, 0, 1, 1, 1, 1]));
    assert!(resident() < before + bytes / 4, "{} bytes became resident", resident() - before);
    machine.free(at);
}
