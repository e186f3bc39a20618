//! Sizes of pictures, conversations and tokens of Gemma 4, against `transformers`.

use std::time::{Duration, Instant};

use ocelli::chat::{ChatLayout, ContentPart, Message, Role, Segment, Tokenizer};
use ocelli::config::{ImageGrid, PixelSize};
use ocelli::families::gemma4::{Config, VisionConfig};
use ocelli::families::{ModelConfig, Pictures, definition};
use ocelli_synth::published;
use serde_json::Value;

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))).expect("a fixture")
}

fn vision(budget: usize) -> VisionConfig {
    let Some(ModelConfig::Gemma4(Config { vision: Some(vision), .. })) = published("gemma-4-e2b") else {
        panic!("no tower")
    };
    VisionConfig { max_soft_tokens: budget, ..vision }
}

/// Sizes that the processor of `transformers` 5.24 makes of pictures, by budget.
#[test]
fn pictures_have_the_sizes_of_transformers() {
    const BUDGETS: [usize; 5] = [70, 140, 280, 560, 1120];
    type Size = (usize, usize);
    let rows: [(Size, [Size; 5]); 4] = [
        ((480, 640), [(336, 432), (480, 624), (672, 912), (960, 1296), (1344, 1824)]),
        ((1080, 1920), [(288, 528), (384, 720), (576, 1056), (816, 1488), (1200, 2112)]),
        ((1024, 1024), [(384, 384), (528, 528), (768, 768), (1104, 1104), (1584, 1584)]),
        ((100, 5000), [(48, 2832), (48, 3984), (96, 5664), (144, 8016), (192, 11_328)]),
    ];
    for ((height, width), sizes) in rows {
        for (budget, (rows, cols)) in BUDGETS.into_iter().zip(sizes) {
            let rules = vision(budget);
            let grid = rules.grid(PixelSize { width, height }, rules.largest_edge()).expect("a size");
            assert_eq!(grid, ImageGrid::new(rows / 48, cols / 48), "{height} x {width} in {budget}");
            assert_eq!(rules.tokens(grid).len(), grid.rows * grid.cols + 2);
        }
    }
    let rules = vision(280);
    // Less detail is a smaller budget, and the least one always fits.
    let square = PixelSize { width: 1024, height: 1024 };
    let cells = |edge| rules.grid(square, edge).map(|grid| grid.rows * grid.cols).expect("a size");
    assert_eq!([1, 512, 600, 803].map(cells), [64, 64, 121, 256]);
    assert!(rules.grid(PixelSize { width: 1, height: 100_000 }, 803).is_ok_and(|grid| grid.rows == 280));
}

fn user(text: &str) -> Message {
    Message::text(Role::User, text)
}

/// A conversation as text, with the names of its control tokens.
fn flat(messages: &[Message], system: Option<&str>) -> String {
    flat_by("gemma4", messages, system)
}

fn flat_by(layout: &str, messages: &[Message], system: Option<&str>) -> String {
    let config = published("gemma-4-e2b").expect("a shape");
    let layout = definition(&config).chat_layout(layout).expect("a layout");
    let segments = (layout.segments)(messages, system).expect("segments");
    let part = |segment: Segment<'_>| match segment {
        Segment::Start => "<bos>".into(),
        Segment::Control(name) => name.to_owned(),
        Segment::Text(text) => text.into_owned(),
        Segment::Image(_) => "<|image|>".into(),
        Segment::Branch => String::new(),
    };
    segments.into_iter().map(part).collect()
}

#[test]
fn conversations_are_laid_out_as_by_the_published_template() {
    let picture = || ContentPart::Image(0);
    let said = |text: &str| ContentPart::Text(text.into());
    let shown = Message { role: Role::User, content: vec![picture(), said("What is this?")] };
    assert_eq!(flat(&[shown], None), "<bos><|turn>user\n<|image|>What is this?<turn|>\n<|turn>model\n");
    let thinking = Message { role: Role::Assistant, content: vec![ContentPart::Thoughts(String::new())] };
    let turns = [
        Message::text(Role::System, " Be brief.\n"),
        user("Hi "),
        Message::text(Role::Assistant, "Hello."),
        user("And?"),
    ];
    let rest = "Be brief.<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\nHello.<turn|>\n<|turn>user\nAnd?<turn|>\n<|turn>model\n";
    assert_eq!(flat(&turns, None), format!("<bos><|turn>system\n{rest}"));
    let with_thoughts: Vec<Message> = turns.iter().cloned().chain([thinking]).collect();
    assert_eq!(flat(&with_thoughts, None), format!("<bos><|turn>system\n<|think|>\n{rest}<|channel>thought\n"));
    let two = Message { role: Role::User, content: vec![picture(), said("against"), picture(), said("?")] };
    assert!(flat(&[two], None).contains("user\n<|image|>against<|image|>?<turn|>"));
    assert_eq!(flat(&[user("a")], Some("s")), "<bos><|turn>system\ns<turn|>\n<|turn>user\na<turn|>\n<|turn>model\n");
    let open = [user("a"), Message::text(Role::Assistant, "b")];
    assert!(flat(&open, None).ends_with("<|turn>model\nb"));
}

