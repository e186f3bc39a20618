//! Pages of PDF documents as pictures. A process of its own renders them, with limits on memory and time, because a small document can take
//! any amount of both.

use std::io::{Read, Write};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::{LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};
use ocelli::{Error, Result};
use tokio::sync::Semaphore;

use super::io;

/// Name of the hidden verb.
pub(crate) const VERB: &str = "render-pdf";
/// Pixels of the longer side of a page: small print of a page of paper is readable.
const LONGEST: f32 = 2048.0;
/// Time limit of a page. The first one includes reading the document.
const PAGE_TIME: Duration = Duration::from_secs(20);
/// Most bytes of the pages together, as PNG.
const MOST_BYTES: u64 = 256 << 20;
/// Memory of a process.
#[cfg(unix)]
const MEMORY: u64 = 3 << 30;
/// Places of processes, whoever asks for pages: the other bound of their memory.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Pages of a document.
pub(crate) struct Pages {
    /// Number of all pages.
    pub(crate) total: usize,
    /// PNG files of the requested pages that exist.
    pub(crate) pictures: Vec<Vec<u8>>,
}

/// Returns true for the beginning of a PDF document.
pub(crate) fn is_pdf(bytes: &[u8]) -> bool {
    // Readers accept other bytes before the mark.
    bytes[..bytes.len().min(1024)].windows(5).any(|window| window == b"%PDF-")
}

/// Splits `invoice.pdf#page=2` at the page, as in RFC 8118; a name without a page is that of the first one.
pub(crate) fn split(name: &str) -> (&str, usize) {
    let page = name.rsplit_once("#page=").and_then(|(name, page)| Some((name, page.parse().ok()?)));
    page.filter(|(_, page)| *page > 0).unwrap_or((name, 1))
}

/// Returns true for the path of a document or of one of its pages.
pub(crate) fn is_page(name: &str) -> bool {
    !name.starts_with("data:") && split(name).0.to_ascii_lowercase().ends_with(".pdf")
}

/// The number of pages of a document.
///
/// # Errors
/// The errors of [`pages`].
pub(crate) fn count(document: &[u8]) -> Result<usize> {
    pages(document, &RenderArgs { first: 1, count: 0, whole: false }).map(|pages| pages.total)
}

/// One page of a document, as PNG.
///
/// # Errors
/// The errors of [`pages`], and for a page that does not exist.
pub(crate) fn page(document: &[u8], number: usize) -> Result<Vec<u8>> {
    let Pages { total, mut pictures } = pages(document, &RenderArgs { first: number, count: 1, whole: false })?;
    let missing = || Error::InvalidImage { reason: format!("the document has {total} pages, and no page {number}") };
    pictures.pop().ok_or_else(missing)
}

/// All pages of a document, or only their number if there are more than `most`.
///
/// # Errors
/// The errors of [`pages`].
pub(crate) fn all(document: &[u8], most: usize) -> Result<Pages> {
    pages(document, &RenderArgs { first: 1, count: most, whole: true })
}

/// The wanted pages of a document.
///
/// # Errors
/// [`Error::InvalidImage`] for a document that is damaged, encrypted, or exceeds the limits.
fn pages(document: &[u8], wanted: &RenderArgs) -> Result<Pages> {
    let _place = pollster::block_on(PLACES.acquire());
    let failed = |error: std::io::Error| Error::io("the process that reads documents", &error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg(VERB).arg(wanted.first.to_string()).arg(wanted.count.to_string());
    if wanted.whole {
        command.arg("--whole");
    }
    // Nothing of the environment is of use there. Windows starts no process without some of it.
    if cfg!(unix) {
        command.env_clear();
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let arrived = AtomicUsize::new(0);
    let (output, told, is_right) = thread::scope(|scope| {
        // A process that ends early does not read everything.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(document)));
        let output = scope.spawn(|| read(stdout, MOST_BYTES, &arrived));
        let told = scope.spawn(move || read(stderr, 1 << 10, &AtomicUsize::new(0)));
        let is_right = wait(&mut child, &arrived);
        (output.join().unwrap_or_default(), told.join().unwrap_or_default(), is_right)
    });
    let told = String::from_utf8_lossy(&told);
    let reason = match told.trim() {
        _ if output.len() as u64 == MOST_BYTES => "its pages take too many bytes",
        "" => "the document takes too much memory or time",
        told => told,
    };
    let invalid = || Error::InvalidImage { reason: reason.into() };
    if is_right { parse(&output).ok_or_else(invalid) } else { Err(invalid()) }
}

/// Reads at most so many bytes; `arrived` is the number of those so far.
fn read(pipe: Option<impl Read>, most: u64, arrived: &AtomicUsize) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let Some(mut pipe) = pipe.map(|pipe| pipe.take(most)) else { return bytes };
    // The reader of a broken pipe has what was written before.
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
        arrived.store(bytes.len(), Ordering::Relaxed);
    }
    bytes
}

