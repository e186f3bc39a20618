//! The V13 layout against fixtures, its errors, and the text stream.

use ocelli::chat::{
    ChatTemplate, ContentPart, Date, EncodedChat, Message, Role, Segment, TextStream, Tokenizer, fill_system_prompt,
};
use ocelli::config::ImageGrid;
use ocelli::families::definition;
use ocelli::{Error, Result};
use proptest::prelude::*;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).unwrap()
}

pub(crate) fn chat_cases() -> Value {
    serde_json::from_slice(&fixture("chat.json")).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&fixture("tokenizer.json")).unwrap()
}

fn template() -> ChatTemplate<'static> {
    let layout = definition(&ocelli_synth::published("ministral-3-3b").unwrap()).chat_layout("mistral-v13").unwrap();
    ChatTemplate { layout, bos: Some(1), default_system: None }
}

fn encode(messages: &[Message], grids: &[ImageGrid], tokenizer: &Tokenizer) -> Result<EncodedChat> {
    let config = ocelli_synth::published("ministral-3-3b").unwrap();
    let rules = definition(&config).pictures().unwrap();
    let pictures: Vec<Vec<u32>> = grids.iter().map(|grid| rules.tokens(*grid)).collect();
    template().encode(messages, &pictures, tokenizer)
}

/// Messages in the OpenAI shape; `None` for a role this room does not know.
fn read_messages(json: &Value) -> Option<Vec<Message>> {
    let mut pictures = 0;
    let mut part = |part: &Value| match part["type"].as_str().unwrap() {
        "text" => ContentPart::Text(part["text"].as_str().unwrap().into()),
        _ => {
            pictures += 1;
            ContentPart::Image(pictures - 1)
        }
    };
    let message = |message: &Value| {
        let role = match message["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return None,
        };
        let content = match &message["content"] {
            Value::String(text) => vec![ContentPart::Text(text.clone())],
            parts => parts.as_array().unwrap().iter().map(&mut part).collect(),
        };
        Some(Message { role, content })
    };
    json.as_array().unwrap().iter().map(message).collect()
}

fn written(segments: &[Segment<'_>]) -> Value {
    let one = |segment: &Segment<'_>| match segment {
        Segment::Start => json!({"control": "<s>"}),
        Segment::Control(name) => json!({"control": name}),
        Segment::Text(text) => json!({"text": text}),
        Segment::Image(index) => json!({"image": index}),
        Segment::Branch => json!("branch"),
    };
    segments.iter().map(one).collect()
}

fn user(text: &str) -> Message {
    Message::text(Role::User, text)
}

fn assistant(text: &str) -> Message {
    Message::text(Role::Assistant, text)
}

fn system(text: &str) -> Message {
    Message::text(Role::System, text)
}

fn show(parts: &[ContentPart]) -> Message {
    Message { role: Role::User, content: parts.to_vec() }
}

pub(crate) fn flat(messages: &[Message]) -> String {
    let one = |segment: &Segment<'_>| match segment {
        Segment::Start => "<s>".to_owned(),
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(index) => format!("<{index}>"),
        Segment::Branch => String::new(),
    };
    template().segments(messages).unwrap().iter().map(one).collect()
}

#[test]
fn conversations_are_laid_out_as_mistral_common_does() {
    let cases = chat_cases();
    let conversations = cases["conversations"].as_array().unwrap();
    assert!(conversations.len() >= 29);
    let tokenizer = tokenizer();
    for case in conversations {
        let messages = read_messages(&case["messages"]).unwrap();
        assert_eq!(written(&template().segments(&messages).unwrap()), case["segments"], "{}", case["name"]);
        let grid = |name: &Value| {
            let grid = &cases["pictures"][name.as_str().unwrap()]["grid"];
            ImageGrid::new(grid[0].as_u64().unwrap() as usize, grid[1].as_u64().unwrap() as usize)
        };
        let grids: Vec<ImageGrid> = case["images"].as_array().unwrap().iter().map(grid).collect();
        let ids = encode(&messages, &grids, &tokenizer).unwrap().ids;
        assert_eq!(ids, ids_by_hand(&case["segments"], &grids, &tokenizer), "{}", case["name"]);
    }
}

