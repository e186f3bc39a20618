//! Calls of tools: how a family writes them in its answers, the grammar that holds an answer to that, and how they are read as they come.

use std::fmt::Write as _;

use serde_json::Value;

use super::message::ToolCall;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// What a call is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A control token, by name.
    Token(&'static str),
    /// Ordinary text.
    Text(&'static str),
}

/// How a family writes calls: `begin`, `before`, the name, `between`, the arguments as JSON, `after`; `join` between two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLayout {
    /// The control token that begins a call. It stands nowhere else.
    pub begin: &'static str,
    /// Before the name.
    pub before: &'static [Piece],
    /// Between the name and the arguments; not empty.
    pub between: &'static [Piece],
    /// Behind the arguments: nothing, or text and then a control token.
    pub after: &'static [Piece],
    /// Between two calls.
    pub join: &'static [Piece],
}

/// How a model writes calls: a layout with the tokens of its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSyntax {
    layout: &'static CallLayout,
    begin: u32,
    /// The last token of [`CallLayout::after`], which may print something.
    end: Option<u32>,
}

/// How the calls of an answer begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The answer consists of calls.
    AtOnce,
    /// The answer consists of calls, or is what the rule `answer` says.
    OrAnswer,
    /// The token that begins a call has come.
    Begun,
}

/// The rule of a tool's arguments in [`CallSyntax::grammar`], by its place among the tools.
pub fn arguments_rule(index: usize) -> String {
    format!("arguments_{index}")
}

impl CallSyntax {
    /// # Errors
    /// [`Error::UnsupportedOption`] where the vocabulary lacks a token of the layout.
    pub fn new(layout: &'static CallLayout, tokenizer: &Tokenizer) -> Result<Self> {
        let id = |name: &'static str| {
            let reason = || format!("the vocabulary has no {name}");
            tokenizer.control(name).ok_or_else(|| Error::UnsupportedOption { field: "tools".into(), reason: reason() })
        };
        for piece in [layout.before, layout.between, layout.after, layout.join].concat() {
            if let Piece::Token(name) = piece {
                id(name)?;
            }
        }
        let end = match layout.after.last() {
            Some(Piece::Token(name)) => Some(id(name)?),
            _ => None,
        };
        Ok(Self { layout, begin: id(layout.begin)?, end })
    }

    /// The token that ends a call, if there is one.
    pub fn end(&self) -> Option<u32> {
        self.end
    }

    /// The token that begins a call.
    pub fn begin(&self) -> u32 {
        self.begin
    }

    /// A Lark grammar of answers that call tools of these names, one or, if `are_several`, more. Each tool's [`arguments_rule`] is missing.
    pub fn grammar(&self, names: &[&str], opening: Opening, are_several: bool, tokenizer: &Tokenizer) -> String {
        let pieces = |pieces: &[Piece]| {
            let written = pieces.iter().map(|piece| match piece {
                Piece::Token(name) => token(tokenizer.control(name).unwrap_or_default()),
                Piece::Text(text) => quoted(text),
            });
            written.fold(String::new(), |all, piece| all + &piece + " ")
        };
        let CallLayout { before, between, after, join, .. } = self.layout;
        let begin = token(self.begin);
        let mut lark = match opening {
            Opening::AtOnce => format!("start: {begin} calls\n"),
            Opening::OrAnswer => format!("start: {begin} calls | answer\n"),
            Opening::Begun => "start: calls\n".into(),
        };
        let more = if are_several { format!("({}{begin} call)*", pieces(join)) } else { String::new() };
        let calls: Vec<String> = (0..names.len()).map(|index| format!("call_{index}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(lark, "calls: call {more}\ncall: {}", calls.join(" | "));
        for (index, (name, call)) in names.iter().zip(&calls).enumerate() {
            let (before, between, after) = (pieces(before), pieces(between), pieces(after));
            let arguments = arguments_rule(index);
            let _ = writeln!(lark, "{call}: {before}{} {between}{arguments} {after}", quoted(name));
        }
        lark
    }

    /// Reads the calls of an answer.
    pub fn reader(&self) -> CallReader {
        let CallLayout { before, between, after, .. } = self.layout;
        let [before, between, after] = [before, between, after].map(|pieces| pieces.iter().map(marked).collect());
        CallReader { before, between, after, held: String::new(), stage: Stage::Outside, calls: Vec::new() }
    }
}

/// A token in a Lark grammar.
fn token(id: u32) -> String {
    format!("<[{id}]>")
}

/// A text in a Lark grammar, which quotes as JSON does.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What stands for a control token among the text of a call: neither names nor JSON contain it.
pub const TOKEN_MARK: &str = "\0";

fn marked(piece: &Piece) -> &'static str {
    match piece {
        Piece::Token(_) => TOKEN_MARK,
        Piece::Text(text) => text,
    }
}

