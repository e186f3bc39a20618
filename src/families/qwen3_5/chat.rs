//! `ChatML` as in Qwen3.5's templates: trimmed contents, reasoning before answers, tool calls as XML elements.
//!
//! ```text
//! <|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n
//! <|im_start|>assistant\n<think>\nthoughts\n</think>\n\n<tool_call>\n<function=name>\n<parameter=key>\nvalue\n</parameter>\n</function>\n</tool_call>
//! ```

use std::mem::take;

use crate::chat::calls::{CallLayout, Piece};
use crate::chat::elements::written_elements;
use crate::chat::layout::{ChatLayout, Segment, check_pictures, is_space, trimmed};
use crate::chat::message::{ContentPart, Message, Role, split_tools};
use crate::chat::thoughts::ThoughtLayout;
use crate::error::{Error, Result};
use crate::families::qwen3_vl::chat::{end, response, turn};
use crate::families::readers::ChatDefaults;
use crate::sampling::SamplingDefaults;

/// `<|im_end|>` and `<|endoftext|>` of the vocabulary; prompts have no first token. Sampling is as the model cards recommend: without reasoning,
/// with reasoning, and with reasoning about pictures.
pub(super) const TOKENS: ChatDefaults = ChatDefaults {
    bos: None,
    eos: 248_046,
    other_ends: &[],
    pad: Some(248_044),
    sampling: Some(recommended(0.7, 0.8, 1.5)),
    thinking: Some([recommended(1.0, 0.95, 1.5), recommended(0.6, 0.95, 0.0)]),
};

const fn recommended(temperature: f32, top_p: f32, presence_penalty: f32) -> SamplingDefaults {
    SamplingDefaults {
        temperature: Some(temperature),
        top_k: Some(20),
        top_p: Some(top_p),
        min_p: None,
        presence_penalty: Some(presence_penalty),
        repetition_penalty: None,
    }
}

/// The model answers without reasoning unless the conversation ends with the beginning of one; the template calls this `enable_thinking`. Of
/// earlier reasoning, only that after the last user message is included.
pub(super) static CHATML: ChatLayout = ChatLayout {
    name: "qwen3.5",
    marks: &["<|im_start|>", "<|im_end|>", "<think>", "</think>"],
    segments,
    calls: Some(CALLS),
    thoughts: Some(THOUGHTS),
};

pub(in crate::families) const THOUGHTS: ThoughtLayout = ThoughtLayout {
    begin: "<think>",
    end: "</think>",
    between: "\n\n",
    // Source: the section on thinking budgets of Qwen3's technical report, <https://arxiv.org/abs/2505.09388>.
    cut: "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n",
};

pub(in crate::families) const CALLS: CallLayout = CallLayout {
    begin: Some("<tool_call>"),
    before: &[Piece::Text("\n<function=")],
    between: &[Piece::Text(">\n")],
    after: &[Piece::Text("</function>\n"), Piece::Token("</tool_call>")],
    join: &[Piece::Text("\n")],
    has_elements: true,
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    lay_out(messages, system, "")
}

