//! Pages of PDF documents as pictures. A process of its own renders them, with limits on memory and time, because a small document can take
//! any amount of both. Documents take turns: if others wait, a process ends after a page, and a later one renders the next pages.

use std::io::{Read, Write};
use std::pin::pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

mod renderer;

pub(crate) use renderer::{RenderArgs, run};

/// Name of the hidden verb.
pub(crate) const VERB: &str = "render-pdf";
/// Time limit of a page. The first one of a process includes reading the document.
const PAGE_TIME: Duration = Duration::from_secs(20);
/// Time limit of the pages of a request together, without the time in which others have their turn.
const TIME: Duration = Duration::from_secs(120);
/// Time after which a document gives its place to others that wait.
const TURN: Duration = Duration::from_secs(2);
/// Least ratio of a turn to the time for reading the document, which each turn begins with.
const TURN_RATIO: u32 = 4;
/// Most bytes of the pages of a request together, as PNG.
const MOST_BYTES: u64 = 64 << 20;
/// Interval at which a process, a place and a client are looked at.
const INTERVAL: Duration = Duration::from_millis(5);
/// Places of processes, whoever asks for pages: the other bound of their memory.
static PLACES: Semaphore = Semaphore::const_new(2);
/// Number of documents that wait for a place.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Pages of a document.
pub(crate) struct Pages {
    /// Number of all pages.
    pub(crate) total: usize,
    /// PNG files of the requested pages that exist.
    pub(crate) pictures: Vec<Vec<u8>>,
}

/// Amounts that the pages of a request may still take.
pub(crate) struct Allowance {
    bytes: u64,
    time: Duration,
    control: RequestControl,
}

impl Allowance {
    /// The amounts of a request without pages. `control` cancels their rendering.
    pub(crate) fn new(control: &RequestControl) -> Self {
        Self { bytes: MOST_BYTES, time: TIME, control: control.clone() }
    }

    /// The amounts of a single call that nobody cancels.
    fn of_call() -> Self {
        Self::new(&RequestControl::new())
    }
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
    pages(document, RenderArgs { first: 1, count: 0, whole: false }, &mut Allowance::of_call()).map(|pages| pages.total)
}

/// One page of a document, as PNG.
///
/// # Errors
/// The errors of [`pages`], and for a page that does not exist.
pub(crate) fn page(document: &[u8], number: usize) -> Result<Vec<u8>> {
    let wanted = RenderArgs { first: number, count: 1, whole: false };
    let Pages { total, mut pictures } = pages(document, wanted, &mut Allowance::of_call())?;
    let missing = || Error::InvalidImage { reason: format!("the document has {total} pages, and no page {number}") };
    pictures.pop().ok_or_else(missing)
}

/// All pages of a document, or only their number if there are more than `most`.
///
/// # Errors
/// The errors of [`pages`].
pub(crate) fn all(document: &[u8], most: usize, allowance: &mut Allowance) -> Result<Pages> {
    pages(document, RenderArgs { first: 1, count: most, whole: true }, allowance)
}

/// The wanted pages of a document.
///
/// # Errors
/// [`Error::InvalidImage`] for a document that is damaged, encrypted, or exceeds the limits; `aborted`.
fn pages(document: &[u8], mut wanted: RenderArgs, allowance: &mut Allowance) -> Result<Pages> {
    let mut pages = Pages { total: 0, pictures: Vec::new() };
    loop {
        let place = place(&allowance.control)?;
        let began = Instant::now();
        let Heard { total, pictures, .. } = render(document, &wanted, allowance)?;
        drop(place);
        allowance.time = allowance.time.saturating_sub(began.elapsed());
        wanted.first += pictures.len();
        wanted.count -= pictures.len();
        pages.pictures.extend(pictures);
        pages.total = total;
        if expected(&wanted, total) == 0 {
            return Ok(pages);
        }
    }
}

/// Number of pages that a process writes.
fn expected(wanted: &RenderArgs, total: usize) -> usize {
    let left = (total + 1).saturating_sub(wanted.first);
    if wanted.whole && left > wanted.count { 0 } else { wanted.count.min(left) }
}

/// Waits for a place, in the order of arrival.
///
/// # Errors
/// `aborted`.
fn place(control: &RequestControl) -> Result<SemaphorePermit<'static>> {
    struct Waiting;
    impl Drop for Waiting {
        fn drop(&mut self) {
            WAITING.fetch_sub(1, Ordering::SeqCst);
        }
    }
    WAITING.fetch_add(1, Ordering::SeqCst);
    let _waiting = Waiting;
    let mut place = pin!(PLACES.acquire());
    loop {
        control.check()?;
        match place.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => return place.map_err(|_| Error::Aborted),
            Poll::Pending => thread::sleep(INTERVAL),
        }
    }
}

/// The pages that one process wrote.
#[derive(Default)]
struct Heard {
    total: usize,
    pictures: Vec<Vec<u8>>,
    /// True if the next page has more bytes than are left.
    is_too_large: bool,
}

/// Runs a process until the wanted pages are there, or until others have waited for a turn.
fn render(document: &[u8], wanted: &RenderArgs, allowance: &mut Allowance) -> Result<Heard> {
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
    let (pipes, stderr) = (child.stdin.take().zip(child.stdout.take()), child.stderr.take());
    let (arrived, most) = (AtomicUsize::new(0), allowance.bytes);
    let (heard, told, ending) = thread::scope(|scope| {
        let heard = scope.spawn(|| pipes.map(|pipes| converse(pipes, document, (wanted, most), &arrived)));
        let told = scope.spawn(move || told(stderr));
        let ending = wait(&mut child, &arrived, allowance);
        (heard.join().ok().flatten().unwrap_or_default(), told.join().unwrap_or_default(), ending)
    });
    if let Some(reason) = fault(&ending, told, &heard, wanted.first) {
        return Err(reason);
    }
    allowance.bytes -= heard.pictures.iter().map(|picture| picture.len() as u64).sum::<u64>();
    Ok(heard)
}

