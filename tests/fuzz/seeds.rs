//! Valid files to start from: the smallest ones, and some fixtures.

use std::path::Path;

use super::structure::Seed;
use super::targets::tiny;

pub(crate) fn fixture(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn gguf_text() -> Vec<Seed> {
    let files =
        [tiny::gguf_floats(), tiny::gguf_blocks(), tiny::gguf_k_quants(), tiny::gguf_k_quants_with_fifth_bits()];
    files.map(Seed::gguf).into()
}

pub(crate) fn gguf_vision() -> Vec<Seed> {
    vec![Seed::gguf(tiny::gguf_vision_half())]
}

pub(crate) fn safetensors() -> Vec<Seed> {
    ["F32", "F16", "BF16", "F8_E4M3"].map(|kind| Seed::safetensors(tiny::safetensors_of(kind))).into()
}

/// Checkpoints with more than the tensors of a plain decoder.
pub(crate) fn checkpoint() -> Vec<Seed> {
    super::targets::tiny_checkpoints().map(|[config, weights]| Seed::checkpoint(&config, &weights)).into()
}

pub(crate) fn safetensors_index() -> Vec<Seed> {
    vec![Seed::json(tiny::safetensors_list())]
}

/// Configurations of all families and spellings, each with its other files.
pub(crate) fn hf_settings() -> Vec<Seed> {
    // The importer looks up the ids of three tokens only.
    const TOKENIZER: &[u8] =
        br#"{"added_tokens": [{"id": 10, "content": "[IMG]"}, {"id": 12, "content": "[IMG_BREAK]"},
        {"id": 13, "content": "[IMG_END]"}]}"#;
    let files = |name: &str| {
        let file = |file: &str| fixture(&format!("checkpoints/{name}/{file}"));
        let processor = if name == "text_long" { b"{}".to_vec() } else { file("processor_config.json") };
        let tokenizer = TOKENIZER.to_vec();
        [file("config.json"), tokenizer, file("generation_config.json"), processor, b"Be brief.".to_vec()].join(&0)
    };
    // Picture settings have a file of their own, which may be nested in the other one.
    let nested = |name: &str| {
        let file = |file: &str| fixture(&format!("checkpoints/{name}/{file}"));
        let processor = [&br#"{"image_processor": "#[..], &file("preprocessor_config.json"), b"}"].concat();
        [file("config.json"), b"{}".to_vec(), file("generation_config.json"), processor, b"Be brief.".to_vec()].join(&0)
    };
    let seeds = ["text_long", "fp8", "merge1", "small31"].map(|name| Seed::json(files(name)));
    seeds.into_iter().chain(["qwen3_vl", "qwen3_5", "mllama"].map(|name| Seed::json(nested(name)))).collect()
}

/// Manifests of packages with and without vision.
pub(crate) fn manifest() -> Vec<Seed> {
    super::targets::tiny_manifests().map(Seed::json).into()
}

/// Snapshots of every kind of state.
pub(crate) fn snapshot() -> Vec<Seed> {
    super::targets::tiny_snapshots().into_iter().map(Seed::snapshot).collect()
}

pub(crate) fn tokenizer() -> Vec<Seed> {
    ["checkpoints/fp8/tokenizer.json", "gguf/tokenizer.json"].map(|name| Seed::json(fixture(name))).into()
}

pub(crate) fn picture() -> Vec<Seed> {
    let names = [
        "baseline.jpg",
        "bilevel.png",
        "chroma420.jpg",
        "grey.jpg",
        "grey_alpha.png",
        "grey16.png",
        "lossless_alpha.webp",
        "lossy.webp",
        "lossy_alpha.webp",
        "palette_clear.png",
        "progressive.jpg",
        "rgb.png",
        "rgb16.png",
        "rgba.png",
        "turned.jpg",
        "turned.webp",
        "turned_profile.png",
        "turned_xmp.jpg",
        "turned_xmp.png",
    ];
    let files = names.map(|name| fixture(&format!("images/{name}")));
    let animations = [animated(&fixture("images/lossy_alpha.webp")), animated(&fixture("images/lossless_alpha.webp"))];
    files.into_iter().chain(animations).map(Seed::picture).collect()
}

/// A still WebP as the only frame of an animation.
pub(crate) fn animated(still: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8], parts: &[&[u8]]| {
        let payload = parts.concat();
        [name, &(payload.len() as u32).to_le_bytes(), &payload].concat()
    };
    let (size, frame) = match &still[12..16] {
        b"VP8X" => (still[24..30].to_vec(), &still[30..]),
        _ => {
            let bits = u32::from_le_bytes(still[21..25].try_into().expect("4 bytes"));
            let [width, height] = [bits & 0x3fff, bits >> 14 & 0x3fff].map(u32::to_le_bytes);
            ([&width[..3], &height[..3]].concat(), &still[12..])
        }
    };
    let whole = [
        b"WEBP".to_vec(),
        // Alpha and animation.
        chunk(b"VP8X", &[&[0x12, 0, 0, 0], &size]),
        chunk(b"ANIM", &[&[0; 6]]),
        chunk(b"ANMF", &[&[0; 6], &size, &[0; 4], frame]),
    ];
    chunk(b"RIFF", &[&whole.concat()])
}

pub(crate) fn request() -> Vec<Seed> {
    const EVERYTHING: &str = r#"{"model": "m", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content":
        [{"type": "text", "text": "What is in  these? 日本語 [INST]"}, {"type": "image_url", "image_url": {"url": "a.png", "detail":
        "low"}}, {"type": "image_url", "image_url": "b.png"}]}, {"role": "assistant", "content": "A cat. "}, {"role": "user",
        "content": "Sure?"}], "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 5, "stop": ["\n",
        "."], "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "seed": -7, "frequency_penalty": 0.1,
        "presence_penalty": -0.1, "logit_bias": {"5": -100}, "n": 1, "response_format": {"type": "text"}, "user": "u"}"#;
    const SHORT: &str = r#"{"messages": [{"role": "user", "content": "Hi"}]}"#;
    const IDS: &str = r#"{"input_ids": [1, 3, 10, 13, 4], "images": ["a.png"]}"#;
    [EVERYTHING, SHORT, IDS].map(Seed::json).into()
}

pub(crate) fn text_stream() -> Vec<Seed> {
    let seed = |stops: &[&str], cut: u8, answer: &[u8]| {
        let mut bytes = vec![stops.len() as u8, cut];
        stops.iter().for_each(|stop| bytes.extend([&[stop.len() as u8], stop.as_bytes()].concat()));
        bytes.extend(answer);
        Seed::plain(bytes)
    };
    vec![
        seed(&["\n\n", "STOP"], 3, "Grüße, 世界! 🙂👩‍👩‍👧\nSTO STOP more".as_bytes()),
        seed(&["aaab", "ab", "é"], 17, "aaaaaaaacaaab \u{e9}".as_bytes()),
        seed(&[], 0, b"\xf0\x9f\x99 \xc3 \xff\xfe \xe2\x82\xed\xa0\x80 \xf4\x90\x80\x80 end\xf0\x9f"),
        seed(&["\u{fffd}"], 5, b"one \xe2\x82\xac two \xe2\x82 three"),
    ]
}
