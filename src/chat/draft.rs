//! A prompt in the making, for layouts in which everything between two control tokens is one text for the tokenizer.

use std::mem::take;

use super::layout::{Segment, merge_content};
use super::message::Message;

/// Segments of which the last may be a text that is still growing.
#[derive(Debug, Default)]
pub struct Draft {
    segments: Vec<Segment<'static>>,
    text: String,
}

impl Draft {
    /// Adds the first token of prompts.
    pub fn start(&mut self) {
        self.push(Segment::Start);
    }

    /// Adds a picture.
    pub fn picture(&mut self, index: usize) {
        self.push(Segment::Image(index));
    }

    /// Adds a control token.
    pub fn control(&mut self, name: &'static str) {
        self.push(Segment::Control(name));
    }

    /// Adds text after the earlier text.
    pub fn text(&mut self, text: &str) {
        self.text += text;
    }

    /// Adds texts and pictures of a message, without anything between them.
    pub fn content(&mut self, message: &Message) {
        for segment in merge_content(std::slice::from_ref(message), "") {
            match segment {
                Segment::Text(part) => self.text(&part),
                Segment::Image(index) => self.push(Segment::Image(index)),
                Segment::Start | Segment::Control(_) | Segment::Branch => {}
            }
        }
    }

    /// The segments. No text is empty or follows another.
    pub fn finish(mut self) -> Vec<Segment<'static>> {
        self.end_text();
        self.segments
    }

    fn push(&mut self, segment: Segment<'static>) {
        self.end_text();
        self.segments.push(segment);
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.segments.push(Segment::Text(take(&mut self.text).into()));
        }
    }
}
