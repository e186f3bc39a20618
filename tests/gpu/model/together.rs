//! A row of each of several conversations in one step: every logit and every token equals that of a single step, to the last bit.

use ocelli::config::KvPrecision;
use ocelli::gpu::Gpu;
use ocelli::layout::Layout;
use ocelli::model::{BatchRow, Draw, Input, LanguageModel, LogitsAt, Model};
use ocelli::sampling::{Past, SamplingOptions};
use ocelli::state::{ConversationState, PAGE, State};

use crate::device::{self, Random};
use crate::packages::{Contents, decoder, pack};

const CONTEXT: usize = 16 * PAGE;
const STEPS: usize = 6;

/// A conversation whose first token is drawn.
struct Under {
    state: State,
    draw: Draw,
    tokens: Vec<u32>,
}

fn options(seed: u64) -> SamplingOptions {
    match seed % 3 {
        0 => SamplingOptions { temperature: 1.1, seed, frequency_penalty: 0.5, ..SamplingOptions::default() },
        1 => SamplingOptions { temperature: 0.9, seed, top_p: 0.8, ..SamplingOptions::default() },
        _ => SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
    }
}

async fn begin(model: &mut Model, length: usize, seed: u64) -> Under {
    let (mut random, mut state) = (Random::new(seed), model.new_state().expect("a state"));
    let inputs: Vec<Input> = (0..length).map(|_| Input::Token(3 + random.bits() % 60)).collect();
    let mut last = 0;
    for chunk in inputs.chunks(200) {
        model.forward(&mut state, chunk, None).await.expect("a chunk");
        last = chunk.len() - 1;
    }
    let draw = model.begin(&state, &options(seed), Past::default(), LogitsAt::Chunk(last), None).await;
    let mut draw = draw.expect("a draw");
    let tokens = vec![model.read_token(&mut draw).await.expect("a token")];
    Under { state, draw, tokens }
}

/// Logits and tokens of a conversation alone.
async fn alone(gpu: &Gpu, files: &Contents, kv: KvPrecision, length: usize, seed: u64) -> Vec<u32> {
    let mut model = decoder(gpu, files, (CONTEXT, kv));
    let mut under = begin(&mut model, length, seed).await;
    for _ in 0..STEPS {
        model.reserve(&mut under.state, 1).await.expect("room");
        model.step(&mut under.state, &mut under.draw).expect("a step");
        under.tokens.push(model.read_token(&mut under.draw).await.expect("a token"));
    }
    under.tokens
}

fn rows(all: &mut [Under]) -> Vec<BatchRow<'_, State, Draw>> {
    let mut rows = Vec::new();
    for Under { state, draw, tokens } in all {
        rows.push(BatchRow { state, draw, token: tokens[tokens.len() - 1], drawn: tokens.len() });
    }
    rows
}

#[test]
fn conversations_together_are_computed_as_each_is_alone() {
    pollster::block_on(async {
        let gpu = device::gpu();
        for (checkpoint, layout) in
            [("untied", Layout::Q8_0), ("tied_two_images", Layout::F16), ("qwen3_vl", Layout::Q4_0)]
        {
            let files = pack(checkpoint, layout).await;
            for kv in KvPrecision::ALL {
                for lengths in [&[5, 300][..], &[1, 255, 256], &[700, 30, 511, 2, 90, 257, 64]] {
                    let mut model = decoder(gpu, &files, (CONTEXT, kv));
                    let mut all = Vec::new();
                    for (seed, &length) in (0..).zip(lengths) {
                        all.push(begin(&mut model, length, seed).await);
                    }
                    for step in 0..STEPS {
                        for under in &mut all {
                            model.reserve(&mut under.state, 1).await.expect("room");
                        }
                        if step == 0 {
                            let right = model.batch_matches_single(&mut rows(&mut all)).await;
                            assert!(right.expect("a comparison"), "{checkpoint} {kv} {lengths:?}");
                        }
                        let tokens = model.batch_step(&mut rows(&mut all)).await.expect("tokens");
                        all.iter_mut()
                            .zip(tokens)
                            .for_each(|(under, token)| under.tokens.push(token.expect("a token")));
                    }
                    for ((seed, &length), under) in (0..).zip(lengths).zip(&all) {
                        assert_eq!(under.state.len(), length + STEPS);
                        let wanted = alone(gpu, &files, kv, length, seed).await;
                        assert_eq!(under.tokens, wanted, "{checkpoint} {kv} {length} of {lengths:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn models_whose_states_are_bound_for_one_conversation_take_one_at_a_time() {
    pollster::block_on(async {
        let gpu = device::gpu();
        for (checkpoint, most) in [("untied", 8), ("qwen3_vl", 8), ("qwen3_5", 1), ("mllama", 1)] {
            let model = decoder(gpu, &pack(checkpoint, Layout::Q8_0).await, (CONTEXT, KvPrecision::F32));
            assert_eq!(model.max_batch(), most, "{checkpoint}");
        }
    });
}
