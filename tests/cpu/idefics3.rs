//! Views of pictures, their tokens, and conversations of SmolVLM and Granite-Docling, against `transformers`.

use ocelli::chat::{ChatTemplate, ContentPart, Message, Role, Segment, Tokenizer};
use ocelli::config::{ImageGrid, PixelSize};
use ocelli::engine::{Detail, PictureLimits, Wanted, longest_edge};
use ocelli::families::idefics3::{Config, VisionConfig};
use ocelli::families::{ModelConfig, Pictures, definition};
use ocelli::image::Rgb8;
use ocelli_synth::published;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn vision(shape: &str) -> VisionConfig {
    let Some(ModelConfig::Idefics3(Config { vision: Some(vision), .. })) = published(shape) else { panic!("no tower") };
    vision
}

/// The picture that `make_idefics3.py` makes.
fn picture(width: usize, height: usize) -> Rgb8 {
    let value = |x: usize, y: usize, c: usize| ((x * 37 + y * 101 + c * 59 + x * y % 23 * (c + 3)) % 256) as u8;
    let row = |y: usize| (0..width).flat_map(move |x| (0..3).map(move |c| value(x, y, c)));
    Rgb8 { width: width as u32, height: height as u32, pixels: (0..height).flat_map(row).collect() }
}

/// Three resizes, byte for byte, with and without tiles.
#[test]
fn views_are_those_of_transformers_byte_for_byte() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiles.json")).expect("a fixture");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let number = |value: &Value| value.as_u64().expect("a number") as usize;
        let (tile, longest_edge) = (number(&case["tile"]), number(&case["longest_edge"]));
        let mut rules = vision("smolvlm2-256m");
        (rules.tower.image_size, rules.longest_edge) = (tile, longest_edge);
        rules.splits = case["splits"] == true;
        let picture = picture(number(&case["size"][0]), number(&case["size"][1]));
        let prepared = rules.prepare(&picture, rules.largest_edge()).expect("views");
        // `transformers` says that a picture has no rows if it is not split.
        let [rows, cols] = [0, 1].map(|axis| number(&case["grid"][axis]).max(1));
        assert_eq!(prepared.grid, ImageGrid::new(rows, cols), "{case}");
        assert_eq!(prepared.rgb.len(), number(&case["views"]) * 3 * tile * tile, "{case}");
        let hash: String = Sha256::digest(&prepared.rgb).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(case["sha256"], hash, "{case}");
    }
    assert!(cases.len() >= 50);
}

/// The numbers of the model's card: 1024 x 768 pixels are three rows of four tiles.
#[test]
fn a_picture_is_its_tiles_and_the_whole() {
    let rules = vision("smolvlm2-500m");
    let size = |width, height| PixelSize { width, height };
    let grid = rules.grid(size(1024, 768), 2048).expect("a grid");
    assert_eq!(grid, ImageGrid::new(3, 4));
    assert_eq!((rules.tokens(grid).len(), rules.rows(grid)), (12 * 66 + 2 + 2 + 67, 13 * 64));
    // The smallest icon has as many tiles as a large square.
    let icon = rules.grid(size(16, 16), 2048).expect("a grid");
    assert_eq!((icon, rules.rows(icon)), (ImageGrid::new(4, 4), 17 * 64));
    let ids = rules.tokens(ImageGrid::new(1, 2));
    let runs: Vec<&[u32]> = ids.chunk_by(|a, b| a == b).collect();
    let run = [49_190; 64];
    let expected: [&[u32]; 11] =
        [&[49_189], &[49_153], &run, &[49_189], &[49_154], &run, &[198, 198], &[49_189], &[49_152], &run, &[49_189]];
    assert_eq!(runs, expected);
    assert_eq!(rules.tokens(ImageGrid::new(1, 1)).len(), 67);
}

/// `low` needs one run of the tower, whatever the picture and the model; limits of pixels leave fewer tiles.
#[test]
fn low_detail_shows_the_whole_picture_alone() {
    for (shape, tile) in [("smolvlm2-256m", 512), ("smolvlm2-2.2b", 384), ("granite-docling-258m", 512)] {
        let rules = vision(shape);
        for (width, height) in [(16, 16), (4000, 3000), (20, 900)] {
            let size = PixelSize { width, height };
            let grid = |detail: Detail, limits: PictureLimits| {
                let wanted = Wanted { size, detail, longest_edge: rules.largest_edge(), pictures: 1 };
                let edge = longest_edge(&rules, wanted, limits, |_| Ok(None)).expect("an edge");
                rules.grid(size, edge).expect("a grid")
            };
            assert_eq!(grid(Detail::Low, PictureLimits::default()), ImageGrid::new(1, 1), "{shape}");
            let full = grid(Detail::High, PictureLimits::default());
            assert_eq!(full.rows.max(full.cols), 4, "{shape}");
            let limits = PictureLimits { max_pixels: Some(4 * tile * tile), max_seconds: None };
            let less = grid(Detail::High, limits);
            assert!(less.rows.max(less.cols) >= 2 && less.rows * less.cols <= 4, "{shape}: {less:?}");
        }
    }
}

