//! Decoders that use every option of a layer, against `transformers` on tiny random weights (`tests/fixtures/decoders`). They are
//! configurations of the plain decoder, not of a family of their own.

use std::collections::BTreeMap;
use std::path::Path;

use half::bf16;
use ocelli::config::{Activation, KvPrecision, LayerKind, LayerOptions, RopeConfig, RopePairs, TextConfig};
use ocelli::engine::{Engine, Prompt};
use ocelli::families::ModelConfig;
use ocelli::families::llama;
use ocelli::model::{Input, LanguageModel};
use safetensors::{Dtype, SafeTensors};

use super::TOLERANCE;
use super::golden::{Case, largest_difference};
use crate::device;
use crate::packages::{Contents, decoder, load, pack_tensors};

const SLIDING: LayerKind = LayerKind::SlidingAttention;
const FULL: LayerKind = LayerKind::FullAttention;

/// Norms after attention and feed-forward, a tanh-GELU gate, windows, query scale and embedding scale.
fn shared() -> TextConfig {
    TextConfig {
        vocab_size: 328,
        hidden_size: 96,
        intermediate_size: 160,
        layers: vec![SLIDING, FULL, SLIDING],
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: true,
        max_position_embeddings: 512,
        embedding_scale: Some(96f32.sqrt()),
        layer_options: LayerOptions {
            hidden_act: Activation::GeluTanh,
            post_norms: true,
            sliding_window: Some(40),
            query_pre_attn_scalar: Some(24.0),
            ..LayerOptions::default()
        },
        ..TextConfig::default()
    }
}

/// The options of Gemma 2: soft caps of scores and logits.
fn gemma2() -> TextConfig {
    let text = shared();
    let layer_options = LayerOptions { attn_logit_softcapping: Some(4.0), ..text.layer_options };
    TextConfig { layer_options, final_logit_softcapping: Some(9.0), ..text }
}

/// The options of Gemma 3: norms of heads, and another rope in layers with a window.
fn gemma3() -> TextConfig {
    let text = shared();
    let rope = RopeConfig { divisors: Some(vec![8.0; 16]), ..RopeConfig::plain(1e4, RopePairs::Half) };
    let sliding_rope = Some(RopeConfig::plain(1e2, RopePairs::Half));
    let layer_options = LayerOptions { sliding_rope, ..text.layer_options };
    TextConfig { head_norms: true, rope, layer_options, ..text }
}

/// Weights, inputs and outputs of a decoder.
struct Golden {
    files: Contents,
    case: Case,
    /// `// [greedy, vocab]`
    step_logits: Vec<f32>,
}