fn ids_by_hand(segments: &Value, grids: &[ImageGrid], tokenizer: &Tokenizer) -> Vec<u32> {
    let control = |name: &str| tokenizer.control(name).unwrap();
    let mut ids = Vec::new();
    for segment in segments.as_array().unwrap() {
        if let Some(name) = segment["control"].as_str() {
            ids.push(control(name));
        } else if let Some(text) = segment["text"].as_str() {
            ids.extend(tokenizer.encode_text(text).unwrap());
        } else {
            let grid = grids[segment["image"].as_u64().unwrap() as usize];
            let row = [vec![control("[IMG]"); grid.cols], vec![control("[IMG_BREAK]")]].concat();
            ids.extend(row.repeat(grid.rows));
            *ids.last_mut().unwrap() = control("[IMG_END]");
        }
    }
    ids
}

/// Known differences: an assistant at the end is continued, and `mistral-common` itself takes one at the start.
#[test]
fn conversations_that_mistral_common_refuses_are_refused() {
    let cases = chat_cases();
    for case in cases["refused"].as_array().unwrap() {
        let by_library = case["by"].as_array().unwrap().contains(&json!("mistral-common"));
        if !by_library || case["name"] == "ends with the assistant" {
            continue;
        }
        let Some(messages) = read_messages(&case["messages"]) else { continue };
        let error = encode(&messages, &[ImageGrid::new(1, 1)], &tokenizer()).unwrap_err();
        assert_eq!(error.code(), "invalid-request", "{}", case["name"]);
    }
}

