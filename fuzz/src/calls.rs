//! Tool calls in the text of an answer.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ocelli::Result;
use ocelli::chat::calls::TOKEN_MARK;
use ocelli::chat::elements::Form;
use ocelli::chat::{CallPart, CallSyntax, Tokenizer, ToolCall, ToolForms};
use ocelli::families::definition;
use ocelli_synth::published;
use serde_json::{Value, json};

/// Shapes and their chat layouts.
const MODELS: [(&str, &str); 4] = [
    ("ministral-3-3b", "mistral-v13"),
    ("llama-3.2-11b-vision", "llama3_vision"),
    ("qwen3-vl-2b", "chatml"),
    ("qwen3.5-0.8b", "qwen3.5"),
];

/// A tokenizer with the control tokens of all calls.
fn tokenizer() -> Tokenizer {
    const FILE: &[u8] = include_bytes!("../../tests/fixtures/checkpoints/fp8/tokenizer.json");
    let mut file: Value = serde_json::from_slice(FILE).expect("a fixture");
    let added = file["added_tokens"].as_array_mut().expect("a list");
    for (index, content) in ["<tool_call>", "</tool_call>"].into_iter().enumerate() {
        added.push(json!({"id": 100_000 + index, "content": content, "special": true}));
    }
    Tokenizer::from_json(file.to_string().as_bytes()).expect("a good file")
}

fn syntaxes() -> &'static [CallSyntax] {
    static SYNTAXES: OnceLock<Vec<CallSyntax>> = OnceLock::new();
    SYNTAXES.get_or_init(|| {
        let tokenizer = tokenizer();
        let syntax = |(shape, name): (&str, &str)| {
            let layout = definition(&published(shape).expect("a shape")).chat_layout(name).expect("a layout");
            CallSyntax::new(layout.calls.as_ref().expect("a model with calls"), &tokenizer).expect("its tokens")
        };
        MODELS.map(syntax).to_vec()
    })
}

fn forms() -> Arc<ToolForms> {
    let forms = [("t", Form::Text), ("n", Form::TextOrNull), ("f", Form::Flag), ("j", Form::Json)];
    let forms = forms.map(|(name, form)| (name.to_owned(), form)).to_vec();
    Arc::new(HashMap::from([("tool".to_owned(), forms)]))
}

/// The calls of an answer, and the same from what was told on the way.
fn read<'a>(syntax: &CallSyntax, pieces: impl Iterator<Item = &'a str>) -> [Vec<ToolCall>; 2] {
    let (mut reader, mut parts) = (syntax.reader(forms()), Vec::new());
    reader.begin();
    for piece in pieces {
        parts.extend(reader.push(piece));
    }
    parts.extend(reader.finish());
    let mut told: Vec<ToolCall> = Vec::new();
    for part in parts {
        match part {
            CallPart::Name(name) => told.push(ToolCall { name, arguments: String::new() }),
            CallPart::Arguments(text) => told.last_mut().expect("a name before").arguments += &text,
        }
    }
    [reader.calls().to_vec(), told]
}

/// A call in the text of an answer, which a grammar need not have constrained. The first byte selects the model, the second the cuts;
/// bytes of zero stand for control tokens, each of which ends a piece.
///
/// # Errors
/// None.
pub fn calls(bytes: &[u8]) -> Result<()> {
    let [model, cut, text @ ..] = bytes else { return Ok(()) };
    let (syntax, text) = (&syntaxes()[usize::from(*model) % MODELS.len()], String::from_utf8_lossy(text));
    let tokens = || text.split_inclusive(TOKEN_MARK);
    let [whole, told] = read(syntax, tokens());
    assert_eq!(whole, told, "parts add up to the calls");
    let len = usize::from(cut % 7) + 1;
    let cut = |piece: &'_ str| {
        let starts = piece.char_indices().step_by(len).map(|(at, _)| at);
        let ends = starts.clone().skip(1).chain([piece.len()]);
        starts.zip(ends).map(|(from, to)| piece[from..to].to_owned()).collect::<Vec<_>>()
    };
    let pieces: Vec<String> = tokens().flat_map(cut).collect();
    let [cut, told] = read(syntax, pieces.iter().map(String::as_str));
    assert_eq!(cut, told, "parts add up to the calls");
    assert_eq!(whole, cut, "the calls do not depend on the cuts");
    Ok(())
}
