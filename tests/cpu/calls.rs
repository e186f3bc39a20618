//! Tool calls, parsed from an answer in pieces.

use std::sync::Arc;

use ocelli::Error;
use ocelli::api::ChatRequest;
use ocelli::chat::calls::{CallLayout, Piece, TOKEN_MARK};
use ocelli::chat::{CallPart, CallSyntax, ChatTemplate, Message, Role, Segment, Tokenizer, ToolCall};
use ocelli::families::definition;
use ocelli_synth::published;
use serde_json::json;

use crate::chat::{chat_cases, flat};

const TOKENIZER: &[u8] = include_bytes!("../fixtures/tokenizer.json");

/// Calls and texts that a reader reports for calls in pieces.
fn read_calls(syntax: &CallSyntax, calls: &[Vec<&str>]) -> (Vec<ToolCall>, Vec<CallPart>) {
    let (mut reader, mut parts) = (syntax.reader(Arc::default()), Vec::new());
    for call in calls {
        reader.begin();
        call.iter().for_each(|piece| parts.extend(reader.push(piece)));
    }
    parts.extend(reader.finish());
    (reader.calls().to_vec(), parts)
}

#[test]
fn calls_are_read_however_their_text_is_cut() {
    static QUOTED: CallLayout = CallLayout {
        begin: Some("[TOOL_CALLS]"),
        before: &[Piece::Text("\n{\"name\": \"")],
        between: &[Piece::Text("\", \"arguments\": ")],
        after: &[Piece::Text("}\n"), Piece::Token("[ARGS]")],
        join: &[Piece::Text("\n")],
        has_elements: false,
    };
    let tokenizer = Tokenizer::from_json(TOKENIZER).unwrap();
    let config = published("ministral-3-3b").unwrap();
    let own = definition(&config).chat_layout("mistral-v13").unwrap().calls.as_ref().unwrap();
    let call = |name: &str, arguments: &str| ToolCall { name: name.into(), arguments: arguments.into() };
    let expected = [call("f", r#"{"a": "}\n", "é": 1}"#), call("g_2", "{}")];
    let write = |call: &ToolCall, layout: &CallLayout| {
        let pieces = |pieces: &[Piece]| -> String {
            pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { TOKEN_MARK }).collect()
        };
        pieces(layout.before) + &call.name + &pieces(layout.between) + &call.arguments + &pieces(layout.after)
    };
    for layout in [own, &QUOTED] {
        let syntax = CallSyntax::new(layout, &tokenizer).unwrap();
        let written: Vec<String> = expected.iter().map(|call| write(call, layout)).collect();
        for len in [1, 2, 3, 5, 1000] {
            let pieces: Vec<Vec<String>> = written
                .iter()
                .map(|text| text.chars().collect::<Vec<_>>().chunks(len).map(String::from_iter).collect())
                .collect();
            let pieces: Vec<Vec<&str>> = pieces.iter().map(|call| call.iter().map(String::as_str).collect()).collect();
            let (calls, parts) = read_calls(&syntax, &pieces);
            assert_eq!(calls, expected, "{layout:?} cut by {len}");
            let mut told: Vec<ToolCall> = Vec::new();
            for part in parts {
                match part {
                    CallPart::Name(name) => told.push(call(&name, "")),
                    CallPart::Arguments(text) => told.last_mut().unwrap().arguments += &text,
                }
            }
            assert_eq!(told, expected);
        }
        let half = &written[0][..written[0].len() - 3];
        let (calls, _) = read_calls(&syntax, &[vec![half]]);
        assert!(expected[0].arguments.starts_with(&calls[0].arguments[..8]), "{calls:?}");
    }
}

#[test]
fn a_layout_without_calls_refuses_tools() {
    let layout = definition(&published("llama-3.1-8b").unwrap()).chat_layout("llama3").unwrap();
    let template = ChatTemplate { layout, bos: None, default_system: None };
    let refused = |messages: &[Message]| template.segments(messages).unwrap_err();
    let tools = Message::text(Role::Tools, "{}");
    assert!(
        matches!(refused(&[Message::text(Role::User, "a"), tools]), Error::UnsupportedOption { field, .. } if field == "tools")
    );
    let result = Message::text(Role::Tool, "22");
    assert!(
        matches!(refused(&[Message::text(Role::User, "a"), result]), Error::UnsupportedOption { field, .. } if field == "messages[1]")
    );
}

#[test]
fn tools_are_laid_out_as_mistral_common_does() {
    let request = ChatRequest::from_json(&chat_cases()["tool_request"]).unwrap();
    let expected = concat!(
        "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT]",
        r#"[AVAILABLE_TOOLS][{"type": "function", "function": {"name": "get_weather", "description": "Get weather", "parameters": "#,
        r#"{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}][/AVAILABLE_TOOLS]"#,
        r#"[INST]Weather in Paris?[/INST][TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}</s>[TOOL_RESULTS]22[/TOOL_RESULTS]"#,
    );
    assert_eq!(flat(&request.messages), expected);
}

#[test]
fn results_stand_in_the_order_of_their_calls() {
    let call =
        |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let result =
        |id: &str, text: &str| json!({"role": "tool", "tool_call_id": id, "content": [{"type": "text", "text": text}]});
    let messages = json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": "Let me see. ", "tool_calls": [call("x", "f"), call("y", "g")]},
        result("y", "2"), result("x", "1"), {"role": "assistant", "content": "So."}, {"role": "user", "content": "b"}]);
    let request = ChatRequest::from_json(&json!({"messages": messages})).unwrap();
    let expected = "<s>[INST]a[/INST]Let me see.[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]g[ARGS]{}</s>\
                    [TOOL_RESULTS]1[/TOOL_RESULTS][TOOL_RESULTS]2[/TOOL_RESULTS]So.</s>[INST]b[/INST]";
    assert_eq!(flat(&request.messages), expected);
}

