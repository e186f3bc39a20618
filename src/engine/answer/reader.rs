//! Reader of an answer's tokens: reasoning, text and tool calls.

use std::rc::Rc;
use std::sync::Arc;

use super::thoughts::{Hold, Thoughts};
use crate::chat::calls::TOKEN_MARK;
use crate::chat::{CallPart, CallReader, CallSyntax, TextStream, ThoughtSyntax, Tokenizer, ToolForms};
use crate::engine::events::{Completion, Event, FinishReason};
use crate::grammar::Grammar;

#[derive(Debug)]
pub(in crate::engine) struct AnswerReader {
    stream: TextStream,
    /// Reader of the reasoning before the text, until it ends.
    thoughts: Option<Thoughts>,
    /// True while white space before the text is skipped.
    skips_space: bool,
    calls: Option<Calls>,
    hold: Option<Hold>,
}

/// Tool calls in an answer.
#[derive(Debug)]
struct Calls {
    /// Token that begins a call; `None` if a call is the whole answer.
    begin: Option<u32>,
    /// Token that ends a call, if there is one.
    end: Option<u32>,
    reader: CallReader,
    has_begun: bool,
    /// Grammar after the first token that begins a call, until it applies.
    later: Option<Rc<dyn Grammar>>,
}

impl AnswerReader {
    /// Creates the reader of an answer that ends before any of the strings `stop`.
    pub(in crate::engine) fn new(stop: Vec<String>) -> Self {
        Self { stream: TextStream::new(stop), thoughts: None, skips_space: false, calls: None, hold: None }
    }

    /// Expects reasoning of at most `budget` tokens first; `later` is the grammar after it.
    pub(in crate::engine) fn read_thoughts(
        &mut self,
        syntax: Arc<ThoughtSyntax>,
        budget: Option<usize>,
        later: Option<Rc<dyn Grammar>>,
    ) {
        self.thoughts = Some(Thoughts::new(syntax, budget, later));
    }

    /// Expects tool calls; `later` is the grammar after the token that begins the first call.
    pub(in crate::engine) fn read_calls(
        &mut self,
        syntax: &CallSyntax,
        forms: Arc<ToolForms>,
        later: Option<Rc<dyn Grammar>>,
    ) {
        let reader = syntax.reader(forms);
        self.calls = Some(Calls { begin: syntax.begin(), end: syntax.end(), reader, has_begun: false, later });
    }

    pub(in crate::engine) fn is_thinking(&self) -> bool {
        self.thoughts.is_some()
    }

    pub(in crate::engine) fn expects_calls(&self) -> bool {
        self.calls.is_some()
    }

    /// The stop string that ended the answer.
    pub(in crate::engine) fn stop_string(&self) -> Option<&str> {
        self.stream.stop_string()
    }

    /// Returns true after a stop string.
    pub(in crate::engine) fn is_stopped(&self) -> bool {
        self.stream.is_stopped()
    }

    /// Reads a token and reports text that is complete. Returns true if a [constraint](Self::take_hold) begins or ends here.
    pub(in crate::engine) fn read(
        &mut self,
        token: u32,
        answer: &mut Completion,
        tokenizer: &Tokenizer,
        on_event: &mut dyn FnMut(Event),
    ) -> bool {
        let mut bytes = tokenizer.token_bytes(token);
        if let Some(thoughts) = &mut self.thoughts {
            // Some models begin calls within their reasoning.
            let calls = self.calls.as_ref().is_some_and(|calls| calls.begin == Some(token) && calls.later.is_some());
            if !calls && token != thoughts.end() {
                self.hold = thoughts.read(bytes.unwrap_or_default(), answer, on_event);
                return self.hold.is_some();
            }
            self.hold = thoughts.finish(answer, on_event);
            (self.thoughts, self.skips_space) = (None, true);
            if !calls {
                return self.hold.is_some();
            }
        }
        if self.skips_space {
            bytes = bytes.map(<[u8]>::trim_ascii_start);
            self.skips_space = bytes.is_none_or(<[u8]>::is_empty);
        }
        if let Some(calls) = self.calls.as_mut().filter(|calls| calls.begin.is_none() && !calls.has_begun) {
            if bytes.is_some_and(|bytes| bytes.starts_with(b"{")) {
                (calls.has_begun, self.stream) = (true, TextStream::default());
                calls.reader.begin();
            } else {
                // The answer is text, which has no constraint.
                self.calls = None;
                self.hold = Some(Hold { is_free: true, ..Hold::default() });
            }
        }
        match &mut self.calls {
            Some(calls) if calls.begin == Some(token) => {
                let rest = self.stream.finish();
                match calls.has_begun {
                    true => calls.hear(&rest.unwrap_or_default(), on_event),
                    false => say(answer, rest, on_event),
                }
                // Stop strings do not apply within a call.
                self.stream = TextStream::default();
                calls.has_begun = true;
                calls.reader.begin();
                self.hold = calls.later.take().map(|grammar| Hold { grammar: Some(grammar), ..Hold::default() });
                self.hold.is_some()
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
                self.hold.is_some()
            }
        }
    }

    /// Returns the constraint that has begun or ended, if any.
    pub(in crate::engine) fn take_hold(&mut self) -> Option<Hold> {
        self.hold.take()
    }

    /// Reports the text held back until the end of the answer.
    pub(in crate::engine) fn finish(&mut self, answer: &mut Completion, on_event: &mut dyn FnMut(Event)) {
        if let Some(thoughts) = &mut self.thoughts {
            thoughts.finish(answer, on_event);
        }
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
    /// Reads text of a call.
    fn hear(&mut self, text: &str, on_event: &mut dyn FnMut(Event)) {
        let parts = self.reader.push(text);
        self.tell(parts, on_event);
    }

    fn tell(&self, parts: impl IntoIterator<Item = CallPart>, on_event: &mut dyn FnMut(Event)) {
        let index = self.reader.calls().len().saturating_sub(1);
        parts.into_iter().for_each(|part| on_event(Event::Call { index, part }));
    }
}

/// Adds text to the answer and reports it.
fn say(answer: &mut Completion, text: Option<String>, on_event: &mut dyn FnMut(Event)) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        answer.text.push_str(&text);
        on_event(Event::Text(text));
    }
}
