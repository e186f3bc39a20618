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
    let with_vocabulary = |name: &str| {
        let file = |file: &str| fixture(&format!("checkpoints/{name}/{file}"));
        let processor = [&br#"{"image_processor": "#[..], &file("preprocessor_config.json"), b"}"].concat();
        let small = [file("config.json"), file("tokenizer.json"), file("generation_config.json")].join(&0);
        [small, processor, b"Be brief.".to_vec()].join(&0)
    };
    let as_stored = |name: &str| {
        let file = |file: &str| fixture(&format!("checkpoints/{name}/{file}"));
        let all = ["config.json", "tokenizer.json", "generation_config.json", "processor_config.json"].map(file);
        [all.join(&0), Vec::new()].join(&0)
    };
    let seeds = ["text_long", "fp8", "merge1", "small31"].map(|name| Seed::json(files(name)));
    let nested = ["qwen3_vl", "qwen3_5", "mllama"].map(|name| Seed::json(nested(name)));
    let with_vocabulary = ["smolvlm_whole", "granite_docling"].map(|name| Seed::json(with_vocabulary(name)));
    let as_stored = ["gemma4", "minicpmv4_6"].map(|name| Seed::json(as_stored(name)));
    seeds.into_iter().chain(nested).chain(with_vocabulary).chain(as_stored).collect()
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
    ["checkpoints/fp8/tokenizer.json", "gguf/tokenizer.json", "checkpoints/gemma4/tokenizer.json"]
        .map(|name| Seed::json(fixture(name)))
        .into()
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

pub(crate) fn calls() -> Vec<Seed> {
    const ELEMENTS: &str = "\n<function=tool>\n<parameter=t>\nHello é\n</parameter>\n<parameter=n>\nnull\n</parameter>\n<parameter=f>\nTrue\n\
        </parameter>\n<parameter=j>\n{\"a\": [1]}\n</parameter>\n</function>\n\0";
    let seed = |model: u8, cut: u8, text: &str| Seed::plain([&[model, cut], text.as_bytes()].concat());
    vec![
        seed(0, 2, "get_weather\0{\"city\": \"São Paulo\"}"),
        seed(1, 3, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris}\"}}"),
        seed(2, 1, "\n{\"name\": \"tool\", \"arguments\": {\"a\": \"}\\n日本\"}}\n\0"),
        seed(3, 4, ELEMENTS),
        seed(3, 0, "\n<function=other>\n<parameter=x>\nnul\n</parameter>\n</function>\n\0"),
    ]
}

