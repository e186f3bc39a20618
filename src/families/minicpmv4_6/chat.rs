//! `ChatML` as in Qwen3.5's template, with a line end between the parts of a message and numbers before pictures.
//!
//! ```text
//! <|im_start|>user\n<image_id>0</image_id>IMAGE\nuser<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n
//! ```

use crate::chat::layout::{ChatLayout, Segment};
use crate::chat::message::Message;
use crate::error::Result;
use crate::families::qwen3_5::chat::{self as qwen3_5, CALLS, THOUGHTS};
use crate::families::readers::ChatDefaults;
use crate::sampling::SamplingDefaults;

/// `<|im_end|>` and `<|endoftext|>` of the vocabulary; prompts have no first token. Sampling is that of the published generation configuration.
pub(super) const TOKENS: ChatDefaults = ChatDefaults {
    bos: None,
    eos: 248_046,
    other_ends: &[],
    pad: Some(248_044),
    sampling: Some(SamplingDefaults {
        temperature: Some(0.7),
        top_k: None,
        top_p: Some(1.0),
        min_p: None,
        presence_penalty: None,
        repetition_penalty: None,
    }),
    thinking: None,
};

/// The model answers without reasoning unless the conversation ends with the beginning of one.
pub(super) static CHATML: ChatLayout = ChatLayout {
    name: "minicpm-v",
    marks: &["<|im_start|>", "<|im_end|>", "<think>", "</think>"],
    segments,
    calls: Some(CALLS),
    thoughts: Some(THOUGHTS),
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    let mut numbered = Vec::new();
    let mut pictures = 0;
    for segment in qwen3_5::lay_out(messages, system, "\n")? {
        if let Segment::Image(_) = segment {
            numbered.extend([Segment::Control("<image_id>"), Segment::Text(pictures.to_string().into())]);
            numbered.push(Segment::Control("</image_id>"));
            pictures += 1;
        }
        numbered.push(segment);
    }
    Ok(numbered)
}
