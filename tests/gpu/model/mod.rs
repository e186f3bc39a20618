//! The whole model on the GPU against `transformers`, on tiny random checkpoints (`tests/fixtures/checkpoints`).

mod cache;
pub(crate) mod golden;
mod hardware;
mod options;
mod pages;
mod small_device;
mod threads;
mod together;

use crate::injection::Injection;
use crate::packages::{GGUF, engine, load, load_on, pack_gguf, pack_gguf_pair, random_package};
use golden::{Case, cases, largest_difference};
use ocelli::chat::ContentPart;
use ocelli::engine::{Engine, Prompt, Request, RequestControl, ScoredRows};
use ocelli::import::layouts::Layouts;
use ocelli::layout::Layout;
use ocelli::sampling::SamplingOptions;

/// Largest logit difference due to rounding: logits reach 40, and sums have another order.
const TOLERANCE: f32 = 2e-3;

async fn logits(engine: &mut Engine, case: &Case, chunk: usize) -> Vec<f32> {
    let mut all = Vec::new();
    let vocab = case.logits.len() / case.input_ids.len();
    let mut keep = |rows: ScoredRows<'_>| {
        assert_eq!(all.len(), rows.first * vocab, "rows come in order");
        all.extend_from_slice(rows.logits);
        Ok(())
    };
    let input_ids =
        engine.score(&case.prompt, &case.pictures, chunk, &RequestControl::new(), &mut keep).await.expect("score");
    assert_eq!(input_ids, case.input_ids, "{}: token ids", case.name);
    all
}

async fn greedy(engine: &mut Engine, case: &Case) -> Vec<u32> {
    let request = Request {
        prompt: case.prompt.clone(),
        pictures: case.pictures.clone(),
        sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        max_tokens: Some(case.greedy.len()),
        stop: Vec::new(),
        grammar: None,
    };
    engine.generate(&request, &RequestControl::new(), &mut |_| ()).await.expect("generate").tokens
}

fn agrees(checkpoint: &str, layout: Layout, quant: &str) {
    pollster::block_on(async {
        let mut engine = engine(checkpoint, layout).await;
        engine_agrees(&mut engine, &format!("{checkpoint} {layout}"), cases(checkpoint, quant)).await;
    });
}

async fn engine_agrees(engine: &mut Engine, what: &str, cases: Vec<Case>) {
    assert!(!cases.is_empty());
    for case in cases {
        let found = logits(engine, &case, usize::MAX).await;
        let difference = largest_difference(&found, &case.logits);
        println!("{what} {}: {} tokens, max |difference| {difference:.1e}", case.name, case.input_ids.len());
        assert!(difference <= TOLERANCE, "{what} {}: {difference}", case.name);
        assert_eq!(greedy(engine, &case).await, case.greedy, "{what} {}", case.name);
    }
}

/// A GGUF file against `transformers` on the weights that gguf-py reads from it.
fn gguf_agrees(name: &str, layouts: Layouts, golden: &str) {
    pollster::block_on(async {
        let mut engine = load(&pack_gguf(name, layouts).await, 256).await;
        engine_agrees(&mut engine, &format!("{name}.gguf as {golden}"), cases(GGUF, golden)).await;
    });
}

/// A pair of files written by llama.cpp's converter (that of Gemma 4 by `make_gemma4_gguf.py`), against `transformers`: the text model's
/// matrices stay as they are, including K-quants.
fn pair_agrees(name: &str, layouts: Layouts) {
    pollster::block_on(async {
        let folder = format!("{GGUF}/{name}");
        let mut engine = load(&pack_gguf_pair(&folder, "text", layouts).await, 512).await;
        engine_agrees(&mut engine, &format!("{name}, as converted"), cases(&folder, "")).await;
    });
}

macro_rules! gguf_files {
    ($($name:ident),*) => {
        mod gguf {
            use super::*;

            $(#[test]
            fn $name() {
                gguf_agrees(stringify!($name), Layouts::default(), stringify!($name));
            })*

            #[test]
            fn floats_as_f32() {
                gguf_agrees("bf16", Layout::F32.into(), "bf16");
            }

            #[test]
            fn qwen3_vl_as_converted() {
                pair_agrees("qwen3_vl", Layout::F32.into());
            }

            /// With value heads in another order, unfused norms, and a layer that drafts tokens.
            #[test]
            fn qwen3_5_as_converted() {
                pair_agrees("qwen3_5_untied", Layout::F32.into());
            }

            /// Whose text half is recognised by its vision half.
            #[test]
            fn minicpmv4_6_as_converted() {
                pair_agrees("minicpmv4_6", Layout::F32.into());
            }

            #[test]
            fn smolvlm_as_converted() {
                pair_agrees("smolvlm", Layout::F32.into());
            }

            /// With unused keys, an ear, and the largest pictures of files that name no size.
            #[test]
            fn gemma4_pair() {
                pair_agrees("gemma4", Layout::F32.into());
            }

            #[test]
            fn qwen3_vl_in_k_quants() {
                pair_agrees("qwen3_vl_q4_k", Layouts::default());
            }

            #[test]
            fn qwen3_5_in_k_quants() {
                pair_agrees("qwen3_5_q4_k", Layouts::default());
            }

            #[test]
            fn k_quants_made_compact() {
                gguf_agrees("q4_k", Layouts::COMPACT, "q4_k_compact");
            }
        }
    };
}