#[test]
fn errors_name_the_message() {
    let picture = |role| Message { role, content: vec![ContentPart::Image(0)] };
    let cases: [(&[Message], &str); 8] = [
        (&[], "messages"),
        (&[user("a"), assistant("b"), system("c"), user("d")], "messages[2].role"),
        (&[user("a"), system("b")], "messages[1].role"),
        (&[assistant("a")], "messages[0].role"),
        (&[user("a"), assistant(""), assistant(""), user("b")], "messages[1].content"),
        (&[picture(Role::System), user("a")], "messages[0].content[0]"),
        (&[user("a"), picture(Role::Assistant), user("b")], "messages[1].content[0]"),
        (&[show(&[ContentPart::Text("a".into()), ContentPart::Image(1)])], "messages[0].content[1]"),
    ];
    let grids = [ImageGrid::new(1, 1)];
    for (messages, expected) in cases {
        match encode(messages, &grids, &tokenizer()) {
            Err(Error::InvalidRequest { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn the_assistants_last_turn_is_continued() {
    assert_eq!(flat(&[user("a"), assistant("b ")]), "<s>[INST]a[/INST]b");
    assert_eq!(flat(&[user("a"), assistant("b  "), user("c")]), "<s>[INST]a[/INST]b</s>[INST]c[/INST]");
    assert_eq!(
        flat(&[user("a "), assistant("b\n "), assistant("c "), user("d")]),
        "<s>[INST]a [/INST]b\n \n\nc</s>[INST]d[/INST]"
    );
    assert_eq!(flat(&[user("a"), assistant("  "), user("b")]), "<s>[INST]a[/INST]</s>[INST]b[/INST]");
}

#[test]
fn a_single_picture_goes_before_its_text() {
    let (text, other) = (ContentPart::Text("t".into()), ContentPart::Text("u".into()));
    let (first, second) = (ContentPart::Image(0), ContentPart::Image(1));
    let turn = |parts: &[&ContentPart]| flat(&[show(&parts.iter().copied().cloned().collect::<Vec<_>>())]);
    assert_eq!(turn(&[&text, &first]), "<s>[INST]<0>t[/INST]");
    assert_eq!(turn(&[&first, &text]), "<s>[INST]<0>t[/INST]");
    assert_eq!(turn(&[&text, &other, &first]), "<s>[INST]<0>t\n\nu[/INST]");
    assert_eq!(turn(&[&text, &first, &other]), "<s>[INST]t<0>u[/INST]");
    assert_eq!(turn(&[&text, &first, &second]), "<s>[INST]t<0><1>[/INST]");
    let messages = [user("t"), show(&[second, first])];
    assert_eq!(flat(&messages), "<s>[INST]t<1><0>[/INST]");
    let grids = [ImageGrid::new(1, 1); 2];
    assert_eq!(encode(&messages, &grids, &tokenizer()).unwrap().pictures, [1, 0]);
}

#[test]
fn pictures_take_as_many_tokens_as_their_grid_says() {
    let tokenizer = tokenizer();
    let ids = |rows, cols| {
        let grid = ImageGrid::new(rows, cols);
        let ids = encode(&[show(&[ContentPart::Image(0)])], &[grid], &tokenizer).unwrap().ids;
        assert_eq!(ids.len(), 3 + rows * (cols + 1));
        ids[2..ids.len() - 1].to_vec()
    };
    assert_eq!(ids(1, 1), [10, 13]);
    assert_eq!(ids(3, 4), [10, 10, 10, 10, 12, 10, 10, 10, 10, 12, 10, 10, 10, 10, 13]);
}

#[test]
fn typed_control_tokens_stay_text() {
    let tokenizer = tokenizer();
    let typed = "[INST]</s>[/INST][IMG][IMG_END]<s>[SYSTEM_PROMPT]";
    let messages = [system(typed), user(typed), assistant(typed), user(typed)];
    let ids = encode(&messages, &[], &tokenizer).unwrap().ids;
    let control: Vec<u32> = ids.iter().copied().filter(|&id| tokenizer.is_control(id)).collect();
    assert_eq!(control, [1, 17, 18, 3, 4, 2, 3, 4]);
    assert_eq!(tokenizer.decode(&ids), typed.repeat(4));
}

#[test]
fn a_vocabulary_without_a_control_token_says_which() {
    let mut file: Value = serde_json::from_slice(&fixture("tokenizer.json")).unwrap();
    for token in file["added_tokens"].as_array_mut().unwrap() {
        if token["content"] == "[SYSTEM_PROMPT]" {
            token["content"] = json!("[OTHER]");
        }
    }
    file["model"]["vocab"].as_object_mut().unwrap().remove("[SYSTEM_PROMPT]");
    let tokenizer = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap()).unwrap();
    assert!(encode(&[user("a")], &[], &tokenizer).is_ok());
    let error = encode(&[system("s"), user("a")], &[], &tokenizer).unwrap_err();
    assert_eq!(error, Error::Tokenizer { reason: "the vocabulary has no [SYSTEM_PROMPT]".into() });
}

#[test]
fn the_package_says_how_a_prompt_begins() {
    let tokenizer = tokenizer();
    let begins = |bos| ChatTemplate { bos, ..template() }.encode(&[user("a")], &[], &tokenizer).unwrap().ids[0];
    assert_eq!([begins(Some(1)), begins(Some(300)), begins(None)], [1, 300, 3]);
    let error = definition(&ocelli_synth::published("ministral-3-3b").unwrap()).chat_layout("chatml").unwrap_err();
    assert_eq!(error.code(), "invalid-package");
    let text = error.to_string();
    assert!(["model.json", "chatml", "mistral-v13"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_conversation_without_a_system_message_gets_the_packages() {
    let template = ChatTemplate { default_system: Some("Be kind."), ..template() };
    let flat = |messages: &[Message]| written(&template.segments(messages).unwrap());
    assert_eq!(flat(&[user("a")]), flat(&[system("Be kind."), user("a")]));
    let own = [system("Be brief."), user("a")];
    assert_eq!(flat(&own), written(&self::template().segments(&own).unwrap()));
    // Errors still name the caller's own messages.
    let error = template.segments(&[user("a"), system("b")]).unwrap_err();
    assert!(error.to_string().starts_with("messages[1].role"), "{error}");
    let empty = ChatTemplate { default_system: Some(""), ..template };
    assert_eq!(
        written(&empty.segments(&[user("a")]).unwrap()),
        written(&self::template().segments(&[user("a")]).unwrap())
    );
}

#[test]
fn the_default_system_prompt_has_its_blanks_filled() {
    let prompt =
        "You are {name}.\nThe current date is {today}.\n\nDates count (\"yesterday\" is {yesterday}).\nBe {kind}.";
    let today = Date(20_513);
    assert_eq!(
        fill_system_prompt(prompt, "Ministral-3-3B-Instruct-2512", Some(today)),
        "You are Ministral-3-3B-Instruct-2512.\nThe current date is 2026-03-01.\n\nDates count (\"yesterday\" is 2026-02-28).\nBe {kind}."
    );
    // Nobody knows the date: what speaks of it is left out.
    assert_eq!(fill_system_prompt(prompt, "M", None), "You are M.\n\nBe {kind}.");
}

#[test]
fn dates_are_counted_as_calendars_do() {
    let date = |days| Date(days).to_string();
    assert_eq!([date(0), date(59), date(-1)], ["1970-01-01", "1970-03-01", "1969-12-31"]);
    assert_eq!([date(11_016), date(19_782), date(20_454)], ["2000-02-29", "2024-02-29", "2026-01-01"]);
    let (mut year, mut month, mut day) = (-400, 3, 1);
    for days in -865_565..800_000 {
        assert_eq!(date(days), format!("{year:04}-{month:02}-{day:02}"));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = [31, 28 + i32::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
        day = day % length + 1;
        month = if day > 1 { month } else { month % 12 + 1 };
        year += i32::from((month, day) == (1, 1));
    }
}

/// Feeds bytes in pieces; gives the whole text and whether a stop string was met.
fn stream(pieces: &[&[u8]], stop: &[&str]) -> (String, bool) {
    let mut stream = TextStream::new(stop.iter().map(|text| (*text).to_owned()).collect());
    let mut text = String::new();
    for piece in pieces {
        let new = stream.push(piece);
        assert_ne!(new.as_deref(), Some(""), "nothing is no text");
        text.extend(new);
    }
    text.extend(stream.finish());
    (text, stream.is_stopped())
}

#[test]
fn characters_come_whole() {
    let mut stream = TextStream::new(Vec::new());
    assert_eq!(stream.push(b"a\xf0\x9f"), Some("a".into()));
    assert_eq!(stream.push(b"\x99"), None);
    assert_eq!(stream.push(b"\x82b"), Some("🙂b".into()));
    assert_eq!(stream.push(b""), None);
    assert_eq!(stream.push(b"\xff\xe2\x82"), Some("\u{fffd}".into()));
    assert_eq!(stream.finish(), Some("\u{fffd}".into()));
    assert_eq!(stream.finish(), None);
}

#[test]
fn stop_strings_are_met_across_pieces() {
    let mut stream = TextStream::new(vec!["STOP".into(), String::new()]);
    assert_eq!(stream.push(b"one S"), Some("one ".into()));
    assert_eq!(stream.push(b"T"), None);
    assert_eq!(stream.push(b"ST"), Some("ST".into()));
    assert_eq!(stream.push(b"OP two"), None);
    assert!(stream.is_stopped());
    assert_eq!((stream.push(b"three"), stream.finish()), (None, None));
}

#[test]
fn a_partial_stop_string_is_emitted_at_the_end() {
    assert_eq!(super_stream("abab", "ababc"), ("abab".into(), false));
    assert_eq!(super_stream("ababc", "ababc"), (String::new(), true));
    assert_eq!(super_stream("abababc", "ababc"), ("ab".into(), true));
    assert_eq!(super_stream("aab", "ab"), ("a".into(), true));
}

/// One byte at a time.
fn super_stream(text: &str, stop: &str) -> (String, bool) {
    stream(&text.as_bytes().chunks(1).collect::<Vec<_>>(), &[stop])
}

#[test]
fn the_stop_string_completed_first_counts() {
    assert_eq!(stream(&[b"xabcy"], &["abc", "b"]), ("xa".into(), true));
    assert_eq!(stream(&[b"xabcy"], &["bc", "abc"]), ("x".into(), true));
    assert_eq!(stream(&[b"x\ny"], &["\n\n", "\n"]), ("x".into(), true));
    assert_eq!(stream(&["über🙂!".as_bytes()], &["🙂"]), ("über".into(), true));
}

/// The text before the stop string completed first, found by looking at every prefix.
fn cut_by_definition<'a>(text: &'a str, stop: &[String]) -> (&'a str, bool) {
    for (end, c) in text.char_indices() {
        let prefix = &text[..end + c.len_utf8()];
        if let Some(longest) = stop.iter().filter(|s| prefix.ends_with(s.as_str())).map(String::len).max() {
            return (&prefix[..prefix.len() - longest], true);
        }
    }
    (text, false)
}

proptest! {
    #![proptest_config(crate::fixed_cases(3000))]

    #[test]
    fn any_cut_gives_the_same_text(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            any::<String>().prop_map(String::into_bytes),
            prop::collection::vec(prop::sample::select(&b"\xf0\x9f\x99\x82\xe2\x82\xacab\xc3\xff"[..]), 0..30),
        ],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let pieces = cut(&bytes, &cuts);
        prop_assert_eq!(stream(&pieces, &[]), (String::from_utf8_lossy(&bytes).into_owned(), false));
    }

    #[test]
    fn any_cut_stops_at_the_same_place(
        text in "[abé]{0,14}",
        stop in prop::collection::vec("[abé]{1,4}", 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let pieces = cut(text.as_bytes(), &cuts);
        let (expected, stopped) = cut_by_definition(&text, &stop);
        let stop: Vec<&str> = stop.iter().map(String::as_str).collect();
        prop_assert_eq!(stream(&pieces, &stop), (expected.to_owned(), stopped));
    }
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}
