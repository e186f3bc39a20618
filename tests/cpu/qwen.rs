//! Sizes and positions of pictures, and conversations of Qwen's models, against `transformers`.

use ocelli::api::{ChatRequest, ResponseRequest};
use ocelli::chat::{ChatTemplate, Segment};
use ocelli::config::{ImageGrid, PixelSize};
use ocelli::families::{ModelConfig, Pictures, definition};
use ocelli::state::Positions;
use ocelli_synth::published;
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn with_rules(test: impl FnOnce(&dyn Pictures)) {
    let Some(ModelConfig::Qwen3Vl(mut config)) = published("qwen3-vl-2b") else { panic!("no such model") };
    config.vision.as_mut().expect("a tower").max_pixels = 1 << 20;
    let config = ModelConfig::Qwen3Vl(config);
    test(definition(&config).pictures().expect("a model that reads pictures"));
}

/// `smart_resize(height, width, 32, 65536, 1048576)` of `image_processing_qwen2_vl.py`, in cells.
#[test]
fn pictures_have_the_sizes_of_transformers() {
    let golden = [
        ((48, 80), (7, 11)),
        ((80, 48), (11, 7)),
        ((1, 1), (8, 8)),
        ((10, 2000), (1, 114)),
        ((300, 150), (12, 6)),
        ((1024, 768), (32, 24)),
        ((4000, 3000), (36, 27)),
        ((5000, 40), (156, 1)),
        ((33, 6191), (1, 193)),
        ((16, 16), (8, 8)),
        ((240, 272), (8, 8)),
        ((6000, 6000), (32, 32)),
        ((1, 200), (1, 114)),
        ((1040, 1008), (32, 32)),
    ];
    with_rules(|rules| {
        for ((width, height), (cols, rows)) in golden {
            let size = PixelSize { width, height };
            assert_eq!(rules.grid(size, 1024).expect("a grid"), ImageGrid::new(rows, cols), "{size:?}");
        }
        let grid = |width, height, edge| rules.grid(PixelSize { width, height }, edge);
        assert!(grid(33, 8191, 1024).is_err(), "too thin");
        // A smaller square counts by its pixels, with a lower bound of the smallest picture.
        assert_eq!(grid(4000, 3000, 512).expect("a grid"), ImageGrid::new(13, 18));
        assert_eq!(grid(4000, 3000, 64).expect("a grid"), ImageGrid::new(1, 2));
        assert_eq!(grid(10, 10, 64).expect("a grid"), ImageGrid::new(2, 2));
    });
}

/// The reserved rows suffice for every picture with that edge.
#[test]
fn no_picture_is_larger_than_the_shapes_that_are_planned_for() {
    with_rules(|rules| {
        for edge in [64, 128, 500, 777, 1024] {
            let most = rules.shapes(edge, 100_000).iter().map(|shape| rules.rows(shape.grid)).max().expect("a shape");
            for (width, height) in
                [(10, 10), (100, 100), (640, 480), (3000, 20), (31, 4000), (4000, 3000), (8000, 8000)]
            {
                let size = PixelSize { width, height };
                let cells = rules.rows(rules.grid(size, edge).expect("a grid"));
                assert!(cells <= most, "{size:?} at {edge}: {cells} cells of {most}");
            }
        }
    });
}

#[test]
fn entries_of_pictures_have_the_positions_of_transformers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/qwen3_vl");
    let bytes = std::fs::read(format!("{folder}/expected.safetensors")).expect("a fixture");
    let expected = SafeTensors::deserialize(&bytes).expect("tensors");
    let tensor = |name: &str| -> Vec<usize> {
        let view = expected.tensor(&format!("two_pictures.{name}")).expect("a tensor");
        view.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as usize).collect()
    };
    let (ids, golden) = (tensor("input_ids"), tensor("position_ids")); // [entries], [3, entries]
    let list = std::fs::read(format!("{folder}/cases.json")).expect("a fixture");
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    let sizes: Vec<[usize; 2]> = serde_json::from_value(list["cases"][0]["image_sizes"].clone()).expect("sizes");
    let config = std::fs::read(format!("{folder}/config.json")).expect("a fixture");
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    let image = config["image_token_id"].as_u64().expect("a token") as usize;
    let begins = (0..ids.len()).filter(|&i| ids[i] == image && ids[i - 1] != image);
    let mut positions = Positions::default();
    for (first, [height, width]) in begins.zip(&sizes) {
        positions.place(first, ImageGrid::new(height / 32, width / 32));
    }
    for entry in 0..ids.len() {
        assert_eq!(positions.of(entry), [0, 1, 2].map(|axis| golden[axis * ids.len() + entry]), "entry {entry}");
    }
    // After a rewind before all pictures, an entry has the position that it would have without them.
    positions.rewind(1);
    assert_eq!(positions.of(ids.len()), [ids.len(); 3]);
}