/// The segments of a conversation. The parts of a message have `between` between them.
pub(in crate::families) fn lay_out<'a>(
    messages: &'a [Message],
    system: Option<&'a str>,
    between: &str,
) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| matches!(message.role, Role::User | Role::Tool))?;
    let (messages, tools) = split_tools(messages);
    if let Some(i) = messages.iter().skip(1).position(|message| message.role == Role::System) {
        let field = format!("messages[{}].role", i + 1);
        return Err(Error::request(field, "only the first message can be a system message"));
    }
    let own = messages.first().filter(|message| message.role == Role::System);
    let instructions = own.map(|message| joined(message, between)).or_else(|| system.map(str::to_owned));
    let mut segments = Vec::new();
    if !tools.is_empty() {
        turn(&mut segments, "system", definitions(&tools));
        match instructions.as_deref().map(trimmed) {
            None | Some("") => {}
            Some(text) => push(&mut segments, &format!("\n\n{text}")),
        }
        end(&mut segments);
    } else if let Some(text) = instructions {
        turn(&mut segments, "system", vec![Segment::Text(trimmed(&text).to_owned().into())]);
        end(&mut segments);
    }
    let question = messages.iter().rposition(|message| is_question(message, between)).unwrap_or(messages.len());
    for (i, message) in messages.iter().enumerate().skip(usize::from(own.is_some())) {
        let next = messages.get(i + 1).map(|message| message.role);
        match message.role {
            Role::Tool => {
                tool_result(&mut segments, (message, between), i == 0 || messages[i - 1].role != Role::Tool);
            }
            Role::Assistant if next.is_none() && message.is_thinking() => {
                begin_answer(&mut segments, message.thoughts());
                return Ok(with_branch(segments));
            }
            Role::Assistant => {
                assistant_turn(&mut segments, message, i > question, between);
                tool_calls(&mut segments, message, i)?;
            }
            role => turn(&mut segments, &role.to_string(), trimmed_content(message, between)),
        }
        let stays_open = match message.role {
            Role::Tool => next == Some(Role::Tool),
            role => role == Role::Assistant && next.is_none(),
        };
        if !stays_open {
            end(&mut segments);
        }
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        begin_answer(&mut segments, None);
    }
    Ok(with_branch(segments))
}

/// Returns whether a message is a question of the user rather than a call's result.
fn is_question(message: &Message, between: &str) -> bool {
    let content = trimmed_content(message, between);
    let is_result = match (content.first(), content.last()) {
        (Some(Segment::Text(first)), Some(Segment::Text(last))) => {
            first.starts_with("<tool_response>") && last.ends_with("</tool_response>")
        }
        _ => false,
    };
    message.role == Role::User && !is_result
}

/// Begins the answer: with reasoning, or with an empty block of it. Later prompts contain the answer without either, hence the branch.
fn begin_answer(segments: &mut Vec<Segment<'_>>, thoughts: Option<&str>) {
    turn(segments, "assistant", Vec::new());
    segments.extend([Segment::Branch, Segment::Control(THOUGHTS.begin)]);
    match thoughts {
        Some(text) => segments.push(Segment::Text(format!("\n{text}").into())),
        None => {
            segments.extend([Segment::Text("\n\n".into()), Segment::Control(THOUGHTS.end)]);
            segments.push(Segment::Text(THOUGHTS.between.into()));
        }
    }
}

