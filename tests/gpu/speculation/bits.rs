//! A pass of several rows gives the same logits as steps of one row, bit by bit.

use ocelli::config::KvPrecision;
use ocelli::gpu::{Counters, Gpu};
use ocelli::layers::step::{RESULT, StepHeader};
use ocelli::layout::Layout;
use ocelli::model::{Input, LanguageModel, Model};
use ocelli::state::{ConversationState, State};

use crate::device::Random;
use crate::injection::Injection;
use crate::packages::{self, Contents, decoder};

/// A model, and a conversation that precedes the tests.
struct Bench {
    gpu: Gpu,
    model: Model,
    state: State,
    vocab: usize,
}

impl Bench {
    async fn new(gpu: &Gpu, files: &Contents, kv: KvPrecision, (position, random): (usize, &mut Random)) -> Self {
        let mut model = decoder(gpu, files, (2048, kv));
        let text = model.config().clone();
        let mut state = model.new_state().expect("a state");
        let words: Vec<Input> = (0..position).map(|_| Input::Token(random.bits() % text.vocab_size as u32)).collect();
        for chunk in words.chunks(256) {
            model.forward(&mut state, chunk, None).await.expect("a prompt");
        }
        state.reserve(gpu, 16).await.expect("room");
        Self { gpu: gpu.clone(), model, state, vocab: text.vocab_size }
    }

    async fn logits(&self, rows: usize) -> Vec<u32> {
        let (logits, _) = self.model.logits_and_step().expect("logits");
        let bytes = (rows * self.vocab * 4) as u64;
        self.gpu.read_as(&logits.buffer.slice(0..bytes)).await.expect("logits")
    }

    /// The logits after each of `inputs`, step by step. `// [inputs, vocab]`, as words
    async fn one_by_one(&mut self, inputs: &[u32]) -> Vec<u32> {
        let mut all = Vec::new();
        for &token in inputs {
            self.model.replay(&mut self.state, token).expect("a step");
            all.extend(self.logits(1).await);
        }
        all
    }

    /// The logits of one pass, and the step header after it.
    async fn at_once(&mut self, inputs: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (_, step) = self.model.logits_and_step().expect("a step");
        let header = StepHeader { token: inputs[0], entry: self.state.len(), drawn: 5 };
        self.model.start_steps(&self.state, header).expect("a header");
        let mut readback = self.gpu.readback(RESULT).expect("a readback");
        let pass = self.model.prepared_drafts(&self.state, inputs).expect("a pass");
        self.gpu.submit(&[pass], Some((&step, &mut readback))).expect("a submission");
        let result = self.gpu.fetch(&mut readback).await.expect("a result");
        (self.logits(inputs.len()).await, bytemuck::pod_collect_to_vec(&result))
    }
}

fn likeliest(logits: &[u32]) -> u32 {
    let of = |index: usize| f32::from_bits(logits[index]);
    (0..logits.len()).reduce(|best, next| if of(next) > of(best) { next } else { best }).unwrap_or_default() as u32
}

/// Correct tokens first, then a wrong one, then random ones.
async fn every_bit_is_the_same(
    gpu: &Gpu,
    (name, files): (&str, &Contents),
    kv: KvPrecision,
    (position, rows): (usize, usize),
) {
    let random = &mut Random::new((position * 8 + rows) as u64);
    let mut bench = Bench::new(gpu, files, kv, (position, random)).await;
    bench.state.checkpoint();
    let right = random.bits() as usize % rows;
    let mut inputs = vec![random.bits() % bench.vocab as u32];
    let (mut wanted, mut said) = (Vec::new(), Vec::new());
    for row in 0..rows {
        wanted.extend(bench.one_by_one(&inputs[row..]).await);
        said.push(likeliest(&wanted[row * bench.vocab..]));
        let wrong = u32::from(row >= right);
        inputs.push((said[row] + wrong) % bench.vocab as u32);
    }
    inputs.truncate(rows);
    assert_eq!(bench.state.rewind(position), position);
    bench.at_once(&inputs).await;
    let before = gpu.counters();
    let (found, header) = bench.at_once(&inputs).await;
    let cost = gpu.counters() - before;
    // The tokens are already on the device. The pass writes its header, reads the logits and the place of the results.
    let logits = (rows * bench.vocab * 4) as u64;
    let alone =
        Counters { submits: 1 + 1, writes: 1 + 1, buffers: 1 + 1, bytes_read: 16 + logits, ..Counters::default() };
    assert_eq!(cost, Counters { dispatches: cost.dispatches, ..alone }, "what a pass asks of the device");
    for row in 0..rows {
        let part = row * bench.vocab..(row + 1) * bench.vocab;
        let off = found[part.clone()].iter().zip(&wanted[part]).filter(|(a, b)| a != b).count();
        assert_eq!(off, 0, "{name}, {kv}, row {row} of {rows} at {position}: {off} of {} logits differ", bench.vocab);
    }
    let kept = right.min(rows - 1) + 1;
    assert_eq!(header[..3], [said[kept - 1], (position + kept) as u32, 5 + kept as u32], "{name} {rows} {inputs:?}");
    // Rejected rows leave no trace, in any number of steps.
    bench.state.advance_drafts(rows);
    for left in (position + kept..position + rows).rev() {
        assert_eq!(bench.state.rewind(left), left);
    }
    let (next, before) = (said[kept - 1], bench.state.len());
    // A copy of the state has seen the accepted rows, too.
    bench.state.checkpoint();
    let found = bench.one_by_one(&[next]).await;
    assert_eq!(bench.state.rewind(before), before);
    assert!(bench.one_by_one(&[next]).await == found, "{name}: from the place after a pass of {rows} at {position}");
    assert_eq!(bench.state.rewind(position), position);
    bench.one_by_one(&inputs[..kept]).await;
    assert_eq!(bench.state.len(), before);
    assert!(bench.one_by_one(&[next]).await == found, "{name}: the step after a pass of {rows} at {position}");
}

