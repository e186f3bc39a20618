//! What the tokens of an answer say: text, and calls of tools.

use std::rc::Rc;

use super::events::{Completion, Event, FinishReason};
use crate::chat::calls::TOKEN_MARK;
use crate::chat::{CallPart, CallReader, CallSyntax, TextStream, Tokenizer};
use crate::grammar::Grammar;

/// An answer as it is read.
#[derive(Debug)]
pub(super) struct Reading {
    stream: TextStream,
    calls: Option<Calls>,
}

/// Calls of tools in an answer.
#[derive(Debug)]
struct Calls {
    /// The token that begins one.
    begin: u32,
    /// The token that ends one, if there is one.
    end: Option<u32>,
    reader: CallReader,
    has_begun: bool,
    /// The grammar of what follows the first such token, until it holds.
    later: Option<Rc<dyn Grammar>>,
}

impl Reading {
    /// Of an answer that ends before any of the strings `stop`.
    pub(super) fn new(stop: Vec<String>) -> Self {
        Self { stream: TextStream::new(stop), calls: None }
    }

    /// Of an answer that may call tools; `later` is the grammar of what follows the token that begins the first call.
    pub(super) fn read_calls(&mut self, syntax: &CallSyntax, later: Option<Rc<dyn Grammar>>) {
        self.calls =
            Some(Calls { begin: syntax.begin(), end: syntax.end(), reader: syntax.reader(), has_begun: false, later });
    }

    /// Whether calls of tools are read.
    pub(super) fn expects_calls(&self) -> bool {
        self.calls.is_some()
    }

    /// Whether a stop string has come.
    pub(super) fn is_stopped(&self) -> bool {
        self.stream.is_stopped()
    }

    /// Reads a token and tells what is certain by now. Whether a call begins whose grammar does not hold yet.
    pub(super) fn read(
        &mut self,
        token: u32,
        answer: &mut Completion,
        tokenizer: &Tokenizer,
        on_event: &mut dyn FnMut(Event),
    ) -> bool {
        let bytes = tokenizer.token_bytes(token);
        match &mut self.calls {
            Some(calls) if token == calls.begin => {
                let rest = self.stream.finish();
                match calls.has_begun {
                    true => calls.hear(&rest.unwrap_or_default(), on_event),
                    false => say(answer, rest, on_event),
                }
                // A call is not cut where a stop string stands in it.
                self.stream = TextStream::default();
                calls.has_begun = true;
                calls.reader.begin();
                calls.later.is_some()
            }
            Some(calls) if calls.has_begun => {
                let bytes = bytes.filter(|_| calls.end != Some(token));
                let text = bytes.map_or(Some(TOKEN_MARK.into()), |bytes| self.stream.push(bytes));
                calls.hear(&text.unwrap_or_default(), on_event);
                false
            }
            _ => {
                // Control tokens other than the end print nothing.
                let text = self.stream.push(bytes.unwrap_or_default());
                say(answer, text, on_event);
                false
            }
        }
    }

    /// The grammar that holds from now on, where a call has begun and none did.
    pub(super) fn grammar_of_calls(&mut self) -> Option<Rc<dyn Grammar>> {
        self.calls.as_mut().filter(|calls| calls.has_begun)?.later.take()
    }

    /// Tells what was held back, now that the answer has ended.
    pub(super) fn finish(&mut self, answer: &mut Completion, on_event: &mut dyn FnMut(Event)) {
        let rest = self.stream.finish();
        let Some(calls) = self.calls.as_mut().filter(|calls| calls.has_begun) else {
            return say(answer, rest, on_event);
        };
        calls.hear(&rest.unwrap_or_default(), on_event);
        let part = calls.reader.finish();
        calls.tell(part, on_event);
        answer.calls = calls.reader.calls().to_vec();
        if answer.finish_reason == FinishReason::Stop {
            answer.finish_reason = FinishReason::ToolCalls;
        }
    }
}

impl Calls {
    /// Takes text of a call.
    fn hear(&mut self, text: &str, on_event: &mut dyn FnMut(Event)) {
        let parts = self.reader.push(text);
        self.tell(parts, on_event);
    }

    fn tell(&self, parts: impl IntoIterator<Item = CallPart>, on_event: &mut dyn FnMut(Event)) {
        let index = self.reader.calls().len().saturating_sub(1);
        parts.into_iter().for_each(|part| on_event(Event::Call { index, part }));
    }
}

/// Adds text to the answer and tells the caller, if there is any.
fn say(answer: &mut Completion, text: Option<String>, on_event: &mut dyn FnMut(Event)) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        answer.text.push_str(&text);
        on_event(Event::Text(text));
    }
}