/// Every picture has a planned shape with as many rows of features.
#[test]
fn no_picture_has_more_views_than_the_shapes_that_are_planned_for() {
    let rules = vision("smolvlm2-2.2b");
    for edge in [1, 384, 512, 768, 1000, 1536] {
        let shapes = rules.shapes(edge, 4096);
        let most = shapes.iter().map(|shape| rules.feature_rows(shape.grid)).max().expect("a shape");
        for (width, height) in [(1, 1), (1, 3000), (3000, 1), (640, 480), (480, 640), (1000, 999)] {
            let grid = rules.grid(PixelSize { width, height }, edge).expect("a grid");
            assert!(rules.feature_rows(grid) <= most, "{width} x {height} at {edge}: {grid:?}");
        }
    }
    let short = rules.shapes(1536, 600);
    assert!(short.iter().all(|shape| shape.tokens < 600), "{short:?}");
}

fn flat(shape: &str, layout: &str, messages: &[Message], system: Option<&str>) -> String {
    let config = published(shape).expect("a shape");
    let layout = definition(&config).chat_layout(layout).expect("a layout");
    let template = ChatTemplate { layout, bos: None, default_system: system };
    let segments = template.segments(messages).expect("segments");
    let texts = segments.windows(2).filter(|pair| matches!(pair, [Segment::Text(_), Segment::Text(_)]));
    assert_eq!(texts.count(), 0, "text is divided: {segments:?}");
    let one = |segment: &Segment<'_>| match segment {
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(_) => "<image>".into(),
        Segment::Start | Segment::Branch => panic!("{segment:?}"),
    };
    segments.iter().map(one).collect()
}

fn shown(text: &str) -> Message {
    Message { role: Role::User, content: vec![ContentPart::Image(0), ContentPart::Text(text.into())] }
}

/// Rendered as by the published templates.
#[test]
fn conversations_are_laid_out_as_by_the_templates() {
    let and = Message { role: Role::User, content: vec![ContentPart::Text("And ".into()), ContentPart::Image(1)] };
    let messages = [
        Message::text(Role::System, "You see."),
        shown("What is 42?"),
        Message::text(Role::Assistant, "A boat."),
        and.clone(),
    ];
    assert_eq!(
        flat("smolvlm2-256m", "smolvlm", &messages, None),
        "<|im_start|>System: You see.<end_of_utterance>\nUser:<image>What is 42?<end_of_utterance>\nAssistant: A boat.<end_of_utterance>\n\
         User: And <image><end_of_utterance>\nAssistant:"
    );
    assert_eq!(
        flat("granite-docling-258m", "granite-docling", &messages, None),
        "<|start_of_role|>system<|end_of_role|>You see.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|><image>What is 42?\
         <|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>A boat.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>And <image>\
         <|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"
    );
    // An answer as it was generated begins with a space; the last one is continued.
    let open = [shown("What?"), Message::text(Role::Assistant, " A")];
    assert_eq!(
        flat("smolvlm2-256m", "smolvlm", &open, Some("Be brief.")),
        "<|im_start|>System: Be brief.<end_of_utterance>\nUser:<image>What?<end_of_utterance>\nAssistant: A"
    );
    assert_eq!(
        flat("granite-docling-258m", "granite-docling", &open[..1], Some("Be brief.")),
        "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|><image>What?<|end_of_text|>\n\
         <|start_of_role|>assistant<|end_of_role|>"
    );
}

#[test]
fn only_users_show_pictures() {
    let config = published("smolvlm2-256m").expect("a shape");
    for layout in ["smolvlm", "granite-docling"] {
        let layout = definition(&config).chat_layout(layout).expect("a layout");
        let said = [Message { role: Role::Assistant, content: vec![ContentPart::Image(0)] }];
        assert!((layout.segments)(&said, None).is_err());
        assert!((layout.segments)(&[], None).is_err(), "no message");
    }
    assert!(definition(&config).chat_layout("chatml").is_err());
}

#[test]
fn doctags_are_printed_and_never_made_of_text() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/granite_docling/tokenizer.json");
    let json = std::fs::read(path).expect("a tokenizer");
    let config = published("granite-docling-258m").expect("a shape");
    let model = definition(&config);
    let printing =
        |layout: &str| Tokenizer::from_json(&json).expect("a tokenizer").printing(|token| model.prints(layout, token));
    let (tokenizer, silent) = (printing("granite-docling"), printing("smolvlm"));
    let id = |name: &str| tokenizer.control(name).expect("a token");
    let tags = ["<doctag>", "<text>", "</text>", "</doctag>"];
    let ids = tags.map(id);
    assert_eq!((tokenizer.decode(&ids), silent.decode(&ids)), (tags.concat(), String::new()));
    let others = ["<|end_of_text|>", "<|start_of_role|>", "<image>", "<row_1_col_1>", "<global-img>"].map(id);
    assert_eq!(tokenizer.decode(&others), "");
    assert!(others.iter().all(|id| tokenizer.is_control(*id)) && !ids.iter().any(|id| tokenizer.is_control(*id)));
    let written = tokenizer.encode_text("<doctag><text>a</text><|end_of_text|>").expect("ids");
    assert!(!written.iter().any(|id| ids.contains(id) || others.contains(id)), "{written:?}");
    assert_eq!(tokenizer.decode(&written), "<doctag><text>a</text><|end_of_text|>");
}