#[test]
fn a_pass_gives_the_very_logits_of_steps() {
    pollster::block_on(async {
        let all = std::env::var("OCELLI_SPECULATION").is_ok_and(|value| value == "all");
        // A device for this test only, because its work is counted.
        let gpu = Gpu::open().await.expect("a device");
        let checkpoints = [
            ("untied", Layout::Q4_0),
            ("small31", Layout::Q8_0),
            ("wide_heads", Layout::F16),
            ("like_24b", Layout::Q4_64),
            ("text_long", Layout::F32),
        ];
        for (turn, (checkpoint, layout)) in checkpoints.into_iter().take(if all { 5 } else { 1 }).enumerate() {
            let files = packages::pack(checkpoint, layout).await;
            let kv = KvPrecision::ALL[turn % 3];
            for at in [(3, 2 + turn), (61, 8), (300, 4)].into_iter().skip(usize::from(!all)) {
                every_bit_is_the_same(&gpu, (checkpoint, &files), kv, at).await;
            }
        }
        // Across tiles of 64 positions, and with several workgroups for the attention.
        let files = packages::random_package().await;
        for at in [(63, 4), (250, 4), (700, 8)].into_iter().skip(usize::from(!all)) {
            every_bit_is_the_same(&gpu, ("random", &files), KvPrecision::F16, at).await;
        }
    });
}

#[test]
fn a_pass_of_a_model_with_recurrent_layers_gives_the_very_logits_of_steps() {
    pollster::block_on(async {
        let gpu = Gpu::open().await.expect("a device");
        for (layout, kv) in [(Layout::Q8_0, KvPrecision::F32), (Layout::Q4_0, KvPrecision::F16)] {
            let files = packages::pack("qwen3_5", layout).await;
            for at in [(3, 2), (61, 8), (70, 4), (300, 5)] {
                every_bit_is_the_same(&gpu, ("qwen3_5", &files), kv, at).await;
            }
        }
    });
}

/// Kernels may round in the same way as steps if one workgroup sees the whole context, and in another way if several share it.
#[test]
fn passes_are_judged_anew_where_the_context_is_split() {
    pollster::block_on(async {
        let injection = Injection::default();
        injection.corrupt("attention_step<32,f32,8,split", "exp(", "1.0000002 * exp(");
        let (gpu, files) = (injection.open().await.expect("a device"), packages::pack("text_long", Layout::Q4_0).await);
        let mut bench = Bench::new(&gpu, &files, KvPrecision::F32, (100, &mut Random::new(1))).await;
        let inputs = [70, 71, 72, 73];
        for (position, right) in [(100, true), (110, true), (300, false), (301, false)] {
            while bench.state.len() < position {
                bench.model.replay(&mut bench.state, 80).expect("a step");
                bench.state.reserve(&gpu, 16).await.expect("room");
            }
            let header = StepHeader { token: inputs[0], entry: position, drawn: 0 };
            bench.model.start_steps(&bench.state, header).expect("a header");
            let found = bench.model.drafts_match_steps(&mut bench.state, &inputs, 0).await.expect("an answer");
            assert_eq!(found, right, "at {position}");
        }
    });
}
