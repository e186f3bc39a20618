//! Views of pictures, their tokens, and conversations of MiniCPM-V 4.6, against `transformers`.

use ocelli::chat::{ChatTemplate, ContentPart, Message, Role, Segment, Tokenizer};
use ocelli::config::{ImageGrid, PixelSize, Slices};
use ocelli::engine::{Detail, PictureLimits, Wanted, longest_edge};
use ocelli::families::minicpmv4_6::{Config, VisionConfig};
use ocelli::families::{ModelConfig, Pictures, definition};
use ocelli::image::Rgb8;
use ocelli_synth::published;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn vision() -> VisionConfig {
    match published("minicpm-v-4.6") {
        Some(ModelConfig::MiniCpmV4_6(Config { vision: Some(vision), .. })) => vision,
        _ => panic!("no tower"),
    }
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

/// The picture that `make_idefics3.py` makes.
fn picture(width: usize, height: usize) -> Rgb8 {
    let value = |x: usize, y: usize, c: usize| ((x * 37 + y * 101 + c * 59 + x * y % 23 * (c + 3)) % 256) as u8;
    let row = |y: usize| (0..width).flat_map(move |x| (0..3).map(move |c| value(x, y, c)));
    Rgb8 { width: width as u32, height: height as u32, pixels: (0..height).flat_map(row).collect() }
}

/// The pixels of a view of so many patches, row by row: they are stored patch by patch, the upper left patches of all windows first.
fn raster(stored: &[u8], [rows, cols]: [usize; 2]) -> Vec<u8> {
    const SIDE: usize = 14;
    let mut out = vec![0; stored.len()];
    let windows = rows * cols / 4;
    for (index, patch) in stored.chunks_exact(3 * SIDE * SIDE).enumerate() {
        let (place, window) = (index / windows, index % windows);
        let (cell, inner) = (window / 4, window % 4);
        let (cell_row, cell_col) = (cell / (cols / 4), cell % (cols / 4));
        let (row, col) = (4 * cell_row + 2 * (inner / 2) + place / 2, 4 * cell_col + 2 * (inner % 2) + place % 2);
        for (y, line) in patch.chunks_exact(3 * SIDE).enumerate() {
            let at = 3 * ((row * SIDE + y) * cols * SIDE + col * SIDE);
            out[at..at + line.len()].copy_from_slice(line);
        }
    }
    out
}

#[test]
fn views_are_those_of_transformers_byte_for_byte() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/slices.json")).expect("a fixture");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let pair = |key: &str| [0, 1].map(|axis| number(&case[key][axis]));
        let mut rules = vision();
        (rules.scale_resolution, rules.max_slices) = (number(&case["resolution"]), number(&case["most"]));
        let [width, height] = pair("size");
        let prepared = rules.prepare(&picture(width, height), rules.largest_edge()).expect("views");
        let ([rows, cols], whole, slice) = (pair("slices"), pair("whole"), pair("slice"));
        let cells = |patches: [usize; 2]| patches.map(|patches| patches / 4);
        let expected = match rows {
            0 => ImageGrid::new(cells(whole)[0], cells(whole)[1]),
            _ => ImageGrid {
                rows: rows * cells(slice)[0],
                cols: cols * cells(slice)[1],
                slices: Some(Slices { rows, cols, whole: cells(whole) }),
            },
        };
        assert_eq!(prepared.grid, expected, "{case}");
        let mut rest = &prepared.rgb[..];
        let mut hash = Sha256::new();
        for view in [whole].into_iter().chain(std::iter::repeat_n(slice, rows * cols)) {
            let (stored, others) = rest.split_at(3 * 14 * 14 * view[0] * view[1]);
            hash.update(raster(stored, view));
            rest = others;
        }
        assert!(rest.is_empty(), "{case}");
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(case["sha256"], hash, "{case}");
    }
    assert!(cases.len() >= 60);
}

/// The numbers of the specification, and those of the tokens of two rows of slices.
#[test]
fn a_picture_is_the_whole_and_its_slices() {
    let rules = vision();
    let grid = |width, height| rules.grid(PixelSize { width, height }, rules.largest_edge()).expect("a grid");
    let sliced = |[rows, cols]: [usize; 2], slices: [usize; 2], whole: [usize; 2]| ImageGrid {
        rows,
        cols,
        slices: Some(Slices { rows: slices[0], cols: slices[1], whole }),
    };
    assert_eq!(grid(1024, 768), sliced([14, 18], [2, 2], [7, 9]));
    assert_eq!((rules.rows(grid(1024, 768)), rules.rows(grid(1920, 1080))), (315, 578));
    assert_eq!(grid(100, 60), ImageGrid::new(6, 10));
    let ids = rules.tokens(grid(1024, 768));
    let runs: Vec<&[u32]> = ids.chunk_by(|a, b| a == b).collect();
    let run: &[u32] = &[248_056; 63];
    let slice: [&[u32]; 3] = [&[248_079], run, &[248_080]];
    let of_row = [slice, slice].concat();
    let whole: [&[u32]; 3] = [&[248_077], run, &[248_078]];
    assert_eq!(runs, [&whole[..], &of_row, &[&[198]], &of_row].concat());
}