gguf_files!(mixed, bf16, q8_0, q4_0, q4_k, q5_k, q6_k);

/// WGSL allows a driver to take subnormal 16-bit floats for zero.
#[test]
fn k_quants_agree_on_a_driver_that_flushes_subnormals() {
    pollster::block_on(async {
        let injection = Injection::default();
        injection.flush_halves("", "0x1p-14");
        let gpu = injection.open().await.expect("a device");
        for name in ["q4_k", "q5_k", "q6_k"] {
            let mut engine = load_on(&gpu, &pack_gguf(name, Layouts::default()).await, 256, None).await;
            engine_agrees(&mut engine, &format!("{name}.gguf, flushed"), cases(GGUF, name)).await;
        }
    });
}

/// The logits of a model with the proportions and the weights of `ocelli synth` are finite, and differ between tokens.
#[test]
fn a_random_model_runs() {
    pollster::block_on(async {
        let mut engine = load(&random_package().await, 256).await;
        let prompt = Prompt::Ids((1000..1040).collect());
        let mut logits = Vec::new();
        let mut keep = |rows: ScoredRows<'_>| {
            logits.extend_from_slice(rows.logits);
            Ok(())
        };
        engine.score(&prompt, &[], 32, &RequestControl::new(), &mut keep).await.expect("score");
        assert!(logits.len() == 40 * 1600 && logits.iter().all(|x| x.is_finite()));
        let size = (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt();
        assert!((0.3..3.0).contains(&size), "logits of about 1, not {size}");
    });
}

/// A conversation without system message starts with the package's default one, with its placeholders filled.
#[test]
fn a_packages_system_prompt_is_put_before_a_conversation() {
    pollster::block_on(async {
        let mut case = cases("text_long", "").into_iter().find(|case| case.name == "chat").expect("a chat");
        let Prompt::Messages(messages) = &mut case.prompt else { panic!("no messages") };
        let ContentPart::Text(system) = messages.remove(0).content.remove(0) else { panic!("no text") };
        let mut files = crate::packages::pack("text_long", Layout::F32).await;
        let mut manifest: serde_json::Value = serde_json::from_slice(&files["model.json"]).expect("JSON");
        manifest["name"] = "poet".into();
        manifest["chat"]["default_system_prompt"] = system.replace("poet", "{name}").into();
        files.insert("model.json".into(), serde_json::to_vec(&manifest).expect("JSON"));
        let mut engine = load(&files, 256).await;
        let found = logits(&mut engine, &case, usize::MAX).await;
        assert!(largest_difference(&found, &case.logits) <= TOLERANCE);
    });
}

macro_rules! checkpoints {
    ($($name:ident),*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn f32_agrees_with_transformers() {
                agrees(stringify!($name), Layout::F32, "");
            }

            #[test]
            fn f16_agrees_with_transformers() {
                agrees(stringify!($name), Layout::F16, "f16");
            }

            #[test]
            fn q8_0_agrees_with_transformers() {
                agrees(stringify!($name), Layout::Q8_0, "q8_0");
            }

            #[test]
            fn q4_0_agrees_with_transformers() {
                agrees(stringify!($name), Layout::Q4_0, "q4_0");
            }

            #[test]
            fn q4_64_agrees_with_transformers() {
                agrees(stringify!($name), Layout::Q4_64, "q4_64");
            }

            #[test]
            fn a_device_of_small_bindings_agrees() {
                small_device::agrees(stringify!($name), Layout::F32, "");
                small_device::agrees(stringify!($name), Layout::Q8_0, "q8_0");
            }

            #[test]
            fn chunks_of_a_prompt_give_the_logits_of_the_whole() {
                chunks_agree(stringify!($name));
            }
        })*
    };
}

checkpoints!(
    tied_two_images,
    untied,
    text_long,
    small31,
    wide_heads,
    merge1,
    fp8,
    like_8b,
    like_14b,
    like_24b,
    llama3,
    qwen3_vl,
    qwen3_vl_untied,
    qwen3_5,
    qwen3_5_even,
    qwen3_5_untied,
    mllama,
    smolvlm,
    smolvlm_whole,
    granite_docling,
    gemma4,
    gemma4_wide,
    minicpmv4_6
);

fn chunks_agree(checkpoint: &str) {
    pollster::block_on(async {
        let mut engine = engine(checkpoint, Layout::F32).await;
        for case in cases(checkpoint, "") {
            let whole = logits(&mut engine, &case, usize::MAX).await;
            for chunk in [1, 3, 32] {
                let parts = logits(&mut engine, &case, chunk).await;
                let difference = largest_difference(&parts, &whole);
                assert!(difference <= 1e-3, "{checkpoint} {} in chunks of {chunk}: {difference}", case.name);
            }
        }
    });
}
