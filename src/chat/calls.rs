//! Tool calls: the format of a family, the grammar that constrains answers to it, and the incremental parser.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use super::elements::{ElementReader, Elements, Forms, TEXT};
use super::json::quoted;
use super::message::ToolCall;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// A part of the format of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A control token, by name.
    Token(&'static str),
    /// Ordinary text.
    Text(&'static str),
}

/// The format of a family's calls: `begin`, `before`, the name, `between`, the arguments, `after`; `join` between two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLayout {
    /// The control token that begins a call, used for nothing else. `None` if a call is a whole answer, which then begins with a brace.
    pub begin: Option<&'static str>,
    /// Before the name.
    pub before: &'static [Piece],
    /// Between the name and the arguments; not empty.
    pub between: &'static [Piece],
    /// After the arguments: nothing, or text and then a control token; if a call is a whole answer, text.
    pub after: &'static [Piece],
    /// Between two calls.
    pub join: &'static [Piece],
    /// True if each argument is an [element](super::elements); otherwise all arguments are one JSON object.
    pub has_elements: bool,
}

impl CallLayout {
    /// Its control tokens.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &'static str> {
        let pieces = [self.before, self.between, self.after, self.join].concat();
        let named =
            pieces.into_iter().filter_map(|piece| if let Piece::Token(name) = piece { Some(name) } else { None });
        named.chain(self.begin)
    }
}

/// The format of a model's calls, with the tokens of its vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSyntax {
    layout: &'static CallLayout,
    begin: Option<u32>,
    /// The last token of [`CallLayout::after`], which may be printable.
    end: Option<u32>,
}

/// The beginning of an answer with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The answer consists of calls.
    AtOnce,
    /// The answer consists of calls, or matches the rule `answer`.
    OrAnswer,
    /// The token that begins a call was generated; without such a token, the answer is a call or text.
    Begun,
}

/// Name of the rule for the arguments of the tool `index` in [`CallSyntax::grammar`].
fn arguments_rule(index: usize) -> String {
    format!("arguments_{index}")
}

impl CallSyntax {
    /// # Errors
    /// [`Error::UnsupportedOption`] if the vocabulary lacks a token of the layout.
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
        Ok(Self { layout, begin: layout.begin.map(id).transpose()?, end })
    }

    /// The token that ends a call, if there is one.
    pub fn end(&self) -> Option<u32> {
        self.end
    }

    /// The token that begins a call, if there is one.
    pub fn begin(&self) -> Option<u32> {
        self.begin
    }

    /// Grammar rules of the arguments of tool `index`, constrained by a schema, for [`Self::grammar`].
    ///
    /// # Errors
    /// See [`Elements::of`].
    pub fn arguments(&self, index: usize, schema: &Value) -> Result<Elements> {
        let rule = arguments_rule(index);
        if self.layout.has_elements {
            return Elements::of(schema, &rule);
        }
        Ok(Elements { schemas: vec![(rule, schema.to_string(), String::new())], ..Elements::default() })
    }

    /// A Lark grammar of answers that call one of these tools, or several if `are_several`. The rules of [`Self::arguments`] must be added.
    pub fn grammar(&self, names: &[&str], opening: Opening, are_several: bool, tokenizer: &Tokenizer) -> String {
        let pieces = |pieces: &[Piece]| {
            let written = pieces.iter().map(|piece| match piece {
                Piece::Token(name) => token(tokenizer.control(name).unwrap_or_default()),
                Piece::Text(text) => quoted(text),
            });
            written.fold(String::new(), |all, piece| all + &piece + " ")
        };
        let CallLayout { before, between, after, join, .. } = self.layout;
        let begin = self.begin.map(token).unwrap_or_default();
        let mut lark = match opening {
            Opening::AtOnce => format!("start: {begin} calls\n"),
            Opening::OrAnswer => format!("start: {begin} calls | answer\n"),
            Opening::Begun if self.begin.is_none() => "start: calls | TEXT\nTEXT: /(?s:[^{].*)/\n".into(),
            Opening::Begun => "start: calls\n".into(),
        };
        let more = if are_several && self.begin.is_some() {
            format!("({}{begin} call)*", pieces(join))
        } else {
            String::new()
        };
        let calls: Vec<String> = (0..names.len()).map(|index| format!("call_{index}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(lark, "calls: call {more}\ncall: {}", calls.join(" | "));
        for (index, (name, call)) in names.iter().zip(&calls).enumerate() {
            let (before, between, after) = (pieces(before), pieces(between), pieces(after));
            let arguments = arguments_rule(index);
            let _ = writeln!(lark, "{call}: {before}{} {between}{arguments} {after}", quoted(name));
        }
        if self.layout.has_elements {
            let _ = writeln!(lark, "{TEXT}");
        }
        lark
    }

    /// A parser for the calls of an answer. `forms` are the argument formats of tools whose arguments are elements.
    pub fn reader(&self, forms: Arc<ToolForms>) -> CallReader {
        let CallLayout { before, between, after, has_elements, .. } = self.layout;
        let [before, between, after] = [before, between, after].map(|pieces| pieces.iter().map(marked).collect());
        let (held, stage, calls) = (String::new(), Stage::Outside, Vec::new());
        let elements = has_elements.then(ElementReader::default);
        CallReader { before, between, after, forms, elements, held, stage, calls }
    }
}

/// A token in a Lark grammar.
fn token(id: u32) -> String {
    format!("<[{id}]>")
}

/// Placeholder for a control token in the text of a call; neither names nor JSON contain it.
pub const TOKEN_MARK: &str = "\0";

fn marked(piece: &Piece) -> &'static str {
    match piece {
        Piece::Token(_) => TOKEN_MARK,
        Piece::Text(text) => text,
    }
}

