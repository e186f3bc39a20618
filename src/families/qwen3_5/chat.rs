//! `ChatML` as Qwen3.5's templates write it: contents without the white space around them, and no thoughts.
//!
//! ```text
//! <|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n
//! ```

use crate::chat::layout::{ChatLayout, Segment};
use crate::chat::message::{Message, Role};
use crate::error::{Error, Result};
use crate::families::qwen3_vl::chat::lay_out;
use crate::families::readers::ChatDefaults;
use crate::weights::manifest::SamplingDefaults;

/// `<|im_end|>` and `<|endoftext|>` of the vocabulary; prompts begin with no token of their own. Tokens are chosen as the models' cards
/// recommend for answers without thoughts; `generation_config.json` is for answers with them.
pub(super) const TOKENS: ChatDefaults = ChatDefaults {
    bos: None,
    eos: 248_046,
    pad: Some(248_044),
    sampling: Some(SamplingDefaults {
        temperature: Some(0.7),
        top_k: Some(20),
        top_p: Some(0.8),
        min_p: None,
        presence_penalty: Some(1.5),
    }),
};

/// The model is asked to answer at once: what its own template calls `enable_thinking=false`. Of what the assistant said before, thoughts
/// are left out.
pub(super) static CHATML: ChatLayout = ChatLayout {
    name: "qwen3.5",
    marks: &["<|im_start|>", "<|im_end|>", "<think>", "</think>"],
    segments,
    calls: None,
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    if let Some(i) = messages.iter().skip(1).position(|message| message.role == Role::System) {
        let field = format!("messages[{}].role", i + 1);
        return Err(Error::request(field, "only the first message can be a system message"));
    }
    let mut segments = lay_out(messages, system, shown)?;
    // What is asked about a picture may be asked otherwise.
    if let Some(last) = segments.iter().rposition(|segment| matches!(segment, Segment::Image(_))) {
        segments.insert(last + 1, Segment::Branch);
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        // In later prompts the answer follows here.
        segments.extend([Segment::Branch, Segment::Control("<think>"), Segment::Text("\n\n".into())]);
        segments.extend([Segment::Control("</think>"), Segment::Text("\n\n".into())]);
    }
    Ok(segments)
}

/// What a turn contains, without white space at its ends, and of the assistant's without thoughts.
fn shown(role: Role, mut content: Vec<Segment<'_>>) -> Vec<Segment<'_>> {
    if let Some(Segment::Text(text)) = content.first_mut() {
        let answer =
            text.split_once("</think>").filter(|_| role == Role::Assistant).map_or(&**text, |(_, answer)| answer);
        *text = answer.trim_start().to_owned().into();
    }
    if let Some(Segment::Text(text)) = content.last_mut() {
        let end = text.trim_end().len();
        text.to_mut().truncate(end);
    }
    content
}
