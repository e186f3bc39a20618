//! Jobs that no recording has, launches of random sizes and random words: each ends soon, with a result or a fault, and writes nothing outside
//! of its buffers.

use std::time::{Duration, Instant};

use ocelli_cpu::native::Machine;
use ocelli_cpu::{Fault, Held, InstructionSet, Job, Layout, Norms, Op, Plain, Results, Scores, Source, Span};

/// Time for all launches of an instruction set, and for one.
const TIME: Duration = Duration::from_secs(20);
const TIME_OF_ONE: Duration = Duration::from_secs(20);
/// Sizes that kernels round, divide by or multiply.
const SIZES: [u32; 16] = [0, 1, 2, 3, 4, 7, 8, 16, 32, 64, 100, 256, 1 << 12, 1 << 20, 1 << 31, u32::MAX];
/// Bindings of a launch, and the bytes that they may have.
const BINDINGS: usize = 12;
const BYTES: [usize; 4] = [0, 16, 1024, 1 << 14];
/// Bytes before and after a binding in its buffer. None for the address sanitizer, which detects reads beyond a buffer, too.
const GUARD: usize = if cfg!(sanitized) { 0 } else { 1 << 12 };

/// Random numbers, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Small sizes are likelier: launches of them get further.
    fn size(&mut self) -> u32 {
        if self.below(4) > 0 { self.one(&SIZES[..10]) } else { self.one(&SIZES) }
    }
}

fn operation(random: &mut Random) -> Op {
    let head_dim = random.one(&[0, 4, 8, 24, 64, 128, 512, 1024, u16::MAX]);
    let held = random.one(&[Held::F32, Held::F16, Held::Int8]);
    let layout = random.one(&Layout::ALL);
    let scores = Scores { is_windowed: random.flag(), is_capped: random.flag() };
    let (flag, rounds) = (random.flag(), random.flag());
    match random.below(13) {
        0 => {
            let source = random.one(&[Source::Rows, Source::Cache]);
            Op::Attention { head_dim, source, held, is_gated: flag, scores }
        }
        1 => Op::AttentionJoin { head_dim, is_gated: flag },
        2 => {
            let results = random.one(&[Results::Plain, Results::Gated, Results::Partial]);
            Op::AttentionStep { head_dim, held, results, scores, tile: random.one(&[0, 1, 64, u16::MAX]) }
        }
        3 => Op::DeltaScan { dim: head_dim },
        4 => Op::EmbedRows { layout, parts: random.below(10) as u8, is_scaled: flag },
        5 => Op::GatedMatvec { layout, has_norm: flag, rounds },
        6 => Op::Matmul { layout, rounds },
        7 => Op::Matvec { layout, has_norm: flag, rounds },
        8 => {
            let is_interleaved = random.flag();
            Op::QkvMatvec { layout, head_dim, is_interleaved, held, has_bias: flag, rounds }
        }
        9 => Op::RmsNorm { adds: flag, scales: rounds },
        10 => Op::Rope { is_rotated: flag, has_norms: rounds, held },
        11 => {
            let norms = random.one(&[Norms::None, Norms::Plain, Norms::Values, Norms::Keys]);
            Op::RopeAppend { head_dim, norms, ropes: random.below(4) as u8, held }
        }
        _ => Op::Plain(random.one(&Plain::ALL).0),
    }
}

/// Bindings of all lengths, each with a guard before and after it.
fn guarded(machine: &Machine, random: &mut Random) -> Vec<[Span; BYTES.len()]> {
    let mut guarded = |bytes: usize| {
        let content: Vec<u8> = (0..bytes + 2 * GUARD).map(|_| random.one(&[0, 0, 0, 1, 2, 60])).collect();
        let at = machine.alloc(content.len() as u64).expect("memory");
        machine.write(at, &content).expect("room");
        Span { at: at + GUARD as u64, bytes: bytes as u64 }
    };
    (0..BINDINGS).map(|_| BYTES.map(&mut guarded)).collect()
}

/// The bytes of all guards.
fn guards(machine: &Machine, bindings: &[[Span; BYTES.len()]]) -> Vec<Vec<u8>> {
    let guard = |at: u64| machine.read(Span { at, bytes: GUARD as u64 }).expect("a guard");
    bindings.iter().flatten().flat_map(|span| [guard(span.at - GUARD as u64), guard(span.at + span.bytes)]).collect()
}

