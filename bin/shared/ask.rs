//! Questions to a model, and their answers on standard output.

use std::path::Path;

use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{Completion, Detail, Engine, Event, Picture, Prompt, Request, RequestControl};
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};

use super::args::SamplingArgs;
use super::io::{inform, print, print_text, read};

/// A user message: pictures, then text.
pub(crate) fn question(pictures: impl IntoIterator<Item = usize>, text: &str) -> Message {
    let shown = pictures.into_iter().map(ContentPart::Image);
    Message { role: Role::User, content: shown.chain([ContentPart::Text(text.into())]).collect() }
}

/// Answers `messages`. If `is_printed`, the text is streamed to standard output; other events go to `tell`.
pub(crate) fn answer(
    engine: &mut Engine,
    (mut messages, pictures): (Vec<Message>, Vec<Picture>),
    args: &SamplingArgs,
    is_printed: bool,
    tell: impl Fn(Event),
) -> Result<Completion> {
    let SamplingArgs { temperature, top_k, top_p, seed, max_tokens, .. } = *args;
    let sampling = SamplingOptions { temperature, top_k, top_p, seed, ..SamplingOptions::default() };
    let format = args.format.format()?;
    format.iter().for_each(|format| format.tell(&mut messages));
    let grammar = format.map(|format| engine.grammar(&format)).transpose()?;
    let prompt = Prompt::Messages(messages);
    let request = Request { prompt, pictures, sampling, max_tokens, stop: Vec::new(), grammar };
    let mut printed = Ok(());
    let mut show = |event: Event| match event {
        Event::Text(text) if is_printed && printed.is_ok() => printed = print_text(&text),
        event => tell(event),
    };
    let completion = pollster::block_on(engine.generate(&request, &RequestControl::new(), &mut show))?;
    printed?;
    if is_printed {
        print("")?;
    }
    if is_printed && args.verbose {
        let Completion { usage, timings, .. } = &completion;
        let rate = 1e3 * usage.completion_tokens as f64 / timings.decode_ms.max(1e-3);
        inform(&format!(
            "{} tokens of prompt, {} of them from the cache, in {:.0} ms; {} tokens of answer in {:.0} ms, {rate:.2} a second; {} \
             tokens guessed, {} accepted; {} tokens without a choice, {:.0} ms for the grammar",
            usage.prompt_tokens,
            usage.cached_tokens,
            timings.prepare_ms + timings.vision_ms + timings.prefill_ms,
            usage.completion_tokens,
            timings.decode_ms,
            usage.drafted_tokens,
            usage.accepted_tokens,
            usage.forced_tokens,
            timings.grammar_ms,
        ));
    }
    Ok(completion)
}

/// A picture file at the size given by `detail`.
pub(crate) fn picture(path: &Path, detail: Detail) -> Result<Picture> {
    Ok(Picture::encoded(read(path)?).at(detail))
}

/// A picture at a path or `file:` URL. Relative paths are resolved against `base`, or else the working directory.
pub(crate) fn picture_at(url: &str, detail: Detail, base: &Path) -> Result<Picture> {
    if ["http:", "https:", "data:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::request("image_url", "must be a file, not an http or data URL"));
    }
    let path = Path::new(url.strip_prefix("file://").unwrap_or(url));
    let beside = base.join(path);
    picture(if !beside.exists() && path.exists() { path } else { &beside }, detail)
}