/// Waits for the process, and kills it if nothing arrives for the time of a page. Returns true if it succeeds.
fn wait(child: &mut Child, arrived: &AtomicUsize) -> bool {
    let (mut began, mut known) = (Instant::now(), 0);
    loop {
        let now = arrived.load(Ordering::Relaxed);
        if now > known {
            (began, known) = (Instant::now(), now);
        }
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if began.elapsed() < PAGE_TIME => thread::sleep(Duration::from_millis(5)),
            _ => break,
        }
    }
    // It may end by itself meanwhile.
    drop(child.kill());
    drop(child.wait());
    false
}

/// Reads the output of the process: a line with the number of pages, and for each page its length and its bytes.
fn parse(mut output: &[u8]) -> Option<Pages> {
    let number = |output: &mut &[u8]| {
        let (head, rest) = output.split_first_chunk()?;
        *output = rest;
        usize::try_from(u64::from_le_bytes(*head)).ok()
    };
    let (total, mut pictures) = (number(&mut output)?, Vec::new());
    while !output.is_empty() {
        let length = number(&mut output)?;
        let (picture, rest) = output.split_at_checked(length)?;
        pictures.push(picture.to_vec());
        output = rest;
    }
    Some(Pages { total, pictures })
}

/// Renders pages of the document on standard input: the process of [`pages`].
#[derive(Args)]
pub(crate) struct RenderArgs {
    /// The first page, counted from 1.
    first: usize,
    /// Most pages.
    count: usize,
    /// Write no page if the document has more than these.
    #[arg(long)]
    whole: bool,
}

/// Runs the process.
pub(crate) fn run(args: &RenderArgs) -> Result<()> {
    limit_memory();
    let mut document = Vec::new();
    std::io::stdin().lock().read_to_end(&mut document).map_err(|error| Error::io("standard input", &error))?;
    let range = args.first.max(1)..args.first.max(1).saturating_add(args.count);
    // Documents nest as deeply as they like.
    let whole = args.whole;
    let work = thread::Builder::new().stack_size(64 << 20).spawn(move || write_pages(document, range, whole));
    let failed = |reason: &str| Error::InvalidImage { reason: reason.into() };
    let outcome = work.map_err(|error| Error::io("a thread", &error))?.join();
    let outcome = outcome.unwrap_or_else(|_| Err(failed("the document cannot be rendered")));
    if let Err(Error::InvalidImage { reason }) = &outcome {
        io::warn(reason);
        std::process::exit(1);
    }
    outcome
}

#[cfg(unix)]
fn limit_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // On systems without such a limit, that of time remains.
    let _ = setrlimit(Resource::As, limit(MEMORY));
    let _ = setrlimit(Resource::Core, limit(0));
}

#[cfg(not(unix))]
fn limit_memory() {}

fn write_pages(document: Vec<u8>, range: Range<usize>, whole: bool) -> Result<()> {
    let invalid = |reason: String| Error::InvalidImage { reason };
    let pdf = Pdf::new(document).map_err(|error| match error {
        LoadPdfError::Decryption(_) => invalid("the document is encrypted".into()),
        LoadPdfError::Invalid => invalid("the PDF is damaged".into()),
    })?;
    let (pages, cache, settings) = (pdf.pages(), RenderCache::new(), InterpreterSettings::default());
    let mut out = std::io::stdout().lock();
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(|error| Error::io("standard output", &error));
    write(&(pages.len() as u64).to_le_bytes())?;
    if whole && pages.len() >= range.end {
        return Ok(());
    }
    for number in range {
        let Some(page) = pages.get(number - 1) else { break };
        let (width, height) = page.render_dimensions();
        let scale = LONGEST / width.max(height);
        if !(scale.is_finite() && width.min(height) * scale >= 1.0) {
            return Err(invalid(format!("page {number} is {width} x {height} points")));
        }
        let pixels = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
        let pixmap = render(page, &cache, &settings, &RenderSettings::default(), &pixels);
        let png = pixmap.into_png().map_err(|error| invalid(format!("page {number}: {error}")))?;
        write(&(png.len() as u64).to_le_bytes())?;
        write(&png)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_after_the_document() {
        assert_eq!(split("a.pdf#page=12"), ("a.pdf", 12));
        for name in ["a.pdf", "a.pdf#page=0", "a.pdf#page=x", "a#b.png", "#page="] {
            assert_eq!(split(name), (name, 1));
        }
    }

    #[test]
    fn output_that_is_cut_off_is_no_page() {
        let output = [3u64.to_le_bytes().as_slice(), &2u64.to_le_bytes(), b"ab", &1u64.to_le_bytes(), b"c"].concat();
        let whole = parse(&output).expect("pages");
        assert_eq!((whole.total, whole.pictures), (3, vec![b"ab".to_vec(), b"c".to_vec()]));
        for length in 0..output.len() {
            // Between two pages it cannot be seen; the process then fails.
            let is_between = [8, 18].contains(&length);
            assert_eq!(parse(&output[..length]).is_some(), is_between, "{length}");
        }
    }
}