/// `low` needs one run of the tower; limits of pixels leave fewer slices.
#[test]
fn low_detail_shows_the_whole_picture_alone() {
    let rules = vision();
    let size = PixelSize { width: 4000, height: 3000 };
    let grid = |detail: Detail, limits: PictureLimits| {
        let wanted = Wanted { size, detail, longest_edge: rules.largest_edge(), pictures: 1 };
        rules.grid(size, longest_edge(&rules, wanted, limits, |_| Ok(None)).expect("an edge")).expect("a grid")
    };
    assert_eq!(grid(Detail::Low, PictureLimits::default()).slices, None);
    let full = grid(Detail::High, PictureLimits::default());
    assert_eq!(full.slices.map(|slices| slices.rows * slices.cols), Some(9));
    let fewer = grid(Detail::High, PictureLimits { max_pixels: Some(4 * 448 * 448), max_seconds: None });
    assert_eq!(fewer.slices.map(|slices| slices.rows * slices.cols), Some(4));
}

/// Every picture has a planned shape with as many rows of features, also one that is thousands of times as long as wide.
#[test]
fn no_picture_has_more_rows_than_the_shapes_that_are_planned_for() {
    let rules = vision();
    for edge in [1, 448, 633, 634, 1000, 1344] {
        let shapes = rules.shapes(edge, 4096);
        let most = shapes.iter().map(|shape| rules.feature_rows(shape.grid)).max().expect("a shape");
        for (width, height) in
            [(1, 1), (1, 9000), (9000, 1), (640, 480), (480, 640), (1000, 999), (100_000, 3), (30, 50_000)]
        {
            let grid = rules.grid(PixelSize { width, height }, edge).expect("a grid");
            assert!(rules.feature_rows(grid) <= most, "{width} x {height} at {edge}: {grid:?}");
        }
    }
    let short = rules.shapes(1344, 300);
    assert!(short.iter().all(|shape| shape.tokens < 300), "{short:?}");
}

fn flat(messages: &[Message], system: Option<&str>) -> String {
    let config = published("minicpm-v-4.6").expect("a shape");
    let layout = definition(&config).chat_layout("minicpm-v").expect("a layout");
    let template = ChatTemplate { layout, bos: None, default_system: system };
    let one = |segment: &Segment<'_>| match segment {
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(_) => "IMAGE".into(),
        Segment::Branch => String::new(),
        Segment::Start => panic!("a first token"),
    };
    template.segments(messages).expect("segments").iter().map(one).collect()
}

fn user(content: Vec<ContentPart>) -> Message {
    Message { role: Role::User, content }
}

/// The published template joins parts by line ends, and its processor numbers the pictures of a conversation.
#[test]
fn conversations_are_laid_out_as_by_the_template() {
    let text = |text: &str| ContentPart::Text(text.into());
    let messages = [
        Message::text(Role::System, " You see. "),
        user(vec![ContentPart::Image(0), text("What is 42?\n")]),
        Message::text(Role::Assistant, "<think>\nA thought.\n</think>\n\nA boat."),
        user(vec![text(" "), ContentPart::Image(2), ContentPart::Image(1), text(" And"), text("here? ")]),
    ];
    assert_eq!(
        flat(&messages, None),
        "<|im_start|>system\nYou see.<|im_end|>\n<|im_start|>user\n<image_id>0</image_id>IMAGE\nWhat is 42?<|im_end|>\n\
         <|im_start|>assistant\nA boat.<|im_end|>\n<|im_start|>user\n<image_id>1</image_id>IMAGE\n<image_id>2</image_id>IMAGE\n And\nhere?\
         <|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    );
    let thinking = Message { role: Role::Assistant, content: vec![ContentPart::Thoughts(String::new())] };
    assert_eq!(
        flat(&[user(vec![text("Hello")]), thinking], Some("Be brief.")),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n"
    );
}

#[test]
fn texts_never_become_control_tokens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/minicpmv4_6/tokenizer.json");
    let tokenizer = Tokenizer::from_json(&std::fs::read(path).expect("a tokenizer")).expect("a tokenizer");
    let names =
        ["<image_id>", "</image_id>", "<image>", "</image>", "<slice>", "</slice>", "<|image_pad|>", "<|im_end|>"];
    let ids = names.map(|name| tokenizer.control(name).expect("a token"));
    let written = tokenizer.encode_text(&names.concat()).expect("ids");
    assert!(!written.iter().any(|id| ids.contains(id)), "{written:?}");
    assert_eq!(tokenizer.decode(&written), names.concat());
}