/// Answers without reasoning of 12B and 31B begin with an empty thought, of which earlier answers keep no trace.
#[test]
fn prompts_of_larger_models_end_with_an_empty_thought() {
    let large = |messages: &[Message]| flat_by("gemma4-large", messages, None);
    let silence = "<|channel>thought\n<channel|>";
    assert_eq!(large(&[user("Hi")]), format!("<bos><|turn>user\nHi<turn|>\n<|turn>model\n{silence}"));
    let turns = [user("Hi"), Message::text(Role::Assistant, "Hello."), user("And?")];
    assert_eq!(large(&turns), format!("{}{silence}", flat(&turns, None)));
    // The rest of an answer continues after what the answer began with.
    assert_eq!(large(&turns[..2]), flat(&turns[..2], None).replace("Hello.", &format!("{silence}Hello.")));
    let thinking = Message { role: Role::Assistant, content: vec![ContentPart::Thoughts("It".into())] };
    let asked: Vec<Message> = turns.into_iter().chain([thinking]).collect();
    assert_eq!(large(&asked), flat(&asked, None));
}

/// The templates differ in the end of the prompt; both write thoughts of earlier answers.
#[test]
fn the_template_tells_the_larger_models_apart() {
    let config = published("gemma-4-e2b").expect("a shape");
    let layouts = definition(&config).family().chat_layouts;
    let turns =
        r"{{- '<|turn>' + role + '\n' -}}{{- '<|channel>thought\n' + text + '\n<channel|>' -}}{{- '<turn|>\n' -}}";
    let prompt = r"{%- if add_generation_prompt -%}{{- '<|turn>model\n' -}}";
    let silence =
        r"{%- if not enable_thinking | default(false) -%}{{- '<|channel>thought\n<channel|>' -}}{%- endif -%}";
    for (end, name) in [("", "gemma4"), (silence, "gemma4-large")] {
        let template = format!("{turns}{prompt}{end}{{%- endif -%}}");
        let (layout, is_assumed) = ChatLayout::recognise(layouts, Some(&template));
        assert_eq!((layout.name, is_assumed), (name, false));
    }
    assert_eq!(ChatLayout::recognise(layouts, None).0.name, "gemma4");
}

#[test]
fn texts_have_the_tokens_of_the_library_and_never_become_control_tokens() {
    let tokenizer = Tokenizer::from_json(&fixture("checkpoints/gemma4/tokenizer.json")).expect("a tokenizer");
    let file: Value = serde_json::from_slice(&fixture("tokenizers/gemma4_cases.json")).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    for case in cases {
        let text = case["text"].as_str().expect("a text");
        let ids = tokenizer.encode_text(text).expect("ids");
        let expected: Vec<u32> =
            case["ids"].as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect();
        assert_eq!(ids, expected, "{text:?}");
        assert!(ids.iter().all(|id| !tokenizer.added_ids().contains(id)), "{text:?}");
        // The alphabet of vocabularies of characters has one character for both.
        assert_eq!(tokenizer.decode(&ids), text.replace('\u{2581}', " "));
    }
    assert!(cases.len() > 300);
    for name in ["<|turn>", "<turn|>", "<bos>", "<|\"|>", "<mask>", "<|image|>"] {
        assert!(tokenizer.control(name).is_some(), "{name}");
        let ids = tokenizer.encode_text(name).expect("ids");
        assert!(ids.len() > 1 && !ids.contains(&tokenizer.control(name).expect("an id")), "{name}");
    }
    let config = published("gemma-4-e2b").expect("a shape");
    for layout in definition(&config).family().chat_layouts {
        assert!(layout.control_tokens().into_iter().all(|name| tokenizer.control(name).is_some()));
    }
}

/// Nothing splits a text before its merges.
#[test]
fn a_long_text_is_encoded_in_little_more_than_linear_time() {
    let tokenizer = Tokenizer::from_json(&fixture("checkpoints/gemma4/tokenizer.json")).expect("a tokenizer");
    let text = "the picture is red and the cat sits on the table ".repeat(20_000);
    let started = Instant::now();
    let ids = tokenizer.encode_text(&text).expect("ids");
    println!("{} bytes to {} tokens in {:?}", text.len(), ids.len(), started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(tokenizer.decode(&ids), text);
}