impl Golden {
    async fn read(name: &str, text: TextConfig) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/decoders/{name}.safetensors"));
        let bytes = std::fs::read(path).expect("a fixture");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let numbers = |name: &str| {
            let tensor = tensors.tensor(name).unwrap_or_else(|_| panic!("{name}"));
            match tensor.dtype() {
                Dtype::BF16 => tensor.data().as_chunks().0.iter().map(|&x| bf16::from_le_bytes(x).to_f32()).collect(),
                _ => tensor.data().as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect::<Vec<_>>(),
            }
        };
        let ids = |name| -> Vec<u32> { numbers(name).into_iter().map(f32::to_bits).collect() };
        let (input_ids, greedy) = (ids("input_ids"), ids("greedy"));
        let config = ModelConfig::Llama(llama::Config { text });
        let files = pack_tensors(config, |spec| numbers(&spec.name)).await;
        let (prompt, pictures, logits) = (Prompt::Ids(input_ids.clone()), Vec::new(), numbers("logits"));
        let case = Case { name: name.into(), prompt, pictures, input_ids, greedy, logits };
        Self { files, case, step_logits: numbers("step_logits") }
    }

    fn check(&self, what: &str, found: &[f32], golden: &[f32]) {
        let difference = largest_difference(found, golden);
        println!("{} {what}: max |difference| {difference:.1e}", self.case.name);
        assert!(difference <= TOLERANCE, "{} {what}: {difference}", self.case.name);
    }

    async fn chunks_agree(&self, engine: &mut Engine) {
        for chunk in [usize::MAX, 1, 3, 32] {
            let found = super::logits(engine, &self.case, chunk).await;
            self.check(&format!("in chunks of {chunk}"), &found, &self.case.logits);
        }
        assert_eq!(super::greedy(engine, &self.case).await, self.case.greedy, "{}", self.case.name);
    }

    /// Steps of one row after the whole prompt, and after its first part, where few entries are in sight.
    async fn steps_agree(&self, prompt: usize) {
        let gpu = device::gpu();
        let mut model = decoder(gpu, &self.files, (512, KvPrecision::F32));
        let mut state = model.new_state().expect("a state");
        let inputs: Vec<Input> = self.case.input_ids[..prompt].iter().map(|&token| Input::Token(token)).collect();
        for chunk in inputs.chunks(256) {
            model.forward(&mut state, chunk, None).await.expect("a chunk");
        }
        state.reserve(gpu, 64).await.expect("room");
        let (vocab, mut found) = (model.config().vocab_size, Vec::new());
        let after = self.case.input_ids[prompt..].iter().chain(&self.case.greedy);
        let rows = self.case.logits[prompt * vocab..].iter().chain(&self.step_logits);
        let golden: Vec<f32> = rows.copied().take(32 * vocab).collect();
        for &token in after.take(32) {
            model.replay(&mut state, token).expect("a step");
            let (logits, _) = model.logits_and_step().expect("logits");
            found.extend(gpu.read_as::<f32>(&logits).await.expect("logits"));
        }
        self.check(&format!("in steps after {prompt}"), &found, &golden);
    }
}

fn agrees(name: &str, text: TextConfig) {
    pollster::block_on(async {
        let golden = Golden::read(name, text).await;
        golden.chunks_agree(&mut load(&golden.files, 512).await).await;
        for prompt in [3, 30, golden.case.input_ids.len()] {
            golden.steps_agree(prompt).await;
        }
    });
}

#[test]
fn post_norms_windows_and_soft_caps_agree_with_transformers() {
    agrees("gemma2", gemma2());
}

#[test]
fn two_ropes_agree_with_transformers() {
    agrees("gemma3", gemma3());
}

/// Each option counts: without it, the logits differ.
#[test]
fn every_option_changes_the_logits() {
    type Without = fn(&mut TextConfig);
    let options: BTreeMap<&str, Without> = BTreeMap::from([
        ("activation", (|text| text.layer_options.hidden_act = Activation::Silu) as Without),
        ("window", |text| text.layer_options.sliding_window = Some(41)),
        ("query scale", |text| text.layer_options.query_pre_attn_scalar = None),
        ("soft cap of scores", |text| text.layer_options.attn_logit_softcapping = None),
        ("soft cap of logits", |text| text.final_logit_softcapping = None),
        ("embedding scale", |text| text.embedding_scale = None),
    ]);
    pollster::block_on(async {
        for (option, without) in options {
            let mut text = gemma2();
            without(&mut text);
            let golden = Golden::read("gemma2", text).await;
            let mut model = decoder(device::gpu(), &golden.files, (512, KvPrecision::F32));
            let mut state = model.new_state().expect("a state");
            let inputs: Vec<Input> = golden.case.input_ids[..64].iter().map(|&token| Input::Token(token)).collect();
            model.forward(&mut state, &inputs, None).await.expect("a chunk");
            let found = model.logits(&state, 56..64).await.expect("logits"); // [8, vocab]
            let difference = largest_difference(&found, &golden.case.logits[56 * 328..64 * 328]);
            assert!(difference > 10.0 * TOLERANCE, "without {option}: {difference}");
        }
    });
}