/// Pictures in results are laid out within the response, as both published templates do.
#[test]
fn pictures_in_tool_results_are_shown_in_place() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let shown = json!([{"type": "text", "text": "a "}, {"type": "image_url", "image_url": "b.png"}]);
    let messages = json!([
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": null, "tool_calls": [call("1"), call("2")]},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "image_url", "image_url": "a.png"}]},
        {"role": "tool", "tool_call_id": "1", "content": shown},
    ]);
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{}"});
    let output = json!([{"type": "input_text", "text": "a "}, {"type": "input_image", "image_url": "b.png"}]);
    let items = json!([
        {"role": "user", "content": "Look"}, call("1"), call("2"),
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_image", "image_url": "a.png"}]},
        {"type": "function_call_output", "call_id": "1", "output": output},
    ]);
    let request = ChatRequest::from_json(&json!({ "messages": messages })).expect("a request");
    let urls: Vec<&str> = request.pictures.iter().map(|picture| picture.url.as_str()).collect();
    assert_eq!(urls, ["a.png", "b.png"]);
    let response = ResponseRequest::from_json(&json!({ "input": items })).expect("a request");
    assert_eq!(response.messages, request.messages);
    let laid_out = |model: &str, layout: &str| {
        let layout = definition(&published(model).expect("a model")).chat_layout(layout).expect("a layout");
        let template = ChatTemplate { layout, bos: None, default_system: None };
        let written = |segment: &Segment<'_>| match segment {
            Segment::Start | Segment::Branch => String::new(),
            Segment::Control(name) => (*name).to_owned(),
            Segment::Text(text) => text.to_string(),
            Segment::Image(index) => format!("[{index}]"),
        };
        template.segments(&request.messages).map(|segments| segments.iter().map(written).collect::<String>())
    };
    for (model, layout) in [("qwen3.5-4b", "qwen3.5"), ("qwen3-vl-2b", "chatml")] {
        let text = laid_out(model, layout).expect("segments");
        let wanted = "<|im_start|>user\n<tool_response>\na [1]\n</tool_response>\n<tool_response>\n[0]\n</tool_response><|im_end|>\n";
        assert!(text.contains(wanted), "{text}");
    }
    let refused = laid_out("ministral-3-3b", "mistral-v13").expect_err("no pictures in results");
    assert!(refused.to_string().contains("messages[2].content[1]"), "{refused}");
}

/// Golden texts: the template of Qwen/Qwen3.5-4B, rendered by `transformers`.
#[test]
fn conversations_are_laid_out_as_the_template_of_qwen_3_5_does() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/qwen_chat.json")).expect("a fixture");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    let layout = definition(&published("qwen3.5-4b").expect("a model")).chat_layout("qwen3.5").expect("a layout");
    let template = ChatTemplate { layout, bos: None, default_system: None };
    let one = |segment: &Segment<'_>| match segment {
        Segment::Start | Segment::Branch => String::new(),
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(_) => "<|vision_start|><|image_pad|><|vision_end|>".into(),
    };
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let has_tools = case["tools"] == true;
        let tools = if has_tools { &file["tools"] } else { &Value::Null };
        let request = json!({"messages": case["messages"], "tools": tools, "enable_thinking": case["thinks"]});
        let request = ChatRequest::from_json(&request).unwrap_or_else(|error| panic!("{error}: {case}"));
        let segments = template.segments(&request.messages).unwrap_or_else(|error| panic!("{error}: {case}"));
        let laid_out: String = segments.iter().map(one).collect();
        let before = if has_tools { file["definitions"].as_str().expect("text") } else { "" };
        let rendered = format!("{before}{}", case["rendered"].as_str().expect("text"));
        assert_eq!(laid_out, rendered, "{}", case["messages"]);
        let joined = segments.windows(2).all(|pair| !matches!(pair, [Segment::Text(_), Segment::Text(_)]));
        assert!(joined, "texts that meet go through the tokenizer as one: {segments:?}");
    }
    assert!(cases.len() > 50, "{} cases", cases.len());
}