/// A conversation in the layout of Qwen's models.
fn chatml(request: &serde_json::Value) -> String {
    let layout = definition(&published("qwen3-vl-2b").unwrap()).chat_layout("chatml").unwrap();
    let template = ChatTemplate { layout, bos: None, default_system: None };
    let one = |segment: &Segment<'_>| match segment {
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    let messages = ChatRequest::from_json(request).unwrap().messages;
    template.segments(&messages).unwrap().iter().map(one).collect()
}

/// The published template of Qwen3 gives this text, rendered by Jinja.
#[test]
fn tools_are_laid_out_as_the_template_of_qwen_does() {
    let call = |id: &str, city: &str| {
        let arguments = json!({ "city": city }).to_string().replace(':', ": ");
        json!({"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}})
    };
    let result = |id: &str, text: &str| json!({"role": "tool", "tool_call_id": id, "content": text});
    let tools = &chat_cases()["tool_request"]["tools"];
    let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("1", "Oslo"), call("2", "Rome")]},
        result("1", "3 C"), result("2", "20 C"),
        {"role": "assistant", "content": "", "tool_calls": [call("3", "Bern")]}, result("3", "9 C")]);
    let expected = concat!(
        "<|im_start|>system\nS\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Get weather\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": [\"city\"]}}}\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n",
        "<|im_start|>user\nWeather?<|im_end|>\n",
        "<|im_start|>assistant\nLet me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call><|im_end|>\n",
        "<|im_start|>user\n<tool_response>\n3 C\n</tool_response>\n<tool_response>\n20 C\n</tool_response><|im_end|>\n",
        "<|im_start|>assistant\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Bern\"}}\n</tool_call><|im_end|>\n",
        "<|im_start|>user\n<tool_response>\n9 C\n</tool_response><|im_end|>\n",
        "<|im_start|>assistant\n",
    );
    assert_eq!(chatml(&json!({"messages": messages, "tools": tools})), expected);
    let alone = chatml(&json!({"messages": [{"role": "user", "content": "Weather?"}], "tools": tools}));
    let head = expected.replace("system\nS\n\n# Tools", "system\n# Tools");
    let head = &head[..head.find("Let me see.").unwrap()];
    assert_eq!(alone, head);
}