/// Something new about the calls of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallPart {
    /// The next call has a name.
    Name(String),
    /// More of the arguments of the last call.
    Arguments(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Behind a call.
    Outside,
    Name,
    Arguments,
}

/// Reads the calls of an answer that a grammar holds to their layout.
#[derive(Debug, Clone)]
pub struct CallReader {
    before: String,
    between: String,
    after: String,
    /// What cannot be told yet.
    held: String,
    stage: Stage,
    calls: Vec<ToolCall>,
}

impl CallReader {
    /// The calls by now.
    pub fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    /// A call begins.
    pub fn begin(&mut self) {
        (self.stage, self.held) = (Stage::Name, String::new());
    }

    /// Takes text of a call; [`TOKEN_MARK`] for a control token. However it is cut, the parts make the same calls.
    pub fn push(&mut self, text: &str) -> Vec<CallPart> {
        let mut parts = Vec::new();
        if self.stage == Stage::Outside {
            return parts;
        }
        self.held.push_str(text);
        let behind_before = self.held.get(self.before.len()..);
        if self.stage == Stage::Name
            && let Some((name, rest)) = behind_before.and_then(|held| held.split_once(&self.between))
        {
            let (name, rest) = (name.to_owned(), rest.to_owned());
            (self.stage, self.held) = (Stage::Arguments, rest);
            self.calls.push(ToolCall { name: name.clone(), arguments: String::new() });
            parts.push(CallPart::Name(name));
        }
        if self.stage == Stage::Arguments {
            let ends = self.held.ends_with(TOKEN_MARK);
            let mut certain = if ends || self.after.is_empty() { self.held.len() } else { self.undecided() };
            if ends {
                (self.stage, certain) = (Stage::Outside, certain.saturating_sub(self.after.len()));
            }
            parts.extend(self.tell(certain));
        }
        parts
    }

    /// What was held back of an answer that ends within a call.
    pub fn finish(&mut self) -> Option<CallPart> {
        if self.stage == Stage::Arguments { self.tell(self.held.len()) } else { None }
    }

    /// Where the last text begins that may be what stands behind the arguments.
    fn undecided(&self) -> usize {
        let at = self.held.len().saturating_sub(self.after.len() - TOKEN_MARK.len());
        (0..=at).rev().find(|&at| self.held.is_char_boundary(at)).unwrap_or(0)
    }

    fn tell(&mut self, len: usize) -> Option<CallPart> {
        let text: String = self.held.drain(..len).collect();
        if let Some(call) = self.calls.last_mut() {
            call.arguments.push_str(&text);
        }
        (!text.is_empty()).then_some(CallPart::Arguments(text))
    }
}

/// The definition of a tool as models have learnt to read it: one line, as Python's `json.dumps(tool, ensure_ascii=False)` writes it.
pub fn definition_line(tool: &Value) -> String {
    let mut line = String::new();
    write_spaced(tool, &mut line);
    line
}

/// JSON with a space behind every comma and colon.
fn write_spaced(value: &Value, line: &mut String) {
    let between = |index: usize| if index > 0 { ", " } else { "" };
    match value {
        Value::Array(items) => {
            line.push('[');
            for (index, item) in items.iter().enumerate() {
                line.push_str(between(index));
                write_spaced(item, line);
            }
            line.push(']');
        }
        Value::Object(fields) => {
            line.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                line.push_str(between(index));
                line.push_str(&quoted(name));
                line.push_str(": ");
                write_spaced(field, line);
            }
            line.push('}');
        }
        other => line.push_str(&other.to_string()),
    }
}