#[test]
fn launches_of_random_sizes_end_soon_and_stay_within_their_buffers() {
    for set in InstructionSet::detected() {
        let machine = Machine::new(set, 1).expect("a thread");
        let mut random = Random(29);
        let bindings = guarded(&machine, &mut random);
        let (before, start) = (guards(&machine, &bindings), Instant::now());
        let mut finished = 0;
        for number in 0..40_000 {
            let op = operation(&mut random);
            let params: Vec<u32> = (0..24).map(|_| random.size()).collect();
            let grid = [random.size(), random.size(), random.size()];
            // Bindings of a launch are different buffers.
            let first = random.below(BINDINGS);
            let spans: Vec<Span> = (0..BINDINGS).map(|at| random.one(&bindings[(first + at) % BINDINGS])).collect();
            let mut job = Job::default();
            job.launch(op, &params, grid, spans.into_iter());
            let (began, label) = (Instant::now(), || format!("{set:?} {number}: {op:?} {params:?} {grid:?}"));
            finished += usize::from(machine.run(&job, &mut None).is_ok());
            assert!(began.elapsed() < TIME_OF_ONE, "{} took {:?}", label(), began.elapsed());
            if start.elapsed() > TIME {
                break;
            }
        }
        assert!(finished > 100, "{set:?}: {finished} launches were none that a kernel carries out");
        assert!(guards(&machine, &bindings) == before, "{set:?}: a launch wrote outside of its buffers");
    }
}

/// Words of up to 12 parts: any words, small ones, a header of a launch, and spans of buffers. Spans that follow one another are different
/// buffers.
fn words(random: &mut Random, spans: &[Span]) -> Vec<u32> {
    let (mut words, mut next) = (Vec::new(), random.below(spans.len()));
    for _ in 0..=random.below(12) {
        match random.below(4) {
            0 => words.push((random.below(1 << 16) << 16 | random.below(1 << 16)) as u32),
            1 => words.push(random.one(&[0, 0, 1, 2, 5, 16])),
            2 => {
                let mut launch = Job::default();
                launch.launch(operation(random), &[], [random.size(), 1, 1], std::iter::empty());
                let mut header = launch.words().to_vec();
                // Numbers of parameters and of spans.
                header[6] = random.one(&[0, 0, 4, 9, u32::MAX]);
                header[7] = random.one(&[0, 1, 3, 9, 17, u32::MAX]);
                header.extend((0..header[6] % 10).map(|_| random.size()));
                // Not of a span: it would be another part of the same buffer.
                if random.flag() {
                    let at = random.below(header.len());
                    header[at] ^= 1 << random.below(32);
                }
                words.extend(header);
            }
            _ => {
                for _ in 0..=random.below(4) {
                    let Span { at, bytes } = spans[next % spans.len()];
                    words.extend([at as u32, (at >> 32) as u32, bytes as u32, 0]);
                    next += 1;
                }
            }
        }
    }
    words.truncate(if random.flag() { words.len() } else { random.below(words.len() + 1) });
    words
}

#[test]
fn random_words_end_soon_and_stay_within_their_buffers() {
    for set in InstructionSet::detected() {
        let machine = Machine::new(set, 1).expect("a thread");
        let mut random = Random(31);
        let bindings = guarded(&machine, &mut random);
        let spans: Vec<Span> = bindings.iter().flatten().copied().collect();
        let (before, start) = (guards(&machine, &bindings), Instant::now());
        let mut found = [0; 4];
        for number in 0..200_000 {
            let words = words(&mut random, &spans);
            let (job, began) = (Job::from(words.clone()), Instant::now());
            let result = machine.run(&job, &mut None);
            assert!(began.elapsed() < TIME_OF_ONE, "{set:?} {number}: {words:?} took {:?}", began.elapsed());
            assert!(result != Err(Fault::Panicked), "{set:?} {number}: {words:?}");
            let kinds = [Ok(()), Err(Fault::Malformed), Err(Fault::Missing), Err(Fault::OutOfBounds)];
            found[kinds.iter().position(|kind| *kind == result).expect("a kind")] += 1;
            if start.elapsed() > TIME {
                break;
            }
        }
        println!("{set:?}: {found:?} done, malformed, missing, out of bounds");
        assert!(found.iter().all(|&count| count > 20), "{set:?}: {found:?} of the kinds of ends");
        assert!(guards(&machine, &bindings) == before, "{set:?}: a job wrote outside of its buffers");
    }
}
