//! Tiles of pictures and layouts of conversations of Llama 3.2 Vision, against `transformers`.

use ocelli::Error;
use ocelli::api::ChatRequest;
use ocelli::chat::{ChatTemplate, Segment};
use ocelli::config::{ImageGrid, PixelSize};
use ocelli::families::{Pictures, definition};
use ocelli::image::Rgb8;
use ocelli_synth::published;
use serde_json::{Value, json};

fn with_rules(test: impl FnOnce(&dyn Pictures)) {
    let config = published("llama-3.2-11b-vision").expect("a shape");
    test(definition(&config).pictures().expect("a model that reads pictures"));
}

/// Width and height; rows and columns by `get_optimal_tiled_canvas`, width and height by `get_image_size_fit_to_canvas` of
/// `image_processing_mllama.py`.
const GOLDEN: [([usize; 2], [usize; 2], [usize; 2]); 16] = [
    ([100, 60], [1, 1], [560, 336]),
    ([560, 560], [1, 1], [560, 560]),
    ([561, 560], [1, 2], [561, 560]),
    ([1120, 560], [1, 2], [1120, 560]),
    ([300, 900], [2, 1], [300, 900]),
    ([2000, 500], [1, 4], [2000, 500]),
    ([500, 2000], [4, 1], [500, 2000]),
    ([4000, 3000], [2, 2], [1120, 840]),
    ([3000, 4000], [2, 2], [840, 1120]),
    ([6000, 1000], [1, 4], [2240, 373]),
    ([10, 2000], [4, 1], [10, 2000]),
    ([1, 1], [1, 1], [560, 560]),
    ([1121, 1120], [2, 2], [1120, 1119]),
    ([640, 480], [1, 2], [640, 480]),
    ([1680, 560], [1, 3], [1680, 560]),
    ([800, 2400], [3, 1], [560, 1680]),
];

#[test]
fn pictures_have_the_tiles_and_the_size_of_transformers() {
    with_rules(|rules| {
        for ([width, height], [rows, cols], shown) in GOLDEN {
            let grid = ImageGrid::new(rows, cols);
            assert_eq!(rules.grid(PixelSize { width, height }, 2240).expect("a grid"), grid, "{width} x {height}");
            let white = Rgb8 { width: width as u32, height: height as u32, pixels: vec![255; 3 * width * height] };
            let prepared = rules.prepare(&white, 2240).expect("a picture");
            assert_eq!((prepared.width, prepared.height), (560 * cols, 560 * rows));
            // Everything outside the picture is black, to the right and below.
            let is_white = |x: usize, y: usize| prepared.rgb[3 * (y * prepared.width + x)] == 255;
            let wide = (0..prepared.width).take_while(|&x| is_white(x, 0)).count();
            let high = (0..prepared.height).take_while(|&y| is_white(0, y)).count();
            assert_eq!([wide, high], shown, "{width} x {height}");
            assert_eq!(rules.tokens(grid), [128_256], "one token, however many tiles");
            assert_eq!(rules.feature_rows(grid), rows * cols * 1601);
        }
    });
}

/// The reserved rows suffice for every picture with that edge.
#[test]
fn no_picture_has_more_tiles_than_the_shapes_that_are_planned_for() {
    with_rules(|rules| {
        for edge in [1, 512, 560, 561, 1120, 2240] {
            let shapes = rules.shapes(edge, 100);
            let most = shapes.iter().map(|shape| rules.feature_rows(shape.grid)).max().expect("a shape");
            for ([width, height], ..) in GOLDEN {
                let grid = rules.grid(PixelSize { width, height }, edge).expect("a grid");
                assert!(rules.feature_rows(grid) <= most, "{width} x {height} at {edge}: {grid:?}");
                assert!(560 * grid.rows.max(grid.cols) < edge + 560, "{width} x {height} at {edge}: {grid:?}");
            }
        }
    });
}

/// Golden texts: the template of Llama 3.2 Vision, rendered by `transformers`.
#[test]
fn conversations_are_laid_out_as_the_template_of_llama_3_2_vision_does() {
    let file =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/llama_chat.json")).expect("a fixture");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    let config = published("llama-3.2-11b-vision").expect("a shape");
    let layout = definition(&config).chat_layout("llama3_vision").expect("a layout");
    let template = ChatTemplate { layout, bos: None, default_system: None };
    let one = |segment: &Segment<'_>| match segment {
        Segment::Start => "<|begin_of_text|>".into(),
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(_) => "<|image|>".into(),
        Segment::Branch => String::new(),
    };
    let laid_out = |messages: &Value, tools: &Value| {
        let request = ChatRequest::from_json(&json!({"messages": messages, "tools": tools})).expect("a request");
        template.segments(&request.messages).map(|segments| segments.iter().map(one).collect::<String>())
    };
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let tools = if case["tools"] == true { &file["tools"] } else { &Value::Null };
        let text = laid_out(&case["messages"], tools).expect("a conversation");
        assert_eq!(json!(text), case["rendered"], "{}", case["messages"]);
    }
    assert!(cases.len() > 30, "{} cases", cases.len());
    // The model is trained on one call at a time.
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "clock", "arguments": "{}"}});
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call("1"), call("2")]},
        {"role": "tool", "tool_call_id": "1", "content": "b"}, {"role": "tool", "tool_call_id": "2", "content": "c"}]);
    let error = laid_out(&messages, &file["tools"]).expect_err("two calls");
    assert!(matches!(error, Error::InvalidRequest { field, .. } if field == "messages[1].tool_calls"));
}
