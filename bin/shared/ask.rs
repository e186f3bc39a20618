//! Questions to a model, and their answers on standard output.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{Completion, Detail, Engine, Event, Picture, PictureContent, Prompt, Request, RequestControl};
use ocelli::grammar::Format;
use ocelli::{Error, Result};
use percent_encoding::percent_decode_str;

use super::args::SamplingArgs;
use super::io::{inform, print, print_text, read, read_standard, remark};
use super::pdf;
use crate::fetch;

/// Most bytes of a picture that a request names, and of all of them that a request to a server names.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// A user message: pictures, then text.
pub(crate) fn question(pictures: impl IntoIterator<Item = usize>, text: &str) -> Message {
    let shown = pictures.into_iter().map(ContentPart::Image);
    Message { role: Role::User, content: shown.chain([ContentPart::Text(text.into())]).collect() }
}

/// A way to answer.
pub(crate) struct Asking<'a> {
    /// Receives the text of the answer, which is also streamed to standard output, and reasoning to standard error; `None` to print neither.
    pub(crate) printed: Option<&'a mut String>,
    pub(crate) control: &'a RequestControl,
    /// Added to the seed: times that the same question was answered before.
    pub(crate) attempt: u64,
    /// A format that the messages describe already, in place of the one of the arguments.
    pub(crate) format: Option<Format>,
}

/// Answers `messages`. Events other than text go to `tell`.
pub(crate) fn answer(
    engine: &mut Engine,
    (mut messages, pictures): (Vec<Message>, Vec<Picture>),
    args: &SamplingArgs,
    Asking { printed: mut said, control, attempt, format }: Asking<'_>,
    tell: impl Fn(Event),
) -> Result<Completion> {
    let (mut sampling, thoughts) = (args.options(engine, !pictures.is_empty()), args.thoughts(engine)?);
    sampling.seed = sampling.seed.wrapping_add(attempt);
    let is_printed = said.is_some();
    let format = match format {
        Some(format) => Some(format),
        None => args.format.format()?.inspect(|format| format.tell(&mut messages)),
    };
    let grammar = format.map(|format| engine.grammar(&format)).transpose()?;
    if thoughts.is_some() {
        messages.push(Message { role: Role::Assistant, content: vec![ContentPart::Thoughts(String::new())] });
    }
    let prompt = Prompt::Messages(messages);
    let (max_tokens, stop) = (args.max_tokens, args.stop.clone());
    let request = Request { prompt, pictures, sampling, max_tokens, stop, grammar };
    let (mut printed, mut reasons) = (Ok(()), false);
    let mut show = |event: Event| match event {
        Event::Text(text) if is_printed && printed.is_ok() => {
            if std::mem::take(&mut reasons) {
                remark("\n\n");
            }
            said.iter_mut().for_each(|said| said.push_str(&text));
            printed = print_text(&text);
        }
        Event::Reasoning(text) if is_printed => {
            reasons = true;
            remark(&text);
        }
        event => tell(event),
    };
    let completion = pollster::block_on(engine.generate_thinking(&request, thoughts, control, &mut show))?;
    printed?;
    if is_printed {
        print("")?;
    }
    if is_printed && args.memory.verbose {
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

/// A picture file, or a page of a PDF document (`invoice.pdf#page=2`), at the size given by `detail`; `-` is standard input.
pub(crate) fn picture(name: &str, detail: Detail) -> Result<Picture> {
    Ok(Picture::encoded(encoded(name)?).at(detail))
}

/// The encoded picture in a file, at an address, or on a page of a document; `-` is standard input.
pub(crate) fn encoded(name: &str) -> Result<Vec<u8>> {
    let (path, page) = if fetch::is_address(name) { (name, 1) } else { pdf::split(name) };
    let bytes = match path {
        _ if fetch::is_address(name) => fetch::get(name)?,
        "-" => read_standard(MOST_BYTES as usize)?,
        path => read(Path::new(path))?,
    };
    shown(bytes, page)
}

/// The picture of a file: the file itself, or a page of it if it is a document.
fn shown(bytes: Vec<u8>, page: usize) -> Result<Vec<u8>> {
    if pdf::is_pdf(&bytes) { pdf::page(&bytes, page) } else { Ok(bytes) }
}

/// Folder of the pictures that requests name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PictureFolder<'a> {
    /// Base of relative paths.
    pub(crate) base: &'a Path,
    /// True if pictures may also be outside of it.
    pub(crate) any_path: bool,
}

/// A picture at a path or `file:` URL, which may end in `#page=2` for a page of a document. Relative paths are resolved against the folder, or else the working directory.
pub(crate) fn picture_at(url: &str, detail: Detail, folder: PictureFolder<'_>) -> Result<Picture> {
    if ["http:", "https:", "data:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::request("image_url", "must be a file, not an http or data URL"));
    }
    let (url, page) = pdf::split(url);
    let path = path_of(url)?;
    let beside = folder.base.join(&path);
    let path = if !beside.exists() && path.exists() { path } else { beside };
    let fail = |reason: String| Error::Io { path: path.display().to_string(), reason };
    let io = |error: std::io::Error| fail(error.to_string());
    let base = if folder.base == Path::new("") { Path::new(".") } else { folder.base };
    if !folder.any_path && !path.canonicalize().map_err(io)?.starts_with(base.canonicalize().map_err(io)?) {
        return Err(fail("is outside the folder of the requests, which --any-path allows".into()));
    }
    if !std::fs::metadata(&path).map_err(io)?.is_file() {
        return Err(fail("is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    File::open(&path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(fail(format!("has more than {MOST_BYTES} bytes")));
    }
    Ok(Picture::encoded(shown(bytes, page)?).at(detail))
}

/// Bytes of a picture's file.
pub(crate) fn file_bytes(picture: &Picture) -> u64 {
    match &picture.content {
        PictureContent::Encoded(bytes) => bytes.len() as u64,
        PictureContent::Rgb(pixels) => pixels.pixels.len() as u64,
    }
}

/// The path of a `file:` URL, or the path itself.
fn path_of(url: &str) -> Result<PathBuf> {
    let Some(rest) = url.strip_prefix("file://") else { return Ok(url.into()) };
    let path = percent_decode_str(rest.strip_prefix("localhost").unwrap_or(rest)).decode_utf8();
    let path = path.map_err(|_| Error::request("image_url", format!("{url:?} is not UTF-8")))?;
    // The drive of `file:///C:/picture.png` is after the slash.
    let path = if cfg!(windows) { path.trim_start_matches('/') } else { &path };
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn file_urls_are_decoded() {
        let of = |url| path_of(url).expect("a path").display().to_string();
        assert_eq!(of("file:///a%20b/%C3%A9.png"), "/a b/é.png");
        assert_eq!(of("file://localhost/a.png"), "/a.png");
        assert_eq!(of("a%20b.png"), "a%20b.png");
        assert!(path_of("file:///%ff").is_err());
    }
}
