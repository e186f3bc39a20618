//! Llama 3.2 Vision's chat layout: Llama 3's with a token for each picture.
//!
//! ```text
//! <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<|image|>user<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n
//! ```
//!
//! Tools are defined in the first user's turn; a call is an answer that consists of JSON, its result is a turn of `ipython`.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::chat::calls::{CallLayout, Piece};
use crate::chat::definition_line;
use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content, trimmed};
use crate::chat::message::{Message, Role, split_tools};
use crate::error::{Error, Result};
use crate::families::llama::chat::header;

pub(super) use crate::families::llama::chat::TOKENS;

/// Every message is a turn, unchanged. A last message of the assistant stays open for the model to continue.
pub(super) static LLAMA_3_VISION: ChatLayout = ChatLayout {
    name: "llama3_vision",
    marks: &["<|start_header_id|>", "<|eot_id|>", "<|image|>"],
    segments,
    calls: Some(CALLS),
    thoughts: None,
};

const CALLS: CallLayout = CallLayout {
    begin: None,
    before: &[Piece::Text("{\"name\": \"")],
    between: &[Piece::Text("\", \"parameters\": ")],
    after: &[Piece::Text("}")],
    join: &[],
    has_elements: false,
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| message.role == Role::User)?;
    let (messages, tools) = split_tools(messages);
    let mut segments = vec![Segment::Start];
    let own = messages.first().filter(|message| message.role == Role::System);
    let instructions = own.map(|message| message.texts().collect::<String>()).or_else(|| system.map(str::to_owned));
    let shows = messages.iter().any(|message| merge_content(std::slice::from_ref(message), "").iter().any(is_picture));
    let environment = match tools.is_empty() || (own.is_none() && shows) {
        true => "",
        // The template's next line, today's date, is left out.
        false => "Environment: ipython\nCutting Knowledge Date: December 2023\n\n",
    };
    if instructions.is_some() || !environment.is_empty() {
        let text = format!("{environment}{}", instructions.unwrap_or_default());
        turn(&mut segments, "system", vec![Segment::Text(text.into())]);
        segments.push(Segment::Control("<|eot_id|>"));
    }
    let messages = &messages[usize::from(own.is_some())..];
    let first = messages.iter().position(|message| message.role == Role::User);
    for (i, message) in messages.iter().enumerate() {
        let mut content = merge_content(std::slice::from_ref(message), "");
        if first == Some(i) && !tools.is_empty() {
            content = with_tools(content, &tools)?;
        }
        match message.role {
            Role::Tool => {
                let text: String = message.texts().collect();
                turn(&mut segments, "ipython", vec![Segment::Text(Value::from(text).to_string().into())]);
            }
            role => turn(
                &mut segments,
                &role.to_string(),
                call_content(message, i + usize::from(own.is_some()))?.unwrap_or(content),
            ),
        }
        if i + 1 < messages.len() || message.role != Role::Assistant {
            segments.push(Segment::Control("<|eot_id|>"));
        }
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        turn(&mut segments, "assistant", Vec::new());
    }
    Ok(segments)
}

fn is_picture(segment: &Segment<'_>) -> bool {
    matches!(segment, Segment::Image(_))
}

/// The content of the assistant's turn, if the message is a call.
fn call_content<'a>(message: &Message, index: usize) -> Result<Option<Vec<Segment<'a>>>> {
    let field = || format!("messages[{index}].tool_calls");
    let mut calls = message.calls();
    let Some(call) = calls.next() else { return Ok(None) };
    if calls.next().is_some() {
        return Err(Error::request(field(), "this model makes one call at a time"));
    }
    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
    let arguments: Value =
        serde_json::from_str(arguments).map_err(|_| Error::request(field(), "arguments must be JSON"))?;
    let text = format!("{{\"name\": \"{}\", \"parameters\": {}}}", call.name, definition_line(&arguments));
    Ok(Some(vec![Segment::Text(text.into())]))
}

/// Inserts the definitions of tools before the first question; a leading picture stays first.
fn with_tools<'a>(mut content: Vec<Segment<'a>>, tools: &[&str]) -> Result<Vec<Segment<'a>>> {
    let mut text = String::from(
        "Given the following functions, please respond with a JSON for a function call with its proper arguments that best answers the \
         given prompt.\n\nRespond in the format {\"name\": function name, \"parameters\": dictionary of argument name and its value}.Do not use \
         variables.\n\n",
    );
    for tool in tools {
        text += &indented(tool)?;
        text += "\n\n";
    }
    let at = content.iter().position(|segment| !is_picture(segment)).unwrap_or(content.len());
    if let Some(Segment::Text(question)) = content.get(at) {
        text += trimmed(question);
        content.remove(at);
    }
    content.insert(at, Segment::Text(text.into()));
    Ok(content)
}

/// JSON as Python's `json.dumps(tool, ensure_ascii=False, indent=4)` writes it.
fn indented(tool: &str) -> Result<String> {
    let fault = |error: serde_json::Error| Error::Internal { detail: error.to_string() };
    let value: Value = serde_json::from_str(tool).map_err(fault)?;
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    ")))
        .map_err(fault)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Adds a turn. Its first text is tokenised together with the header.
fn turn<'a>(segments: &mut Vec<Segment<'a>>, role: &str, mut content: Vec<Segment<'a>>) {
    let mut first = String::new();
    if let Some(Segment::Text(text)) = content.first() {
        first.push_str(text);
        content.remove(0);
    }
    header(segments, role, &first);
    segments.extend(content);
}