/// The error of a process that did not succeed.
fn fault(ending: &Ending, told: String, heard: &Heard, first: usize) -> Option<Error> {
    let page = first + heard.pictures.len();
    let reason = match ending {
        _ if heard.is_too_large => {
            let most = MOST_BYTES >> 20;
            format!(
                "the pages of a request take more than {most} MiB as pictures, at page {page}: use fewer pages at a time"
            )
        }
        Ending::Succeeded => return None,
        Ending::Cancelled => return Some(Error::Aborted),
        Ending::SlowPage => {
            let most = PAGE_TIME.as_secs();
            format!("page {page} takes more than {most} s: use a picture of it instead")
        }
        Ending::SlowDocument => {
            let most = TIME.as_secs();
            format!("the pages of a request take more than {most} s, at page {page}: use fewer pages at a time")
        }
        // The process said why.
        Ending::Failed if !told.is_empty() => told,
        Ending::Failed | Ending::Broken => {
            format!("page {page} takes too much memory: use a picture of it instead")
        }
    };
    Some(Error::InvalidImage { reason })
}

/// The end of what a process says about a fault.
fn told(stderr: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // The reader of a broken pipe has what was written before.
    let _ = stderr.map(|stderr| stderr.take(1 << 10).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// Hands over the document and reads its pages, of at most `most` bytes. A process whose pipes are closed ends.
fn converse(
    (mut stdin, mut stdout): (ChildStdin, ChildStdout),
    document: &[u8],
    (wanted, most): (&RenderArgs, u64),
    arrived: &AtomicUsize,
) -> Heard {
    let (mut heard, began) = (Heard::default(), Instant::now());
    // A process that ends early does not read everything, and its status says why.
    let _ = stdin.write_all(&(document.len() as u64).to_le_bytes()).and_then(|()| stdin.write_all(document));
    let Some(total) = number(&mut stdout) else { return heard };
    heard.total = total as usize;
    let turn = TURN.max(TURN_RATIO * began.elapsed());
    let (expected, mut left) = (expected(wanted, heard.total), most);
    while heard.pictures.len() < expected {
        let Some(length) = number(&mut stdout) else { break };
        let Some(rest) = left.checked_sub(length) else {
            heard.is_too_large = true;
            break;
        };
        let Some(picture) = exactly(&mut stdout, length) else { break };
        left = rest;
        heard.pictures.push(picture);
        arrived.fetch_add(1, Ordering::SeqCst);
        let is_over = began.elapsed() > turn && WAITING.load(Ordering::SeqCst) > 0;
        if is_over || heard.pictures.len() == expected || stdin.write_all(&[1]).is_err() {
            break;
        }
    }
    heard
}

/// The next number.
fn number(pipe: &mut impl Read) -> Option<u64> {
    let mut bytes = [0; 8];
    pipe.read_exact(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// The next bytes, if all of them come.
fn exactly(pipe: &mut impl Read, length: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(length).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == length).then_some(bytes)
}

/// The way in which a process ended.
enum Ending {
    Succeeded,
    Failed,
    /// By the system, as for too much memory.
    Broken,
    SlowPage,
    SlowDocument,
    Cancelled,
}

/// Waits for the process, and ends it if it exceeds a limit of time or nobody waits for its pages.
fn wait(child: &mut Child, arrived: &AtomicUsize, allowance: &Allowance) -> Ending {
    let start = Instant::now();
    let (mut began, mut known) = (start, 0);
    let ending = loop {
        let now = arrived.load(Ordering::SeqCst);
        if now > known {
            (began, known) = (Instant::now(), now);
        }
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ending::Succeeded,
            Ok(Some(status)) if status.code() == Some(1) => return Ending::Failed,
            Ok(Some(_)) => return Ending::Broken,
            Err(_) => break Ending::Broken,
            Ok(None) if allowance.control.is_cancelled() => break Ending::Cancelled,
            Ok(None) if began.elapsed() >= PAGE_TIME => break Ending::SlowPage,
            Ok(None) if start.elapsed() >= allowance.time => break Ending::SlowDocument,
            Ok(None) => thread::sleep(INTERVAL),
        }
    };
    // It may end by itself meanwhile.
    drop(child.kill());
    drop(child.wait());
    ending
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
        let output = [2u64.to_le_bytes().as_slice(), b"ab"].concat();
        for length in 0..=output.len() {
            let mut pipe = &output[..length];
            let page = number(&mut pipe).and_then(|length| exactly(&mut pipe, length));
            assert_eq!(page.is_some(), length == output.len(), "{length}");
        }
    }

    #[test]
    fn pages_that_exist_are_expected() {
        let expected = |first, count, whole, total| expected(&RenderArgs { first, count, whole }, total);
        assert_eq!([expected(1, 0, false, 3), expected(1, 1, false, 3), expected(3, 2, false, 3)], [0, 1, 1]);
        assert_eq!([expected(4, 1, false, 3), expected(1, 32, true, 3), expected(1, 2, true, 3)], [0, 3, 0]);
        // The second part of a whole document of three pages.
        assert_eq!([expected(2, 2, true, 3), expected(4, 0, true, 3)], [2, 0]);
    }

    #[test]
    fn a_request_that_was_cancelled_waits_for_no_place() {
        let control = RequestControl::new();
        control.cancel();
        let pages = all(b"%PDF-", 1, &mut Allowance::new(&control));
        assert_eq!((pages.err(), WAITING.load(Ordering::SeqCst)), (Some(Error::Aborted), 0));
    }
}