/// Progress of the calls of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallPart {
    /// The next call has a name.
    Name(String),
    /// More of the arguments of the last call.
    Arguments(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The end of a call.
    Outside,
    Name,
    Arguments,
}

/// Formats of the arguments' values, by tool.
pub type ToolForms = HashMap<String, Forms>;

/// Incremental parser of the calls of an answer that a grammar constrains to their format.
#[derive(Debug, Clone)]
pub struct CallReader {
    before: String,
    between: String,
    after: String,
    forms: Arc<ToolForms>,
    /// Parser of the last call's arguments, if they are elements.
    elements: Option<ElementReader>,
    /// Text that is not certain yet.
    held: String,
    stage: Stage,
    calls: Vec<ToolCall>,
}

impl CallReader {
    /// The calls so far.
    pub fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    /// Begins a call.
    pub fn begin(&mut self) {
        (self.stage, self.held) = (Stage::Name, String::new());
    }

    /// Reads text of a call, with [`TOKEN_MARK`] for control tokens. The calls do not depend on how the text is divided.
    pub fn push(&mut self, text: &str) -> Vec<CallPart> {
        let mut parts = Vec::new();
        if self.stage == Stage::Outside {
            return parts;
        }
        self.held.push_str(text);
        let after_before = self.held.get(self.before.len()..);
        if self.stage == Stage::Name
            && let Some((name, rest)) = after_before.and_then(|held| held.split_once(&self.between))
        {
            let (name, rest) = (name.to_owned(), rest.to_owned());
            (self.stage, self.held) = (Stage::Arguments, rest);
            if let Some(elements) = &mut self.elements {
                *elements = ElementReader::new(self.forms.get(&name).cloned().unwrap_or_default());
            }
            self.calls.push(ToolCall { name: name.clone(), arguments: String::new() });
            parts.push(CallPart::Name(name));
        }
        if let Some(elements) = self.elements.as_mut().filter(|_| self.stage == Stage::Arguments) {
            let mut json = String::new();
            if elements.push(&std::mem::take(&mut self.held), &mut json) {
                self.stage = Stage::Outside;
            }
            parts.extend(self.tell_arguments(json));
        } else if self.stage == Stage::Arguments {
            let ends = self.held.ends_with(TOKEN_MARK);
            let mut certain = if ends || self.after.is_empty() { self.held.len() } else { self.undecided() };
            if ends {
                // A grammar ensures the text after the arguments; without one it may be missing.
                certain = self.held.strip_suffix(&*self.after).map_or(certain - TOKEN_MARK.len(), str::len);
                self.stage = Stage::Outside;
            }
            parts.extend(self.tell(certain));
        }
        parts
    }

    /// The text held back when an answer ends within a call.
    pub fn finish(&mut self) -> Option<CallPart> {
        match &mut self.elements {
            _ if self.stage != Stage::Arguments => None,
            Some(elements) => {
                let rest = elements.finish();
                self.tell_arguments(rest)
            }
            // Without a token that ends a call, the end of the answer does.
            None => self.tell(self.held.strip_suffix(&*self.after).map_or(self.held.len(), str::len)),
        }
    }

    /// Offset of trailing text that may belong to the format after the arguments.
    fn undecided(&self) -> usize {
        let text = self.after.trim_end_matches(TOKEN_MARK);
        let at = self.held.len().saturating_sub(text.len());
        (0..=at).rev().find(|&at| self.held.is_char_boundary(at)).unwrap_or(0)
    }

    fn tell(&mut self, len: usize) -> Option<CallPart> {
        let text: String = self.held.drain(..len).collect();
        self.tell_arguments(text)
    }

    fn tell_arguments(&mut self, text: String) -> Option<CallPart> {
        if let Some(call) = self.calls.last_mut() {
            call.arguments.push_str(&text);
        }
        (!text.is_empty()).then_some(CallPart::Arguments(text))
    }
}
