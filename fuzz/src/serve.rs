//! Inputs of the command: requests to every address, forms, lines of a batch, ranges of a download, stored usage.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use hyper::body::Bytes;
use ocelli::api::{Embedder, Service, Stamp};
use ocelli::chat::{CallSyntax, EmbeddingSettings};
use ocelli::families::definition;
use ocelli::responses::Responses;
use ocelli::sampling::SamplingOptions;
use ocelli::usage::Sums;
use ocelli::{Error, Result};
use ocelli_synth::published;

use super::batch_requests::{Requests, survey};
use super::chat::good_tokenizer;
use super::extent::Extent;
use super::form::{self, MOST_FIELD, Receiver};

/// A request to the API: a line with the method and the path, and the body.
///
/// # Errors
/// Errors of [`Service::open`].
pub fn wire(bytes: &[u8]) -> Result<()> {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    let service = SERVICE.get_or_init(|| {
        let config = published("ministral-3-3b").expect("a shape");
        let layout = definition(&config).chat_layout("mistral-v13").expect("a layout").calls.as_ref();
        Service {
            model: "m".into(),
            aliases: vec!["gpt".into()],
            defaults: SamplingOptions::default(),
            created: 1,
            context: 4096,
            reads_pictures: true,
            calls: layout.map(|layout| CallSyntax::new(layout, good_tokenizer()).expect("its tokens")),
            thinking: None,
            tokenizer: good_tokenizer().clone(),
            responses: Arc::new(Responses::new(1 << 20)),
            keeps_files: true,
            embedder: Some(Embedder { settings: EmbeddingSettings::untrained(), width: 16 }),
        }
    });
    let text = str::from_utf8(bytes).map_err(|_| Error::request("body", "is not UTF-8"))?;
    let (head, body) = text.split_once('\n').unwrap_or((text, ""));
    let stamp = Stamp { id: "1".into(), created: 2, seed: 3, owner: Some(String::new()) };
    service.open(head.split_once(' ').unwrap_or((head, "")), body, stamp).map(drop)
}

/// A file in memory.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    has_ended: bool,
}

impl Receiver for Received {
    async fn begin(&mut self, _: &str) -> std::io::Result<()> {
        Ok(())
    }

    async fn add(&mut self, piece: Bytes) -> std::io::Result<()> {
        self.bytes.extend_from_slice(&piece);
        Ok(())
    }

    async fn end(&mut self) -> std::io::Result<()> {
        self.has_ended = true;
        Ok(())
    }
}

/// A form with the boundary `edge`, in pieces whose length is the first byte.
///
/// # Errors
/// `invalid-request` with the parser's reason.
pub fn upload(bytes: &[u8]) -> Result<()> {
    let Some((&len, rest)) = bytes.split_first() else { return Ok(()) };
    let pieces: Vec<Bytes> = rest.chunks(usize::from(len).max(1)).map(Bytes::copy_from_slice).collect();
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let mut received = Received::default();
    let form = pollster::block_on(form::read(body, "edge".into(), &mut received));
    let form = form.map_err(|error| Error::request("body", error.to_string()))?;
    assert_eq!(received.has_ended, form.has_file, "the file is whole");
    assert!(received.bytes.len() < bytes.len());
    let fields = [form.purpose, form.anchor, form.seconds];
    // Bytes that are not UTF-8 become replacement characters.
    assert!(fields.iter().flatten().all(|field| field.chars().count() as u64 <= MOST_FIELD));
    Ok(())
}

/// The lines of a batch.
///
/// # Errors
/// `invalid-request` if no line is a request.
pub fn batch_lines(bytes: &[u8]) -> Result<()> {
    let (ids, wrong) = survey(bytes, "in", usize::MAX)?;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id twice");
    let is_blank = |line: &&[u8]| line.trim_ascii().is_empty();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).count();
    assert_eq!(ids.len() + wrong.len(), lines, "each line is a request or wrong");
    assert!(wrong.is_sorted_by_key(|error| error.line));
    let (mut requests, mut read) = (Requests::new(bytes), Vec::new());
    while let Some(line) = requests.next().map_err(|error| Error::io("in", &error))? {
        if let Ok(request) = line {
            let body: serde_json::Value = serde_json::from_str(&request.body).expect("a body is JSON");
            assert!(body.is_object() && !request.custom_id.is_empty(), "{request:?}");
            read.push(request.custom_id);
        }
    }
    assert_eq!(read, ids);
    if ids.is_empty() { Err(Error::request("in", "has no request")) } else { Ok(()) }
}

/// The header `content-range` of a partial response.
///
/// # Errors
/// `invalid-request` if it is none.
pub fn extent(bytes: &[u8]) -> Result<()> {
    let range = str::from_utf8(bytes).ok().and_then(Extent::of_part);
    let Extent { start, bytes } = range.ok_or_else(|| Error::request("content-range", "is not valid"))?;
    assert!(bytes.is_none_or(|bytes| start < bytes), "{start} of {bytes:?}");
    Ok(())
}

/// Stored usage: read, written and read again, and reported.
///
/// # Errors
/// `invalid-request` if no line could be read.
pub fn usage(bytes: &[u8]) -> Result<()> {
    let mut sums = Sums::default();
    let damaged = sums.read(bytes);
    assert!(damaged.len() == sums.damaged_lines && damaged.is_sorted());
    let lines: String = sums.lines().map(|(_, line)| line).collect();
    let mut again = Sums::default();
    assert!(again.read(lines.as_bytes()).is_empty(), "{lines}");
    assert_eq!(again.report(), sums.report());
    assert!(sums.csv().ends_with("\r\n"));
    if lines.is_empty() { Err(Error::request("usage", "has no line")) } else { Ok(()) }
}