pub(crate) fn wire() -> Vec<Seed> {
    const TOOLS: &str = r#"[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type":
        "string"}}, "required": ["a"]}, "strict": true}}]"#;
    const RESPONSE: &str = r#"{"model": "m", "instructions": "Be brief.", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}]}, {"type": "function_call", "call_id": "c", "name": "f",
        "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "5"}], "max_output_tokens": 9, "text": {"format": {"type":
        "json_schema", "name": "n", "schema": {"type": "object"}}}, "truncation": "auto", "metadata": {"a": "b"}, "stream": true}"#;
    const COMPLETION: &str = r#"{"prompt": ["One", [5, 6], "Two"], "n": 2, "max_tokens": 4, "stop": "x", "logprobs": 3, "logit_bias": {"5": -1},
        "user": "ann", "budget": {"tokens": 100, "seconds": 1.5}, "seed": 3}"#;
    let post = |path: &str, body: &str| Seed::json(format!("POST {path}\n{body}"));
    let chat = format!(
        r#"{{"messages": [{{"role": "user", "content": "Hi"}}], "tools": {TOOLS}, "tool_choice": "required", "logprobs": true}}"#
    );
    vec![
        post("/v1/chat/completions", &chat),
        post("/v1/responses", RESPONSE),
        post("/v1/responses/input_tokens", RESPONSE),
        post("/v1/completions", COMPLETION),
        post("/v1/tokenize", r#"{"messages": [{"role": "user", "content": "Hi"}], "model": "gpt", "user": "ann"}"#),
        post("/v1/tokenize", r#"{"prompt": "Hi"}"#),
        Seed::plain("GET /v1/models/g%70t\n"),
        Seed::plain("GET /proxy/v1/models\n"),
    ]
}

pub(crate) fn upload() -> Vec<Seed> {
    let part = |name: &str, text: &str| format!("--edge\r\ncontent-disposition: form-data; {name}\r\n\r\n{text}\r\n");
    let file =
        part("name=\"file\"; filename=\"in.jsonl\"\r\ncontent-type: application/jsonl", "{\"custom_id\": \"a\"}\n");
    let end = [part("name=\"expires_after[anchor]\"", "created_at"), part("name=\"expires_after[seconds]\"", "3600")]
        .concat();
    let whole = [part("name=\"purpose\"", "batch"), file.clone(), end, "--edge--\r\n".into()].concat();
    let short = [&file, "--edge--\r\n"].concat();
    let seed = |len: u8, form: &str| Seed::plain([&[len], form.as_bytes()].concat());
    vec![seed(255, &whole), seed(1, &whole), seed(7, &short), seed(64, &format!("before\r\n{whole}after"))]
}

pub(crate) fn batch_lines() -> Vec<Seed> {
    const LINES: &str = r#"{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "é"}]}}

{"custom_id": "b", "url": "/v1/completions", "body": {"prompt": ["One", 2]}}
"#;
    vec![Seed::json(LINES), Seed::json(LINES.replace('\n', "\r\n")), Seed::json(LINES.trim_end())]
}

pub(crate) fn extent() -> Vec<Seed> {
    ["bytes 5-9/10", "bytes 0-0/1", "bytes 4294967296-18446744073709551613/18446744073709551614", "bytes 7-8/*"]
        .map(Seed::plain)
        .into()
}

pub(crate) fn usage() -> Vec<Seed> {
    const LINES: &str = r#"{"day": "2026-11-23", "key": "ann", "requests": 2, "prompt_tokens": 80, "cached_tokens": 7, "completion_tokens": 20, "seconds": 0.75, "refusals": 2}
{"day": "2026-11-23", "key": "=\"quoted\"\n", "requests": 1}
{"day": "2026-11-24", "key": "ann", "seconds": 1e300}
{"day": "2026-11-23", "key": "ann", "refusals": 18446744073709551615}
"#;
    vec![Seed::json(LINES), Seed::json(LINES.lines().next().unwrap_or_default())]
}

pub(crate) fn schema() -> Vec<Seed> {
    const RECORD: &str = r##"{"type": "object", "properties": {"shape": {"enum": ["circle", "star"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "name": {"type": "string", "pattern": "^[a-z]{1,5}$", "maxLength": 5}, "when": {"type": "string", "format": "date"}, "more": {"$ref":
        "#/$defs/list"}}, "required": ["shape"], "additionalProperties": false, "$defs": {"list": {"type": "array", "items": {"anyOf": [{"type":
        "number", "multipleOf": 2}, {"const": null}]}, "minItems": 1, "maxItems": 3}}}"##;
    [RECORD, r#"{"type": "boolean"}"#, r#"{"oneOf": [{"type": "string"}, {"type": "object", "minProperties": 1}]}"#]
        .map(Seed::json)
        .into()
}

pub(crate) fn regex() -> Vec<Seed> {
    [r"(\d{3}-)?[a-zé]+\.(com|org)", r"(?i:yes|no)( \w+){0,4}[^\x00-\x1f]*", r"a*b+?\u{1F600}\p{L}"]
        .map(Seed::plain)
        .into()
}

pub(crate) fn lark() -> Vec<Seed> {
    const LIST: &str = "start: item (\",\" item)*\nitem: WORD | NUMBER | \"(\" start \")\"\nWORD: /[a-z]+/\nNUMBER: /[0-9]{1,4}/\n%ignore / /\n";
    const JSON: &str = "start: \"x\" answer\nanswer: %json {\"type\": \"integer\"}\n";
    [LIST, JSON, "start: A{1,3} b?\nA: \"a\"i\nb: \"b\" | \"c\" start\n"].map(Seed::plain).into()
}

/// Patterns of published tokenizers.
pub(crate) fn pattern() -> Vec<Seed> {
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"(?>a++b)(?<=\x41)[\w&&[^\d]]{2,}\A(?<!\u{e9})\p{Script=Han}.\z",
    ]
    .map(Seed::plain)
    .into()
}