/// Marks the place after the last picture as a branch: the next question about it may be another.
fn with_branch(mut segments: Vec<Segment<'_>>) -> Vec<Segment<'_>> {
    if let Some(last) = segments.iter().rposition(|segment| matches!(segment, Segment::Image(_))) {
        segments.insert(last + 1, Segment::Branch);
    }
    segments
}

/// The texts of a message.
fn joined(message: &Message, between: &str) -> String {
    message.texts().collect::<Vec<_>>().join(between)
}

/// The content of a turn, trimmed.
fn trimmed_content<'a>(message: &Message, between: &str) -> Vec<Segment<'a>> {
    let mut content = parts(message, between);
    if let Some(Segment::Text(text)) = content.first_mut() {
        *text = text.trim_start_matches(is_space).to_owned().into();
    }
    if let Some(Segment::Text(text)) = content.last_mut() {
        let end = text.trim_end_matches(is_space).len();
        text.to_mut().truncate(end);
    }
    content.retain(|segment| !is_empty(segment));
    content
}

/// Texts and pictures of a message with `between` between them.
fn parts<'a>(message: &Message, between: &str) -> Vec<Segment<'a>> {
    let (mut segments, mut text, mut has_parts) = (Vec::new(), String::new(), false);
    for part in &message.content {
        if !matches!(part, ContentPart::Text(_) | ContentPart::Image(_)) {
            continue;
        }
        if has_parts {
            text += between;
        }
        has_parts = true;
        match part {
            ContentPart::Text(part) => text += part,
            ContentPart::Image(index) => {
                segments.extend([Segment::Text(take(&mut text).into()), Segment::Image(*index)]);
            }
            ContentPart::Call(_) | ContentPart::Thoughts(_) => {}
        }
    }
    segments.push(Segment::Text(text.into()));
    segments.retain(|segment| !is_empty(segment));
    segments
}

fn is_empty(segment: &Segment<'_>) -> bool {
    matches!(segment, Segment::Text(text) if text.is_empty())
}

/// Adds the assistant's turn, with its reasoning if that is included: the message's field, else the block within its text, else an empty
/// block.
fn assistant_turn(segments: &mut Vec<Segment<'_>>, message: &Message, shows_thoughts: bool, between: &str) {
    let text = joined(message, between);
    let text = trimmed(&text);
    let (thoughts, text) = match (message.thoughts(), text.rsplit_once(THOUGHTS.end)) {
        (None, Some((_, answer))) => {
            let before = text.split(THOUGHTS.end).next().unwrap_or_default();
            (before.rsplit(THOUGHTS.begin).next().unwrap_or_default(), answer.trim_start_matches('\n'))
        }
        (thoughts, _) => (thoughts.unwrap_or_default(), text),
    };
    let thoughts = trimmed(thoughts);
    turn(segments, "assistant", Vec::new());
    if shows_thoughts {
        segments.extend([Segment::Control(THOUGHTS.begin), Segment::Text(format!("\n{thoughts}\n").into())]);
        segments.extend([Segment::Control(THOUGHTS.end), Segment::Text(THOUGHTS.between.into())]);
    }
    push(segments, text);
}

/// Adds the calls of a message, after its text.
fn tool_calls(segments: &mut Vec<Segment<'_>>, message: &Message, index: usize) -> Result<()> {
    let has_text = matches!(segments.last(), Some(Segment::Text(text)) if !text.ends_with('\n'));
    for (i, call) in message.calls().enumerate() {
        push(
            segments,
            if i > 0 {
                "\n"
            } else if has_text {
                "\n\n"
            } else {
                ""
            },
        );
        let elements = written_elements(&call.arguments, &format!("messages[{index}].tool_calls[{i}]"))?;
        segments.push(Segment::Control("<tool_call>"));
        push(segments, &format!("\n<function={}>\n{elements}</function>\n", call.name));
        segments.push(Segment::Control("</tool_call>"));
    }
    Ok(())
}

/// Adds the result of a call; consecutive ones share a turn of the user.
fn tool_result(segments: &mut Vec<Segment<'_>>, (message, between): (&Message, &str), is_first: bool) {
    if is_first {
        turn(segments, "user", Vec::new());
    } else {
        push(segments, "\n");
    }
    response(segments, trimmed_content(message, between));
}

/// The system's turn with tools. As in the published template, the marks of calls are control tokens here too.
fn definitions<'a>(tools: &[&str]) -> Vec<Segment<'a>> {
    let list: String = tools.iter().map(|tool| format!("\n{tool}")).collect();
    let head = format!(
        "# Tools\n\nYou have access to the following functions:\n\n<tools>{list}\n</tools>\n\nIf you choose to call a function ONLY reply in \
         the following format with NO suffix:\n\n"
    );
    let text = |text: &'static str| Segment::Text(text.into());
    vec![
        Segment::Text(head.into()),
        Segment::Control("<tool_call>"),
        text(
            "\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n<parameter=example_parameter_2>\n\
             This is the value for the second parameter\nthat can span\nmultiple lines\n</parameter>\n</function>\n",
        ),
        Segment::Control("</tool_call>"),
        text(
            "\n\n<IMPORTANT>\nReminder:\n- Function calls MUST follow the specified format: an inner <function=...></function> block must be \
             nested within ",
        ),
        Segment::Control("<tool_call>"),
        Segment::Control("</tool_call>"),
        text(
            " XML tags\n- Required parameters MUST be specified\n- You may provide optional reasoning for your function call in natural \
             language BEFORE the function call, but NOT after\n- If there is no function call available, answer the question like normal with \
             your current knowledge and do not tell the user about function calls\n</IMPORTANT>",
        ),
    ]
}

/// Adds text, which is tokenised together with the text before it.
fn push(segments: &mut Vec<Segment<'_>>, text: &str) {
    match segments.last_mut() {
        _ if text.is_empty() => {}
        Some(Segment::Text(before)) => before.to_mut().push_str(text),
        _ => segments.push(Segment::Text(text.to_owned().into())),
    }
}
